"""Is SparseLSHMLPClassifier better, faster and smaller than what people use? Side by side.

    python benchmarks/bench_classifier.py --data FOLDER [--sets a,b] [--systems x,y] [--repeats 3]

FOLDER holds data sets as `sklsh.datasets.load_xc` reads them (X_train.npz, ...); without it
the bundled WordNet subset is used, and `--synthetic` adds a set of the shape of Amazon-670K.
`made` makes sets of others: `NAME-words` and `NAME-items`, on which defaults were not tuned, and
`NAME-dense`, on which those of dense X were.
Each system runs in a process of its own on two threads, in turn, so that the machine's moods
strike all alike; medians are printed and every run is written to `results/classifier.json`, in
the stead of earlier ones of that system on that set.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from math import isnan, nan
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
THREADS = 2
TEST_ROWS = 5_000
SYNTHETIC = "amazon-shaped"


def load(name: str, folder: str | None):
    """X_train, X_test, Y_train, Y_test; rows of unit length, rows without labels left out."""
    from sklearn.preprocessing import normalize

    from sklsh.datasets import load_wordnet, make_extreme_classification

    if name == "bundled":
        data = load_wordnet()
        parts = data.X_train, data.X_test, data.Y_train, data.Y_test
    elif name == SYNTHETIC:
        X, Y = make_extreme_classification(105_000, 135_909, 670_091, random_state=0)
        parts = X[:100_000], X[100_000:], Y[:100_000], Y[100_000:]
    elif name.endswith(("-words", "-items", "-dense")):
        parts = made(*name.rsplit("-", 1), Path(folder))
    else:
        parts = stored(Path(folder) / name)
    X, X_test, Y, Y_test = parts
    kept, kept_test = (np.flatnonzero(np.diff(y.indptr)) for y in (Y, Y_test))
    kept_test = kept_test[:TEST_ROWS]
    return (
        normalize(X[kept]).astype(np.float32), normalize(X_test[kept_test]).astype(np.float32),
        Y[kept].astype(np.float32), Y_test[kept_test].astype(np.float32),
    )  # fmt: skip


def stored(folder: Path):
    """X_train, X_test, Y_train, Y_test as they are in a folder."""
    from sklsh.datasets import load_xc

    (X, Y), (X_test, Y_test) = (load_xc(folder, part) for part in ("train", "test"))
    return X, X_test, Y, Y_test


def made(name: str, kind: str, folder: Path):
    """Another problem from the data of one: a fifth of the rows are for testing.

    "words": which of one half of the features a row has, from the other half (wordnet-related:
    of 56,000 rows). "items": a user's test items from those of training, by inverse frequency.
    "dense": labels from 200 columns without a zero, as embeddings are; the set's own test rows.
    """
    import scipy.sparse as sp
    from sklearn.decomposition import TruncatedSVD

    rng = np.random.default_rng(0)
    if kind == "dense":
        *both, Y, Y_test = stored(folder / name)
        svd = TruncatedSVD(200, random_state=0).fit(both[0])
        return *(sp.csr_matrix(svd.transform(X)) for X in both), Y, Y_test
    if kind == "words":
        X = sp.vstack(stored(folder / name)[:2]).tocsr()
        half = rng.random(X.shape[1]) < 0.5
        X, Y = X[:, ~half], X[:, half].astype(bool)
    else:
        X, Y = (sp.load_npz(folder / name / f"{part}.npz").tocsr() for part in ("train", "test"))
        n_users = np.maximum(1, np.bincount(X.indices, minlength=X.shape[1]))
        X = X.multiply(np.log(X.shape[0] / n_users)).tocsr()
    whole = np.flatnonzero((np.diff(X.indptr) > 0) & (np.diff(Y.indptr) > 0))
    rows = rng.permutation(whole)[:56_000]
    test, train = np.split(rows, [len(rows) // 5])
    return X[train], X[test], Y[train], Y[test]


def sklsh_with(X, Y, X_test, **params):
    from sklsh import SparseLSHMLPClassifier

    yield
    model = SparseLSHMLPClassifier(random_state=0, n_jobs=THREADS, **params).fit(X, Y)
    yield
    yield model.predict_topk(X_test, 5)[0]
    yield model.predict_topk_proba(X_test, 5)


def sklsh_fast(X, Y, X_test):
    """What quality does less time buy?"""
    return sklsh_with(X, Y, X_test, effort="fast")


def sklsh_narrow(X, Y, X_test):
    """One epoch of 128 hidden units: for very many labels."""
    return sklsh_with(X, Y, X_test, hidden_layer_sizes=(128,), max_iter=1)


def sklsh_wide(X, Y, X_test):
    """512 hidden units."""
    return sklsh_with(X, Y, X_test, hidden_layer_sizes=(512,))


def libpecos(X, Y, X_test, n_trees=1):
    from pecos.utils import smat_util
    from pecos.xmc import Indexer, LabelEmbeddingFactory
    from pecos.xmc.xlinear.model import XLinearModel

    smat_util.cs_matrix = sparse_of_parts
    yield
    labels = LabelEmbeddingFactory.create(Y, X)
    chains = [Indexer.gen(labels, threads=THREADS, seed=seed) for seed in range(n_trees)]
    models = [XLinearModel.train(X, Y, C=chain, threads=THREADS) for chain in chains]
    yield
    n_found = 5 if n_trees == 1 else 20
    yield ranked(sum(m.predict(X_test, only_topk=n_found, threads=THREADS) for m in models))


def sparse_of_parts(parts, kind, shape=None, dtype=None, copy=False, check_contents=False):
    """In the stead of libpecos's own, the one function of it that newer numpy and scipy break."""
    import scipy.sparse as sp

    data, *ids = parts
    matrix = kind(shape, dtype=dtype)
    matrix.data = np.asarray(data, dtype=dtype)
    matrix.indices, matrix.indptr = (
        np.asarray(part, dtype=sp.get_index_dtype(part, check_contents=check_contents))
        for part in ids
    )
    return matrix


def libpecos_averaged(X, Y, X_test):
    """Three trees of other seeds; the mean of their best 20 labels' scores, as omikuji's are."""
    return libpecos(X, Y, X_test, n_trees=3)


def napkinxc(X, Y, X_test):
    from napkinxc.models import PLT

    with tempfile.TemporaryDirectory() as folder:
        yield
        model = PLT(folder, threads=THREADS)
        model.fit(X, Y)
        yield
        found = model.predict(X_test, top_k=5)
        yield np.array([(list(row) + [-1] * 5)[:5] for row in found])


def omikuji(X, Y, X_test):
    import omikuji as package

    from sklsh.datasets import save_xc

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "train.txt")
        full = np.flatnonzero(np.diff(X.indptr))  # it refuses files with rows without features
        save_xc(path, X[full], Y[full])
        yield
        model = package.Model.train_on_data(path, n_threads=THREADS)
        yield
        rows = [list(zip(row.indices.tolist(), row.data.tolist(), strict=True)) for row in X_test]
        found = [[label for label, _ in model.predict(row, top_k=5)] for row in rows]
        yield np.array([(row + [-1] * 5)[:5] for row in found])


def torch_sampled(X, Y, X_test):
    """Embedding bag, one hidden layer of 256, 1,000 shared negatives, SparseAdam; 3 epochs."""
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    yield
    body = nn.EmbeddingBag(X.shape[1], 256, mode="sum", sparse=True)
    head = nn.Embedding(Y.shape[1], 256, sparse=True)
    nn.init.normal_(body.weight, std=0.05)
    nn.init.normal_(head.weight, std=0.05)
    optimizer = torch.optim.SparseAdam([*body.parameters(), *head.parameters()], lr=1e-3)

    def hidden(rows):
        return torch.relu(
            body(
                torch.from_numpy(rows.indices.astype(np.int64)),
                torch.from_numpy(rows.indptr[:-1].astype(np.int64)),
                per_sample_weights=torch.from_numpy(rows.data),
            )
        )

    rng = np.random.default_rng(0)
    for _ in range(3):
        order = rng.permutation(X.shape[0])
        for start in range(0, order.shape[0], 128):
            rows = order[start : start + 128]
            y = Y[rows]
            negatives = rng.integers(0, Y.shape[1], 1000)
            active, places = np.unique(np.concatenate([y.indices, negatives]), return_inverse=True)
            target = np.zeros((rows.shape[0], active.shape[0]), dtype=np.float32)
            owner = np.repeat(np.arange(rows.shape[0]), np.diff(y.indptr))
            target[owner, places[: y.nnz]] = 1
            target /= target.sum(axis=1, keepdims=True)
            logits = hidden(X[rows]) @ head(torch.from_numpy(active.astype(np.int64))).T
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    yield
    with torch.no_grad():
        found = [
            torch.topk(hidden(X_test[i : i + 256]) @ head.weight.T, 5).indices.numpy()
            for i in range(0, X_test.shape[0], 256)
        ]
    yield np.concatenate(found)


SYSTEMS = {
    "sklsh": sklsh_with,
    "sklsh-fast": sklsh_fast,
    "sklsh-narrow": sklsh_narrow,
    "sklsh-wide": sklsh_wide,
    "libpecos": libpecos,
    "libpecos-3": libpecos_averaged,
    "napkinxc": napkinxc,
    "omikuji": omikuji,
    "torch": torch_sampled,
}


def ranked(scores) -> np.ndarray:
    """Columns of a CSR matrix by descending score, padded with -1."""
    out = np.full((scores.shape[0], 5), -1)
    for i in range(scores.shape[0]):
        row = slice(scores.indptr[i], scores.indptr[i + 1])
        best = np.argsort(-scores.data[row], kind="stable")[:5]
        out[i, : best.shape[0]] = scores.indices[row][best]
    return out


def run(system: str, name: str, folder: str | None) -> dict:
    """One system on one set, in this process."""
    from sklsh.metrics import (
        expected_calibration_error,
        inverse_propensity,
        precision_at_k,
        psp_at_k,
    )

    X, X_test, Y, Y_test = load(name, folder)
    if system.startswith("sklsh"):  # compile, as an installed package has long done
        for _ in SYSTEMS[system](X[:600], Y[:600], X_test[:10]):
            pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stages = SYSTEMS[system](X, Y, X_test)
    next(stages)
    start, start_cpu = time.perf_counter(), time.process_time()
    next(stages)
    trained, trained_cpu = time.perf_counter(), time.process_time()
    labels = next(stages).astype(np.int64)
    predicted = time.perf_counter()
    told = next(stages, None)
    weights = inverse_propensity(Y)
    record = {
        "system": system,
        "set": name,
        "train_s": trained - start,
        "train_cpu_s": trained_cpu - start_cpu,
        "predict_ms": 1e3 * (predicted - trained) / X_test.shape[0],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "data_mb": before / 1024,
        **{f"P@{k}": precision_at_k(Y_test, labels, k) for k in (1, 3, 5)},
        **{
            f"PSP@{k}": psp_at_k(Y_test, labels, k, inverse_propensities=weights) for k in (1, 3, 5)
        },
    }
    if told is not None:
        ranked_labels, chances = told
        record |= {
            f"ECE@{k}": expected_calibration_error(Y_test, ranked_labels[:, :k], chances[:, :k])
            for k in (1, 5)
        }
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sets", default="bundled")
    systems = "sklsh,sklsh-fast,libpecos,libpecos-3,omikuji,napkinxc"
    parser.add_argument("--systems", default=systems)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument(
        "--markdown", action="store_true", help="run nothing: the record as a table"
    )
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.markdown:
        print(markdown(json.loads((RESULTS / "classifier.json").read_text())))
        return
    if args.run:
        print(json.dumps(run(*args.run, args.data)))
        return
    sets = [*filter(None, args.sets.split(",")), *[SYNTHETIC] * args.synthetic]
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": str(THREADS),
        "NUMBA_CACHE_DIR": str(Path(__file__).parent.parent / ".numba_cache"),
    }  # fmt: skip
    runs = []
    for name in sets:
        for _ in range(args.repeats):
            for system in args.systems.split(","):
                command = [sys.executable, __file__, "--run", system, name]
                command += ["--data", args.data] if args.data else []
                done = subprocess.run(command, env=environment, capture_output=True, text=True)
                if done.returncode:
                    print(f"{system} on {name} failed: {done.stderr.strip().splitlines()[-1:]}")
                    continue
                runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
        report(runs, name)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "classifier.json"
    again = {(run["system"], run["set"]) for run in runs}
    before = json.loads(path.read_text()) if path.exists() else []
    kept = [run for run in before if (run["system"], run["set"]) not in again]
    path.write_text(json.dumps(kept + runs, indent=1))


def markdown(runs: list[dict]) -> str:
    """The table of doc/benchmarks.md: medians of each system on each set, the best P@k in bold."""
    lines = [
        "| set | system | P@1 / P@3 / P@5 | PSP@1 / PSP@5 | ECE of 1 / 5 | training, s | ms a row "
        "| peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    keys = ["P@1", "P@3", "P@5", "PSP@1", "PSP@5", "train_s", "predict_ms", "peak_mb"]
    told = ["ECE@1", "ECE@5"]
    for name in dict.fromkeys(run["set"] for run in runs):
        of_set = [run for run in runs if run["set"] == name]
        medians = {
            system: {key: statistics.median(r.get(key, nan) for r in group) for key in keys + told}
            for system in dict.fromkeys(run["system"] for run in of_set)
            if (group := [run for run in of_set if run["system"] == system])
        }
        best = {key: max(round(m[key], 3) for m in medians.values()) for key in keys[:3]}
        for system, figures in medians.items():
            parts = [
                f"**{shown}**" if round(figures[key], 3) == best[key] else shown
                for key in keys[:3]
                for shown in [f"{figures[key]:.3f}".lstrip("0")]
            ]
            psp = [f"{figures[key]:.3f}".lstrip("0") for key in keys[3:5]]
            ece = [f"{figures[key]:.3f}".lstrip("0") for key in told if not isnan(figures[key])]
            lines.append(
                f"| {name} | {system} | {' / '.join(parts)} | {' / '.join(psp)} "
                f"| {' / '.join(ece)} | {figures['train_s']:.1f} | {figures['predict_ms']:.2f} | "
                f"{figures['peak_mb']:,.0f} |"
            )
    return "\n".join(lines)


def report(runs, name) -> None:
    columns = [
        "train_s",
        "train_cpu_s",
        "predict_ms",
        "peak_mb",
        "P@1",
        "P@3",
        "P@5",
        "PSP@1",
        "PSP@5",
        "ECE@1",
    ]
    print(f"\n{name}\n{'system':14s}" + "".join(f"{c:>12s}" for c in columns))
    for system in SYSTEMS:
        of_system = [r for r in runs if (r["system"], r["set"]) == (system, name)]
        if of_system:
            medians = [statistics.median(r.get(c, np.nan) for r in of_system) for c in columns]
            print(f"{system:14s}" + "".join(f"{m:12.3f}" for m in medians), flush=True)


if __name__ == "__main__":
    main()
