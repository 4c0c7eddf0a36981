"""What does a hostile device cost? P@1 under each attack, beside that of the honest run.

8 devices with equal shares of the rows, 1 and 2 of them hostile, the defaults of
`FederatedLSHClassifier`. The attacks are in attacks.py: a hostile device knows what all others
answer, and two act together. Written to benchmarks/results/attacks.json.

    python benchmarks/bench_attacks.py
    python benchmarks/bench_attacks.py --sets synthetic --hostile 1 --attacks "sign flip"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from unittest import mock

import attacks
import numpy as np

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet, make_extreme_classification, split_devices
from sklsh.metrics import precision_at_k
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows

RESULTS = Path(__file__).parent / "results"
N_DEVICES = 8
HIDDEN = {"synthetic": 32, "bundled": 128}
LEAST = {1: 0.95, 2: 0.9}
"""Share of the honest run's P@1 that is asked for, by the number of hostile devices."""


def load(name: str):
    """X_train, Y_train, X_test, Y_test."""
    if name == "bundled":
        data = load_wordnet()
        return data.X_train, data.Y_train, data.X_test, data.Y_test
    X, Y = make_extreme_classification(12_000, 2000, 1500, random_state=0)
    return X[:8000], Y[:8000], X[8000:], Y[8000:]


def run(data, name: str, attack: str | None, n_hostile: int, n_rounds: int) -> dict:
    """P@1 at the end of a federation, faults counted, what became of the hostile."""
    X, Y, X_test, Y_test = data
    groups = split_devices(Y, N_DEVICES, random_state=0)
    answer, spoil = attacks.ATTACKS[attack] if attack else (lambda reply, seen: reply, None)
    kind = type(
        "Transport", (attacks.Hostile,),
        {"attack": staticmethod(answer), "spoil": spoil and staticmethod(spoil),
         "n_hostile": n_hostile},
    )  # fmt: skip
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((HIDDEN[name],)), n_rounds=n_rounds, random_state=0
    )
    began = time.process_time()
    with mock.patch("sklsh.estimators.federated_run.JoblibTransport", kind):
        model.fit(X, Y, groups=groups)
    seconds = time.process_time() - began
    rows = SparseRows.from_matrix(X_test)
    labels, _ = Predictor(model.network_, n_threads=2).topk(rows, 1)
    faults: dict = {}
    for entry in model.history_:
        for reason, count in {**entry["faults"]}.items():
            faults[reason] = faults.get(reason, 0) + count
    sizes = np.diff(model.predict(X_test[:500]).indptr).mean()
    return {
        "precision": float(precision_at_k(Y_test, labels, k=1)), "seconds": seconds,
        "labels_per_row": float(sizes), "faults": faults,
        "start_faults": model.history_[0]["start_faults"], "bytes": model.ledger_.total(),
        "left_out": [entry.get("left_out", []) for entry in model.history_][-1],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="synthetic,bundled")
    parser.add_argument("--hostile", default="1,2")
    parser.add_argument("--attacks", default=None, help="names, separated by ;")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=RESULTS / "attacks.json")
    args = parser.parse_args()
    names = list(attacks.ATTACKS) if args.attacks is None else args.attacks.split(";")
    results: dict = {}
    for name in args.sets.split(","):
        data = load(name)
        honest = run(data, name, None, 0, args.rounds)
        results[name] = {"honest": honest, "attacks": {}}
        print(
            f"{name}: honest P@1 {honest['precision']:.4f}, {honest['seconds']:.0f} s", flush=True
        )
        for n_hostile in map(int, args.hostile.split(",")):
            for attack in names:
                found = run(data, name, attack, n_hostile, args.rounds)
                share = found["precision"] / honest["precision"]
                results[name]["attacks"].setdefault(attack, {})[str(n_hostile)] = found
                missed = "" if share >= LEAST[n_hostile] else "  MISSED"
                print(
                    f"  {n_hostile} hostile, {attack:42s} {found['precision']:.4f} {share:6.3f} "
                    f"{found['labels_per_row']:5.1f} {found['faults']} {found['left_out']}{missed}",
                    flush=True,
                )
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "numpy": np.__version__}
    report = {"rounds": args.rounds, "machine": machine, "result": results}
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
