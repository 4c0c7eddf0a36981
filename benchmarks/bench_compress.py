"""A model to carry: quality, size and time of `compress` beside the model that it is made of.

    python benchmarks/bench_compress.py [--data FOLDER] [--sets A,B] [--synthetic]
    python benchmarks/bench_compress.py --markdown

Sets are those of `bench_classifier`, fitted with defaults; --synthetic has 670,091 labels. Sizes
are of model folders. Rows go to results/compress.json, where they replace those of the same set.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_classifier import SYNTHETIC, THREADS, load

from sklsh import SparseLSHMLPClassifier
from sklsh.metrics import precision_at_k
from sklsh.persistence import load_model, save_model

RESULTS = Path(__file__).parent / "results" / "compress.json"
ONE_BY_ONE = 200
VARIANTS: dict[str, dict] = {
    "`bytes_per_label=128` (the default)": {},
    "64": {"bytes_per_label": 64},
    "128, `linear=False`": {"linear": False},
    "128, `neighbors=False`": {"neighbors": False},
}


def measured(model, X, Y) -> dict[str, float]:
    """Of a model that has been saved and mapped, as a device would have it."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "model")
        size = sum(f.stat().st_size for f in Path(folder, "model").iterdir())
        model = load_model(Path(folder) / "model", mmap_mode="r").set_params(n_jobs=THREADS)
        model.predict_topk(X[:5], 5)
        start = time.perf_counter()
        labels = model.predict_topk(X, 5)[0]
        batch = time.perf_counter() - start
        alone = []
        for row in range(min(ONE_BY_ONE, X.shape[0])):
            start = time.perf_counter()
            model.predict_topk(X[row : row + 1], 5)
            alone.append(time.perf_counter() - start)
    quality = {f"P@{k}": precision_at_k(Y, labels, k) for k in (1, 5)}
    times = {"batch_ms": 1e3 * batch / X.shape[0], "alone_ms": 1e3 * float(np.median(alone))}
    return {**quality, "bytes": size, **times}


def run(name: str, folder: str | None) -> list[dict]:
    X, X_test, Y, Y_test = load(name, folder)
    model = SparseLSHMLPClassifier(random_state=0, n_jobs=THREADS).fit(X, Y)
    found = [{"set": name, "model": "float", **measured(model, X_test, Y_test)}]
    for title, params in VARIANTS.items():
        start = time.perf_counter()
        small = model.compress(**params)
        seconds = time.perf_counter() - start
        row = {"set": name, "model": title, "compress_s": seconds}
        found.append(row | measured(small, X_test, Y_test))
        print(found[-1], flush=True)
    return found


def markdown(rows: list[dict]) -> str:
    lines = [
        "| defaults | P@1 | P@5 | model folder | ms a row, in batch / alone |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        whole = next(r for r in rows if r["set"] == row["set"] and r["model"] == "float")
        share = "" if row is whole else f", {100 * row['bytes'] / whole['bytes']:.1f} %"
        title = f"{row['set']}, float model" if row is whole else row["model"]
        lines.append(
            f"| {title} | {row['P@1']:.4f} | {row['P@5']:.4f} | {row['bytes'] / 1e6:.1f} MB{share} "
            f"| {row['batch_ms']:.2f} / {row['alone_ms']:.1f} |"
        )
    return "\n".join(lines).replace("| 0.", "| .")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sets", default="bundled")
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="run nothing: the table")
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    if not args.markdown:
        for name in [*filter(None, args.sets.split(",")), *[SYNTHETIC] * args.synthetic]:
            found = run(name, args.data)
            rows = [row for row in rows if row["set"] != name] + found
            RESULTS.write_text(json.dumps(rows, indent=1))
    print(markdown(rows))


if __name__ == "__main__":
    main()
