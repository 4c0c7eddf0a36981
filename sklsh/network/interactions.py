"""Rows of user-item interactions: as network input, thinned, and split by entries."""

from __future__ import annotations

import numpy as np

from sklsh.kernels.interactions import draw_entries_csr
from sklsh.kernels.neighbors import inverse_norms_csr
from sklsh.network.rows import SparseRows


def drawn_entries(R: SparseRows, rate: float, seed: int) -> np.ndarray:
    """Which entries are among a share `rate`, by a hash of (seed, row, item): bool (nnz,)."""
    drawn = np.empty(R.indices.shape[0], dtype=bool)
    draw_entries_csr(R.indptr, R.indices, seed, float(rate), drawn)
    return drawn


def keep_entries(R: SparseRows, kept: np.ndarray) -> SparseRows:
    """Rows of the entries where `kept` is true, copied."""
    before = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])
    return SparseRows(before[R.indptr], R.indices[kept], R.data[kept])


def shortened(R: SparseRows, limit: int, seed: int) -> SparseRows:
    """Rows of at most `limit` entries: of longer ones so many, drawn at random; `R` itself if
    there is none. Which ones follows from the seed, the row's number and its length."""
    counts = R.counts()
    long = np.flatnonzero(counts > limit)
    if not long.size:
        return R
    kept = np.ones(R.indices.shape[0], dtype=bool)
    for row in long:
        n_entries = int(counts[row])
        rng = np.random.default_rng([seed, int(row), n_entries])
        own = kept[R.indptr[row] : R.indptr[row + 1]]
        own[:] = False
        own[rng.choice(n_entries, limit, replace=False)] = True
    return keep_entries(R, kept)


def unit_rows(R: SparseRows) -> SparseRows:
    """Rows scaled to unit norm; empty ones stay empty."""
    scales = np.empty(R.n_rows, dtype=np.float32)
    inverse_norms_csr(R.indptr, R.data, scales)
    return R._replace(data=R.data * np.repeat(scales, R.counts()))


def leave_some_out(R: SparseRows, rate: float, seed: int) -> tuple[SparseRows, SparseRows]:
    """Rows with a share `rate` of the entries hidden, and the hidden ones."""
    hidden = drawn_entries(R, rate, seed)
    return keep_entries(R, ~hidden), keep_entries(R, hidden)


def hide_entries(R: SparseRows, rows: np.ndarray, rate: float, seed: int):
    """A share `rate` of the entries of some rows hidden: all of `R` without them, these rows
    without them, and the hidden entries of these rows."""
    chosen = np.zeros(R.n_rows, dtype=bool)
    chosen[rows] = True
    hidden = drawn_entries(R, rate, seed) & np.repeat(chosen, R.counts())
    seen = keep_entries(R, ~hidden)
    return seen, seen.take(rows), keep_entries(R, hidden).take(rows)


def without_each(R: SparseRows) -> SparseRows:
    """The one row of `R`, and behind it the same without each of its entries in turn."""
    n = R.indices.shape[0]
    kept = np.arange(n + 1)[:, None] != np.arange(1, n + 1)
    entries = np.nonzero(kept)[1]
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return SparseRows(indptr, R.indices[entries], R.data[entries])


def item_weights(n_users_of: np.ndarray, n_users: int) -> np.ndarray:
    """Inverse document frequencies, ``1 + log((1 + n_users) / (1 + n_users_of))``, float32."""
    return (1.0 + np.log((1.0 + n_users) / (1.0 + n_users_of))).astype(np.float32)


def network_rows(R: SparseRows, weights: np.ndarray) -> SparseRows:
    """What the network reads: entries times their items' weights, rows of unit norm."""
    return unit_rows(R._replace(data=R.data * weights[R.indices]))
