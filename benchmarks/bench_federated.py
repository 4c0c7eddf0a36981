"""What does a federation learn, and what does it send? The paper's methods beside sklsh's.

All methods start from the same prototypes and see the same rows on the same devices equally
often; they differ in what a device asks for and sends. P@1 is measured after each round on
test rows. Each part writes benchmarks/results/federated-PART-SET.json.

    python benchmarks/bench_federated.py                          all parts, bundled WordNet subset
    python benchmarks/bench_federated.py --part methods --data FOLDER --devices 32
    python benchmarks/bench_federated.py --part recommender --data FOLDER_OF_TRAIN_AND_TEST
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.util import find_spec
from pathlib import Path

import federated_measures as measures
import numpy as np
import scipy.sparse as sp
import summary_plots

from sklsh import FederatedLSHClassifier, LSHRecommender, SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet, split_devices
from sklsh.metrics import precision_at_k, recall_at_k
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows

RESULTS = Path(__file__).parent / "results"
WHOLE = {"local_steps": 1.0, "halves": 2}
"""All of a device's rows in a round, and half as many rounds."""
AVERAGE = {"body_exchange": "full", "contributor_power": (0.0, 0.0), "payload": "float32", **WHOLE}
PAPER = {
    **AVERAGE, "include_labels": False, "device_params": {"local_sampler": "all"},
}  # fmt: skip
"""As the authors' code: labels are not added, the body travels whole, softmax over all sent."""

PRODUCT_CODES = {"selection": "codes", "code_family": "products", "code_bytes": 16}
"""What a device looks for neurons in, in place of tables over a sketch."""

METHODS: dict[str, tuple[dict, dict]] = {
    "default": ({}, {}),
    "delta sketch": ({}, {"sketch_rounds": 1000, "sketch_tolerance": 0.2}),
    "all rows a round": ({}, WHOLE),
    "float32": ({}, {"payload": "float32"}),
    "random ids": ({"sampler": "random"}, {}),
    "own labels only": ({"sampler": "labels"}, {}),
    "periodic fold": ({"fold": "periodic"}, {}),
    "contributor power 0": ({}, {"contributor_power": (0.0, 0.0)}),
    "fresh accumulators": ({}, {"local_optimizer": "fresh"}),
    "kept accumulators": ({}, {"local_optimizer": "kept"}),
    "FedAdam": ({}, {"server_optimizer": "adam"}),
    "local body": ({}, {"body_exchange": "local"}),
    "many devices": (
        {"dropout": 0.1}, {"contributor_power": (0.4, 0.4), "device_params": PRODUCT_CODES},
    ),
    "dense FedAvg": ({"sampler": "all"}, AVERAGE),
    "PGHash (paper)": ({"sampler": "lsh", "fold": "periodic"}, PAPER),
    "PGHash-D (paper)": (
        {"sampler": "lsh", "family": "pghash_d", "fold": "sample", "hash_length": 3}, PAPER,
    ),
    "SLIDE SimHash": ({"sampler": "lsh", "family": "simhash"}, PAPER),
    "SLIDE DWTA": ({"sampler": "lsh", "family": "dwta", "hash_length": 3}, PAPER),
}  # fmt: skip


def load(folder: str | None):
    """X_train, Y_train, X_test, Y_test."""
    if folder is None:
        data = load_wordnet()
        return data.X_train, data.Y_train, data.X_test, data.Y_test
    names = ("X_train", "Y_train", "X_test", "Y_test")
    return [sp.csr_matrix(sp.load_npz(Path(folder) / f"{name}.npz")) for name in names]


def precision(network, X: SparseRows, Y) -> float:
    """P@1 of a network, exact."""
    labels, _ = Predictor(network, n_threads=os.cpu_count() or 1).topk(X, 1)
    return float(precision_at_k(Y, labels, k=1))


def run(data, groups, estimator: dict, federation: dict, args, transport=None) -> dict:
    """One method: P@1 after each round, bytes by round and part, seconds."""
    X, Y, X_test, Y_test = data
    rows, scores, seconds = SparseRows.from_matrix(X_test), [], []
    federation = dict(federation)
    n_rounds = max(1, args.rounds // federation.pop("halves", 1))

    def watch(network, entry):
        scores.append(precision(network, rows, Y_test))
        seconds.append(entry["seconds"])

    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((args.hidden,), **estimator), n_rounds=n_rounds,
        callback=watch, random_state=args.seed, **federation,
    )  # fmt: skip
    start = time.perf_counter()
    if transport is None:
        model.fit(X, Y, groups=groups)
    else:
        measures.with_transport(transport, model, X, Y, groups)
    total = time.perf_counter() - start
    ledger = model.ledger_
    parts = {"head": ("head", "sketch", "select"), "body": ("body", "request")}
    out = {
        "precision_by_round": scores, "round_seconds": seconds, "seconds": total,
        "by_kind": ledger.by("kind"), "start_bytes": ledger.total(round=-1),
        "bytes_by_round": np.cumsum(
            [ledger.total(round=r) for r in range(n_rounds)]
        ).tolist(),
        "active_share": model.history_[-1]["active_share"],
        "peak_device_share": max(ledger.memory.values()) / model.network_.nbytes,
    }  # fmt: skip
    for part, kinds in parts.items():
        by_round = [sum(ledger.total(round=r, kind=k) for k in kinds) for r in range(n_rounds)]
        out[f"{part}_bytes_by_round"] = np.cumsum(by_round).tolist()
    if federation.get("body_exchange") == "local":
        own = [model.device_estimator(d).network_ for d in model.device_ids_.tolist()[:4]]
        out["device_precision"] = float(np.mean([precision(n, rows, Y_test) for n in own]))
    return out


def to_reach(result: dict, target: float) -> dict | None:
    """Round and bytes at which P@1 has reached `target`; all bytes include the start."""
    for i, score in enumerate(result["precision_by_round"]):
        if score >= target:
            found = {"round": i + 1, "all": result["start_bytes"] + result["bytes_by_round"][i]}
            return found | {p: result[f"{p}_bytes_by_round"][i] for p in ("head", "body")}
    return None


def central_precision(data, args) -> float:
    """The same network trained in one place, without k-NN scores."""
    model = SparseLSHMLPClassifier((args.hidden,), n_neighbors=0, random_state=args.seed)
    model.fit(data[0], data[1])
    return precision(model.network_, SparseRows.from_matrix(data[2]), data[3])


def line(name: str, result: dict, target: float) -> None:
    scores, reached = result["precision_by_round"], to_reach(result, target)
    total = (result["start_bytes"] + result["bytes_by_round"][-1]) / 1e6
    to_target = "never" if reached is None else f"{reached['all'] / 1e6:.0f}"
    print(
        f"{name:20s} {scores[-1]:.4f} {max(scores):.4f} {result['active_share']:6.3f} "
        f"{total:7.0f} {to_target:>7s} {result['peak_device_share']:6.3f} "
        f"{result['seconds']:6.0f}",
        flush=True,
    )


HEADER = "method                 last   peak   share      MB  MB to -1 memory seconds"


def methods(data, args) -> dict:
    """Every method on the same devices."""
    groups = split_devices(data[1], args.devices, args.how, alpha=0.3, random_state=0)
    best = central_precision(data, args)
    print(f"centralised, without k-NN scores: P@1 {best:.4f}; {args.devices} devices, {args.how}")
    print(HEADER)
    results = {}
    for name in args.methods.split(","):
        results[name] = run(data, groups, *METHODS[name], args)
        line(name, results[name], best - 0.01)
    return {"central": best, "methods": results}


def grid(data, args) -> dict:
    """Widths of the sketch, c/d from 1/32 to 1: ours and the paper's."""
    groups = split_devices(data[1], args.devices, args.how, alpha=0.3, random_state=0)
    results = {}
    for name in ("default", "PGHash (paper)"):
        estimator, federation = METHODS[name]
        for part in (32, 16, 8, 4, 1):
            width = {"sampler": "lsh", "sketch_dim": max(1, args.hidden // part)}
            results[f"{name}, c/d 1/{part}"] = r = run(
                data, groups, {**estimator, **width}, federation, args
            )
            line(f"{name[:6]} 1/{part}", r, np.inf)
    return results


def devices(data, args) -> dict:
    """The default on ever more devices, even and uneven ones."""
    best, results = central_precision(data, args), {}
    print(f"central {best:.4f}")
    for n_devices in (1, 4, 8, 32):
        for how in ("iid", "dirichlet")[: min(n_devices, 2)]:
            groups = split_devices(data[1], n_devices, how, alpha=0.3, random_state=0)
            results[f"{n_devices} {how}"] = r = run(data, groups, {}, {}, args)
            line(f"{n_devices} {how}", r, best - 0.01)
    return {"central": best, **results}


def splits(data, args) -> dict:
    """The default on even and uneven devices, with updates lost, and late decline."""
    best, results = central_precision(data, args), {}
    print(f"central {best:.4f}")
    cases = {
        "iid": ("iid", None), "dirichlet .3": ("dirichlet", None),
        "iid, 30 % of updates lost": ("iid", measures.Lossy),
    }  # fmt: skip
    for name, (how, transport) in cases.items():
        groups = split_devices(data[1], args.devices, how, alpha=0.3, random_state=0)
        results[name] = r = run(data, groups, {}, {}, args, transport)
        line(name[:20], r, best - 0.01)
    return {"central": best, **results}


def parts(data, args) -> dict:
    """Measures of the parts: folds, hashing time, an attacker, a weak device."""
    out = {"hashing 670,091 labels, c=8 k=8 L=50, seconds": measures.hashing_seconds()}
    model = SparseLSHMLPClassifier((args.hidden,), n_neighbors=0, random_state=0)
    model.fit(data[0], data[1])
    out["recall of the true best tenth, c/d 1/16"] = measures.folds(
        model.network_, *map(SparseRows.from_matrix, (data[0], data[2])), 1 / 16
    )
    groups = split_devices(data[1], args.devices, random_state=0)
    out["attacker's precision"] = {
        f"{sampler}, {n}x decoys": measures.attacker(data[0], data[1], groups, sampler, n, 32)
        for sampler in ("labels", "lsh")
        for n in (0.0, 1.0, 4.0)
    }
    weak = {"n_tables": 4, "hash_length": 6, "n_active": 128, "local_steps": 8}
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((args.hidden,)), n_rounds=args.rounds, device_params={0: weak},
        random_state=args.seed,
    ).fit(data[0], data[1], groups=groups)  # fmt: skip
    ledger, last = model.ledger_, args.rounds - 1
    rows = SparseRows.from_matrix(data[2])
    out["a weak device"] = {
        "settings": weak,
        "bytes, its share of another's": ledger.total(round=last, device=0)
        / ledger.total(round=last, device=1),
        "memory, its share of another's": ledger.memory[last, 0] / ledger.memory[last, 1],
        "P@1 of the federation": precision(model.network_, rows, data[3]),
    }
    print(json.dumps(out, indent=1))
    return out


def memory(data, args) -> dict:
    """What device 0 allocates in a round, by tracemalloc."""
    groups = split_devices(data[1], args.devices, random_state=0)
    out = {
        str(share): measures.device_memory(
            data[0], data[1], groups, args.hidden, local_steps=share
        )
        for share in (0.5, 1.0)
    }  # fmt: skip
    print(json.dumps(out, indent=1))
    return out


def recommender(folder: str, args) -> dict:
    """Users in groups: Recall@20 beside the network trained in one place."""
    train, test = (
        sp.csr_matrix(sp.load_npz(Path(folder) / f"{name}.npz"), dtype=np.float32)
        for name in ("train", "test")
    )
    train.data[:] = 1
    asked = np.flatnonzero(np.diff(test.indptr))
    groups = np.random.default_rng(0).permutation(train.shape[0]) % args.devices

    def recall(model):
        return recall_at_k(test[asked], model.predict_topk(train[asked], 20)[0], k=20)

    central = recall(LSHRecommender(n_neighbors=0, n_factors=0, random_state=0).fit(train))
    start = time.perf_counter()
    model = FederatedLSHClassifier(
        LSHRecommender(), n_rounds=args.rounds, local_steps=1 / 3, sketch_rounds=1000,
        sketch_tolerance=0.2, random_state=0,
    ).fit(train, groups=groups)  # fmt: skip
    seconds = time.perf_counter() - start
    ledger = model.ledger_
    out = {
        "central, network alone": central, "federated": recall(model), "seconds": seconds,
        "bytes": ledger.total(), "by_kind": ledger.by("kind"),
        "peak_device_share": max(ledger.memory.values()) / model.network_.nbytes,
    }  # fmt: skip
    print(json.dumps(out, indent=1))
    return out


PARTS = {
    "methods": methods, "devices": devices, "grid": grid, "splits": splits, "parts": parts,
    "memory": memory,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=(*PARTS, "recommender"), default=None)
    parser.add_argument("--data", default=None)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--how", default="iid", choices=("iid", "contiguous", "dirichlet"))
    parser.add_argument("--rounds", type=int, default=20, help="of half a pass")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--test-step", type=int, default=1, help="each n-th test row")
    parser.add_argument("--normalise", action="store_true", help="rows to norm 1")
    args = parser.parse_args()
    name = "wordnet-subset" if args.data is None else Path(args.data).name
    RESULTS.mkdir(exist_ok=True)
    for part in PARTS if args.part is None else [args.part]:
        print(f"\n== {part}, {name}", flush=True)
        if part == "recommender":
            found = recommender(args.data, args)
        else:
            data = load(args.data)
            if args.normalise:
                from sklearn.preprocessing import normalize

                data[0], data[2] = normalize(data[0]), normalize(data[2])
            data = [*data[:2], *(a[:: args.test_step] for a in data[2:])]
            found = PARTS[part](data, args)
        settings = {k: v for k, v in vars(args).items() if k not in ("data", "part")}
        machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "numpy": np.__version__}
        path = RESULTS / f"federated-{part}-{name}-{args.devices}.json"
        old = json.loads(path.read_text()) if path.exists() else {}
        if part == "methods" and old.get("settings", {}).get("rounds") == args.rounds:
            # Methods run one by one come together in one file.
            found["methods"] = old["result"]["methods"] | found["methods"]
        report = {"data": name, "settings": settings, "machine": machine, "result": found}
        path.write_text(json.dumps(report, indent=1) + "\n")
        if part == "methods" and find_spec("matplotlib"):
            summary_plots.federated(path)
        print(f"written to {path}")


if __name__ == "__main__":
    main()
