"""An order of labels in which like ones are neighbours: the splits of a label tree.

A label is the point that its trained neuron is, at unit length. Points are halved again and again
at the median along a direction that is learnt from two random members: codes of balanced, learnt
hash functions. (Random hyperplanes, which are not learnt, cost two points of P@1; sums of a
label's rows, sketched, are as good as neurons and need a second head's memory.) Halves differ by
one label at most: all leaves are alike in size, and a tree is as deep as its number of labels
says.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.splits import bisect_spans

ROUNDS = 6
"""Directions that are tried for a split, each learnt from the halves of the one before."""

COLUMNS = 256
"""Of the points: the first so many hidden units tell alike labels as well as all do; half of them
cost half a point of P@1 on small sets."""

TASKS = 64
"""Tasks that a level with many nodes is cut into."""


def halves(n: int, depth: int) -> np.ndarray:
    """Where the ``2 ** depth`` parts of ``range(n)`` begin and end, if each is halved again."""
    bounds = np.array([0, n], dtype=np.int64)
    for _ in range(depth):
        middles = (bounds[:-1] + bounds[1:]) // 2
        bounds = np.sort(np.concatenate([bounds, middles]))
    return bounds


def bisect(points: np.ndarray, members: np.ndarray, depth: int, seed: int, n_threads: int = 1):
    """Members in an order whose parts `halves` are alike at every depth.

    Parameters
    ----------
    points : ndarray (n_points, n_columns), float32
        Of any length; only directions count.
    members : ndarray (n,) of int32
        Points to be put in order.
    depth : int
    seed : int
        Of the first directions.

    Returns
    -------
    order : ndarray (n,) of int32
        The members.

    Notes
    -----
    O(depth * rounds * n * n_columns) time for 256 columns at most, O(n_points) memory, and a copy
    of the points if they have more.
    """
    order = members.astype(np.int32)
    points = np.ascontiguousarray(points[:, :COLUMNS])
    norms = np.sqrt(np.einsum("ij,ij->i", points, points))
    scales = (1 / np.where(norms > 0, norms, 1)).astype(np.float32)
    for level in range(depth):
        bounds = halves(order.shape[0], level)

        def task(start, stop, bounds=bounds, level=level):
            bisect_spans(points, scales, order, bounds, ROUNDS, seed + level, start, stop)

        run_blocks(task, blocks(bounds.shape[0] - 1, -(-bounds.shape[0] // TASKS)), n_threads)
    return order
