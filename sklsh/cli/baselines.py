"""What a network has to beat: the nearest training rows, and the commonest labels."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from sklsh._utils.threads import blocks
from sklsh.metrics._hits import rank_labels

BLOCK_ROWS = 512


def nearest_neighbor_topk(X_train, Y_train, X, k=5, n_neighbors=30) -> np.ndarray:
    """The `k` labels with the largest sum of cosines of the nearest training rows.

    Parameters
    ----------
    X_train, X : csr_matrix (n_samples, n_features)
    Y_train : csr_matrix (n_samples, n_labels)
    k, n_neighbors : int

    Returns
    -------
    ndarray (n_samples, min(k, n_labels)) of int64
        Ranked label columns, -1 for none.

    Notes
    -----
    In sparse blocks of rows: no n_samples x n_labels array.
    """
    transposed = normalize(X_train).T.tocsr()
    X, Y_train = normalize(X), sp.csr_array(Y_train)
    parts = [np.empty((0, min(k, Y_train.shape[1])), dtype=np.int64)]
    for start, stop in blocks(X.shape[0], BLOCK_ROWS):
        similar = sp.csr_array(X[start:stop] @ transposed)
        nearest, _ = rank_labels(similar, n_neighbors)
        found = nearest >= 0
        rows, places = np.nonzero(found)
        columns = nearest[rows, places]
        cosines = np.asarray(similar[rows, columns]).ravel()
        near = sp.csr_array((cosines, (rows, columns)), shape=similar.shape)
        parts.append(rank_labels(near @ Y_train, k)[0])
    return np.concatenate(parts)


def popular_topk(Y_train, n_samples: int, k=5) -> np.ndarray:
    """The `k` commonest labels, the same for each of `n_samples` rows."""
    counts = np.bincount(Y_train.indices, minlength=Y_train.shape[1])
    return np.tile(rank_labels(counts[None].astype(np.float64), k)[0], (n_samples, 1))
