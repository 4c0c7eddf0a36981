"""Small data: the most frequent labels and some rows of each set, beside the linear peers.

    python benchmarks/bench_small.py --data FOLDER --sets bundled,packages-tags [--seeds 0,1,2]
        [--systems sklsh,libpecos,omikuji]

Of each set and size: P@1, P@3 and P@5 of each system on the test rows that have one of these
labels, and the seconds of its fit, one after another in one process. The record is
`results/small.json`; printed are means over sets, and on how many a system is ahead, the table of
doc/benchmarks.md (`--markdown`: from the record).
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import numpy as np
from bench_classifier import SYSTEMS, load

from sklsh.metrics import precision_at_k

RECORD = Path(__file__).parent / "results" / "small.json"
SIZES = (100, 3_000), (400, 6_000), (1_500, 9_000)
"""Labels and training rows, at most."""

SETS = "bundled,wordnet-related,packages-tags,packages-source,packages-depends-long,"
SETS += "glosses-hypernyms,gowalla-items,citeulike-t-xmc,mulan-delicious"


def cut(parts, n_labels: int, n_rows: int, seed: int):
    """Of `bench_classifier.load`: the most frequent labels, and some of the rows that have one."""
    X, X_test, Y, Y_test = parts
    labels = np.sort(np.argsort(-np.asarray(Y.sum(axis=0)).ravel(), kind="stable")[:n_labels])
    Y, Y_test = Y[:, labels], Y_test[:, labels]
    rows, rows_test = (np.flatnonzero(np.diff(y.indptr)) for y in (Y, Y_test))
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:n_rows])
    X, X_test, Y, Y_test = X[rows], X_test[rows_test], Y[rows], Y_test[rows_test]
    features = np.flatnonzero(X.getnnz(axis=0))
    return X[:, features], X_test[:, features], Y, Y_test


def measured(system: str, parts) -> dict:
    """P@k and seconds of one fit."""
    X, X_test, Y, Y_test = parts
    stages = SYSTEMS[system](X, Y, X_test)
    next(stages)
    start = time.perf_counter()
    next(stages)
    seconds = time.perf_counter() - start
    labels = next(stages).astype(np.int64)
    return {f"P@{k}": precision_at_k(Y_test, labels, k) for k in (1, 3, 5)} | {"train_s": seconds}


def table(runs: list[dict]) -> str:
    """Means over sets and seeds of each size and system, as markdown."""
    lines = ["| labels, rows | system | P@1 | P@3 | P@5 | ahead | seconds, median |"]
    lines.append("|---|---|---|---|---|---|---|")
    systems, keys = dict.fromkeys(run["system"] for run in runs), ("P@1", "P@3", "P@5")
    for n_labels, n_rows in SIZES:
        of_size = [run for run in runs if run["n_labels"] == n_labels]
        figures = {s: np.array([[r[k] for k in keys] for r in of_size if r["system"] == s])
                   for s in systems}  # fmt: skip
        best = np.max(list(figures.values()), axis=0)
        for system, values in figures.items():
            means = " | ".join(f"{mean:.4f}".lstrip("0") for mean in values.mean(axis=0))
            ahead = " / ".join(str(n) for n in (values == best).sum(axis=0))
            seconds = np.median([r["train_s"] for r in of_size if r["system"] == system])
            lines.append(
                f"| {n_labels:,}, {n_rows:,} | {system} | {means} | {ahead} of {len(values)} | "
                f"{seconds:.1f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--systems", default="sklsh,sklsh-fast,libpecos,omikuji")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--markdown", action="store_true", help="run nothing: the record's table")
    args = parser.parse_args()
    if args.markdown:
        print(table(json.loads(RECORD.read_text())))
        return
    runs, systems = [], args.systems.split(",")
    for name in args.sets.split(","):
        whole = load(name, args.data)
        for (n_labels, n_rows), seed in product(SIZES, map(int, args.seeds.split(","))):
            parts = cut(whole, n_labels, n_rows, seed)
            for system in systems:
                if not runs:  # compile, as an installed package has long done
                    for _ in SYSTEMS[system](
                        *(part[:600] for part in (parts[0], parts[2])), parts[1]
                    ):
                        pass
                found = measured(system, parts)
                runs.append({"set": name, "system": system, "seed": seed, "n_labels": n_labels,
                             "n_rows": parts[0].shape[0], **found})  # fmt: skip
                print(json.dumps(runs[-1]), flush=True)
    RECORD.write_text(json.dumps(runs, indent=1) + "\n")
    print(table(runs))


if __name__ == "__main__":
    main()
