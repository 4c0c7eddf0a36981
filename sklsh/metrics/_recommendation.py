"""Metrics of recommendations beside those of ranked labels: hit rate, MRR, coverage, novelty.

Rankings must not name what the user had before: `LSHRecommender.predict_topk` leaves a row's
own items out.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.containers import plain
from sklsh._utils.validation import check_int
from sklsh.metrics._hits import mean_of_rows, places_of, rank_labels, ranked_hits, relevant_labels
from sklsh.metrics._names import in_one_order, ranked_names
from sklsh.metrics._rows import hit_rate_of_rows, mrr_of_rows


def hit_rate_at_k(y_true, y_score, k=10, *, sample_weight=None) -> float:
    """Share of rows with at least one relevant label among the `k` best-ranked ones.

    Parameters, errors and cost as of `precision_at_k`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import hit_rate_at_k
    >>> hit_rate_at_k(np.array([[1, 1, 0], [0, 0, 1]]), np.array([[0, 2], [1, 0]]), k=2)
    0.5
    """
    k = check_int(k, "k", 1)
    Y, _, hits = ranked_hits(y_true, y_score, k)
    return mean_of_rows(hit_rate_of_rows(hits, np.diff(Y.indptr), k), sample_weight)


def mrr_at_k(y_true, y_score, k=10, *, sample_weight=None) -> float:
    """Mean reciprocal rank of the first relevant label, 0 where the `k` best have none.

    Parameters, errors and cost as of `precision_at_k`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import mrr_at_k
    >>> mrr_at_k(np.array([[1, 1, 0], [0, 0, 1]]), np.array([[0, 2], [1, 2]]), k=2)
    0.75
    """
    k = check_int(k, "k", 1)
    Y, _, hits = ranked_hits(y_true, y_score, k)
    return mean_of_rows(mrr_of_rows(hits, np.diff(Y.indptr), k), sample_weight)


def coverage_at_k(y_score, n_labels: int, k=10) -> float:
    """Share of all labels that are among the `k` best-ranked of any row.

    Parameters
    ----------
    y_score
        As of `precision_at_k`.
    n_labels : int
    k : int, default=10

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError, TypeError
        As `precision_at_k`; a ranked label beyond `n_labels`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import coverage_at_k
    >>> coverage_at_k(np.array([[0, 2], [0, -1]]), n_labels=4, k=2)
    0.5
    """
    n_labels = check_int(n_labels, "n_labels", 1)
    names = ranked_names(y_score)
    if names is not None:
        y_score = places_of(names, np.asarray(plain(y_score, "y_score")))
    ranked = _ranked_labels(y_score, n_labels, check_int(k, "k", 1))
    return np.unique(ranked).shape[0] / n_labels


def novelty_at_k(y_train, y_score, k=10) -> float:
    """Mean self-information of the `k` best-ranked labels, in bits.

    A label that a share p of the training rows has carries ``-log2(p)`` bits: the rarer what
    is named, the newer it is (T. Zhou et al., PNAS 2010). One that no row has counts as if
    one had.

    Parameters
    ----------
    y_train : indicator (n_samples, n_labels), dense or sparse
    y_score, k
        As of `precision_at_k`; rows need not be those of `y_train`.

    Returns
    -------
    float
        0 if nothing is ranked.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import novelty_at_k
    >>> y_train = np.array([[1, 1], [1, 0], [1, 0], [1, 0]])
    >>> novelty_at_k(y_train, np.array([[0, 1]]), k=2)
    1.0
    """
    y_train, _, y_score = in_one_order(y_train, y_train, y_score)
    Y = relevant_labels(y_train, "y_train")
    ranked = _ranked_labels(y_score, Y.shape[1], check_int(k, "k", 1))
    counts = np.maximum(np.bincount(Y.indices, minlength=Y.shape[1]), 1)
    return float(np.log2(Y.shape[0] / counts[ranked]).mean()) if ranked.size else 0.0


def _ranked_labels(y_score, n_labels: int, k: int) -> np.ndarray:
    """All labels ranked in any row, 1-d, with repeats."""
    ranked, n_columns = rank_labels(y_score, k)
    if n_columns not in (None, n_labels) or ranked.max(initial=-1) >= n_labels:
        found = n_columns or ranked.max() + 1
        raise ValueError(f"y_score must rank labels in [0, {n_labels}), got {found} labels")
    return ranked[ranked >= 0]
