"""What does a hostile device cost, and what does a curious server learn?

P@1 under each attack, beside that of the honest run: 8 devices with equal shares of the rows, 1
and 2 of them hostile, the defaults of `FederatedLSHClassifier` but for the number of rounds. The
attacks are in attacks.py and, by those who know the defence, in attacks_within_bounds.py: a
hostile device knows what all others answer, and two act together. What a server learns is in
attacks_on_privacy.py, honest runs without the defence in honest_runs.py, and what requests that
name no label cost in requests_compared.py. Written to benchmarks/results/attacks.json; the tables
of doc/federated.md are made of that (--write-doc).

    make bench-attacks
    python benchmarks/bench_attacks.py --table --write-doc
    python benchmarks/bench_attacks.py --add --sets bundled --attacks "sign flip;labels flipped"
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
import attacks_on_privacy
import attacks_within_bounds
import honest_runs
import numpy as np
import requests_compared
import scipy.sparse as sp

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet, make_extreme_classification, split_devices
from sklsh.metrics import precision_at_k
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows

RESULTS = Path(__file__).parent / "results"
DOC = Path(__file__).parents[1] / "doc" / "federated.md"
BEGIN, END = "<!-- attacks: begin -->\n", "<!-- attacks: end -->\n"
N_DEVICES = 8
ATTACKS = attacks.ATTACKS | attacks_within_bounds.WITHIN
HIDDEN = {"synthetic": 32, "bundled": 128}
WORST = (
    "sign flip, to the bound in batches", "labels flipped", "one label up, to the bound in batches",
    "all at once", "one label up, just inside, and sideways", "start and rounds: one label up",
    "half of the labels flipped", "half honest, half noise",
)  # fmt: skip
"""Attacks on the bundled set, whose runs take four times as long."""
LEAST = {1: 0.95, 2: 0.9}
"""Share of the honest run's P@1 that is the target, by the number of hostile devices."""


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
    answer, spoil = ATTACKS[attack] if attack else (lambda reply, seen: reply, None)
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


def attack_all(sets, n_hostile, names, n_rounds: int, results: dict, save) -> None:
    """The honest run of each set, and each attack's; what `results` has already is not run.

    `save` is called after each run.
    """
    for name in sets:
        data = load(name)
        if name not in results:
            results[name] = {"honest": run(data, name, None, 0, n_rounds), "attacks": {}}
        honest = results[name]["honest"]
        print(f"{name}: honest P@1 {honest['precision']:.4f}", flush=True)
        default = WORST if name == "bundled" else ATTACKS
        for n in n_hostile:
            for attack in names or default:
                if str(n) in results[name]["attacks"].get(attack, {}):
                    continue
                found = run(data, name, attack, n, n_rounds)
                results[name]["attacks"].setdefault(attack, {})[str(n)] = found
                save()
                share = found["precision"] / honest["precision"]
                missed = "" if share >= LEAST[n] else "  MISSED"
                print(
                    f"  {n} hostile, {attack:42s} {found['precision']:.4f} {share:6.3f} "
                    f"{found['labels_per_row']:5.1f} {found['faults']} {found['left_out']}{missed}",
                    flush=True,
                )


def tables(report: dict) -> str:
    """The record as the guide has it."""
    sets = report["result"]
    columns = [(name, n) for name in sets for n in LEAST]
    honest = ", ".join(f"{name} {of['honest']['precision']:.3f}" for name, of in sets.items())
    lines = [
        f"P@1 as a share of the honest run's ({honest}; {report['rounds']} rounds, 8 devices); "
        f"targets: {', '.join(f'{least} with {n} hostile' for n, least in LEAST.items())}. "
        "Bold: missed.\n",
        "| attack | " + " | ".join(f"{name}, {n} hostile" for name, n in columns) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for attack in ATTACKS:
        cells = []
        for name, n in columns:
            found = sets[name]["attacks"].get(attack, {}).get(str(n))
            if found is None:
                cells.append("")
                continue
            share = found["precision"] / sets[name]["honest"]["precision"]
            cells.append(f"{share:.3f}" if share >= LEAST[n] else f"**{share:.3f}**")
        lines.append(f"| {attack} | {' | '.join(cells)} |")
    lines += [
        "",
        "Rows of 240 that a server recovers from updates:\n",
        "| devices, and what is asked of them | features known | entries known |",
        "|---|---|---|",
    ]
    for case, found in report["privacy"]["rows"].items():
        lines.append(f"| {case} | {found['features']} | {found['entries']} |")
    lines += [
        "",
        "Precision of the best attacker that names a device's labels by the rounds in which "
        "they are asked for, without prototypes; in brackets the target, 1.2 / (1 + decoys): "
        "there are only so many other labels.\n",
        "| decoys for each id | own labels only | with hashing |",
        "|---|---|---|",
    ]
    by = report["privacy"]["labels"]
    for decoys in by["lsh"]:
        cells = [
            f"{of['precision']:.2f} ({of['asked']:.2f})"
            for of in (by["labels"][decoys], by["lsh"][decoys])
        ]
        lines.append(f"| {float(decoys):g} | {' | '.join(cells)} |")
    return "\n".join([*lines, *honest_tables(report)]) + "\n"


def honest_tables(report: dict) -> list[str]:
    """What the defences and requests without names cost where all are honest."""
    lines = []
    if report.get("honest"):
        lines += [
            "",
            "Honest devices, P@1 at the end with the defence of rounds and without (what bounds "
            "accumulators and the start stays):\n",
            "| set | devices | rounds | seeds | with | without |", "|---|---|---|---|---|---|",
        ]  # fmt: skip
    for name, splits in report.get("honest", {}).items():
        for split, pair in splits.items():
            if len(pair) < 2:
                continue
            n_rounds = len(next(iter(pair["with"].values()))["precision_by_round"])
            ends = [
                np.mean(honest_runs.last_precisions(pair[word])) for word in ("with", "without")
            ]
            lines.append(
                f"| {name} | {split} | {n_rounds} | {len(pair['with'])} | "
                f"{ends[0]:.4f} | {ends[1]:.4f} |"
            )
    if report.get("costs"):
        lines += [
            "",
            "What the defence costs a simulation on one thread: processor seconds of four rounds, "
            "medians of runs by turns; time with it to the same less what is spent in it; bytes.\n",
            "| set | devices | with | of it the defence | without | time | bytes |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
    for name, splits in report.get("costs", {}).items():
        for split, of in splits.items():
            words = ("with", "defence", "without")
            with_it, defence, without = (np.median(of["seconds"][word]) for word in words)
            sent = of["bytes"]["with"] / of["bytes"]["without"]
            lines.append(
                f"| {name} | {split} | {with_it:.1f} | {defence:.2f} | {without:.1f} | "
                f"{honest_runs.time_ratio(of):.2f} | {sent:.2f} |"
            )
    if report.get("requests"):
        lines += [
            "", "What is asked for, bundled set, 8 equal devices, P@1 and bytes:\n",
            "| neurons of a round | rounds | P@1 half way, at the end | MB up | MB down |",
            "|---|---|---|---|---|",
        ]  # fmt: skip
    for kind, of in report.get("requests", {}).items():
        by = of["precision_by_round"]
        lines.append(
            f"| {kind} | {len(by)} | {by[len(by) // 2 - 1]:.4f}, {by[-1]:.4f} | "
            f"{of['bytes_up'] / 1e6:.0f} | {of['bytes_down'] / 1e6:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="synthetic,bundled")
    parser.add_argument("--hostile", default="1,2")
    parser.add_argument("--attacks", default=None, help="names, separated by ;")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULTS / "attacks.json")
    parser.add_argument("--data", type=Path, help="a folder: honest runs on its set")
    parser.add_argument("--seeds", default="0", help="of honest runs")
    parser.add_argument(
        "--splits", default=";".join(honest_runs.SPLITS), help="of honest runs, separated by ;"
    )
    parser.add_argument("--parts", default="attacks,honest,costs,requests", help="of these")
    parser.add_argument("--add", action="store_true", help="to the record: keep what it has")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--write-doc", action="store_true")
    args = parser.parse_args()
    report: dict = {}
    if args.table or args.add:
        report = json.loads(args.output.read_text())
    if not args.table:
        measure(args, report)
    text = tables(report)
    print(text)
    if args.write_doc:
        before, _, rest = DOC.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        DOC.write_text(before + BEGIN + text + END + after)


def measure(args, report: dict) -> None:
    """Fill the record with what it lacks; it is on disk after each run."""
    began, earlier = time.perf_counter(), report.get("minutes", 0.0)

    def save():
        report["minutes"] = earlier + (time.perf_counter() - began) / 60
        args.output.parent.mkdir(exist_ok=True)
        args.output.write_text(json.dumps(report, indent=1) + "\n")

    report.setdefault("rounds", args.rounds)
    report["machine"] = {
        "cpus": os.cpu_count(), "machine": platform.machine(), "numpy": np.__version__,
    }  # fmt: skip
    if "requests" in args.parts:
        found = report.setdefault("requests", {})
        requests_compared.measure(load("bundled"), args.rounds, found, save)
    if "honest" in args.parts or "costs" in args.parts:
        seeds = [int(seed) for seed in args.seeds.split(",")]
        splits = args.splits.split(";")
        if args.data is None:
            sets = {"bundled": load("bundled")}
        else:
            names = ("X_train", "Y_train", "X_test", "Y_test")
            parts = [sp.csr_matrix(sp.load_npz(args.data / f"{name}.npz")) for name in names]
            sets = {args.data.name: parts}
        for name, data in sets.items():
            if "honest" in args.parts:
                found = report.setdefault("honest", {}).setdefault(name, {})
                honest_runs.measure(data, args.rounds, splits, seeds, found, save)
            if "costs" in args.parts:
                found = report.setdefault("costs", {}).setdefault(name, {})
                honest_runs.costs(data, splits, found, save)
    if "attacks" not in args.parts:
        return
    if "privacy" not in report:
        report["privacy"] = attacks_on_privacy.measure()
    names = None if args.attacks is None else args.attacks.split(";")
    attack_all(
        args.sets.split(","), [int(n) for n in args.hostile.split(",")], names, report["rounds"],
        report.setdefault("result", {}), save,
    )  # fmt: skip
    save()


if __name__ == "__main__":
    main()
