"""Where ``"auto"`` is decided: settings that follow from the size of the problem, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from sklsh._utils.validation import is_auto
from sklsh.hashing import HashFamily, find_family
from sklsh.hashing.projection import auto_sketch_dim

MAX_BATCH_SIZE = 512
"""An automatic batch has the square root of the number of rows, up to this."""

LEARNING_RATE = 0.03
"""For batches of 128; it grows with the square root of the batch."""

STREAM_ROWS = 1 << 14
"""A stream's parts are trained on as if they were of a data set of so many rows."""

MIN_STEPS, MIN_STEPS_ALONE = 400, 600
"""Small data sees about as many steps as this, in more epochs than the usual 3; the second
without k-NN scores."""

FAST_EPOCHS = 2
"""Least epochs of ``effort="fast"``, in place of 3; small data sees two thirds of the steps."""

N_TREES = 3
"""Label trees of different splits, whose shares are averaged: some .6 points of P@1 above one.
``effort="fast"`` has one."""

WIDTHS, WIDE_LABELS = (512, 256), 1 << 17
"""Hidden units up to so many labels and beyond, where the head is most of a model's memory. 512
gain .2, .1 and .1 points of P@1, P@3 and P@5 over 256 (nine data sets), for half the time more."""

DENSE_FACTOR = 2
"""Dense rows train at so many times the rate, for so many times the epochs: each step has every
feature, so that Adagrad's steps shrink faster."""

DENSE_LABELS = 1_024
"""Heads up to this wide are computed whole: sampling would save nothing."""

UNIFORM_LABELS = 1 << 13
"""Up to this many labels a batch's own and some uniform ones are negatives enough."""

BUCKET = 256
"""Neurons that an automatic hash length leaves in a bucket, on average."""

MIN_VALIDATION = 50
"""Fewer held-out rows than this decide little: none are held out unless they are asked for."""

MAX_VALIDATION = 1_000
"""Rows that are held out automatically, at most."""


@dataclass(frozen=True)
class Settings:
    """A training run's settings, resolved: names and meanings are `SparseLSHMLPClassifier`'s.

    Only `n_neighbors` may still be "auto": it is fitted when training is done. `n_trees`: of the
    linear view, 0 where there is none.
    """

    hidden_layer_sizes: tuple[int, ...]
    activation: str
    sampler: str
    n_active: int
    family: str | HashFamily
    fold: str
    n_tables: int
    hash_length: int
    sketch_dim: int | None
    rehash_interval: int
    n_neighbors: int | str
    n_trees: int
    n_estimators: int
    prediction: str
    dropout: float
    alpha: float
    batch_size: int
    learning_rate_init: float
    max_iter: int
    tol: float
    n_iter_no_change: int
    early_stopping: bool
    shuffle: bool | str
    n_validation: int

    @classmethod
    def resolve(
        cls, params: Mapping, n_samples: int, n_labels: int, dense: bool = False,
        max_validation: int = MAX_VALIDATION, least_validation: int = 0,
    ) -> Settings:  # fmt: skip
        """Replace each ``"auto"`` among an estimator's parameters by what suits the problem.

        `dense`: whether rows are, see `SparseRows.is_dense`. `max_validation`: rows held out
        automatically, at most. `least_validation`: at least, but of a quarter of the rows.
        """

        def given(name, automatic):
            value = params[name]
            return automatic if is_auto(value) else value

        find_family(params["family"])
        fast = params.get("effort") == "fast"  # a parameter of the classifier's alone
        widths = given("hidden_layer_sizes", auto_width(n_labels, fast))
        widths = tuple(np.atleast_1d(widths).tolist())
        n_validation = _n_validation(params, n_samples, max_validation, least_validation)
        n_train = n_samples - n_validation
        batch_size = min(n_train, given("batch_size", min(MAX_BATCH_SIZE, math.isqrt(n_train))))
        n_steps = math.ceil(n_train / batch_size)
        sampler = given("sampler", _sampler(n_labels))
        # Neighbours already tell apart what is alike, and a dense head sees every negative.
        alone = params["n_neighbors"] == 0
        alike = "lsh" if alone and sampler != "all" else True
        min_steps = MIN_STEPS_ALONE if alone else MIN_STEPS
        factor = DENSE_FACTOR if dense else 1
        epochs, n_trees = 3, N_TREES
        if fast:
            min_steps, epochs, n_trees = min_steps * FAST_EPOCHS // epochs, FAST_EPOCHS, 1
        resolved = {
            "hidden_layer_sizes": widths,
            "sampler": sampler,
            "n_active": min(n_labels, given("n_active", 256)),
            "hash_length": given("hash_length", _hash_length(params, widths[-1], n_labels)),
            "rehash_interval": given("rehash_interval", max(100, n_labels // 2_000)),
            "shuffle": given("shuffle", alike),
            "dropout": given("dropout", 0.1),
            "batch_size": batch_size,
            "learning_rate_init": given(
                "learning_rate_init", factor * LEARNING_RATE * math.sqrt(batch_size / 128)
            ),
            # Others than the classifier have no such parameter, and no linear view.
            "n_trees": n_trees if "linear" in params and given("linear", n_validation > 0) else 0,
            "n_estimators": params.get("n_estimators", 1),
            "max_iter": given("max_iter", factor * max(epochs, math.ceil(min_steps / n_steps))),
            "n_validation": n_validation,
        }
        as_given = {f.name: params[f.name] for f in fields(cls) if f.name not in resolved}
        return cls(**resolved, **as_given)


def _n_validation(params: Mapping, n_samples: int, most: int, least: int) -> int:
    """Rows held out: what was asked for, one at least; else a tenth, if that tells anything."""
    fraction = params["validation_fraction"]
    automatic = isinstance(fraction, str)
    count = int((min(0.1, most / max(1, n_samples)) if automatic else fraction) * n_samples)
    if automatic and not params["early_stopping"]:
        return max(count, min(least, n_samples // 4)) if count >= MIN_VALIDATION else 0
    return min(max(1, count), n_samples - 1)


def auto_width(n_labels: int, fast: bool = False) -> int:
    """Units of the hidden layer if none are asked for."""
    return WIDTHS[fast or n_labels > WIDE_LABELS]


def _sampler(n_labels: int) -> str:
    if n_labels <= DENSE_LABELS:
        return "all"
    return "uniform" if n_labels <= UNIFORM_LABELS else "random"


def _hash_length(params: Mapping, width: int, n_labels: int) -> int:
    """Bits that leave `BUCKET` neurons a bucket, in the units of the family."""
    bits = float(np.clip(np.log2(n_labels / BUCKET), 4, 20))
    sketch_dim = params["sketch_dim"] or auto_sketch_dim(width)
    return find_family(params["family"]).auto_hash_length(bits, params["fold"], sketch_dim)
