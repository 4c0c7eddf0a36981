"""When does hashing help training? Samplers at equal budgets: quality, cost, recall.

    python benchmarks/bench_sampling.py [--data FOLDER --sets a,b] [--synthetic 300000] [--alike]
        [--seeds 3] [--samplers uniform,random,pghash/8] [--recall]
        [--epochs 1,2,3] [--active 64,1024]

For each sampler and seed: P@1 and P@5 of the network alone (without neighbours and label trees) on
test rows, and the processor seconds of the fit, each number of epochs and of active neurons a fit
of its own (by default the automatic ones). With `--recall`: of each source of candidates, how many
of the oracle's choice (a row's true best neurons) are among 1,000 candidates, and milliseconds a
row. Fits are added to those in `results/sampling.json`, in the stead of equal ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
from bench_classifier import load
from sklearn.preprocessing import normalize

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.hashing import make_family
from sklsh.metrics import precision_at_k
from sklsh.network.lsh import LSHCandidates
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import N_CANDIDATES, Candidates, draw_neurons

RESULTS = Path(__file__).parent / "results"
WIDTH = 256
N_BEST = 32
"""Neurons of a probed row's share of the default budget."""

SAMPLERS: dict[str, dict] = {
    "labels": {"sampler": "labels"},
    "frequency^.5": {"sampler": "uniform"},
    "frequency^1": {"sampler": "uniform"},
    "uniform": {"sampler": "uniform"},
    "random": {"sampler": "random"},
    "pghash/8": {"sampler": "lsh", "sketch_dim": WIDTH // 8},
    "pghash/32": {"sampler": "lsh", "sketch_dim": WIDTH // 32},
    "periodic/8": {"sampler": "lsh", "sketch_dim": WIDTH // 8, "fold": "periodic"},
    "simhash": {"sampler": "lsh", "family": "simhash"},
    "dwta": {"sampler": "lsh", "family": "dwta"},
    "codes": {"sampler": "codes"},
    "exact": {"sampler": "exact"},
    "batches/8": {"sampler": "labels", "shuffle": "lsh", "sketch_dim": WIDTH // 8},
    "batches/8+random": {"sampler": "random", "shuffle": "lsh", "sketch_dim": WIDTH // 8},
    "batches/8+codes": {"sampler": "codes", "shuffle": "lsh", "sketch_dim": WIDTH // 8},
    "batches/8+exact": {"sampler": "exact", "shuffle": "lsh", "sketch_dim": WIDTH // 8},
    "batches/32+random": {"sampler": "random", "shuffle": "lsh", "sketch_dim": WIDTH // 32},
}
"""Rows in random order, but in "batches": of rows that hash alike. "frequency" stands for a
sampler that the package does without, see `ByFrequency`."""


def synthetic(n_labels: int, alike: bool):
    """Rows of about as many labels a row and rows a label as wordnet-related's.

    With `alike` a label shares half of its features with 15 others, and more rows test.
    """
    n_test = 20_000 if alike else 5_000
    X, Y = make_extreme_classification(
        n_labels + n_test, n_labels, n_labels, features_per_row=20 if alike else 10,
        labels_per_row=3, top_label_share=0.01, label_similarity=0.5 if alike else 0,
        random_state=0,
    )  # fmt: skip
    X = normalize(X)
    return X[:-n_test], X[-n_test:], Y[:-n_test], Y[-n_test:]


class ByFrequency:
    """Neurons drawn with a probability as a power of the number of their label's rows."""

    def __init__(self, Y, power: float, n_active: int, seed: int):
        weights = np.asarray(Y.sum(axis=0)).ravel().astype(np.float64)
        weights[weights > 0] **= power
        self.n_active, self._seed = n_active, seed
        self._edges = np.cumsum(weights) / weights.sum()

    def propose(self, network, hidden, slots, step, n_threads):
        draws = np.random.default_rng([self._seed, step]).random(self.n_active)
        ids = np.searchsorted(self._edges, draws, side="right")
        return [(np.minimum(ids, network.n_labels - 1).astype(np.int32), 0.0)]


def sampling_by(name: str, Y):
    """Makes estimators sample by a rule that only this benchmark has, if `name` is one's."""
    rule, _, power = name.partition("^")
    if rule != "frequency":
        return nullcontext()

    def make(_, n_active, n_labels, seed, lsh=None):
        return ByFrequency(Y, float(power), n_active, seed)

    return patch("sklsh.network.learner.make_sampler", make)


def fitted(name: str, parts, seed: int, **settings) -> dict:
    """Quality and cost of one fit."""
    X, X_test, Y, Y_test = parts
    model = SparseLSHMLPClassifier(
        hidden_layer_sizes=(WIDTH,), n_neighbors=0, linear=False, random_state=seed,
        **{"shuffle": True, **SAMPLERS[name], **settings},
    )  # fmt: skip
    with sampling_by(name, Y):
        start, processor = time.perf_counter(), time.process_time()
        model.fit(X, Y)
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
    labels, _ = model.predict_topk(X_test, 5)
    return {
        "sampler": name, "seed": seed, **settings,
        "P@1": precision_at_k(Y_test, labels, 1), "P@5": precision_at_k(Y_test, labels, 5),
        "seconds": seconds, "processor_s": processor,
    }  # fmt: skip


class RandomCandidates:
    """Other uniform neurons for each row."""

    def find(self, network, hidden, n_probes, step, n_threads):
        ids = np.empty(n_probes * N_CANDIDATES, dtype=np.int32)
        draw_neurons(network, 0, step, ids)
        return np.arange(0, ids.shape[0] + 1, N_CANDIDATES), ids


def recall(parts) -> list[dict]:
    """Recall of the true best neurons among each source's candidates, on a trained head."""
    X, _, Y, _ = parts
    model = SparseLSHMLPClassifier(
        hidden_layer_sizes=(WIDTH,), n_neighbors=0, linear=False, sampler="random", random_state=0
    ).fit(X, Y)
    network = model.network_
    rows = np.random.default_rng(0).permutation(X.shape[0])[:256].astype(np.int32)
    hidden = network.hidden(SparseRows.from_matrix(X), rows)
    seen = np.arange(network.n_labels) if network.observed_ids is None else network.observed_ids
    logits = hidden @ network.head_weights[seen].T + network.head_bias[seen]
    best = seen[np.argpartition(-logits, N_BEST, axis=1)[:, :N_BEST]]
    sources: dict[str, Candidates] = {"random": RandomCandidates()}
    for name, n_tables in (("pghash", 16), ("pghash", 64), ("simhash", 64), ("dwta", 16)):
        for share in (8, 32) if name == "pghash" else (1,):
            bits = int(np.log2(seen.shape[0] / 256))
            family = make_family(
                name, n_tables=n_tables, sketch_dim=WIDTH // share,
                hash_length=round(bits / 3) if name == "dwta" else bits,
            )  # fmt: skip
            label = f"{name}/{share} L={n_tables}"
            sources[label] = LSHCandidates(family, N_CANDIDATES, 10**9, 0)
    found = []
    for label, source in sources.items():
        source.find(network, hidden, 8, 0, 2)  # builds tables, compiles
        start = time.perf_counter()
        indptr, ids = source.find(network, hidden, hidden.shape[0], 0, 2)
        ms = 1e3 * (time.perf_counter() - start) / hidden.shape[0]
        share = np.mean(
            [np.isin(best[i], ids[indptr[i] : indptr[i + 1]]).mean() for i in range(len(rows))]
        )
        found.append({"source": label, "recall": float(share), "ms_a_row": ms})
        print(f"{label:20s} recall {share:.3f}, {ms:.3f} ms a row", flush=True)
    return found


class Results:
    """Rows of `results/sampling.json`, written after each; equal fits are replaced."""

    SAME = "set", "sampler", "seed", "max_iter", "n_active", "source"

    def __init__(self, path: Path):
        self.path = path
        self.rows = json.loads(path.read_text()) if path.exists() else []

    def add(self, row: dict) -> None:
        def of(entry):
            return [entry.get(name) for name in self.SAME]

        self.rows = [entry for entry in self.rows if of(entry) != of(row)] + [row]
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(self.rows, indent=1) + "\n")


def numbers(text: str) -> list[int | str]:
    return [part if part == "auto" else int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sets", default="bundled")
    parser.add_argument("--synthetic", type=int, default=0)
    parser.add_argument("--alike", action="store_true", help="labels that are hard to tell apart")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--epochs", type=numbers, default=["auto"])
    parser.add_argument("--active", type=numbers, default=["auto"])
    parser.add_argument("--recall", action="store_true")
    args = parser.parse_args()
    sets = {name: load(name, args.data) for name in args.sets.split(",") if name}
    if args.synthetic:
        kind = "alike" if args.alike else "synthetic"
        sets[f"{kind}-{args.synthetic}"] = synthetic(args.synthetic, args.alike)
    results = Results(RESULTS / "sampling.json")
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    for name, parts in sets.items():
        print(f"\n{name}: {parts[0].shape[0]} rows, {parts[2].shape[1]} labels")
        for row in recall(parts) if args.recall else []:
            results.add({"set": name, **row})
        fitted("uniform", tuple(part[:2_000] for part in parts), 0)  # compile
        for sampler, active, epochs in product(args.samplers.split(","), args.active, args.epochs):
            settings = {"n_active": active, "max_iter": epochs}
            runs = [fitted(sampler, parts, seed, **settings) for seed in seeds]
            for run in runs:
                results.add({"set": name, **run})
            columns = [f"{sampler:18s} active {active:>6} epochs {epochs:>4}"]
            for key in ("P@1", "P@5", "processor_s"):
                values = [run[key] for run in runs]
                columns.append(
                    f"{key} {statistics.median(values):.4f} ({min(values):.4f}-{max(values):.4f})"
                )
            print("  ".join(columns), flush=True)


if __name__ == "__main__":
    main()
