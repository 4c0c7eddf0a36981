"""What a classifier's `fit` goes on from with `warm_start`: a copy of the fit before."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from sklsh._utils.validation import check_hidden_layer_sizes
from sklsh.network.learner import Learner


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
    # The fit may fail, and leaves the estimator as it was.
    learner = estimator.learner_
    return replace(
        learner, network=deepcopy(learner.network), optimizer=deepcopy(learner.optimizer)
    )
