"""What codes of a few bytes find of a head's best neurons, and how long coding takes.

    python benchmarks/bench_codes.py --data FOLDER [--repeats 1]

FOLDER holds X_train.npz, Y_train.npz, X_test.npz; without it the bundled set is used. A default
model is trained; recall is of the exact best 32 neurons (and of the best one) of held-out hidden
vectors among the first 256 and 1,000 candidates, against the bytes of a neuron that a device must
be sent. Writes results/codes.json and results/codes.png. `--timing` codes 670,091 random rows of
128 to 16 bytes instead.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet
from sklsh.federated.messages import Sketch
from sklsh.federated.selection import HashedVectors
from sklsh.hashing import HashTables, make_family, make_projection
from sklsh.hashing.codes import ProductCodes, SignCodes, SVDSketch, topk_codes
from sklsh.network.rows import SparseRows

RESULTS = Path(__file__).parent / "results"
BEST, CANDIDATES = 32, (256, 1000)
FAMILIES = {
    "signs": [SignCodes(n) for n in (32, 64, 128, 256)],
    "signs of a fold": [SignCodes(n, sketch_dim=n) for n in (64, 128)],
    "SVD, int8": [SVDSketch(n) for n in (8, 16, 32, 64)],
    "SVD, float16": [SVDSketch(n, "float16") for n in (16, 32)],
    "products": [ProductCodes(n) for n in (6, 10, 18, 34)],
    "products, no rotation": [ProductCodes(n, rotation="none") for n in (10, 18)],
    "products, 4 bits": [ProductCodes(n, code_bits=4) for n in (10, 18, 34)],
}


def load(folder: str | None):
    """X_train, Y_train, X_test."""
    if folder is None:
        data = load_wordnet()
        return data.X_train, data.Y_train, data.X_test
    names = ("X_train", "Y_train", "X_test")
    return [sp.csr_matrix(sp.load_npz(Path(folder) / f"{name}.npz")) for name in names]


def recalls(found: np.ndarray, true: np.ndarray) -> dict:
    """Of the best 32 and the best, by number of candidates; -1 pads."""
    out = {}
    for n in CANDIDATES:
        hits = np.stack([np.isin(t, f[:n]) for t, f in zip(true, found, strict=True)])
        out |= {f"best {BEST} @{n}": float(hits.mean()), f"best @{n}": float(hits[:, 0].mean())}
    return out


def by_tables(weights, bias, hidden, sketch_dim: int, seed=0) -> np.ndarray:
    """What a device's tables (k = 8, L = 64) over a signed fold name, most collisions first."""
    projection = make_projection("signed", weights.shape[1], sketch_dim, seed)
    values = projection.apply(weights)
    sketch = Sketch(
        0, "signed", seed, sketch_dim, values.astype(np.float16), bias.astype(np.float16),
        values.mean(axis=0),
    )  # fmt: skip
    vectors = HashedVectors(sketch, hidden)
    functions = make_family("pghash", n_tables=64, hash_length=8).draw(
        vectors.projection.n_features, seed, vectors.projection
    )
    tables = HashTables.from_sketch(functions, vectors.neurons(0, vectors.n))
    indptr, ids, _ = tables.query(functions.codes(vectors.queries), max(CANDIDATES))
    out = np.full((hidden.shape[0], max(CANDIDATES)), -1)
    for row in range(hidden.shape[0]):
        part = ids[indptr[row] : indptr[row + 1]]
        out[row, : part.shape[0]] = part
    return out


def recall(data, n_queries: int) -> list[dict]:
    """Recall of every family at every size."""
    X, Y, X_test = data
    network = SparseLSHMLPClassifier(n_neighbors=0, random_state=0).fit(X, Y).network_
    seen = np.arange(network.n_labels) if network.observed_ids is None else network.observed_ids
    weights, bias = network.head_weights[seen], network.head_bias[seen]
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(X_test.shape[0])[:n_queries]).astype(np.int32)
    queries = network.hidden(SparseRows.from_matrix(X_test), rows)
    learnt = np.sort(rng.permutation(X.shape[0])[:10_000]).astype(np.int32)
    hidden = network.hidden(SparseRows.from_matrix(X), learnt)
    mean = hidden.mean(axis=0)
    moment = (hidden - mean).T @ (hidden - mean) / len(hidden)
    logits = queries @ weights.T + bias
    true = np.argsort(-logits, axis=1)[:, :BEST]
    del logits
    results = []

    def record(system, n_bytes, found, **more):
        results.append({"system": system, "bytes": n_bytes, **recalls(found, true), **more})
        print(json.dumps(results[-1]), flush=True)

    n = weights.shape[0]
    drawn = np.stack([rng.choice(n, max(CANDIDATES), replace=False) for _ in queries])
    record("chance", 0, drawn)
    for width in (8, 32):
        record("fold and tables", 2 * width + 2, by_tables(weights, bias, queries, width))
    for system, families in FAMILIES.items():
        learns = not system.startswith("signs")
        for weighted in (False, True)[: 1 + learns]:
            for family in families:
                times = [time.process_time()]
                coder = family.fit(
                    weights, hidden_mean=mean, hidden_moment=moment if weighted else None
                )
                times.append(time.process_time())
                codes = coder.encode(weights, bias)
                times.append(time.process_time())
                found, _ = topk_codes(coder, codes, queries, max(CANDIDATES), n_threads=2)
                record(
                    system + ", weighted" * weighted, codes.bytes_per_row, found,
                    settings=repr(family), fit_cpu_s=times[1] - times[0],
                    encode_cpu_s=times[2] - times[1],
                )  # fmt: skip
    return results


def timing(n=670_091, width=128, n_queries=64) -> dict:
    """Seconds of two threads, and of the processor, to learn codebooks and to code.

    And the processor's milliseconds for a row's best codes, beside its exact products, in a batch.
    """
    rows = np.random.default_rng(0).standard_normal((n, width), dtype=np.float32)
    family = ProductCodes(16)
    family.fit(rows[:2000]).encode(rows[:5000])  # compiles
    clocks = [(time.perf_counter(), time.process_time())]
    coder = family.fit(rows, n_jobs=2)
    clocks.append((time.perf_counter(), time.process_time()))
    codes = coder.encode(rows, n_jobs=2)
    clocks.append((time.perf_counter(), time.process_time()))
    out, hidden, n_best = {}, rows[:n_queries], 256
    topk_codes(coder, codes.take(slice(0, 5000)), hidden[:2], n_best)  # compiles
    began = time.process_time()
    topk_codes(coder, codes, hidden, n_best)
    out["look up, ms a row"] = 1000 * (time.process_time() - began) / n_queries
    began = time.process_time()
    with threadpool_limits(1):
        for start in range(0, n, 4096):
            hidden @ rows[start : start + 4096].T
    out["exact product, ms a row"] = 1000 * (time.process_time() - began) / n_queries
    for name, (a, b) in {"fit": clocks[:2], "encode": clocks[1:]}.items():
        out |= {f"{name}_s": b[0] - a[0], f"{name}_cpu_s": b[1] - a[1]}
    return out


def draw(results: list[dict], path: Path) -> None:
    """Recall against bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    key = f"best {BEST} @{CANDIDATES[0]}"
    figure, axis = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    for i, system in enumerate(dict.fromkeys(r["system"] for r in results)):
        points = sorted((r["bytes"], r[key]) for r in results if r["system"] == system)
        if points[0][0] > 0:
            axis.plot(*zip(*points, strict=True), f"-{'os^vDPX*'[i % 8]}", label=system, ms=4)
    axis.set(
        xlabel="bytes a neuron", xscale="log", ylim=(0, 1),
        ylabel=f"recall of the best {BEST} at {CANDIDATES[0]} candidates",
    )  # fmt: skip
    ticks = [8, 12, 16, 20, 36, 68, 132]
    axis.set_xticks(ticks, ticks)
    axis.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--timing", action="store_true", help="time coding, and nothing else")
    args = parser.parse_args()
    path = RESULTS / "codes.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    if args.timing:
        old["coding 670,091 x 128 to 16 bytes"] = timing()
        print(old["coding 670,091 x 128 to 16 bytes"])
    else:
        name = "wordnet-subset" if args.data is None else Path(args.data).name
        old[f"recall, {name}"] = recall(load(args.data), args.queries)
        draw(old[f"recall, {name}"], RESULTS / f"codes-{name}.png")
    path.write_text(json.dumps(old, indent=1) + "\n")


if __name__ == "__main__":
    main()
