"""From what a user has - indicators, classes, scores, ranked labels - to hits by rank.

The one place that decides what a metric's second argument is: integers in two dimensions
are ranked label columns, floats (and anything sparse) are scores. And means over rows, which
all metrics take alike.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import check_names, column_names, is_text, label_lists, plain
from sklsh._utils.threads import blocks
from sklsh._utils.validation import check_sparse

# Scores looked at in one go while a dense score matrix is ranked: bounds the extra memory.
BLOCK_SCORES = 4_000_000


def relevant_labels(y_true, name: str = "y_true", n_labels: int | None = None) -> sp.csr_array:
    """The relevant labels of each row, as a sorted CSR indicator without stored zeros.

    Parameters
    ----------
    y_true : array-like (n_samples,) or indicator (n_samples, n_labels), dense or sparse
        1-d: each row's one right label column. 2-d: positive entries are relevant.
    name : str
        For messages.
    n_labels : int, default=None
        Columns of the answer for 1-d `y_true`; None: the largest label and one.

    Raises
    ------
    ValueError, TypeError
        Not 1-d or 2-d, a negative label, a negative or NaN entry, classes that are no
        integers.
    """
    y_true = plain(y_true, name)
    if sp.issparse(y_true):
        Y = sp.csr_array(check_sparse(y_true, name))
    else:
        y_true = np.asarray(y_true)
        if y_true.ndim == 1:
            return _one_label_a_row(y_true, name, n_labels)
        if y_true.ndim != 2:
            raise ValueError(f"{name} must be 1-d or 2-d, got shape {y_true.shape}")
        if y_true.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be a numeric indicator, got dtype {y_true.dtype}")
        Y = sp.csr_array(y_true)
    if not (Y.data >= 0).all():
        raise ValueError(
            f"{name} must be an indicator (0: not relevant, above 0: relevant), "
            f"got the entry {Y.data[~(Y.data >= 0)][0]}"
        )
    if not Y.data.all():
        Y = Y.copy()
        Y.eliminate_zeros()
    return Y


def _one_label_a_row(y, name, n_labels):
    if y.dtype.kind == "b" or (y.dtype.kind == "f" and (y == np.rint(y)).all()):
        y = y.astype(np.int64)  # no other floats are classes
    if y.dtype.kind not in "iu":
        raise TypeError(
            f"{name}, if 1-d, must hold label columns (integers; encode classes as their "
            f"positions first), got dtype {y.dtype}"
        )
    largest = int(y.max()) if y.size else -1
    if y.min(initial=0) < 0 or (n_labels is not None and largest >= n_labels):
        allowed = "[0, n_labels)" if n_labels is None else f"[0, {n_labels})"
        raise ValueError(f"{name} must be in {allowed}, got {y.min()} to {largest}")
    indptr = np.arange(y.shape[0] + 1)
    shape = (y.shape[0], largest + 1 if n_labels is None else n_labels)
    return sp.csr_array((np.ones(y.shape[0], dtype=np.int8), y, indptr), shape=shape)


def rank_labels(y_score, k: int) -> tuple[np.ndarray, int | None]:
    """Each row's `k` best label columns (or all, if there are fewer), padded with -1.

    Parameters
    ----------
    y_score : integer array (n_samples, n_ranked), or float (n_samples, n_labels), or sparse
        Ranked label columns, or scores. Of a sparse matrix only stored entries are ranked;
        of a dense one those that are not -inf. Of equal scores the lower column is first.
    k : int

    Returns
    -------
    ranked : ndarray (n_samples, min(k, columns of y_score)) of int64
        Best first.
    n_labels : int or None
        Columns of a score matrix; None for ranked labels, which do not say.

    Raises
    ------
    ValueError, TypeError
        Not 2-d, NaN scores, neither integers nor floats; ranked labels below -1, or twice
        in a row.
    """
    y_score = plain(y_score, "y_score")
    if sp.issparse(y_score):
        scores = sp.csr_array(check_sparse(y_score, "y_score"))
        values = scores.data
        if values.dtype.kind in "biu":
            values = values.astype(np.float64)  # ranking negates, where integers wrap round
        _refuse_nan(values)
        rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
        n_samples, n_labels = scores.shape
        return _best(rows, scores.indices, values, n_samples, min(k, n_labels)), n_labels
    y_score = np.asarray(y_score)
    if y_score.ndim != 2:
        raise ValueError(
            f"y_score must be 2-d (ranked labels, or scores by label), got shape {y_score.shape}"
        )
    if y_score.dtype.kind in "iu":
        return _check_ranked(y_score.astype(np.int64), k), None
    if y_score.dtype.kind != "f":
        raise TypeError(
            "y_score must hold ranked label columns (integers) or scores (floats), "
            f"got dtype {y_score.dtype}"
        )
    _refuse_nan(y_score)
    n_samples, n_labels = y_score.shape
    k = min(k, n_labels)
    spans = blocks(n_samples, max(1, BLOCK_SCORES // max(1, n_labels)))
    parts = [_best_dense(y_score[start:stop], k) for start, stop in spans]
    return np.concatenate([np.empty((0, k), dtype=np.int64), *parts]), n_labels


def _refuse_nan(scores):
    if np.isnan(scores).any():
        raise ValueError("y_score must have no NaN, got NaN")


def _check_ranked(ranked, k):
    if ranked.min(initial=-1) < -1:
        raise ValueError(
            f"y_score, as ranked labels, must be columns or -1 for none, got {ranked.min()}"
        )
    ordered = np.sort(ranked, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.flatnonzero(twice.any(axis=1))[0])
        raise ValueError(
            f"y_score, as ranked labels, must name a label once a row, got label "
            f"{ordered[row, 1:][twice[row]][0]} twice in row {row}"
        )
    return ranked[:, :k]


def _best_dense(scores, k):
    n_samples, n_labels = scores.shape
    kept = scores > -np.inf
    if k < n_labels:
        # Everything from the k-th best score on: ties at the edge are broken in `_best`.
        kept &= scores >= np.partition(scores, n_labels - k, axis=1)[:, n_labels - k, None]
    rows, columns = np.nonzero(kept)
    return _best(rows, columns, scores[rows, columns], n_samples, k)


def _best(rows, columns, scores, n_samples, k):
    """First `k` of each row by falling score, then by column; `rows` must not fall."""
    order = np.lexsort((columns, -scores, rows))
    starts = np.searchsorted(rows, np.arange(n_samples))
    places = np.arange(rows.shape[0]) - starts[rows]
    first = places < k
    ranked = np.full((n_samples, k), -1, dtype=np.int64)
    ranked[rows[first], places[first]] = columns[order[first]]
    return ranked


def ranked_hits(
    y_true, y_score, k: int, n_labels: int | None = None
) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """Relevant labels, the `k` best-ranked ones, and which of these are relevant.

    Parameters
    ----------
    y_true, y_score, k
        As of `relevant_labels` and `rank_labels`.
    n_labels : int, default=None
        Columns, where neither argument says: a 1-d `y_true` with ranked labels. None: the
        largest label of the two and one.

    Returns
    -------
    Y : csr_array (n_samples, n_labels)
    ranked : ndarray (n_samples, min(k, columns of y_score)) of int64
    hits : ndarray of bool, of the same shape

    Raises
    ------
    ValueError
        Different numbers of rows or labels; ranked labels beyond `y_true`'s columns; fewer
        than `k` ranked labels although there are more labels.

    Notes
    -----
    O(nnz log nnz) at most; no n_samples x n_labels array is made.
    """
    y_score = plain(y_score, "y_score")
    y_true, y_score = _columns_numbered(_without_column(y_true, y_score), y_score)
    y_true, y_score = _numbered(plain(y_true, "y_true"), y_score)
    ranked, n_columns = rank_labels(y_score, k)
    if n_columns is None and not sp.issparse(y_true) and np.ndim(y_true) == 1:
        y_true, n_columns = np.asarray(y_true), n_labels
        if n_columns is None and y_true.dtype.kind in "iu":
            largest = int(y_true.max()) if y_true.size else -1  # -1 is in no unsigned type
            n_columns = 1 + max(largest, int(ranked.max(initial=-1)))
    Y = relevant_labels(y_true, n_labels=n_columns)
    if Y.shape[0] != ranked.shape[0]:
        raise ValueError(
            f"y_true and y_score must have as many rows, got {Y.shape[0]} and {ranked.shape[0]}"
        )
    if n_columns is not None and n_columns != Y.shape[1]:
        raise ValueError(
            f"y_score must have a column for each of the {Y.shape[1]} labels of y_true, "
            f"got {n_columns} columns (ranked labels would be integers, not floats)"
        )
    if ranked.max(initial=-1) >= Y.shape[1]:
        raise ValueError(
            f"y_score, as ranked labels, must be in [0, {Y.shape[1]}) or -1, got {ranked.max()}"
        )
    n_ranked = np.shape(y_score)[1]
    if n_ranked < min(k, Y.shape[1]):
        raise ValueError(f"k={k} needs as many ranked labels a row, got {n_ranked}")
    # A (row, label) pair is one number, and those of Y come sorted: one binary search each.
    rows = np.arange(Y.shape[0], dtype=np.int64)
    known = np.repeat(rows, np.diff(Y.indptr)) * Y.shape[1] + Y.indices
    asked = rows[:, None] * Y.shape[1] + ranked
    places = np.searchsorted(known, asked)
    found = np.zeros(ranked.shape, dtype=bool)
    inside = (places < known.shape[0]) & (ranked >= 0)
    found[inside] = known[places[inside]] == asked[inside]
    return Y, ranked, found


def _without_column(y_true, y_score):
    """Classes in a column as 1-d, which `fit` takes so; an indicator of one label stays one."""
    if sp.issparse(y_true) or label_lists(y_true) is not None or np.ndim(y_score) != 2:
        return y_true
    array = np.asarray(y_true)
    if array.ndim != 2 or array.shape[1] != 1:
        return y_true
    if sp.issparse(y_score) or np.asarray(y_score).dtype.kind == "f":
        several = np.shape(y_score)[1] > 1
    else:
        ranked = np.asarray(y_score)
        several = is_text(ranked) or ranked.max(initial=-1) > 0
    return array.ravel() if several else y_true


def _columns_numbered(y_true, y_score):
    """Lists of labels, and frames with names, ranked by name: as an indicator and its columns."""
    lists, names = label_lists(y_true), column_names(y_true)
    if sp.issparse(y_score) or np.ndim(y_score) != 2:
        return y_true, y_score
    ranked = np.asarray(y_score)
    if lists is not None:
        nobody = "" if is_text(ranked) else -1
        found = {name for row in lists for name in row} | set(ranked.ravel().tolist()) - {nobody}
        check_names(sorted(found), "labels in y_true")
        names = np.array(sorted(found))
        return named_indicator(lists, names), places_of(names, ranked)
    if names is None or not is_text(ranked):
        return y_true, y_score
    Y = relevant_labels(y_true)
    extra = np.setdiff1d(ranked[ranked != ""].astype(str), names)
    wide = sp.csr_array((Y.data, Y.indices, Y.indptr), shape=(Y.shape[0], Y.shape[1] + extra.size))
    return wide, places_of(np.concatenate([names, extra]), ranked)


def named_indicator(lists, names: np.ndarray) -> sp.csr_array:
    """Lists of labels as an indicator with a column for each of `names`, and one for all others."""
    column_of = {name: column for column, name in enumerate(names.tolist())}
    other = len(column_of)
    rows = [sorted({column_of.get(name, other) for name in row}) for row in lists]
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([column for row in rows for column in row], dtype=np.int64)
    return sp.csr_array((np.ones(indices.shape[0]), indices, indptr), (len(rows), other + 1))


def places_of(names: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """Positions in `names` of what is ranked by name; -1 for what is padded."""
    order = np.argsort(names, kind="stable")
    at = np.minimum(np.searchsorted(names, ranked, sorter=order), names.shape[0] - 1)
    places = order[at]
    return np.where(names[places] == ranked, places, -1)


def _numbered(y_true, y_score):
    """Classes that are text as numbers of their sorted names; "" among the ranked ones is none.

    Anything else as it is.
    """
    if sp.issparse(y_true) or sp.issparse(y_score) or np.ndim(y_true) != 1:
        return y_true, y_score
    true, ranked = np.asarray(y_true), np.asarray(y_score)
    if not (is_text(true) and is_text(ranked) and ranked.ndim == 2):
        return y_true, y_score
    check_names(np.unique(true.astype(str)).tolist(), "classes in y_true")
    names = np.unique(np.concatenate([true, ranked.ravel()]).astype(str))
    names = names[names != ""]
    columns = np.searchsorted(names, ranked.astype(str))
    return np.searchsorted(names, true.astype(str)), np.where(ranked != "", columns, -1)


def row_weights(sample_weight, n_samples: int) -> np.ndarray:
    """Weights of a mean over rows: checked, in units of the largest, or 1 for None."""
    if n_samples == 0:
        raise ValueError("y_true must have at least one row, got none")
    if sample_weight is None:
        return np.ones(n_samples)
    weights = np.asarray(plain(sample_weight, "sample_weight"))
    if weights.dtype.kind in "US":
        raise TypeError("sample_weight must be numbers, got text")
    weights = weights.astype(np.float64)
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must be of shape ({n_samples},), got {weights.shape}")
    if not ((weights >= 0) & (weights < np.inf)).all() or not weights.any():
        raise ValueError(
            "sample_weight must be finite, at least 0, and not 0 altogether, "
            f"got {weights.min()} to {weights.max()}"
        )
    return weights / weights.max()  # sums stay within float64, in whatever unit they came


def mean_of_rows(values: np.ndarray, sample_weight) -> float:
    """The weighted mean of one value a row; no rows are a ValueError."""
    return float(np.average(values, weights=row_weights(sample_weight, values.shape[0])))
