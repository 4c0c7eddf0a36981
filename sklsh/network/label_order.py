"""An order of labels in which like ones are neighbours: the splits of a label tree.

A label is the point that the mean of its rows is, at unit length; its `WIDTH` largest entries tell
as much as all. Points are halved again and again at the median along a direction that is learnt
from two random members: codes of balanced, learnt hash functions. Halves differ by one label at
most: all leaves are alike in size, and a tree is as deep as its number of labels says. (The
trained neurons for points cost up to two points of P@1 where a label has words of its own, and a
seventh more weights; random hyperplanes, which are not learnt, two points.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklsh._utils.random import nth_seed
from sklsh._utils.scratch import zeros
from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.splits import bisect_spans, label_centroids
from sklsh.network.rows import SparseRows

WIDTH = 32
"""Entries of a point."""

ROUNDS = 6
"""Directions that are tried for a split, each learnt from the halves of the one before."""

LEARNT = 1 << 12
"""Members of a span from which its direction is learnt, at most."""

TASKS = 64
"""Tasks that a level with many nodes is cut into, and the points."""


class Centroids(NamedTuple):
    """Labels as points: features (n, WIDTH) int32, padded with -1, and values, float32."""

    features: np.ndarray
    values: np.ndarray
    n_features: int

    @classmethod
    def of_labels(
        cls, X: SparseRows, Y: SparseRows, n_features: int, labels, row_weights, n_threads: int = 1
    ) -> Centroids:
        """The points of `labels`, from the rows of `X` that have them in `Y`.

        Rows count ``row_weights`` times, (n_rows,) float32. O(sum over labels of the nnz of
        their rows) time; 8 * WIDTH bytes a label, 12 for each entry of `Y`, and 9 a feature in
        each thread.
        """
        columns = int(Y.indices.max(initial=-1)) + 1
        of_label = Y.to_matrix(columns).tocsc()[:, labels]
        shape = labels.shape[0], min(WIDTH, n_features)
        points = cls(np.empty(shape, np.int32), np.empty(shape, np.float32), n_features)
        indptr, rows = of_label.indptr.astype(np.int64), of_label.indices.astype(np.int32)

        def task(start, stop):
            label_centroids(indptr, rows, *X, row_weights, n_features, *points[:2], start, stop)

        run_blocks(task, blocks(shape[0], -(-shape[0] // TASKS)), n_threads)
        return points


def halves(n: int, depth: int) -> np.ndarray:
    """Where the ``2 ** depth`` parts of ``range(n)`` begin and end, if each is halved again."""
    bounds = np.array([0, n], dtype=np.int64)
    for _ in range(depth):
        middles = (bounds[:-1] + bounds[1:]) // 2
        bounds = np.sort(np.concatenate([bounds, middles]))
    return bounds


def bisect(points: Centroids, depth: int, seed: int, n_threads: int = 1) -> np.ndarray:
    """An order of the points, int32, whose parts `halves` are alike at every depth.

    `seed` is that of the first directions. O(depth * n * WIDTH) time for large spans, `ROUNDS`
    times that for small ones; 8 bytes a feature in each thread.
    """
    order = np.arange(points.features.shape[0], dtype=np.int32)
    for level in range(depth):
        bounds = halves(order.shape[0], level)

        def task(start, stop, bounds=bounds, level=level):
            with zeros(2 * points.n_features) as sums:
                bisect_spans(
                    *points[:2], order, bounds, ROUNDS, LEARNT, nth_seed(seed, level),
                    sums.reshape(-1, 2), start, stop,
                )  # fmt: skip

        run_blocks(task, blocks(bounds.shape[0] - 1, -(-bounds.shape[0] // TASKS)), n_threads)
    return order
