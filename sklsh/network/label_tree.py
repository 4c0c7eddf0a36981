"""`LabelTree`: labels in the leaves of a balanced tree whose nodes are linear classifiers.

A node tells which of its children have a label of the row, from the row's features; it is
trained on the rows that have a label in it (Prabhu et al., "Parabel", WWW 2018; Yu et al.,
"PECOS", JMLR 2022). A label's score is the product of its path's, found by a beam. What is
different here: children of a node are solved together, see `solve_children`, and siblings
come from learnt hash codes of labels' mean rows, see `label_order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sklsh._utils.random import NODE, nth_seed
from sklsh._utils.threads import blocks, run_blocks
from sklsh._utils.validation import INT32_MAX
from sklsh.kernels.tree_search import expand_beams
from sklsh.kernels.tree_training import (
    local_rows,
    prune_weights,
    rows_of_nodes,
    solve_children,
)
from sklsh.network.label_order import halves
from sklsh.network.rows import SparseRows

LEAF = 64
"""Labels of a leaf, at most: as many as a mask has bits."""

BITS = 6
"""Hash bits of a node's children, at most: 4 cost half a point of P@3 and a fifth of the bytes."""

COST = 1.0
"""Of a row's squared hinge, beside half the squared length of the weights."""

PASSES, TOLERANCE = 10, np.float32(0.3)
"""Of coordinate descent: more change neither P@1 nor P@5."""

THRESHOLD = np.float32(0.1)
"""Weights nearer to 0 are dropped: three quarters of them, for less than .1 points of P@1."""

WEIGHTS = 128
"""A node keeps so many weights for each label below it, at most: the largest."""

N_SIZES = 128
"""Of weights that take a byte: neighbours differ by some 3 %."""

BEAM = 10
"""Nodes of a level that are followed."""

QUERIES = 64
"""Rows of one task of prediction."""

TASK_STEPS = 1 << 16
"""A task trains nodes with so many pairs of row and child, or one."""


class TreeLevel(NamedTuple):
    """The nodes of a level, and the weights by which each tells its children apart.

    ``children`` of node i are ``first_child[i]:first_child[i + 1]`` on the next level. Its
    features are ``features[feature_indptr[i]:feature_indptr[i + 1]]``, ascending, with entries
    ``entry_indptr[f]:entry_indptr[f + 1]`` of ``children`` (counted from the first) and
    ``values``, or where there is a ``book`` of 256 numbers, what these uint8 stand for.
    ``intercepts`` are the children's.
    """

    first_child: np.ndarray
    feature_indptr: np.ndarray
    features: np.ndarray
    entry_indptr: np.ndarray
    children: np.ndarray
    values: np.ndarray
    intercepts: np.ndarray
    book: np.ndarray = np.empty(0, dtype=np.float32)


def pruned_level(level: TreeLevel, threshold: np.float32) -> TreeLevel:
    """Without the weights that are nearer to 0, and the features that have no others."""
    n_features, n_nodes = level.features.shape[0], level.feature_indptr.shape[0] - 1
    kept = np.abs(level.values) >= threshold
    owners = np.repeat(np.arange(n_features), np.diff(level.entry_indptr))
    counts = np.bincount(owners[kept], minlength=n_features)
    left = counts > 0
    nodes = np.repeat(np.arange(n_nodes), np.diff(level.feature_indptr))[left]
    return level._replace(
        feature_indptr=_indptr(np.bincount(nodes, minlength=n_nodes)),
        features=level.features[left],
        entry_indptr=_indptr(counts[left]),
        children=level.children[kept],
        values=level.values[kept],
    )


def coded_level(level: TreeLevel) -> TreeLevel:
    """With a byte a weight: its sign and one of 128 sizes, in equal ratios, to the nearest."""
    sizes = np.abs(level.values)
    first = sizes.min(initial=np.inf, where=sizes > 0)
    if not np.isfinite(first):
        return level
    book = np.geomspace(first, sizes.max(), N_SIZES, dtype=np.float32)
    codes = np.searchsorted(np.sqrt(book[1:] * book[:-1]), sizes)
    fits = level.entry_indptr[-1] <= INT32_MAX
    return level._replace(
        entry_indptr=level.entry_indptr.astype(np.int32 if fits else np.int64),
        values=(codes + N_SIZES * (level.values < 0)).astype(np.uint8),
        book=np.concatenate([book, -book]),
    )


def smallest_kept(values: np.ndarray, share: float) -> np.float32:
    """The size from which values are kept if those below have at most `share` of all squares."""
    sizes = np.sort(np.abs(values))
    squares = np.cumsum(np.square(sizes, dtype=np.float64))
    if not sizes.size:
        return np.float32(0)
    return sizes[
        np.searchsorted(squares, share * squares[-1], side="right").clip(max=sizes.size - 1)
    ]


def _indptr(counts) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def tree_depths(n_labels: int) -> list[int]:
    """Hash bits from the root to each level of nodes: 0 first, the leaves' last."""
    depth = max(0, int(np.ceil(np.log2(max(1, n_labels) / LEAF))))
    n_steps = -(-depth // BITS)
    return [round(depth * i / n_steps) for i in range(n_steps)] + [depth] if depth else [0]


@dataclass
class LabelTree:
    """A trained tree.

    Attributes
    ----------
    order : ndarray of int32
        The label in each place of the last level.
    levels : list of TreeLevel
        From the root down.
    """

    order: np.ndarray
    levels: list[TreeLevel]

    @property
    def nbytes(self) -> int:
        return self.order.nbytes + sum(a.nbytes for level in self.levels for a in level)

    def pruned(self, share: float) -> LabelTree:
        """Without each level's smallest weights, which have `share` of its squared ones: a copy.

        The others take a byte each.
        """
        levels = [pruned_level(level, smallest_kept(level.values, share)) for level in self.levels]
        return LabelTree(self.order, [coded_level(level) for level in levels])

    @classmethod
    def train(
        cls, X: SparseRows, Y: SparseRows, n_features: int, order, row_weights, seed: int,
        n_threads: int = 1,
    ) -> LabelTree:  # fmt: skip
        """Train the nodes of a tree whose leaves have the labels of `order`, in their order.

        Parameters
        ----------
        X : SparseRows
            Of unit length.
        Y : SparseRows
            Their labels; all are in `order`.
        row_weights : ndarray (n_rows,), float32
            Factors of the rows' costs.

        Notes
        -----
        O(passes * sum over nodes of nnz of its rows * its children) time. A level's weights are 128
        a label at most, of 5 to 17 bytes each; beside them, memory for the rows of a level's nodes
        (12 bytes for each pair of row and node) and, in each thread, for one node's weights and
        dual variables.
        """
        places = np.empty(int(order.max(initial=-1)) + 1, dtype=np.int32)
        places[order] = np.arange(order.shape[0], dtype=np.int32)
        labels = Y._replace(indices=places[Y.indices]).to_matrix(order.shape[0])
        labels.sort_indices()
        labels = SparseRows.from_matrix(labels)
        depths = tree_depths(order.shape[0])
        bounds = [halves(order.shape[0], depth) for depth in depths]
        bounds.append(np.arange(order.shape[0] + 1))
        levels = [
            _train_level(
                X, labels, n_features, above, below, row_weights, nth_seed(seed, i), n_threads
            )
            for i, (above, below) in enumerate(pairwise(bounds))
        ]
        return cls(order, levels)

    def search(self, X: SparseRows, rows, k: int, n_threads: int = 1):
        """Places in `order` (n, k) int32 and logarithmic scores, best first, padded with -1."""
        beams = np.zeros((rows.shape[0], 1), dtype=np.int32)
        shares = np.zeros((rows.shape[0], 1), dtype=np.float32)
        for level in self.levels:
            width = k if level is self.levels[-1] else BEAM
            found = (
                np.empty((rows.shape[0], width), dtype=np.int32),
                np.empty((rows.shape[0], width), dtype=np.float32),
            )

            def task(start, stop, level=level, found=found, beams=beams, shares=shares):
                expand_beams(*X, rows, *level, beams, shares, *found, start, stop)

            run_blocks(task, blocks(rows.shape[0], QUERIES), n_threads)
            beams, shares = found
        return beams, shares


def _train_level(X, Y, n_features, bounds, child_bounds, row_weights, seed, n_threads) -> TreeLevel:
    """All nodes of a level: labels `bounds`[i]:`bounds`[i + 1] each, its children likewise."""
    n_nodes = bounds.shape[0] - 1
    first_child = np.searchsorted(child_bounds, bounds).astype(np.int32)
    node_of = np.repeat(np.arange(n_nodes, dtype=np.int32), np.diff(bounds))
    child_of = np.repeat(np.arange(first_child[-1], dtype=np.int32), np.diff(child_bounds))
    nobody = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.uint64)
    starts = np.zeros(n_nodes + 1, dtype=np.int64)
    rows_of_nodes(Y.indptr, Y.indices, node_of, child_of, first_child, starts, *nobody)
    rows = np.empty(starts[-1], dtype=np.int32)
    masks = np.empty(starts[-1], dtype=np.uint64)
    starts[:] = 0
    rows_of_nodes(Y.indptr, Y.indices, node_of, child_of, first_child, starts, rows, masks)

    def train(i, slots):
        part = slice(starts[i], starts[i + 1])
        n_children = int(first_child[i + 1] - first_child[i])
        most = WEIGHTS * int(bounds[i + 1] - bounds[i])
        of_node = X, rows[part], masks[part], row_weights
        return _train_node(*of_node, n_children, most, slots, nth_seed(seed, i, NODE))

    def task(start, stop):
        slots = np.full(n_features, -1, dtype=np.int32)
        return [train(i, slots) for i in range(start, stop)]

    steps = np.cumsum(np.diff(starts) * np.diff(first_child)) // TASK_STEPS
    cuts = [0, *(np.flatnonzero(np.diff(steps)) + 1), n_nodes]
    spans = list(pairwise(cuts))
    nodes = [node for part in run_blocks(task, spans, n_threads) for node in part]
    n_features_of = [node[0].shape[0] for node in nodes]
    # Field by field, so that no more than one is there twice.
    parts = [list(of_nodes) for of_nodes in zip(*nodes, strict=True)]
    del nodes
    features, counts, children, values, intercepts = (
        np.concatenate(parts.pop(0)) for _ in range(5)
    )
    return TreeLevel(
        first_child,
        _indptr(n_features_of),
        features,
        _indptr(counts),
        children,
        values,
        intercepts,
    )


def _train_node(X, rows, masks, row_weights, n_children, most, slots, seed):
    """Features, number of entries of each, entries' children and weights; intercepts."""
    n_entries = int((X.indptr[rows + 1] - X.indptr[rows]).sum())
    features = np.empty(min(n_entries, slots.shape[0]), dtype=np.int32)
    local = np.empty(n_entries, dtype=np.int32)
    starts = np.empty(rows.shape[0] + 1, dtype=np.int64)
    squares = np.empty(rows.shape[0], dtype=np.float32)
    n_local = local_rows(*X, rows, slots, features, local, starts, squares)
    weights = np.zeros((n_local + 1, n_children), dtype=np.float32)
    solve_children(
        X.indptr, X.data, rows, row_weights, masks, local, starts, squares, np.float32(COST),
        PASSES, TOLERANCE, seed, np.arange(rows.shape[0]),
        np.zeros((rows.shape[0], n_children), dtype=np.float32), weights,
    )  # fmt: skip
    threshold, size = THRESHOLD, weights.size - n_children
    if size > most:
        sizes = np.abs(weights[:n_local]).ravel()
        sizes.partition(size - most)
        threshold = max(threshold, sizes[size - most])
        del sizes
    order = np.argsort(features[:n_local])
    nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    empty = np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.float32)
    n_kept, n_weights = prune_weights(weights, order, threshold, *nothing, *empty)
    kept, indptr = np.empty(n_kept, dtype=np.int64), np.zeros(n_kept + 1, dtype=np.int64)
    children = np.empty(n_weights, dtype=np.uint8)
    values = np.empty(n_weights, dtype=np.float32)
    if n_kept:
        prune_weights(weights, order, threshold, kept, indptr, children, values)
    counts = np.diff(indptr).astype(np.uint8)
    return features[kept], counts, children, values, weights[n_local].copy()
