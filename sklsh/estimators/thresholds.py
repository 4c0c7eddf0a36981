"""From which probability a label is worth naming: thresholds by how frequent labels are."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.containers import check_column_names, label_lists, plain
from sklsh._utils.validation import check_int
from sklsh.metrics._hits import named_indicator, ranked_hits, relevant_labels
from sklsh.network.calibration import N_RIVALS


def tune_thresholds(estimator, X, y, *, frequencies=None, n_groups=4) -> np.ndarray:
    """Thresholds for `predict` with the best F1, of labels that are about as frequent together.

    Labels of which there is much to learn from are likely where they are right, rare ones less
    so: one threshold for all names the rare ones hardly ever.

    Parameters
    ----------
    estimator : SparseLSHMLPClassifier, CompressedClassifier or FederatedLSHClassifier
        Fitted on a multilabel y.
    X : array-like or sparse matrix (n_samples, n_features)
        Rows that it has not been trained on: a thousand or more tell groups apart.
    y : indicator (n_samples, n_labels) or lists of labels
        In any container that `fit` takes.
    frequencies : array-like (n_labels,), default=None
        Rows that each label had in training, as ``Y_train.sum(axis=0)`` has them. (Those of
        `y` would not do: a label that happens to have none there looks as if it was always
        named in vain.) None: one threshold for all labels.
    n_groups : int, default=4
        Groups of labels that are as frequent, with about as many entries each.

    Returns
    -------
    ndarray (n_labels,), float32
        Probability of each label from which ``predict(X, thresholds=...)`` names it: of its
        group the one with the best F1 of all decisions in the group; 1 where nothing was right.

    Raises
    ------
    ValueError
        A model of classes; another number of rows, of columns or of `frequencies`, or
        negative ones; `n_groups` below 1.

    Notes
    -----
    What `predict_topk_proba` costs for 50 labels a row, and sorting these. On two sets the mean
    label's F1 was .205 and .193 with four groups, where one threshold for all had .187 and .159;
    that of all decisions was .31 and .39, not .33 and .41: groups are for whom rare labels
    count as much as frequent ones. Where costs are known, nothing needs tuning: name a label from
    ``c / (c + m)``, if naming it wrongly costs c and missing it m (Elkan, "The foundations of
    cost-sensitive learning", IJCAI 2001).

    Examples
    --------
    >>> from sklsh import SparseLSHMLPClassifier
    >>> from sklsh.datasets import make_extreme_classification
    >>> from sklsh.model_selection import tune_thresholds
    >>> X, Y = make_extreme_classification(1000, 500, 100, random_state=0)
    >>> model = SparseLSHMLPClassifier((16,), random_state=0).fit(X[:700], Y[:700])
    >>> frequencies = Y[:700].sum(axis=0)
    >>> thresholds = tune_thresholds(model, X[700:], Y[700:], frequencies=frequencies)
    >>> thresholds.shape
    (100,)
    >>> model.predict(X[700:], thresholds=thresholds).shape
    (300, 100)
    """
    n_groups = check_int(n_groups, "n_groups", 1)
    check_is_fitted(estimator)
    model = getattr(estimator, "estimator_", estimator)
    if not model.targets_.multilabel:
        raise ValueError("estimator must be fitted on a multilabel y: a class has no threshold")
    n_labels = model.classes_.shape[0]
    Y = _indicator(y, model.label_names_, n_labels)
    labels, probabilities = model.predict_topk_proba(X, min(N_RIVALS, n_labels))
    if labels.shape[0] != Y.shape[0]:
        raise ValueError(f"X and y must have as many rows, got {labels.shape[0]} and {Y.shape[0]}")
    columns = model.targets_.columns(labels)
    if frequencies is None:
        groups, n_groups = np.zeros(n_labels, dtype=int), 1
    else:
        groups = _groups(_check_frequencies(frequencies, n_labels), n_groups)
    n_true = np.bincount(groups, np.bincount(Y.indices, minlength=n_labels), n_groups)
    _, _, right = ranked_hits(Y, columns, columns.shape[1])
    known = columns >= 0
    columns, probabilities, right = columns[known], probabilities[known], right[known]
    best = np.ones(n_groups, dtype=np.float32)
    for group in range(n_groups):
        of = groups[columns] == group
        best[group] = _best_threshold(probabilities[of], right[of], n_true[group])
    return best[groups]


def _indicator(y, names, n_labels: int):
    """CSR of the labels that the model has."""
    lists = label_lists(y)
    if lists is not None and names is not None:
        return named_indicator(lists, names)[:, :n_labels]  # the last column: names it has not
    check_column_names(y, names)
    Y = relevant_labels(plain(y, "y"), "y")
    if Y.shape[1] != n_labels:
        raise ValueError(f"y must have the model's {n_labels} columns, got {Y.shape[1]}")
    return Y


def _check_frequencies(frequencies, n_labels: int) -> np.ndarray:
    given = np.asarray(plain(frequencies, "frequencies")).ravel()  # sums of a matrix are a row
    if given.dtype.kind not in "biuf" or given.shape != (n_labels,):
        raise ValueError(
            f"frequencies must be {n_labels} numbers, one for each label, "
            f"got {given.dtype} of shape {given.shape}"
        )
    wrong = given[~((given >= 0) & (given < np.inf))]
    if wrong.size:
        raise ValueError(f"frequencies must be finite and at least 0, got {wrong[0]}")
    return given


def _groups(frequencies: np.ndarray, n_groups: int) -> np.ndarray:
    """Group of each label, 0 the rarest; labels of one frequency are never apart."""
    _, group_of = np.unique(frequencies, return_inverse=True)
    entries = np.cumsum(np.bincount(group_of, frequencies))
    share = (entries - np.diff(entries, prepend=0) / 2) / max(1, entries[-1])
    return np.minimum((share * n_groups).astype(int), n_groups - 1)[group_of]


def _best_threshold(probabilities, right, n_true: float) -> float:
    """That of the best F1 = 2 right / (named + true); 1 if none is right.

    Labels that are as likely are named together.
    """
    order = np.argsort(-probabilities, kind="stable")
    probabilities, n_right = probabilities[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(probabilities[1:] != probabilities[:-1], True))
    if not n_right.size or not n_right[-1]:
        return 1.0
    f1 = 2 * n_right[last] / (last + 1 + n_true)
    return float(probabilities[last[int(np.argmax(f1))]])


def check_thresholds(thresholds, n_labels: int) -> np.ndarray:
    """A probability for each label, (n_labels,) float32.

    Raises
    ------
    ValueError
        Neither a number nor as many as labels; outside [0, 1].
    """
    given = np.asarray(plain(thresholds, "thresholds"))
    if given.dtype.kind not in "iuf" or given.shape not in ((), (n_labels,)):
        raise ValueError(
            f"thresholds must be a number or one for each of the {n_labels} labels, "
            f"got {given.dtype} of shape {given.shape}"
        )
    wrong = given[~((given >= 0) & (given <= 1))]
    if wrong.size:
        raise ValueError(f"thresholds must be in [0, 1], got {wrong.flat[0]}")
    return np.broadcast_to(given.astype(np.float32), (n_labels,))
