"""Metrics of ranked labels: precision, recall, nDCG and propensity-scored precision at k.

Y stays sparse. The second argument of every metric is either

- the ranked label columns of each row, a 2-d *integer* array, best first, padded with -1 (as
  `SparseLSHMLPClassifier.predict_topk` returns them for a multilabel y), or
- scores by label, a 2-d *float* array or a sparse matrix (of which stored entries are
  ranked).

Averages run over all rows. A row without relevant labels counts as 0, as in the extreme
classification repository's evaluation code, and so does every place that a ranking leaves
empty.

References
----------
K. Bhatia et al. "The extreme classification repository: Multi-label datasets and code",
2016. H. Jain, Y. Prabhu, M. Varma. "Extreme multi-label loss functions for recommendation,
tagging, ranking and other missing label applications", KDD 2016.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import label_lists, plain
from sklsh._utils.numbers import check_number
from sklsh._utils.validation import check_int
from sklsh.metrics._calibration import expected_calibration_error
from sklsh.metrics._comparison import compare_at_k
from sklsh.metrics._hits import mean_of_rows, ranked_hits, relevant_labels, row_weights
from sklsh.metrics._names import in_one_order, indicator_by_name, names_of
from sklsh.metrics._recommendation import coverage_at_k, hit_rate_at_k, mrr_at_k, novelty_at_k
from sklsh.metrics._rows import ndcg_of_rows, precision_of_rows, recall_of_rows
from sklsh.metrics._scorers import make_topk_scorer, named_scorer

__all__ = [
    "precision_at_k",
    "recall_at_k",
    "ndcg_at_k",
    "psp_at_k",
    "inverse_propensity",
    "hit_rate_at_k",
    "mrr_at_k",
    "coverage_at_k",
    "novelty_at_k",
    "compare_at_k",
    "expected_calibration_error",
    "make_topk_scorer",
    "precision_at_1_scorer",
    "precision_at_5_scorer",
    "ndcg_at_5_scorer",
    "recall_at_5_scorer",
]


def precision_at_k(y_true, y_score, k=5, *, sample_weight=None) -> float:
    """Mean share of relevant labels among the `k` best-ranked ones.

    Parameters
    ----------
    y_true : indicator (n_samples, n_labels), dense or sparse, or integers (n_samples,)
        Relevant labels; 1-d: the one right label column of each row.
    y_score : integer array (n_samples, n_ranked), or float (n_samples, n_labels), or sparse
        Ranked label columns, best first, -1 for none; or scores. See the module.
    k : int, default=5
    sample_weight : array-like (n_samples,), default=None
        Weights of the mean.

    Returns
    -------
    float in [0, 1]
        A row's share is divided by `k`, also where it has fewer relevant labels.

    Raises
    ------
    ValueError, TypeError
        Shapes that do not fit, NaN scores, labels out of range or named twice in a row,
        fewer than `k` ranked labels, ``k < 1``, no rows, weights that are negative or 0
        altogether.

    Notes
    -----
    O(nnz + n_samples k log nnz) for ranked labels; scores are ranked first.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import precision_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> precision_at_k(y_true, np.array([[0, 2], [3, 1]]), k=2)
    0.5
    """
    k = check_int(k, "k", 1)
    Y, _, hits = ranked_hits(y_true, y_score, k)
    return mean_of_rows(precision_of_rows(hits, np.diff(Y.indptr), k), sample_weight)


def recall_at_k(y_true, y_score, k=5, *, sample_weight=None) -> float:
    """Mean share of a row's relevant labels that are among its `k` best-ranked ones.

    Parameters, errors and cost as of `precision_at_k`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import recall_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> recall_at_k(y_true, np.array([[0, 2], [3, 1]]), k=2)
    0.75
    """
    k = check_int(k, "k", 1)
    Y, _, hits = ranked_hits(y_true, y_score, k)
    return mean_of_rows(recall_of_rows(hits, np.diff(Y.indptr), k), sample_weight)


def ndcg_at_k(y_true, y_score, k=5, *, sample_weight=None) -> float:
    """Mean normalised discounted cumulative gain of the `k` best-ranked labels.

    A hit at place r (from 1) gains ``1 / log2(r + 1)``; a row's sum is divided by that of a
    ranking which begins with its relevant labels. Parameters, errors and cost as of
    `precision_at_k`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import ndcg_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> round(ndcg_at_k(y_true, np.array([[0, 2], [3, 1]]), k=2), 4)
    0.8066
    """
    k = check_int(k, "k", 1)
    Y, _, hits = ranked_hits(y_true, y_score, k)
    return mean_of_rows(ndcg_of_rows(hits, np.diff(Y.indptr), k), sample_weight)


def inverse_propensity(y_train, A=0.55, B=1.5, *, n_labels=None) -> np.ndarray:
    """Inverse propensities of labels, by Jain, Prabhu and Varma (2016, section 4).

    The propensity of a label is the modelled chance that it is recorded where it is
    relevant; rare labels go unrecorded more often, so their hits should weigh more:
    ``1 / p_j = 1 + C exp(-A log(N_j + B))`` with ``C = (log N - 1) (B + 1)^A``, N_j the
    label's training rows and N all of them.

    Parameters
    ----------
    y_train : indicator (n_samples, n_labels), dense or sparse, or integers (n_samples,)
        Labels of the *training* rows; or lists of names, or classes that are text.
    A, B : float, default=0.55, 1.5
        Shape of the model. The repository uses (0.5, 0.4) for Wikipedia-LSHTC, (0.6, 2.6)
        for Amazon data and the defaults elsewhere.
    n_labels : int, default=None
        For 1-d `y_train`: number of labels. None: the largest and one.

    Returns
    -------
    ndarray (n_labels,) of float64
        At least 1; a label without rows has the largest. By column; of names in lists, and of
        text, in ascending order.

    Raises
    ------
    ValueError, TypeError
        Fewer than 3 rows (the formula would turn over), A or B negative or no number.

    Notes
    -----
    O(nnz + n_labels).
    """
    if n_labels is not None:
        n_labels = check_int(n_labels, "n_labels", 1)
    names = names_of(y_train, "y_train")
    Y = (
        relevant_labels(y_train, "y_train", n_labels)
        if names is None
        else indicator_by_name(y_train, names, "y_train")
    )
    if n_labels not in (None, Y.shape[1]):
        raise ValueError(f"n_labels must be y_train's {Y.shape[1]} columns, got {n_labels}")
    return jain_weights(np.bincount(Y.indices, minlength=Y.shape[1]), Y.shape[0], A, B)


def jain_weights(counts: np.ndarray, n_samples: int, A=0.55, B=1.5) -> np.ndarray:
    """`inverse_propensity`, of each label's training rows and their number altogether."""
    A, B = check_number(A, "A", 0), check_number(B, "B", 0)
    if n_samples < 3:
        raise ValueError(f"y_train must have at least 3 rows, got {n_samples}")
    C = (np.log(n_samples) - 1) * (B + 1) ** A
    with np.errstate(divide="ignore"):  # B = 0 and no row: infinitely rare
        return 1 + C * np.exp(-A * np.log(counts + B))


def psp_at_k(
    y_true,
    y_score,
    k=5,
    *,
    inverse_propensities=None,
    y_train=None,
    A=0.55,
    B=1.5,
    sample_weight=None,
) -> float:
    """Propensity-scored precision at `k`, as a share of the best attainable.

    ``sum_i sum_(hits of i) 1/p_j`` over ``sum_i sum_(i's k rarest relevant labels) 1/p_j``:
    the normalised form that the extreme classification repository reports.

    Parameters
    ----------
    y_true, y_score, k
        As of `precision_at_k`.
    inverse_propensities : array-like (n_labels,), default=None
        ``1 / p_j``, as of `inverse_propensity`.
    y_train : indicator, lists of names or classes, default=None
        In their stead: labels of the training rows, held against `y_true` by name where both
        have names. One of the two must be given.
    A, B : float, default=0.55, 1.5
        Of `inverse_propensity`, which `y_train` is given to.
    sample_weight
        As of `precision_at_k`.

    Returns
    -------
    float in [0, 1]
        0 if no row has a relevant label.

    Raises
    ------
    ValueError, TypeError
        As `precision_at_k` and `inverse_propensity`; both or none of
        `inverse_propensities` and `y_train`; weights of another length than n_labels, or
        not positive and finite.

    Notes
    -----
    O(nnz log nnz).
    """
    k = check_int(k, "k", 1)
    if (inverse_propensities is None) == (y_train is None):
        raise ValueError(
            "one of inverse_propensities and y_train must be given, got "
            + ("none" if y_train is None else "both")
        )
    one_d = False
    if y_train is not None:
        y_train, y_true, y_score = in_one_order(y_train, y_true, y_score)
    elif label_lists(y_true) is not None:
        raise ValueError(
            "inverse_propensities are by column, which lists of labels have none of: give y_train"
        )
    if y_train is not None:
        y_train = plain(y_train, "y_train")
        y_train = y_train if sp.issparse(y_train) else np.asarray(y_train)
        one_d = y_train.ndim == 1
        inverse_propensities = inverse_propensity(y_train, A, B)
    worth = np.asarray(inverse_propensities, dtype=np.float64)
    # Weights say how many labels there are; the largest class of a 1-d y_train does not.
    n_labels = worth.shape[0] if worth.ndim == 1 and not one_d else None
    Y, ranked, hits = ranked_hits(y_true, y_score, k, n_labels)
    if one_d:
        if worth.shape[0] < Y.shape[1]:
            worth = inverse_propensity(y_train, A, B, n_labels=Y.shape[1])
        worth = worth[: Y.shape[1]]
    if worth.shape != (Y.shape[1],):
        what = "y_train's columns" if y_train is not None else "inverse_propensities"
        raise ValueError(f"{what} must be {Y.shape[1]}, one a label, got shape {worth.shape}")
    if not ((worth > 0) & (worth < np.inf)).all():
        raise ValueError(
            f"inverse_propensities must be positive and finite, got {worth.min()} to {worth.max()}"
        )
    weights = row_weights(sample_weight, Y.shape[0])
    gained = np.where(hits, worth[ranked], 0.0).sum(axis=1)
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    values = worth[Y.indices]
    order = np.lexsort((-values, rows))
    best = np.arange(Y.nnz) - Y.indptr[rows] < k
    attainable = np.bincount(rows[best], values[order[best]], minlength=Y.shape[0])
    total = float(weights @ attainable)
    return float(weights @ gained) / total if total > 0 else 0.0


precision_at_1_scorer = named_scorer("precision_at_1_scorer", precision_at_k, 1)
precision_at_5_scorer = named_scorer("precision_at_5_scorer", precision_at_k, 5)
ndcg_at_5_scorer = named_scorer("ndcg_at_5_scorer", ndcg_at_k, 5)
recall_at_5_scorer = named_scorer("recall_at_5_scorer", recall_at_k, 5)
