"""Balanced halves of points along a learnt direction: how label trees order their labels."""

import numba as nb
import numpy as np

from sklsh.kernels.counter import draw_integers
from sklsh.kernels.flags import FAST

# Compiled in: counter 46982fd1, flags 3c39a1ed


@nb.njit(nogil=True, cache=True, fastmath=FAST)
def _project(points, scales, members, direction, out):
    for i in range(members.shape[0]):
        point = points[members[i]]
        total = np.float32(0.0)
        for column in range(direction.shape[0]):
            total += point[column] * direction[column]
        out[i] = total * scales[members[i]]


@nb.njit(nogil=True, cache=True)
def _unit_sum(points, scales, members, out):
    """The direction of the sum of some scaled points; zeros if they cancel."""
    out[:] = np.float32(0.0)
    for i in range(members.shape[0]):
        point, scale = points[members[i]], scales[members[i]]
        for column in range(out.shape[0]):
            out[column] += scale * point[column]
    square = 0.0
    for column in range(out.shape[0]):
        square += np.float64(out[column]) ** 2
    if square > 0.0:
        out *= np.float32(1.0 / np.sqrt(square))


@nb.njit(nogil=True, cache=True)
def bisect_spans(points, scales, order, bounds, n_rounds, seed, start, stop):
    """Reorder ``order[bounds[i]:bounds[i + 1]]`` so that its first half is alike, for start:stop.

    `order` lists points, each of which is taken ``scales[point]`` times. A span is cut at its
    middle along a direction: the difference of two random members, and for `n_rounds` - 1 rounds
    more that of the halves' mean directions (balanced spherical 2-means). Ties keep their order.
    O(n_rounds * size * (d + log size)).
    """
    picks = np.empty(2, dtype=np.int64)
    left = np.empty(points.shape[1], dtype=np.float32)
    right = np.empty(points.shape[1], dtype=np.float32)
    for i in range(start, stop):
        span = order[bounds[i] : bounds[i + 1]]
        size = span.shape[0]
        if size < 2:
            continue
        draw_integers(seed, i, size, picks[:1])
        draw_integers(seed, ~i, size - 1, picks[1:])
        # The second among the others.
        picks[1] += np.int64(picks[1] >= picks[0])
        one, other = span[picks[0]], span[picks[1]]
        direction = points[other] * scales[other] - points[one] * scales[one]
        values = np.empty(size, dtype=np.float32)
        for turn in range(n_rounds):
            if turn:
                _unit_sum(points, scales, span[: size // 2], left)
                _unit_sum(points, scales, span[size // 2 :], right)
                direction = right - left
            _project(points, scales, span, direction, values)
            sorted_span = span[np.argsort(values, kind="mergesort")]
            for j in range(size):  # an assignment of arrays takes seconds to compile
                span[j] = sorted_span[j]
