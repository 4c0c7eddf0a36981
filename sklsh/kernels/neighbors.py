"""Nearest training rows of sparse queries through an inverted index."""

import numba as nb
import numpy as np

from sklsh.kernels.topk import beats, push_topk

# Compiled in: topk 926a00ed


@nb.njit(nogil=True, cache=True)
def nearest_rows_csr(
    postings_indptr, postings_rows, postings_data, indptr, indices, data, rows,
    excluded, max_postings, sums, touched, ids, similarities, start, stop,
):  # fmt: skip
    """The training rows most similar (inner product) to each query, if they share a feature.

    `postings_*` is the feature-major (CSC) training matrix with rows of unit norm. ``ids``
    (n, k) int32 and ``similarities`` (n, k) float32 are filled best first, padded with -1
    and 0, for the queries ``rows[start:stop]``; a query is scaled to unit norm on the way.
    Training row ``excluded[i]`` is left out for query `i` (-1: none). A query's features are
    read from the rarest on; once `max_postings` entries have been read, the more common ones
    only add to rows found before. `sums` (n_train,) float32 must be 0 and is so again on
    return, `touched` (n_train,) is scratch.
    """
    for i in range(start, stop):
        square = 0.0
        query = rows[i]
        for position in range(indptr[query], indptr[query + 1]):
            square += np.float64(data[position]) ** 2
        ids[i, :] = -1
        similarities[i, :] = np.float32(0.0)
        if square == 0.0:
            continue
        scale = np.float32(1.0 / np.sqrt(square))
        first = indptr[query]
        found_in = np.empty(indptr[query + 1] - first, dtype=np.int64)
        for j in range(found_in.shape[0]):
            feature = indices[first + j]
            found_in[j] = postings_indptr[feature + 1] - postings_indptr[feature]
        n_touched = 0
        n_read = 0
        for j in np.argsort(found_in):
            value = data[first + j] * scale
            feature = indices[first + j]
            fresh = n_read < max_postings
            n_read += found_in[j]
            for posting in range(postings_indptr[feature], postings_indptr[feature + 1]):
                row = postings_rows[posting]
                if sums[row] == np.float32(0.0):
                    if not fresh:
                        continue
                    touched[n_touched] = row
                    n_touched += 1
                sums[row] += value * postings_data[posting]
                if sums[row] == np.float32(0.0):
                    # Terms that cancel must not make the row look untouched: it would be
                    # listed again and again, past the end of `touched`.
                    sums[row] = np.float32(-1e-30)
        last = ids.shape[1] - 1
        for t in range(n_touched):
            row = touched[t]
            if (
                sums[row] > np.float32(0.0)
                and row != excluded[i]
                and beats(sums[row], row, similarities[i, last], ids[i, last])
            ):
                push_topk(sums[row], row, similarities[i], ids[i])
            sums[row] = np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def inverse_norms_csr(indptr, data, out):
    """``out[i] = 1 / |row i|``, 0 for rows of zeros."""
    for i in range(out.shape[0]):
        square = 0.0
        for position in range(indptr[i], indptr[i + 1]):
            square += np.float64(data[position]) ** 2
        out[i] = np.float32(1.0 / np.sqrt(square)) if square > 0.0 else np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def invert_rows_csr(indptr, indices, data, scales, ends, rows, values):
    """Fill a feature-major copy: row and scaled value of each entry, rows ascending.

    ``ends[f]`` is where feature f's entries begin; on return, where they end.
    """
    for i in range(indptr.shape[0] - 1):
        for position in range(indptr[i], indptr[i + 1]):
            feature = indices[position]
            rows[ends[feature]] = i
            values[ends[feature]] = data[position] * scales[i]
            ends[feature] += 1
