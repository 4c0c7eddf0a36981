"""`LinearView`: label trees over the raw features, beside the network.

A hidden layer of some hundred units forgets a word that is characteristic of one label; a
linear classifier of that label does not. The view's score of a label, ``weight * sqrt(share)``
with the mean share of a few trees, is added to the logit and the k-NN score; the weight is
fitted on validation rows, and 0 where the view does not help. (The square root is better than the
share by .1 to .4 points of P@1 on four sets, and as good as its logarithm with a floor.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh._utils.random import TREE, nth_seed
from sklsh._utils.scratch import zeros
from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.tree_search import add_shares, best_sums
from sklsh.network.label_order import Centroids, bisect
from sklsh.network.label_tree import LabelTree, tree_depths
from sklsh.network.rows import SparseRows

MANY_LABELS = 100_000
"""From so many labels on there is one tree: three would be most of a fit's time and memory."""

DROPPED = 0.4
"""Share of a level's squared weights that a view to carry does without: three quarters of the
bytes, for less than half a point of P@1 (`benchmarks/bench_compress.py`). A share, as rows of many
features have smaller weights. The first tree alone was as good on one set and .4 points worse on
another."""

SMALL = 1 << 20
"""Bytes of a view that is carried as it is: chances were fitted to what it says."""

DEPTH = 50
"""Labels of a row that the view scores."""

QUERIES = 256


@dataclass
class LinearView:
    """A few label trees and what their score weighs.

    Attributes
    ----------
    trees : list of LabelTree
    n_labels : int
    weight : float
        Of the shares' square roots in the final score.
    """

    trees: list[LabelTree]
    n_labels: int
    weight: float = 0.0

    @classmethod
    def build(
        cls, X: SparseRows, Y: SparseRows, rows, n_features: int, n_labels: int, n_trees: int, *,
        sample_weight=None, seed: int = 0, n_threads: int = 1,
    ) -> LinearView:  # fmt: skip
        """Train `n_trees` on ``X[rows]``, at unit length, and the labels that these have.

        One where they could not differ, or are of very many labels.

        See `LabelTree.train` and `Centroids.of_labels` for time and memory; one copy of the rows
        beside.
        """
        X, Y = unit_rows(X.take(rows)), Y.take(rows)
        weights = np.ones(rows.shape[0], dtype=np.float32)
        if sample_weight is not None:
            weights = sample_weight[rows].astype(np.float32)
        seen = np.unique(Y.indices)
        depth = tree_depths(seen.shape[0])[-1]
        points = Centroids.of_labels(X, Y, n_features, seen, weights, n_threads)
        trees = []
        for i in range(n_trees if depth and seen.shape[0] < MANY_LABELS else 1):
            order = seen[bisect(points, depth, nth_seed(seed, i, TREE), n_threads)]
            tree_seed = nth_seed(seed, i)
            trees.append(LabelTree.train(X, Y, n_features, order, weights, tree_seed, n_threads))
        return cls(trees, n_labels)

    @property
    def nbytes(self) -> int:
        return sum(tree.nbytes for tree in self.trees)

    def pruned(self) -> LinearView:
        """To carry: with the large weights alone; see `DROPPED` and `SMALL`."""
        if self.nbytes < SMALL:
            return self
        return replace(self, trees=[tree.pruned(DROPPED) for tree in self.trees])

    def shares(self, X: SparseRows, rows, n_threads: int = 1):
        """Labels (n, depth) int32, padded with -1, and their mean shares, best first."""
        n_samples, k = rows.shape[0], min(DEPTH, self.n_labels)
        labels = np.empty((n_samples, k), dtype=np.int32)
        values = np.empty((n_samples, k), dtype=np.float32)
        answers = [tree.search(X, rows, k, n_threads) for tree in self.trees]
        factor = np.float32(1.0 / len(self.trees))

        def task(start, stop):
            found = np.empty(len(self.trees) * k, dtype=np.int32)
            with zeros(self.n_labels) as sums:
                for i in range(start, stop):
                    n_found = 0
                    for tree, (places, shares) in zip(self.trees, answers, strict=True):
                        n_found = add_shares(
                            places[i], shares[i], tree.order, factor, sums, found, n_found
                        )
                    best_sums(sums, found, n_found, labels[i], values[i])

        run_blocks(task, blocks(n_samples, QUERIES), n_threads)
        return labels, values

    def gains(self, X: SparseRows, rows, n_threads: int = 1):
        """Labels as `shares`, and what each adds to its score."""
        labels, shares = self.shares(X, rows, n_threads)
        return labels, self.scaled(shares)

    def add_to(self, logits, X: SparseRows, rows, n_threads: int = 1) -> None:
        """Add the gains to dense logits (n_samples, n_labels), in place."""
        labels, gains = self.gains(X, rows, n_threads)
        known = labels >= 0
        logits[np.nonzero(known)[0], labels[known]] += gains[known]

    def scaled(self, shares: np.ndarray) -> np.ndarray:
        """What shares add to scores."""
        return np.float32(self.weight) * np.sqrt(shares)


def unit_rows(X: SparseRows) -> SparseRows:
    """Rows at unit length (rows of zeros as they are), a copy."""
    squares = np.add.reduceat(
        np.append(np.square(X.data, dtype=np.float64), 0.0), X.indptr[:-1]
    )  # an empty row takes what follows it, and has no entries to scale
    norms = np.sqrt(np.where(squares > 0, squares, 1.0))
    scales = np.repeat(1 / norms, X.counts())
    return X._replace(data=(X.data * scales).astype(np.float32))
