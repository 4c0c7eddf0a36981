"""What does the engine cost beside other networks, and how does it grow? One question a part.

    python benchmarks/bench_engine.py [--parts throughput,scaling,model,mlp,decline] [--data FOLDER]

- throughput: training rows a second at equal hidden width, batch and negatives, beside
  PyTorch's sampled softmax (SparseAdam) and dense softmax, 670,091 labels
- scaling: seconds a row from 10,000 to 670,091 labels; a plot
- model: size of a saved model, seconds to map it, prediction of one row and of many
- mlp: scikit-learn's MLPClassifier on mulan-delicious, quality and time
- decline: P@1 after 1, 2 and 3 times the default epochs

`mlp` and `decline` need FOLDER with data sets as `bench_classifier.py` reads them; without it
the bundled WordNet subset stands in for `decline`. Writes `results/engine.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import numpy as np
from bench_classifier import THREADS, load
from sklearn.preprocessing import normalize

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.metrics import precision_at_k
from sklsh.persistence import load_model, save_model

RESULTS = Path(__file__).parent / "results"
WIDE, N_FEATURES = 670_091, 135_909
HIDDEN, BATCH, NEGATIVES = 128, 128, 1_000
SIZES = (10_000, 30_000, 100_000, 300_000, WIDE)


def synthetic(n_labels: int, n_samples: int):
    X, Y = make_extreme_classification(n_samples, N_FEATURES, n_labels, random_state=0)
    return normalize(X).astype(np.float32), Y


def trained(X, Y, **params):
    """A network on its way: first pass done, kernels compiled."""
    model = SparseLSHMLPClassifier(
        hidden_layer_sizes=(HIDDEN,), batch_size=BATCH, n_active=NEGATIVES, shuffle=True,
        n_neighbors=0, random_state=0, n_jobs=THREADS, **params,
    )  # fmt: skip
    return model.partial_fit(X, Y)


def rows_a_second(step, n_rows: int, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return n_rows / statistics.median(times)


def throughput(_folder) -> dict:
    X, Y = synthetic(WIDE, 20_000)
    found = {}
    for sampler in ("uniform", "random"):
        model = trained(X, Y, sampler=sampler)
        found[f"sklsh {sampler}"] = rows_a_second(lambda m=model: m.partial_fit(X, Y), X.shape[0])
    try:
        import torch
    except ImportError:
        return found
    for name, n_rows, repeats in (("sampled", 20 * BATCH, 3), ("dense", 2 * BATCH, 2)):
        step = torch_steps(torch, X[:n_rows], Y[:n_rows], name == "sampled")
        step()  # optimizer state is made in the first step
        found[f"torch {name}"] = rows_a_second(step, n_rows, repeats)
    return found


def torch_steps(torch, X, Y, sampled: bool):
    """A function that trains a network of the same shape on all rows once."""
    torch.set_num_threads(THREADS)
    body = torch.nn.EmbeddingBag(X.shape[1], HIDDEN, mode="sum", sparse=True)
    head = torch.nn.Embedding(Y.shape[1], HIDDEN, sparse=sampled)
    sparse = [*body.parameters(), *(head.parameters() if sampled else [])]
    optimizers = [torch.optim.SparseAdam(sparse, lr=1e-3)]
    if not sampled:
        optimizers.append(torch.optim.Adam(head.parameters(), lr=1e-3))
    rng = np.random.default_rng(0)

    def step():
        for start in range(0, X.shape[0], BATCH):
            x, y = X[start : start + BATCH], Y[start : start + BATCH]
            if sampled:
                drawn = rng.integers(0, Y.shape[1], NEGATIVES)
                active, places = np.unique(np.concatenate([y.indices, drawn]), return_inverse=True)
                weight = head(torch.from_numpy(active.astype(np.int64)))
            else:
                weight, places = head.weight, y.indices
            target = torch.zeros(x.shape[0], weight.shape[0])
            owner = np.repeat(np.arange(x.shape[0]), np.diff(y.indptr))
            share = np.repeat(1 / np.maximum(1, np.diff(y.indptr)), np.diff(y.indptr))
            target[owner, places[: y.nnz]] = torch.from_numpy(share.astype(np.float32))
            hidden = torch.relu(
                body(
                    torch.from_numpy(x.indices.astype(np.int64)),
                    torch.from_numpy(x.indptr[:-1].astype(np.int64)),
                    per_sample_weights=torch.from_numpy(x.data),
                )
            )
            loss = torch.nn.functional.cross_entropy(hidden @ weight.T, target)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()

    return step


def scaling(_folder) -> dict:
    """The same rows a batch and neurons a batch, ever more labels to choose from."""
    found = {}
    for n_labels in SIZES:
        X, Y = synthetic(n_labels, 20_000)
        for sampler in ("uniform", "random"):
            model = trained(X, Y, sampler=sampler)
            rate = rows_a_second(lambda m=model, X=X, Y=Y: m.partial_fit(X, Y), X.shape[0], 5)
            found[f"{sampler} {n_labels}"] = 1e3 / rate
    for sampler in ("uniform", "random"):
        found[f"{sampler} growth"] = found[f"{sampler} {WIDE}"] / found[f"{sampler} {SIZES[0]}"]
    with contextlib.suppress(ImportError):
        draw_scaling(found)
    return found


def draw_scaling(found) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for sampler in ("uniform", "random"):
        axes.plot(SIZES, [found[f"{sampler} {n}"] for n in SIZES], "o-", label=sampler)
    axes.set(
        xscale="log", ylim=(0, None), xlabel="labels", ylabel="training, ms a row",
        title=f"{NEGATIVES:,} neurons a batch beside its labels",
    )  # fmt: skip
    axes.legend(frameon=False)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "scaling.png", dpi=150)


def model(_folder) -> dict:
    """One epoch on 100,000 rows of the shape of Amazon-670K, saved and mapped."""
    X, Y = synthetic(WIDE, 101_000)
    test, X, Y = X[100_000:], X[:100_000], Y[:100_000]
    found = {}
    for name, n_neighbors in (("with neighbours", "auto"), ("network alone", 0)):
        fitted = SparseLSHMLPClassifier(
            hidden_layer_sizes=(HIDDEN,), max_iter=1, n_neighbors=n_neighbors, shuffle=True,
            random_state=0, n_jobs=THREADS,
        ).fit(X, Y)  # fmt: skip
        # What prediction needs: parameters, and rows where neighbours are asked.
        memory = fitted.memory_
        size = fitted.network_.nbytes + (memory.nbytes if memory else 0)
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            save_model(fitted, folder)
            on_disk = sum(file.stat().st_size for file in folder.iterdir())
            start = time.perf_counter()
            mapped = load_model(folder)
            loaded = time.perf_counter() - start
            start = time.perf_counter()
            mapped.predict_topk(test[:1])
            first = time.perf_counter() - start
            single = []
            for i in range(200):
                start = time.perf_counter()
                mapped.predict_topk(test[i])
                single.append(time.perf_counter() - start)
            start = time.perf_counter()
            mapped.predict_topk(test)
            many = time.perf_counter() - start
        found[name] = {
            "parameters_mb": fitted.network_.nbytes / 1e6,
            "size_mb": size / 1e6,
            "on_disk_mb": on_disk / 1e6,
            "disk_to_size": on_disk / size,
            "load_s": loaded,
            "first_row_s": first,
            "one_row_ms": 1e3 * statistics.median(single),
            "batch_ms_a_row": 1e3 * many / test.shape[0],
            **{key: value for key, value in fitted.table_stats_.items() if "@" in key},
        }
    return found


def mlp(folder) -> dict:
    """scikit-learn's dense network, 100 epochs, and what it would need on citeulike-t.

    Its early stopping watches subset accuracy, which is about 0 here: it would stop at once.
    """
    from sklearn.neural_network import MLPClassifier

    X, X_test, Y, Y_test = load("mulan-delicious", folder)
    SparseLSHMLPClassifier(random_state=0, max_iter=1).fit(X[:600], Y[:600])
    found = {}
    systems = {
        "sklsh": SparseLSHMLPClassifier(random_state=0, n_jobs=THREADS),
        "MLPClassifier": MLPClassifier((256,), max_iter=100, random_state=0),
    }
    for name, system in systems.items():
        dense = Y.toarray().astype(np.int64) if name == "MLPClassifier" else Y
        start = time.perf_counter()
        system.fit(X, dense)
        seconds = time.perf_counter() - start
        if name == "sklsh":
            labels = system.predict_topk(X_test, 5)[0]
        else:
            labels = np.argsort(-system.predict_proba(X_test), axis=1)[:, :5]
        found[name] = {"train_s": seconds} | {
            f"P@{k}": precision_at_k(Y_test, labels, k) for k in (1, 3, 5)
        }
    # (Not int8 for y: scikit-learn computes its gradient in a type that overflows.)
    # It makes y dense, in int64, and holds weights, gradients and two Adam moments in float64.
    n_samples, n_features, n_labels, width = 20_637, 20_000, 21_427, 256
    weights = (n_features + n_labels + 1) * width + n_labels
    found["MLPClassifier on citeulike-t, GB"] = (8 * n_samples * n_labels + 32 * weights) / 1e9
    return found


def decline(folder) -> dict:
    found = {}
    for name in (
        ("mulan-delicious", "citeulike-t-xmc", "wordnet-related") if folder else ("bundled",)
    ):
        X, X_test, Y, Y_test = load(name, folder)
        usual = SparseLSHMLPClassifier(random_state=0, n_jobs=THREADS).fit(X, Y).n_iter_
        found[name] = {}
        for factor in (1, 2, 3):
            fitted = SparseLSHMLPClassifier(
                random_state=0, n_jobs=THREADS, max_iter=math.ceil(factor * usual)
            ).fit(X, Y)
            labels = fitted.predict_topk(X_test, 1)[0]
            found[name][f"{factor} x"] = precision_at_k(Y_test, labels, 1)
    return found


PARTS = {f.__name__: f for f in (throughput, scaling, model, mlp, decline)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="throughput,scaling,model,decline")
    parser.add_argument("--data")
    args = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "engine.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for part in args.parts.split(","):
        results[part] = PARTS[part](args.data)
        print(part, json.dumps(results[part], indent=1), flush=True)
        path.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
