"""Would another default have been better? One departure at a time, with each set left out in turn.

    python benchmarks/classifier_rules.py --data FOLDER[,FOLDER] --sets A,B [--tried X,Y]

Each of `TRIED` is fitted on each set (as `bench_classifier` reads them). For each set left out, the
one with the best mean P@1 on the *other* sets is picked, and its loss is what the best of all has
above it on the set left out. Defaults are well chosen if they are what is picked, or lose little.
`results/classifier-rules.json` keeps every run; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from bench_classifier import THREADS, load

from sklsh import SparseLSHMLPClassifier
from sklsh.metrics import precision_at_k
from sklsh.network import settings

RESULTS = Path(__file__).parent / "results" / "classifier-rules.json"
RATE = settings.LEARNING_RATE

TRIED = {
    "defaults": {},
    "256 hidden units": {"hidden_layer_sizes": (256,)},
    "2 epochs": {"max_iter": 2},
    "5 epochs": {"max_iter": 5},
    "half the rate": {"rate": RATE / 2},
    "twice the rate": {"rate": RATE * 2},
    "dropout .3": {"dropout": 0.3},
    "no neighbours": {"n_neighbors": 0},
    "no linear view": {"linear": False},
}


def precision(name: str, folder: str | None, rate: float = RATE, **params) -> dict[str, float]:
    """P@1, P@3 and P@5 of one departure on a set."""
    X, X_test, Y, Y_test = load(name, folder)
    settings.LEARNING_RATE = rate
    try:
        model = SparseLSHMLPClassifier(random_state=0, n_jobs=THREADS, **params).fit(X, Y)
    finally:
        settings.LEARNING_RATE = RATE
    labels = model.predict_topk(X_test, 5)[0]
    return {f"P@{k}": precision_at_k(Y_test, labels, k) for k in (1, 3, 5)}


def folder_of(name: str, folders: list[str]) -> str | None:
    """The first that has the set."""
    if name == "bundled":
        return None
    stem, _, kind = name.rpartition("-")
    names = {name, stem if kind in ("words", "items", "dense") else name}
    return next(f for f in folders if any((Path(f) / n).is_dir() for n in names))


def left_out(table: dict[str, dict[str, dict]], measure: str) -> dict[str, tuple[str, float]]:
    """For each set, what the others pick, and its loss here, in points."""
    tried = [t for t in TRIED if all(t in of_set for of_set in table.values())]
    values = 100 * np.array([[of_set[t][measure] for t in tried] for of_set in table.values()])
    out = {}
    for i, name in enumerate(table):
        picked = int(np.argmax(np.delete(values, i, axis=0).mean(axis=0)))
        out[name] = tried[picked], float(values[i].max() - values[i, picked])
    return out


def markdown(table: dict[str, dict[str, dict]]) -> str:
    """The tables of doc/benchmarks.md."""
    tried = [t for t in TRIED if all(t in of_set for of_set in table.values())]
    lines = [f"| set | {' | '.join(tried)} |", "|---" * (len(tried) + 1) + "|"]
    for name, of_set in table.items():
        shown = (f"{of_set[t]['P@1']:.3f}".lstrip("0") for t in tried)
        lines.append(f"| {name} | {' | '.join(shown)} |")
    lines += ["", "| left out | picked on the others | loss at P@1, points | the same at P@5 |"]
    lines.append("|---|---|---|---|")
    at_5 = left_out(table, "P@5")
    for name, (picked, loss) in left_out(table, "P@1").items():
        lines.append(f"| {name} | {picked} | {loss:.2f} | {at_5[name][0]}, {at_5[name][1]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="")
    parser.add_argument("--sets", default="bundled")
    parser.add_argument("--tried", default=",".join(TRIED))
    parser.add_argument("--markdown", action="store_true", help="run nothing: the tables")
    args = parser.parse_args()
    table = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not args.markdown:
        folders = args.data.split(",")
        for name in args.sets.split(","):
            for tried in args.tried.split(","):
                of_set = table.setdefault(name, {})
                if tried not in of_set:
                    of_set[tried] = precision(name, folder_of(name, folders), **TRIED[tried])
                    RESULTS.write_text(json.dumps(table, indent=1))
                    print(name, tried, of_set[tried], flush=True)
    print(markdown(table))


if __name__ == "__main__":
    main()
