"""Prediction in the whole head, and among what neighbours and linear view name.

    python benchmarks/bench_candidates.py [--data FOLDER] [--sets A,B] [--synthetic]
    python benchmarks/bench_candidates.py --markdown

One default model a set answers both ways. Sets are those of `bench_classifier`; --synthetic has
670,091 labels. Rows go to results/candidates.json, where they replace those of the same set.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench_classifier import SYNTHETIC, THREADS, load
from bench_search import timed

from sklsh import SparseLSHMLPClassifier
from sklsh.metrics import precision_at_k, recall_at_k

RESULTS = Path(__file__).parent / "results" / "candidates.json"
DEPTH = 50


def measured(model, X, Y, repeats: int) -> dict:
    best, deep = (model.predict_topk(X, k)[0] for k in (5, DEPTH))
    return {
        **{f"P@{k}": precision_at_k(Y, best, k) for k in (1, 3, 5)},
        f"R@{DEPTH}": recall_at_k(Y, deep, DEPTH),
        **timed(lambda rows: model.predict_topk(rows, 5)[0], X, repeats),
    }


def run(name: str, folder: str | None, repeats: int) -> list[dict]:
    X, X_test, Y, Y_test = load(name, folder)
    model = SparseLSHMLPClassifier(prediction="candidates", random_state=0, n_jobs=THREADS)
    learner, found = model.fit(X, Y).learner_, []
    for way, named_only in ("exact", False), ("candidates", True):
        learner.named_only = named_only
        found.append({"set": name, "prediction": way, **measured(model, X_test, Y_test, repeats)})
        print(found[-1], flush=True)
    return found


def markdown(rows: list[dict]) -> str:
    lines = [
        f"| set | looks at | P@1 | P@3 | P@5 | recall@{DEPTH} | ms a row, in batch / alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["set"] if row["prediction"] == "exact" else ""
        looks = {"exact": "the head", "candidates": "what is named"}[row["prediction"]]
        numbers = " | ".join(f"{row[f'P@{k}']:.4f}" for k in (1, 3, 5)).replace("0.", ".")
        recall = f"{row[f'R@{DEPTH}']:.4f}".removeprefix("0")
        times = f"{row['batch_ms']:.2f} / {row['alone_ms']:.1f}"
        lines.append(f"| {name} | {looks} | {numbers} | {recall} | {times} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sets", default="bundled")
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--markdown", action="store_true", help="run nothing: the table")
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    if not args.markdown:
        for name in [*filter(None, args.sets.split(",")), *[SYNTHETIC] * args.synthetic]:
            found = run(name, args.data, args.repeats)
            rows = [row for row in rows if row["set"] != name] + found
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
