"""Balanced halves of points along a learnt direction: how label trees order their labels."""

import numpy as np

from sklsh.kernels.counter import draw_integer
from sklsh.kernels.flags import FAST, kernel
from sklsh.kernels.sorting import sort_pairs

# Compiled in: counter f6a05216, flags f62ac5f0, sorting a5f304c7


@kernel(fastmath=FAST)
def _project(points, scales, members, direction, out):
    for i in range(members.shape[0]):
        point = points[members[i]]
        total = np.float32(0.0)
        for column in range(direction.shape[0]):
            total += point[column] * direction[column]
        out[i] = total * scales[members[i]]


@kernel
def _unit_sum(points, scales, members, out):
    """The direction of the sum of some scaled points; zeros if they cancel."""
    for column in range(out.shape[0]):
        out[column] = np.float32(0.0)
    for i in range(members.shape[0]):
        point, scale = points[members[i]], scales[members[i]]
        for column in range(out.shape[0]):
            out[column] += scale * point[column]
    square = 0.0
    for column in range(out.shape[0]):
        square += np.float64(out[column]) * np.float64(out[column])
    if square > 0.0:
        scale = np.float32(1.0 / np.sqrt(square))
        for column in range(out.shape[0]):
            out[column] *= scale


@kernel
def bisect_spans(points, scales, order, bounds, n_rounds, seed, start, stop):
    """Reorder ``order[bounds[i]:bounds[i + 1]]`` so that its first half is alike, for start:stop.

    `order` lists points, each of which is taken ``scales[point]`` times. A span is cut at its
    middle along a direction: the difference of two random members, and for `n_rounds` - 1 rounds
    more that of the halves' mean directions (balanced spherical 2-means). Ties keep their order.
    O(n_rounds * size * (d + log size)).
    """
    direction = np.empty(points.shape[1], dtype=np.float32)
    left = np.empty(points.shape[1], dtype=np.float32)
    right = np.empty(points.shape[1], dtype=np.float32)
    longest = 0
    for i in range(start, stop):
        longest = max(longest, bounds[i + 1] - bounds[i])
    values, spare_values = np.empty(longest), np.empty(longest)
    spare_span = np.empty(longest, dtype=np.int32)
    for i in range(start, stop):
        span = order[bounds[i] : bounds[i + 1]]
        size = span.shape[0]
        if size < 2:
            continue
        first = draw_integer(seed, i, 0, size)
        second = draw_integer(seed, ~i, 0, size - 1)
        second += np.int64(second >= first)  # among the others
        one, other = span[first], span[second]
        for column in range(direction.shape[0]):
            ahead, behind = points[other, column] * scales[other], points[one, column] * scales[one]
            direction[column] = ahead - behind
        for turn in range(n_rounds):
            if turn:
                _unit_sum(points, scales, span[: size // 2], left)
                _unit_sum(points, scales, span[size // 2 :], right)
                for column in range(direction.shape[0]):
                    direction[column] = right[column] - left[column]
            _project(points, scales, span, direction, values)
            sort_pairs(values[:size], span, spare_values, spare_span)
