"""What do the defences cost honest devices, equal and unequal ones? Used by bench_attacks.py.

The same federations with the defence of rounds and without: P@1 of test rows after each round.
"Without" is the mean by rows trained on, of changes as they come; what bounds the start's messages
and accumulators stays.
"""

from __future__ import annotations

import time
from unittest import mock

import numpy as np
from bench_federated import precision

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import split_devices
from sklsh.federated.defence import Defence
from sklsh.network.rows import SparseRows

SPLITS = {
    "32, Dirichlet .3": (32, {"how": "dirichlet", "alpha": 0.3}),
    "8, Dirichlet .3": (8, {"how": "dirichlet", "alpha": 0.3}),
    "32, iid": (32, {}),
}


def unjudged(self, updates, rate, seed=0):
    """In the place of `Defence.judge`: everything counts as it comes."""
    return list(updates), [float(update.n_samples) for update in updates]


def run(data, split: str, defended: bool, n_rounds: int, seed: int) -> dict:
    """P@1 by round, and who was left out; `seed` is of the split and of training."""
    X, Y, X_test, Y_test = data
    n_devices, how = SPLITS[split]
    rows, scores = SparseRows.from_matrix(X_test), []

    def watch(network, entry):
        scores.append(precision(network, rows, Y_test))

    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((128,)), n_rounds=n_rounds, callback=watch, random_state=seed
    )
    groups = split_devices(Y, n_devices, random_state=seed, **how)
    began = time.process_time()
    if defended:
        model.fit(X, Y, groups=groups)
    else:
        with mock.patch.object(Defence, "judge", unjudged):
            model.fit(X, Y, groups=groups)
    return {
        "precision_by_round": scores, "left_out": model.history_[-1]["left_out"],
        "rows_of_devices": np.bincount(groups).tolist(), "bytes": model.ledger_.total(),
        "seconds": time.process_time() - began,
    }  # fmt: skip


def measure(data, n_rounds: int, splits, seeds, found: dict, save) -> None:
    """Fill `found` by split and seed with what it lacks; `save` is called after each run."""
    for split in splits:
        for seed in seeds:
            for word in ("with", "without"):
                runs = found.setdefault(split, {}).setdefault(word, {})
                if str(seed) not in runs:
                    runs[str(seed)] = run(data, split, word == "with", n_rounds, seed)
                    save()
        ends = [np.mean(last_precisions(found[split][word])) for word in ("with", "without")]
        print(f"{split}: with {ends[0]:.4f}, without {ends[1]:.4f}", flush=True)


def timed(seconds: list[float]):
    """`Defence.judge`, which notes the processor seconds that it takes."""
    judge = Defence.judge

    def judge_and_note(self, *args, **options):
        began = time.process_time()
        judged = judge(self, *args, **options)
        seconds.append(time.process_time() - began)
        return judged

    return judge_and_note


def costs(data, splits, found: dict, save, n_rounds: int = 4, repeats: int = 5) -> None:
    """Processor seconds of whole simulations on one thread, with the defence and without by turns,
    those spent in the defence, and bytes: fill `found` by split with what it lacks."""
    X, Y = data[:2]
    for split in splits:
        if split in found:
            continue
        n_devices, how = SPLITS[split]
        groups = split_devices(Y, n_devices, random_state=0, **how)
        model = FederatedLSHClassifier(
            SparseLSHMLPClassifier((128,)), n_rounds=n_rounds, random_state=0, n_jobs=1
        )
        seconds: dict[str, list[float]] = {"with": [], "without": [], "defence": []}
        sent = {}
        for _ in range(repeats):
            in_defence: list[float] = []
            for word, judge in (("with", timed(in_defence)), ("without", unjudged)):
                with mock.patch.object(Defence, "judge", judge):
                    began = time.process_time()
                    model.fit(X, Y, groups=groups)
                    seconds[word].append(time.process_time() - began)
                sent[word] = model.ledger_.total()
            seconds["defence"].append(sum(in_defence))
        found[split] = {"seconds": seconds, "bytes": sent}
        save()
        print(f"{split}: time {time_ratio(found[split]):.3f}", flush=True)


def time_ratio(cost: dict) -> float:
    """Of a simulation with the defence to the same less what it spends in it, in the median: two
    simulations differ by more than that from one time to the next."""
    whole, defence = (np.array(cost["seconds"][word]) for word in ("with", "defence"))
    return float(np.median(whole / (whole - defence)))


def last_precisions(runs: dict) -> list[float]:
    """P@1 at the end, by seed."""
    return [of["precision_by_round"][-1] for of in runs.values()]
