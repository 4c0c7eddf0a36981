"""What a classifier's `fit` starts from: a fit before (`warm_start`), or one that was killed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from numbers import Integral
from pathlib import Path

from sklsh._archive import fingerprint
from sklsh._validation import check_hidden_layer_sizes
from sklsh.network.checkpoints import FitCheckpoint
from sklsh.network.learner import Learner

SPEED_ONLY = {"n_jobs", "verbose", "checkpoint_dir", "checkpoint_interval"}
"""Parameters that may change between a kill and going on."""


def warm_learner(estimator, X, targets) -> Learner | None:
    """A copy of the learner of the fit before, if `estimator` is to go on with it.

    Raises
    ------
    ValueError
        It has other features, classes or layers.
    """
    if not (estimator.warm_start and hasattr(estimator, "learner_")):
        return None
    network, before = estimator.learner_.network, estimator.targets_
    sizes = tuple(weights.shape[1] for weights in network.body_weights)
    wanted = check_hidden_layer_sizes(estimator.hidden_layer_sizes)
    if (sizes, network.activation) != (wanted, estimator.activation):
        raise ValueError(
            "warm_start needs the hidden_layer_sizes and activation of the fit before: "
            f"{sizes} and {network.activation!r}, got {wanted} and {estimator.activation!r}"
        )
    had = (network.n_features, before.classes.tolist(), before.multilabel)
    has = (X.shape[1], targets.classes.tolist(), targets.multilabel)
    if had != has:
        raise ValueError(
            "warm_start needs the features and classes of the fit before: "
            f"{had[0]} features and {len(had[1])} classes, got {has[0]} and {len(has[1])}"
            + ("" if had[0] != has[0] or len(had[1]) != len(has[1]) else " others")
        )
    before = estimator.learner_
    # The fit may fail, and leaves the estimator as it was.
    return replace(before, network=deepcopy(before.network), optimizer=deepcopy(before.optimizer))


def checkpoint_of(estimator, rows, Y, weights, learner) -> FitCheckpoint | None:
    """Where a fit is kept, with all that its result follows from; None if it is not."""
    if estimator.checkpoint_dir is None:
        return None
    params = {
        name: repr(value)
        for name, value in estimator.get_params().items()
        if name not in SPEED_ONLY
    }
    if not isinstance(estimator.random_state, Integral):
        del params["random_state"]  # the seed that was drawn is in the checkpoint
    arrays = [*rows, *Y, *([] if weights is None else [weights])]
    if learner is not None:
        arrays += learner.network.parameters()
    folder, interval = Path(estimator.checkpoint_dir), estimator.checkpoint_interval
    return FitCheckpoint(folder, fingerprint(params, arrays), interval)
