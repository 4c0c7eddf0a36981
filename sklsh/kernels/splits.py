"""Label centroids and their balanced halves: how label trees order their labels.

Points are rows of `features`, int32 and padded with -1, and `values`, float32.
"""

import numpy as np

from sklsh.kernels.counter import draw_integer
from sklsh.kernels.flags import kernel
from sklsh.kernels.sorting import sort_pairs
from sklsh.kernels.topk import beats, push_topk

# Compiled in: counter f6a05216, flags f62ac5f0, sorting a5f304c7, topk 00effc30


@kernel
def label_centroids(
    label_indptr, label_rows, indptr, indices, data, row_weights, n_features, features, values,
    start, stop,
):  # fmt: skip
    """The largest entries of the weighted sum of each label's rows, for labels start:stop.

    Label j has the rows ``label_rows[label_indptr[j]:label_indptr[j + 1]]``. Fills the point j,
    its largest entry first (ties: the smaller feature), at unit length. O(nnz of the labels' rows
    + width * features met) time, 9 bytes a feature.
    """
    sums = np.zeros(n_features, dtype=np.float32)
    met = np.zeros(n_features, dtype=np.bool_)
    found = np.empty(n_features, dtype=np.int32)
    last = features.shape[1] - 1
    sizes = np.empty(last + 1, dtype=np.float32)
    for j in range(start, stop):
        n_found = 0
        for place in range(label_indptr[j], label_indptr[j + 1]):
            row = label_rows[place]
            for position in range(indptr[row], indptr[row + 1]):
                feature = indices[position]
                if not met[feature]:
                    met[feature] = True
                    found[n_found] = feature
                    n_found += 1
                sums[feature] += row_weights[row] * data[position]
        for column in range(last + 1):
            features[j, column] = -1
            sizes[column] = np.float32(0.0)
        for i in range(n_found):
            size = abs(sums[found[i]])
            if size > np.float32(0.0) and beats(size, found[i], sizes[last], features[j, last]):
                push_topk(size, found[i], sizes, features[j])
        square = 0.0
        for column in range(last + 1):
            square += np.float64(sizes[column]) * np.float64(sizes[column])
        scale = np.float32(1.0 / np.sqrt(square)) if square > 0.0 else np.float32(0.0)
        for column in range(last + 1):
            feature = features[j, column]
            values[j, column] = scale * sums[feature] if feature >= 0 else np.float32(0.0)
        for i in range(n_found):
            sums[found[i]] = np.float32(0.0)
            met[found[i]] = False


@kernel
def _add(features, values, members, side, sums):
    for i in range(members.shape[0]):
        for column in range(features.shape[1]):
            feature = features[members[i], column]
            if feature < 0:
                break
            sums[feature, side] += values[members[i], column]


@kernel
def _length(features, values, members, side, sums):
    """Of the sum of the members: the root of the sum of their products with it."""
    total = 0.0
    for i in range(members.shape[0]):
        for column in range(features.shape[1]):
            feature = features[members[i], column]
            if feature < 0:
                break
            total += np.float64(values[members[i], column]) * np.float64(sums[feature, side])
    return np.sqrt(max(total, 0.0))


@kernel
def _project(features, values, members, ahead, behind, sums, out):
    """Along the second sum less the first one, each of which counts so many times."""
    for i in range(members.shape[0]):
        left, right = np.float32(0.0), np.float32(0.0)
        for column in range(features.shape[1]):
            feature = features[members[i], column]
            if feature < 0:
                break
            left += values[members[i], column] * sums[feature, 0]
            right += values[members[i], column] * sums[feature, 1]
        out[i] = ahead * right - behind * left


@kernel
def _clear(features, members, sums):
    for i in range(members.shape[0]):
        for column in range(features.shape[1]):
            feature = features[members[i], column]
            if feature < 0:
                break
            sums[feature, 0] = np.float32(0.0)
            sums[feature, 1] = np.float32(0.0)


@kernel
def bisect_spans(features, values, order, bounds, n_rounds, most, seed, sums, start, stop):
    """Reorder ``order[bounds[i]:bounds[i + 1]]`` so that its first half is alike, for start:stop.

    `order` lists points. A span is cut at its middle along a direction: the difference of two
    random members, and for `n_rounds` - 1 rounds more that of the halves' mean directions
    (balanced spherical 2-means), learnt from `most` members at most, evenly spaced. Ties keep
    their order. `sums` (n_features, 2) are zeros before and after. O((n_rounds * min(size, most) +
    size) * (width + log size)).
    """
    longest = 0
    for i in range(start, stop):
        longest = max(longest, bounds[i + 1] - bounds[i])
    scores, spare_scores = np.empty(longest), np.empty(longest)
    spare_span = np.empty(longest, dtype=np.int32)
    sample = np.empty(min(longest, most), dtype=np.int32)
    for i in range(start, stop):
        span = order[bounds[i] : bounds[i + 1]]
        if span.shape[0] < 2:
            continue
        step = (span.shape[0] - 1) // most + 1
        size = (span.shape[0] - 1) // step + 1
        learnt = sample[:size]
        for j in range(size):
            learnt[j] = span[j * step]
        first = draw_integer(seed, i, 0, size)
        second = draw_integer(seed, ~i, 0, size - 1)
        second += np.int64(second >= first)  # among the others
        left, right = learnt[first : first + 1], learnt[second : second + 1]
        for turn in range(n_rounds):
            if turn:
                left, right = learnt[: size // 2], learnt[size // 2 :]
            behind = ahead = 0.0
            for side in range(2):  # a loop: numba would compile the two once for each constant
                half = right if side else left
                _add(features, values, half, side, sums)
                length = _length(features, values, half, side, sums)
                behind, ahead = ahead, 1.0 / length if length > 0.0 else 0.0
            members = learnt if turn < n_rounds - 1 else span
            _project(features, values, members, ahead, behind, sums, scores)
            _clear(features, left, sums)
            _clear(features, right, sums)
            sort_pairs(scores[: members.shape[0]], members, spare_scores, spare_span)
