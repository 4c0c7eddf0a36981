"""Which rows are held out of training: by a hash of the row, so that every fit spares the same.

A warm start that drew validation rows anew would be validated on rows that it has learnt.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.random import mixed, random_bits
from sklsh._utils.threads import blocks
from sklsh.network.rows import SparseRows

ROWS = 1 << 14
"""Rows hashed at a time."""

STEPS = 255
"""An entry is hashed as a multiple of this share of its row's largest: in any unit alike."""


def row_hashes(X: SparseRows, seed: int) -> np.ndarray:
    """A number of each row by its features and seed, ``(n_rows,)`` uint64.

    Rows that are alike get different numbers in the order in which they come, so that no
    share of them is held out but one by chance. The order of other rows changes nothing, nor
    do a row's unit, its layout in memory, entries near 0, labels and weights. O(nnz + n_rows
    log n_rows).
    """
    salt, twin = random_bits(seed, 1, 2)
    out = np.zeros(X.n_rows, dtype=np.uint64)
    for start, stop in blocks(X.n_rows, ROWS):
        indptr = X.indptr[start : stop + 1]
        full = np.flatnonzero(np.diff(indptr))
        if not full.size:
            continue
        begins = indptr[:-1][full] - indptr[0]
        data, columns = X.data[indptr[0] : indptr[-1]], X.indices[indptr[0] : indptr[-1]]
        largest = np.maximum.reduceat(np.abs(data), begins)
        largest = np.repeat(largest, np.diff(indptr)[full])
        entries = np.rint(data / np.where(largest > 0, largest, 1) * STEPS).astype(np.int64)
        words = columns.astype(np.int64) * (2 * STEPS + 1) + entries + STEPS
        words = mixed(words.astype(np.uint64) ^ salt)
        words[entries == 0] = 0
        out[start:stop][full] = np.add.reduceat(words, begins)
    return mixed(out + _occurrences(out) * twin)


def _occurrences(values: np.ndarray) -> np.ndarray:
    """How many equal ones come before each, uint64."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=values[order[:1]] ^ np.uint64(1)))
    counts = np.diff(starts, append=values.shape[0])
    out = np.empty(values.shape[0], dtype=np.uint64)
    out[order] = np.arange(values.shape[0]) - np.repeat(starts, counts)
    return out


def held_out(X: SparseRows, seed: int, n: int, bound: int | None = None):
    """The `n` rows with the smallest hashes, and the others.

    Parameters
    ----------
    X : SparseRows
    seed : int
    n : int
    bound : int or None
        As returned before: rows with larger hashes may have been trained on, and are held out
        only if there are no others.

    Returns
    -------
    held_out, train : ndarray of int32, ascending
    bound : int or None
        Largest hash of a row that is held out; as given if there is none.
    """
    if not n:
        return np.empty(0, dtype=np.int32), np.arange(X.n_rows, dtype=np.int32), bound
    hashes = row_hashes(X, seed)
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    if bound is not None:
        n = min(n, int(np.count_nonzero(hashes <= np.uint64(bound))) or n)
    return np.sort(order[:n]), np.sort(order[n:]), int(hashes[order[n - 1]])


def rows_to_train(X: SparseRows, seed: int, share: float, bound: int | None = None):
    """Rows of a part of a stream, ascending int32, less those that `held_out` may spare; bound.

    `bound` as of `held_out`; without one, `share` of all rows there may be.
    """
    if bound is None:
        bound = int(share * 2**64)
    return np.flatnonzero(row_hashes(X, seed) > np.uint64(bound)).astype(np.int32), bound
