"""Nearest training rows of sparse queries through an inverted index."""

import numpy as np

from sklsh.kernels.flags import kernel
from sklsh.kernels.sorting import sort_pairs
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, sorting a5f304c7, topk 00effc30


@kernel
def nearest_rows_csr(
    postings_indptr, postings_rows, postings_data, indptr, indices, data, rows,
    excluded, max_postings, max_read, sums, touched, ids, similarities, start, stop,
):  # fmt: skip
    """The training rows most similar (inner product) to each query, if they share a feature.

    `postings_*` is the feature-major (CSC) training matrix with rows of unit norm. ``ids``
    (n, k) int32 and ``similarities`` (n, k) float32 are filled best first, padded with -1
    and 0, for the queries ``rows[start:stop]``; a query is scaled to unit norm on the way.
    Training row ``excluded[i]`` is left out for query `i` (-1: none). A query's features are
    read from the rarest on; once `max_postings` entries have been read, the more common ones
    only add to rows found before, and none is begun after `max_read` entries. Equally rare ones
    are read as they come. `sums` (n_train,) float32 must be 0 and is so again on return,
    `touched` (n_train,) is scratch.
    """
    longest = 0
    for i in range(start, stop):
        longest = max(longest, indptr[rows[i] + 1] - indptr[rows[i]])
    counts, spare_counts = np.empty(longest), np.empty(longest)
    order, spare_order = np.empty(longest, dtype=np.int32), np.empty(longest, dtype=np.int32)
    for i in range(start, stop):
        square = 0.0
        query = rows[i]
        for position in range(indptr[query], indptr[query + 1]):
            square += np.float64(data[position]) * np.float64(data[position])
        for slot in range(ids.shape[1]):
            ids[i, slot] = -1
            similarities[i, slot] = np.float32(0.0)
        if square == 0.0:
            continue
        scale = np.float32(1.0 / np.sqrt(square))
        first = indptr[query]
        n_entries = indptr[query + 1] - first
        for j in range(n_entries):
            feature = indices[first + j]
            counts[j] = postings_indptr[feature + 1] - postings_indptr[feature]
            order[j] = j
        sort_pairs(counts[:n_entries], order, spare_counts, spare_order)
        n_touched = 0
        n_read = 0
        for place in range(n_entries):
            if n_read >= max_read:
                break
            j = order[place]
            value = data[first + j] * scale
            feature = indices[first + j]
            fresh = n_read < max_postings
            n_read += postings_indptr[feature + 1] - postings_indptr[feature]
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


@kernel
def inverse_norms_csr(indptr, data, out):
    """``out[i] = 1 / |row i|``, 0 for rows of zeros."""
    for i in range(out.shape[0]):
        square = 0.0
        for position in range(indptr[i], indptr[i + 1]):
            square += np.float64(data[position]) * np.float64(data[position])
        out[i] = np.float32(1.0 / np.sqrt(square)) if square > 0.0 else np.float32(0.0)


@kernel
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
