"""Base projections: each coordinate is added, with a sign, to one of the sketch's bins.

Both kernels add a bin's terms in ascending order of the coordinate, in float32: a row's
sketch is the same to the last bit dense or sparse, alone or in a batch.
"""

import numpy as np

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0


@kernel
def fold_rows(X, order, bin_starts, weights, out, start, stop):
    """``out[i, b] = sum of weights[p] * X[i, order[p]]`` over bin b, for rows start:stop.

    `order` (n_kept,) lists coordinates bin by bin, ``bin_starts`` (sketch_dim + 1,) where
    each bin begins; both unsigned, which spares a test for negative indices. O(n_kept) a
    row. Four rows at a time share the loads of `order`; they do not share sums.
    """
    last = stop - 1
    for i in range(start, stop, 4):
        # Beyond the end the last row stands in, and is written again with the same sums.
        i1, i2, i3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        row0, row1, row2, row3 = X[i], X[i1], X[i2], X[i3]
        for b in range(bin_starts.shape[0] - 1):
            sum0 = sum1 = sum2 = sum3 = np.float32(0.0)
            for p in range(bin_starts[b], bin_starts[b + 1]):
                j, weight = order[p], weights[p]
                sum0 += weight * np.float32(row0[j])
                sum1 += weight * np.float32(row1[j])
                sum2 += weight * np.float32(row2[j])
                sum3 += weight * np.float32(row3[j])
            out[i, b] = sum0
            out[i1, b] = sum1
            out[i2, b] = sum2
            out[i3, b] = sum3


@kernel
def fold_rows_csr(indptr, indices, data, bins, weights, out, start, stop):
    """The same from CSR; `bins` and `weights` (n_features,), bin -1 = dropped. O(nnz) a row."""
    for i in range(start, stop):
        row = out[i]
        row[:] = np.float32(0.0)
        for position in range(indptr[i], indptr[i + 1]):
            b = bins[indices[position]]
            if b >= 0:
                row[b] += weights[indices[position]] * np.float32(data[position])
