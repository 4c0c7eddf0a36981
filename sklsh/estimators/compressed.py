"""`CompressedClassifier`: a trained classifier to carry, an eighth of its size."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.threads import effective_n_threads
from sklsh.estimators.classifier_prediction import ClassifierPrediction
from sklsh.network.compressed import CompressedLearner, CompressedNetwork

COPIED = ("targets_", "threshold_", "n_features_in_", "feature_names_in_")


class CompressedClassifier(ClassifierPrediction, ClassifierMixin, BaseEstimator):
    """What `SparseLSHMLPClassifier.compress` returns: predicts, and is not to be trained.

    The head is there as codes that are scored (`sklsh.hashing.codes`), the body as codes or
    narrow numbers; scores are estimates of the float model's.

    Parameters
    ----------
    n_jobs : int, default=None
        Threads, as of `SparseLSHMLPClassifier`.

    Attributes
    ----------
    classes_, threshold_, n_features_in_, feature_names_in_, memory_, neighbor_weight_
        As of the float model.
    linear_, linear_weight_
        What is kept of the linear view.
    network_ : sklsh.network.compressed.CompressedNetwork
    """

    def __init__(self, *, n_jobs=None):
        self.n_jobs = n_jobs

    @classmethod
    def of(
        cls, model, bytes_per_label=128, body="codes", neighbors=True, linear=True
    ) -> CompressedClassifier:
        """See `SparseLSHMLPClassifier.compress`."""
        check_is_fitted(model)
        for name, value in ("neighbors", neighbors), ("linear", linear):
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {value!r}")
        compressed = cls(n_jobs=model.n_jobs)
        n_threads = effective_n_threads(model.n_jobs)
        # A stream, or a model of an earlier version, knows no mean.
        mean = getattr(model.learner_, "hidden_mean", None)
        wide = model.learner_.ranking_network()
        network = CompressedNetwork.of(wide, bytes_per_label, body, mean, n_threads)
        memory = model.memory_ if neighbors else None
        view = model.linear_.pruned() if linear and model.linear_ else None
        float_learner = model.learner_
        # If one is left out, fewer labels are named than what the float model was found to need.
        all_there = memory is model.memory_ and (view is None) == (model.linear_ is None)
        learner = CompressedLearner(
            network, memory, view, float_learner.temperature, float_learner.chances,
            float_learner.named_only and all_there,
        )  # fmt: skip
        compressed.learner_ = learner  # type: ignore[assignment]
        for name in COPIED:
            if hasattr(model, name):
                setattr(compressed, name, getattr(model, name))
        return compressed

    @property
    def classes_(self):  # type: ignore[override]
        """Class labels."""
        return self.targets_.classes

    def fit(self, X, y):
        """Not to be called.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("a compressed model cannot be trained: fit the float model and compress it")

    def compress(self, *args, **kwargs):
        """Not to be called.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError("a compressed model cannot be compressed again: compress the float model")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags
