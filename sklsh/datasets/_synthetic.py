"""Synthetic extreme classification: power-law labels over sparse rows, learnable."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq
from sklearn.utils import check_random_state

from sklsh._utils.numbers import check_number
from sklsh._utils.threads import blocks
from sklsh._utils.validation import check_int

BLOCK_ROWS = 8192
# Features that a label is known by; a row shows some of them.
SIGNATURE = 16
# Labels of a group: where labels are alike, each shares features with the others of its group.
GROUP = 16
# Zipf's exponent of the features that no label asked for: words, without the very common.
FEATURE_EXPONENT = 0.8
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def make_extreme_classification(
    n_samples=1000,
    n_features=5000,
    n_labels=2000,
    *,
    features_per_row=75.0,
    labels_per_row=5.45,
    signal=0.5,
    top_label_share=0.1,
    label_similarity=0.0,
    random_state=None,
):
    """Sparse rows with many labels, most of them rare.

    Label frequencies follow Zipf's law, with the exponent that puts the commonest label in
    `top_label_share` of the rows. Every label is known by 16 features of its own; a row
    shows features of its labels and others, which are common or rare by Zipf's law too.
    The defaults of the shape parameters are those of Amazon-670K
    (``n_features=135_909, n_labels=670_091``).

    Parameters
    ----------
    n_samples, n_features, n_labels : int, default=1000, 5000, 2000
    features_per_row : float, default=75.0
        Mean number of features of a row, nearly (of few features or labels fewer can be had).
    labels_per_row : float, default=5.45
        Mean number of labels that are drawn for a row (1 + Poisson), at least 1; drawn
        twice is one entry.
    signal : float in [0, 1], default=0.5
        Share of a row's features that come from its labels. 0: nothing to learn.
    top_label_share : float in (0, 1), default=0.1
        Share of rows that have the commonest label: about the P@1 of a constant answer. Few
        labels may not allow so small a share; then all are equally frequent.
    label_similarity : float in [0, 1], default=0.0
        Share of a label's shown features that are those of its group: 16 labels, frequent
        and rare, that are hard to tell apart, as products of a category are. 0: labels have
        nothing in common; 1: nothing tells the labels of a group apart.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    X : csr_matrix (n_samples, n_features) of float32
        Positive, rows of length 1.
    Y : csr_matrix (n_samples, n_labels) of float32
        0 and 1.

    Raises
    ------
    ValueError, TypeError
        A number out of its range or of the wrong type.

    Notes
    -----
    O(nnz log nnz) time, O(nnz + n_labels + n_features) memory: signatures are computed from
    the seed, not stored.

    Examples
    --------
    >>> from sklsh.datasets import make_extreme_classification
    >>> X, Y = make_extreme_classification(random_state=0)
    >>> X.shape, Y.shape
    ((1000, 5000), (1000, 2000))
    """
    n_samples = check_int(n_samples, "n_samples", 1)
    n_features = check_int(n_features, "n_features", 1, 2**31 - 1)
    n_labels = check_int(n_labels, "n_labels", 1, 2**31 - 1)
    features_per_row = check_number(features_per_row, "features_per_row", 1)
    labels_per_row = check_number(labels_per_row, "labels_per_row", 1)
    signal = check_number(signal, "signal", 0, 1, closed="both")
    top_label_share = check_number(top_label_share, "top_label_share", 0, 1, closed="neither")
    label_similarity = check_number(label_similarity, "label_similarity", 0, 1, closed="both")
    seed = check_random_state(random_state).randint(2**31 - 1)
    rng = np.random.default_rng(seed)

    label_edges = np.cumsum(_zipf(n_labels, _exponent(n_labels, labels_per_row, top_label_share)))
    feature_shares = _zipf(n_features, FEATURE_EXPONENT)
    feature_edges = np.cumsum(feature_shares)
    n_draws = _draws(features_per_row, labels_per_row, signal, feature_shares)
    # Frequent labels and features are to be anywhere, not at the low numbers.
    label_ids = rng.permutation(n_labels).astype(np.int32)
    feature_ids = rng.permutation(n_features).astype(np.int32)
    X_blocks, Y_blocks = [], []
    for start, stop in blocks(n_samples, BLOCK_ROWS):
        rows = np.arange(stop - start)
        n_drawn = 1 + rng.poisson(labels_per_row - 1, stop - start)
        labels = label_ids[_draw(label_edges, int(n_drawn.sum()), rng)]
        Y_blocks.append(_counts(np.repeat(rows, n_drawn), labels, (stop - start, n_labels)))
        firsts = np.cumsum(n_drawn) - n_drawn
        n_shown = 1 + rng.poisson(n_draws - 1, stop - start)
        shown = np.repeat(rows, n_shown)
        features = feature_ids[_draw(feature_edges, shown.shape[0], rng)]
        own = rng.random(shown.shape[0]) < signal
        which = firsts[shown] + (rng.random(shown.shape[0]) * n_drawn[shown]).astype(np.int64)
        known_by = labels[which[own]].astype(np.int64)
        slots = rng.integers(0, SIGNATURE, known_by.shape[0])
        if label_similarity > 0:  # groups are numbered after the labels
            of_group = rng.random(known_by.shape[0]) < label_similarity
            known_by[of_group] = n_labels + known_by[of_group] // GROUP
        features[own] = _signature(known_by, slots, seed, n_features)
        X_blocks.append(_counts(shown, features, (stop - start, n_features)))
    X, Y = (sp.vstack(parts, format="csr") for parts in (X_blocks, Y_blocks))
    Y.data[:] = 1
    _weigh(X)
    return sp.csr_matrix(X), sp.csr_matrix(Y)


def _zipf(n: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


def _exponent(n_labels: int, labels_per_row: float, top_label_share: float) -> float:
    """Zipf's exponent for which the first of `n_labels` is in so many of the rows."""

    def excess(exponent):
        p = _zipf(n_labels, exponent)[0]
        # One label and a Poisson number more; none of them is the first.
        return 1 - (1 - p) * np.exp(-(labels_per_row - 1) * p) - top_label_share

    if excess(0.0) >= 0:
        return 0.0
    return float(brentq(excess, 0.0, 50.0, xtol=1e-6))


def _draws(features_per_row, labels_per_row, signal, feature_shares) -> float:
    """Mean draws a row that give so many different features: some are drawn twice."""

    def missing(n_draws):
        others = -np.expm1(-(1 - signal) * n_draws * feature_shares).sum()
        own_slots = SIGNATURE * labels_per_row
        own = -own_slots * np.expm1(-signal * n_draws / own_slots)
        return features_per_row - others - own

    most = 4 * features_per_row  # beyond, features are nearly used up
    if missing(most) > 0:
        return most
    return max(1.0, float(brentq(missing, 0.0, most, xtol=1e-3)))


def _draw(edges: np.ndarray, n: int, rng) -> np.ndarray:
    return np.minimum(np.searchsorted(edges, rng.random(n), side="right"), edges.shape[0] - 1)


def _signature(labels, slots, seed: int, n_features: int) -> np.ndarray:
    """Feature of a label's slot: a hash of both, so that no table of them is needed."""
    z = labels.astype(np.uint64) * np.uint64(SIGNATURE) + slots.astype(np.uint64)
    z = (z + np.uint64(seed + 1)) * MULTIPLIER
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    return (z % np.uint64(n_features)).astype(np.int32)


def _counts(rows, columns, shape) -> sp.csr_array:
    ones = np.ones(rows.shape[0], dtype=np.float32)
    matrix = sp.coo_array((ones, (rows.astype(np.int32), columns)), shape=shape).tocsr()
    matrix.sum_duplicates()
    return matrix


def _weigh(X) -> None:
    """Counts to rows of length 1: (1 + log count) times inverse document frequency."""
    n_rows = np.bincount(X.indices, minlength=X.shape[1])
    idf = np.log((1 + X.shape[0]) / (1 + n_rows)) + 1
    X.data = ((1 + np.log(X.data)) * idf[X.indices]).astype(np.float32)
    squares = np.add.reduceat(X.data.astype(np.float64) ** 2, X.indptr[:-1])  # no row is empty
    X.data /= np.repeat(np.sqrt(squares), np.diff(X.indptr)).astype(np.float32)
