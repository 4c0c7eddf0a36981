"""Base projections: each coordinate is added, with a sign, to one of the sketch's bins.

Both kernels add a bin's terms in ascending order of the coordinate, in float32: a row's
sketch is the same to the last bit dense or sparse, alone or in a batch.
"""

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def fold_rows(X, order, bin_starts, weights, out, start, stop):
    """``out[i, b] = sum of weights[p] * X[i, order[p]]`` over bin b, for rows start:stop.

    `order` (n_kept,) lists coordinates bin by bin, ``bin_starts`` (sketch_dim + 1,) where
    each bin begins. O(n_kept) a row.
    """
    for i in range(start, stop):
        row = X[i]
        for b in range(bin_starts.shape[0] - 1):
            total = np.float32(0.0)
            for p in range(bin_starts[b], bin_starts[b + 1]):
                total += weights[p] * np.float32(row[order[p]])
            out[i, b] = total


@nb.njit(nogil=True, cache=True)
def fold_rows_csr(indptr, indices, data, bins, weights, out, start, stop):
    """The same from CSR; `bins` and `weights` (n_features,), bin -1 = dropped. O(nnz) a row."""
    for i in range(start, stop):
        row = out[i]
        row[:] = np.float32(0.0)
        for position in range(indptr[i], indptr[i + 1]):
            b = bins[indices[position]]
            if b >= 0:
                row[b] += weights[indices[position]] * np.float32(data[position])
