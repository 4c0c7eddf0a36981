"""Rules by which a recommender weighs its sources, tried with each set left out in turn.

    python benchmarks/recommender_rules.py --data FOLDER --cache FOLDER [--sets A,B:liked]

A rule says which variants of each source there are, and how validation users weigh them. Its
nDCG@20 on test users of a set, over that of the best rule there, is its share; for each set left
out the rule with the best mean share on the *other* sets is picked, and what counts is its share
on the set left out. Scores of candidates are computed once a set and seed (`recommender_sources`,
some minutes each) and kept under --cache; trying rules takes seconds.

`--headroom` asks instead what any rule could gain: choices and weights fitted on the test users
themselves, beside those of the package's rule and the best regression alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import numpy as np
from recommender_sets import load
from recommender_sources import THREADS, cached

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.blending import blend_gains
from sklsh.network.blending import DEPTH, LEAST, ROUNDS, STEPS, TASK, WEIGHTS
from sklsh.network.regression import DENSE_CHOICES

RESULTS = Path(__file__).parent / "results" / "recommender-rules.json"
SOURCES = ("item-item", "regression", "low pass")
DISCOUNTS = (1 / np.log2(np.arange(2, DEPTH + 2))).astype(np.float32)


@dataclass
class Part:
    """Candidates of some users, all scores of them, and which were to be found."""

    ids: np.ndarray
    network: np.ndarray
    added: dict[str, np.ndarray]
    hidden: np.ndarray
    best: np.ndarray
    wanted: np.ndarray

    def gains(self, name: str, choices, weights, others) -> np.ndarray:
        """nDCG ``(n_users, choices, weights)`` of a source's choices, others as given."""
        base = self.network.copy()
        for other, (choice, weight) in others.items():
            if weight and other != name:
                base += np.float32(weight) * self.added[other][choice]
        added = self.added[name][list(choices)]
        weights = np.asarray(weights, dtype=np.float32)
        out = np.empty((base.shape[0], added.shape[0], weights.shape[0]), dtype=np.float32)

        def task(start, stop):
            blend_gains(base, added, weights, self.ids, self.hidden, DISCOUNTS, out, start, stop)

        run_blocks(task, blocks(base.shape[0], TASK), THREADS)
        return out / self.best[:, None, None]

    def at(self, point) -> np.ndarray:
        """nDCG of each user."""
        name, (choice, weight) = next(iter(point.items()))
        return self.gains(name, [choice], [weight], point)[:, 0, 0]


@dataclass
class Set:
    """Candidates of validation and test users of a set, and what variants are called."""

    validation: Part
    test: Part
    names: dict[str, list[str]]

    @classmethod
    def of(cls, file) -> Set:
        parts = [
            Part(
                *(file[f"{part} {name}"] for name in ("ids", "network")),
                {name: file[f"{part} {name}"] for name in SOURCES},
                *(file[f"{part} {name}"] for name in ("hidden", "best", "wanted")),
            )
            for part in ("validation", "test")
        ]
        return cls(*parts, {name: list(file[f"names {name}"]) for name in SOURCES})


def fitted(part: Part, choices, n_rounds=ROUNDS):
    """Choice and weight of each source by coordinate ascent, as in the package."""
    taken = {name: (of[0], 0.0) for name, of in choices.items()}
    for _ in range(n_rounds):
        before = dict(taken)
        for name, of in choices.items():
            sums = part.gains(name, of, WEIGHTS[name], taken).sum(axis=0, dtype=np.float64)
            if np.ptp(sums):
                choice, weight = np.unravel_index(int(np.argmax(sums)), sums.shape)
                taken[name] = (of[int(choice)], WEIGHTS[name][weight])
        if taken == before:
            break
    return taken


def drawn(part: Part, taken, defaults, enough):
    """As near to the default weights as users whose nDCG is `enough` against the best allow."""
    best = part.at(taken)
    for step in range(STEPS):
        share = step / STEPS
        point = {
            name: (choice, defaults[name] * max(weight / defaults[name], LEAST) ** share)
            for name, (choice, weight) in taken.items()
        }
        if enough(part.at(point), best):
            return point
    return taken


def tolerance(share):
    return lambda now, best: now.mean() >= (1 - share) * best.mean()


def errors(count):
    """So many standard errors of the difference, paired by users."""

    def enough(now, best):
        lost = best - now
        return lost.mean() <= count * lost.std() / np.sqrt(len(lost))

    return enough


IDEAL, SOFT = ("64/0.0/0.5", "256/0.0/0.5"), ("256/0.1/0.35",)
SOFT_ALONE = ("512/0.1/0.35", "512/0.3/0.35")
ONE, EITHER = ("0.5",), ("0.0", "0.5")
VARIANTS = {
    # discount of item-item scores; shares of regression and low passes, and that in closed form
    "64 or 256 factors": ("0.75", (ONE, IDEAL), (ONE, IDEAL)),
    "item-item by n^-1/2": ("0.5", (ONE, IDEAL), (ONE, IDEAL)),
    "regression by n^0": ("0.75", (("0.0",), IDEAL), (("0.0",), IDEAL)),
    "regression by either": ("0.75", (EITHER, IDEAL), (EITHER, IDEAL)),
    "closed form by either": ("0.75", (ONE, IDEAL), (EITHER, IDEAL)),
    "soft too": ("0.75", (ONE, IDEAL + SOFT), (ONE, IDEAL + SOFT)),
    "closed form by either, soft too": ("0.75", (ONE, IDEAL + SOFT), (EITHER, IDEAL + SOFT)),
    "closed form by either, soft alone": ("0.75", (ONE, IDEAL + SOFT), (EITHER, SOFT_ALONE)),
    "64 or 512, exponent .35": (
        "0.75", (ONE, ("64/0.0/0.5", "512/0.1/0.35")), (ONE, ("64/0.0/0.5", "512/0.1/0.35"))
    ),
    "no low pass": ("0.75", (ONE, ()), (ONE, ())),
}  # fmt: skip
DEFAULTS = {
    # weights, and in closed form
    "1, 8, 2": ((1, 8, 2),) * 2, "2, 24, 8": ((2, 24, 8),) * 2, "2, 24, 16": ((2, 24, 16),) * 2,
    "2, 24, 8 or 16": ((2, 24, 8), (2, 24, 16)), "2, 24, 8 or 1, 32, 16": ((2, 24, 8), (1, 32, 16)),
}  # fmt: skip
ENOUGH = {
    ".5 %": tolerance(0.005), "1 %": tolerance(0.01), "2 %": tolerance(0.02),
    "1 error": errors(1), "2 errors": errors(2),
}  # fmt: skip


PICKED = "closed form by either, soft alone", "2, 24, 8 or 16", "1 %"
"""What the package does."""

ALONE = 1e4
"""A weight beside which the network says nothing."""


def is_closed(names) -> bool:
    """Whether a set's regression is in closed form."""
    return f"0.5/{DENSE_CHOICES[-1][0]:g}" in names["regression"]


def choices_of(names, share, sparse, closed):
    regression_shares, low_passes = closed if is_closed(names) else sparse
    found = {
        "item-item": [i for i, n in enumerate(names["item-item"]) if n.startswith(f"{share}/512/")],
        "regression": [
            i for i, n in enumerate(names["regression"]) if n.split("/")[0] in regression_shares
        ],
        "low pass": [names["low pass"].index(n) for n in low_passes],
    }
    return {name: of for name, of in found.items() if of}


def tried(of: Set) -> dict[str, float]:
    """nDCG@20 of test users by rule."""
    out = {}
    for variant, how in VARIANTS.items():
        taken = fitted(of.validation, choices_of(of.names, *how))
        out[f"{variant}; best"] = float(of.test.at(taken).mean())
        for (name, weights), (limit, enough) in itertools.product(DEFAULTS.items(), ENOUGH.items()):
            own = weights[is_closed(of.names)]
            defaults = dict(zip(SOURCES, map(float, own), strict=True))
            point = drawn(of.validation, taken, defaults, enough)
            out[f"{variant}; {name}; {limit}"] = float(of.test.at(point).mean())
    return out


def headroom(of: Set) -> dict[str, float]:
    """nDCG@20 of test users by the package's rule, and by what suits themselves best."""
    variant, weights, limit = PICKED
    choices = choices_of(of.names, *VARIANTS[variant])
    defaults = dict(zip(SOURCES, map(float, DEFAULTS[weights][is_closed(of.names)]), strict=True))
    point = drawn(of.validation, fitted(of.validation, choices), defaults, ENOUGH[limit])
    every = {name: list(range(len(names))) for name, names in of.names.items()}
    alone = of.test.gains("regression", every["regression"], [ALONE], {}).mean(axis=0)
    return {
        "picked": float(of.test.at(point).mean()),
        "its choices, fitted on test users": float(of.test.at(fitted(of.test, choices)).mean()),
        "all choices, fitted on test users": float(of.test.at(fitted(of.test, every)).mean()),
        "best regression alone": float(alone.max()),
    }


def left_out(table: dict[str, dict[str, float]]) -> dict[str, dict]:
    """For each set the rule with the best mean share on the others, and its share here."""
    names, rules = list(table), list(next(iter(table.values())))
    shares = np.array([[table[n][r] for r in rules] for n in names])
    shares /= shares.max(axis=1, keepdims=True)
    out = {}
    for i, name in enumerate(names):
        picked = int(np.argmax(np.delete(shares, i, axis=0).mean(axis=0)))
        out[name] = {"rule": rules[picked], "share": round(float(shares[i, picked]), 4),
                     "best": rules[int(np.argmax(shares[i]))]}  # fmt: skip
    means = shares.mean(axis=0)
    order = np.argsort(-means)
    out["all"] = {
        rules[i]: [round(float(means[i]), 4), round(float(shares[:, i].min()), 4)] for i in order
    }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("recommender-scores"))
    parser.add_argument("--sets", default="gowalla,citeulike-a,lastfm")
    parser.add_argument("--headroom", action="store_true")
    args = parser.parse_args()
    if args.data is None:
        print("recommender_rules needs --data, a folder of data sets: nothing measured")
        return
    table: dict[str, dict[str, float]] = {}
    for name in args.sets.split(","):
        path = args.cache / f"{name.replace(':', '-')}-0.npz"
        of = Set.of(cached(path, *load(args.data, name), 0))
        table[name] = headroom(of) if args.headroom else tried(of)
        print(name, max(table[name].values()), flush=True)
    kept = {name: {rule: round(v, 5) for rule, v in of.items()} for name, of in table.items()}
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if args.headroom:
        record["headroom"] = record.get("headroom", {}) | kept
        RESULTS.write_text(json.dumps(record, indent=1))
        return
    found = left_out(table)
    record |= {"ndcg@20": kept, "left out": found}
    RESULTS.write_text(json.dumps(record, indent=1))
    for name, result in found.items():
        if name != "all":
            print(f"{name:28s} {result['share']:.4f}  {result['rule']:42s} best: {result['best']}")
    for rule, (mean, least) in list(found["all"].items())[:30]:
        print(f"{mean:.4f} {least:.4f} {rule}")


if __name__ == "__main__":
    main()
