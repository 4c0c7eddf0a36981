"""Scorers for model selection: a metric of ranked labels applied to an estimator's answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from sklearn.utils.metadata_routing import MetadataRequest

from sklsh._utils.containers import check_column_names, label_lists, plain
from sklsh._utils.validation import check_int
from sklsh.metrics._hits import named_indicator, places_of


class TopKScorer:
    """Callable ``(estimator, X, y) -> float``; see `make_topk_scorer`."""

    _weight_request: bool | str | None = None

    def __init__(self, metric: Callable[..., float], k: int, params: dict):
        self.metric = metric
        self.k = k
        self.params = params

    def __call__(self, estimator, X, y, sample_weight=None) -> float:
        params = dict(self.params)
        if sample_weight is not None:
            params["sample_weight"] = sample_weight
        last = estimator.steps[-1][1] if is_pipeline(estimator) else estimator
        lists, names = label_lists(y), getattr(last, "label_names_", None)
        check_column_names(y, names)
        if lists is not None and names is not None:
            y = named_indicator(lists, names)
            if not np.any(y.indices == len(names)):
                y = y[:, : len(names)]  # nothing beside them, so that weights by label fit
        y = plain(y, "y")
        multilabel = sp.issparse(y) or np.ndim(y) == 2
        ranking = ranked_or_scored(estimator, X, self.k, multilabel)
        if not multilabel:
            y, n_labels = class_columns(estimator.classes_, y)
            if ranking.dtype.kind == "f" and ranking.shape[1] < n_labels:
                ranking = np.pad(ranking, ((0, 0), (0, 1)), constant_values=-np.inf)
        return self.metric(y, ranking, k=self.k, **params)

    def set_score_request(self, *, sample_weight: bool | str | None) -> TopKScorer:
        """Say, for scikit-learn's metadata routing, whether weights are to be sent here.

        Parameters
        ----------
        sample_weight : bool, str or None
            Yes or no, or the name they come by; None: they are an error.

        Returns
        -------
        self
        """
        self._weight_request = sample_weight
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """What `set_score_request` has asked for, as scikit-learn reads it."""
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_weight", alias=self._weight_request)
        return request

    def __repr__(self) -> str:
        params = "".join(f", {name}={value!r}" for name, value in self.params.items())
        return f"make_topk_scorer({self.metric.__name__}, k={self.k}{params})"


def make_topk_scorer(metric, k=5, **params) -> TopKScorer:
    """A scorer for ``GridSearchCV(scoring=...)`` and ``cross_val_score``.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_score, k=..., **params)``, as those of `sklsh.metrics`; greater
        is better.
    k : int, default=5
        Labels of each row that are looked at.
    **params
        For the metric, such as `inverse_propensities`.

    Returns
    -------
    scorer : callable ``(estimator, X, y, sample_weight=None) -> float``
        Calls the estimator's ``predict_topk`` where it has one (also that of a pipeline's
        last step), so that no n_samples x n_labels array is made; otherwise
        ``decision_function`` or ``predict_proba``. It can be pickled. With scikit-learn's
        metadata routing, ``scorer.set_score_request(sample_weight=True)`` has weights sent to it.

    Raises
    ------
    TypeError
        `metric` is not callable; at the call, an estimator with none of the three methods.
    ValueError
        ``k < 1``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklsh.metrics import make_topk_scorer, recall_at_k
    >>> X, y = load_digits(return_X_y=True)
    >>> scorer = make_topk_scorer(recall_at_k, k=3)
    >>> bool(cross_val_score(RidgeClassifier(), X, y, scoring=scorer).mean() > 0.95)
    True
    """
    if not callable(metric):
        raise TypeError(f"metric must be callable, got {metric!r}")
    return TopKScorer(metric, check_int(k, "k", 1), params)


def is_pipeline(estimator) -> bool:
    """Whether it is scikit-learn's `Pipeline`, which loads slowly: not before it is needed."""
    from sklearn.pipeline import Pipeline

    return isinstance(estimator, Pipeline)


def ranked_or_scored(estimator, X, k: int, multilabel: bool) -> np.ndarray:
    """Ranked label columns, or scores by column, of any classifier."""
    if is_pipeline(estimator) and hasattr(estimator.steps[-1][1], "predict_topk"):
        if len(estimator.steps) > 1:  # an empty pipeline transforms nothing, and says so
            X = estimator[:-1].transform(X)
        estimator = estimator.steps[-1][1]
    if hasattr(estimator, "predict_topk"):
        labels, _ = estimator.predict_topk(X, k=k)
        names = getattr(estimator, "label_names_", None)
        if multilabel:
            return labels if names is None else places_of(names, labels)
        return ranked_classes(estimator.classes_, labels)
    for method in ("decision_function", "predict_proba"):
        if hasattr(estimator, method):
            scores = getattr(estimator, method)(X)
            break
    else:
        raise TypeError(
            "a top-k scorer needs an estimator with predict_topk, decision_function or "
            f"predict_proba, got {type(estimator).__name__}"
        )
    if isinstance(scores, list):  # scikit-learn's multi-output form: one array a label
        scores = np.column_stack(
            [chance_of_1(a, classes) for a, classes in zip(scores, estimator.classes_)]
        )
    scores = scores if sp.issparse(scores) else np.asarray(scores, dtype=np.float64)
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def ranked_classes(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Columns of classes as `predict_topk` ranks them, -1 where padded."""
    if labels.dtype.kind in "iu" and classes.dtype.kind not in "iuf":
        return labels
    # Integer classes and text come as themselves: back to their columns. Places of the padding
    # are at the end, beyond the last class.
    columns, _ = class_columns(classes, labels)
    columns[:, len(classes) :] = -1
    return columns


def chance_of_1(chances: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of one label's chances by class: that of 1, which training rows may not have had."""
    return chances[:, np.asarray(classes) == 1].sum(axis=1)


def class_columns(classes: np.ndarray, y) -> tuple[np.ndarray, int]:
    """Positions of `y` in sorted `classes`, unknown ones as one more; number of columns."""
    y = np.asarray(y)
    columns = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    known = classes[columns] == y
    n_labels = len(classes) + (0 if known.all() else 1)
    return np.where(known, columns, len(classes)), n_labels


def named_scorer(name: str, metric, k: int) -> TopKScorer:
    """A ready-made scorer, with its own docstring for ``help``."""
    scorer = TopKScorer(metric, k, {})
    scorer.__doc__ = f"``make_topk_scorer({metric.__name__}, k={k})``, as `{name}`."
    return scorer
