"""What a classifier's `fit` starts from with `warm_start`: a copy of the fit before."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np

from sklsh._utils.validation import check_hidden_layer_sizes
from sklsh.estimators.targets import Targets
from sklsh.network.growth import with_labels
from sklsh.network.learner import Learner


def warm_targets(estimator, y, classes=None) -> Targets | None:
    """The classes of before and, with ``new_classes="grow"``, those of `y` and `classes`.

    None where `estimator` is not to go on with what it has.
    """
    if not hasattr(estimator, "learner_") or estimator.new_classes != "grow":
        return None
    return estimator.targets_.joined(y, classes)


def widened(learner: Learner, before: Targets, targets: Targets) -> Learner:
    """The learner with a neuron for each class of `targets`, those of before where they were."""
    n_labels = targets.classes.shape[0]
    if n_labels == before.classes.shape[0]:
        return learner
    had = before.classes.astype(targets.classes.dtype)
    return with_labels(learner, n_labels, np.searchsorted(targets.classes, had))


def warm_learner(estimator, X, targets, had_names) -> Learner | None:
    """A copy of the learner of the fit before, if `estimator` is to go on with it.

    With ``new_classes="grow"``, `targets` have those of before and maybe others. `had_names` are
    the names of the features of the fit before, or None.

    Raises
    ------
    ValueError
        It has other features, classes or layers.
    """
    if not (estimator.warm_start and hasattr(estimator, "learner_")):
        return None
    has_names = getattr(estimator, "feature_names_in_", None)
    if had_names is not None and has_names is not None and list(had_names) != list(has_names):
        raise ValueError(
            "warm_start needs the features of the fit before, in their order: "
            f"{list(map(str, had_names[:5]))}, got {list(map(str, has_names[:5]))}"
        )
    network, before = estimator.learner_.network, estimator.targets_
    sizes = tuple(weights.shape[1] for weights in network.body_weights)
    # Members stand side by side, see `sklsh.network.members`.
    widths = check_hidden_layer_sizes(estimator.hidden_layer_sizes) or ()
    wanted = tuple(estimator.n_estimators * width for width in widths) or sizes
    if (sizes, network.activation) != (wanted, estimator.activation):
        raise ValueError(
            "warm_start needs the hidden_layer_sizes (times n_estimators) and activation of the "
            f"fit before: {sizes} and {network.activation!r}, "
            f"got {wanted} and {estimator.activation!r}"
        )
    learner = estimator.learner_
    if estimator.new_classes == "grow":
        learner, before = widened(learner, before, targets), targets
    had, has = (
        (n_features, of.classes.tolist(), of.multilabel, np.asarray(of.label_names).tolist())
        for n_features, of in ((network.n_features, before), (X.shape[1], targets))
    )
    if had != has:
        raise ValueError(
            "warm_start needs the features and classes of the fit before: "
            f"{had[0]} features and {len(had[1])} classes, got {has[0]} and {len(has[1])}"
            + ("" if had[0] != has[0] or len(had[1]) != len(has[1]) else " others")
        )
    # The fit may fail, and leaves the estimator as it was.
    return replace(
        learner, network=deepcopy(learner.network), optimizer=deepcopy(learner.optimizer)
    )
