"""What does a federation learn, and what does it send? The paper's methods beside sklsh's.

All methods start from the same prototypes and see the same rows on the same devices; they
differ in what a device asks for and sends. P@1 is measured after each round on test rows.

    python benchmarks/bench_federated.py                 bundled WordNet subset, 8 devices
    python benchmarks/bench_federated.py --data FOLDER   X_train.npz, Y_train.npz, X_test, Y_test
    python benchmarks/bench_federated.py --methods default,dense --devices 32 --how dirichlet
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet, split_devices
from sklsh.metrics import precision_at_k
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows

PAPER = {
    "include_labels": False, "body_exchange": "full", "holder_power": (0.0, 0.0),
    "device_params": {"local_sampler": "all"},
}  # fmt: skip
"""As the authors' code: labels are not added, the body travels whole, softmax over all sent."""

METHODS: dict[str, tuple[dict, dict]] = {
    "default": ({}, {}),
    "default float16": ({}, {"payload": "float16"}),
    "random ids": ({"sampler": "random"}, {}),
    "own labels only": ({"sampler": "labels"}, {}),
    "periodic fold": ({"fold": "periodic"}, {}),
    "holder power .5": ({}, {"holder_power": (0.5, 0.2)}),
    "holder power 0": ({}, {"holder_power": (0.0, 0.0)}),
    "dense FedAvg": (
        {"sampler": "all"},
        {"body_exchange": "full", "holder_power": (0.0, 0.0)},
    ),
    "PGHash (paper)": ({"sampler": "lsh", "fold": "periodic"}, PAPER),
    "PGHash-D (paper)": (
        {"sampler": "lsh", "family": "pghash_d", "fold": "sample", "hash_length": 8},
        PAPER,
    ),
    "Federated SLIDE": ({"sampler": "lsh", "family": "simhash"}, PAPER),
}


def load(folder: str | None):
    """X_train, Y_train, X_test, Y_test."""
    if folder is None:
        data = load_wordnet()
        return data.X_train, data.Y_train, data.X_test, data.Y_test
    names = ("X_train", "Y_train", "X_test", "Y_test")
    return [sp.load_npz(Path(folder) / f"{name}.npz") for name in names]


def precision(network, X: SparseRows, Y) -> float:
    """P@1 of a network, exact."""
    labels, _ = Predictor(network, n_threads=os.cpu_count() or 1).topk(X, 1)
    return float(precision_at_k(Y, labels, k=1))


def run(data, groups, estimator: dict, federation: dict, args) -> dict:
    """One method: P@1 after each round, bytes, seconds."""
    X, Y, X_test, Y_test = data
    rows, scores, bytes_so_far = SparseRows.from_matrix(X_test), [], []

    def watch(network, entry):
        scores.append(precision(network, rows, Y_test))
        sent = entry["bytes_up"] + entry["bytes_down"]
        bytes_so_far.append((bytes_so_far[-1] if bytes_so_far else 0) + sent)

    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((args.hidden,), **estimator), n_rounds=args.rounds,
        callback=watch, random_state=args.seed, **federation,
    )  # fmt: skip
    start = time.perf_counter()
    model.fit(X, Y, groups=groups)
    seconds = time.perf_counter() - start
    ledger = model.ledger_
    network = model.network_
    return {
        "precision_by_round": scores, "bytes_by_round": bytes_so_far,
        "start_bytes": ledger.total(round=-1), "by_kind": ledger.by("kind"),
        "active_share": model.history_[-1]["active_share"],
        "peak_device_share": max(ledger.memory.values()) / network.nbytes,
        "seconds": seconds,
    }  # fmt: skip


def to_reach(result: dict, target: float) -> int | None:
    """Bytes until P@1 has reached `target`, the start included."""
    for score, sent in zip(result["precision_by_round"], result["bytes_by_round"], strict=True):
        if score >= target:
            return result["start_bytes"] + sent
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--how", default="iid", choices=("iid", "contiguous", "dirichlet"))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", default=None)
    args = parser.parse_args()
    data = load(args.data)
    groups = split_devices(data[1], args.devices, args.how, alpha=0.3, random_state=0)

    central = SparseLSHMLPClassifier((args.hidden,), n_neighbors=0, random_state=args.seed)
    start = time.perf_counter()
    central.fit(data[0], data[1])
    seconds = time.perf_counter() - start
    best = precision(central.network_, SparseRows.from_matrix(data[2]), data[3])
    target = best - 0.01
    print(f"centralised, without votes: P@1 {best:.4f}, {seconds:.0f} s")
    print(f"{args.devices} devices, {args.how}, {args.rounds} rounds, hidden {args.hidden}")
    print("method              P@1 last  peak    share  MB     MB to central -1  memory  seconds")
    results = {}
    for name in args.methods.split(","):
        estimator, federation = METHODS[name]
        result = results[name] = run(data, groups, estimator, federation, args)
        result["bytes_to_target"] = reached = to_reach(result, target)
        scores = result["precision_by_round"]
        total = (result["start_bytes"] + result["bytes_by_round"][-1]) / 1e6
        print(
            f"{name:18s}  {scores[-1]:.4f}    {max(scores):.4f}  {result['active_share']:.3f}"
            f"  {total:6.0f} {'never' if reached is None else f'{reached / 1e6:.0f}':>10s}"
            f"        {result['peak_device_share']:.3f}   {result['seconds']:.0f}",
            flush=True,
        )
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "numpy": np.__version__}
    report = {
        "settings": {k: v for k, v in vars(args).items() if k not in ("data", "out")},
        "data": "wordnet subset" if args.data is None else Path(args.data).name,
        "machine": machine, "central": best, "methods": results,
    }  # fmt: skip
    default = (
        Path(__file__).parent
        / "results"
        / (f"federated-{report['data'].replace(' ', '-')}-{args.devices}-{args.how}.json")
    )
    path = Path(args.out) if args.out else default
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
