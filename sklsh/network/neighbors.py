"""`NeighborMemory`: training rows are kept, and score their labels at prediction.

A network of a few hundred hidden units forgets rare features; the rows themselves do not.
The final score of a label is ``logit + weight * log(1 + 10 * score)``, where the k-NN score is the
sum of ``cosine ** power`` over those of the query's nearest training rows that carry the label
(compare Khandelwal et al., "Nearest neighbor language models", ICLR 2020). How many neighbours
count, the power and the weight are fitted on validation rows; it is 0 where they do not help.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.knn_scores import add_knn_scores, try_knn_scores
from sklsh.network.model import WideNetwork
from sklsh.network.nearest import RowIndex, index_rows
from sklsh.network.rows import SparseRows

QUERIES = 256
"""Queries of one task; each task has its own scratch of one float a label."""

SHARPNESS = np.float32(10.0)
"""Scores are sums of similarities: of the order of 1. Ranking hardly changes between 3 and 30."""


@dataclass
class NeighborMemory:
    """Training rows, searchable, and the labels of each.

    Attributes
    ----------
    index : InvertedRows or DenseRows
    labels : SparseRows
        Labels of each training row.
    n_neighbors : int
        Nearest rows that count.
    power : float
        The higher, the more the nearest of them outweigh the others.
    weight : float
        Of the k-NN score in the final one.
    """

    index: RowIndex
    labels: SparseRows
    n_neighbors: int
    power: float = 1.0
    weight: float = 0.0

    @classmethod
    def build(
        cls, X: SparseRows, Y: SparseRows, n_features: int, n_neighbors: int
    ) -> NeighborMemory:
        """Index all rows of `X`; see `index_rows`."""
        # The caller's y may be what `Y` looks at, and may change.
        labels = Y._replace(indptr=Y.indptr.copy(), indices=Y.indices.copy())
        return cls(index_rows(X, n_features), labels, n_neighbors)

    @property
    def nbytes(self) -> int:
        return self.index.nbytes + sum(array.nbytes for array in self.labels)

    def nearest(self, X: SparseRows, rows, n_threads: int = 1, excluded=None):
        """Ids (n, n_neighbors) int32, padded with -1, and ``cosine ** power``, best first.

        ``excluded[i]`` is a training row that is no neighbour of ``X[rows[i]]``: itself.
        """
        if excluded is None:
            excluded = np.full(rows.shape[0], -1, dtype=np.int32)
        ids, cosines = self.index.nearest(X, rows, excluded, self.n_neighbors, n_threads)
        return ids, cosines**self.power

    def among(self, neighbors) -> tuple[NeighborMemory, tuple[np.ndarray, np.ndarray]]:
        """A memory of the labels of these neighbours alone, and they as numbered there.

        It scores labels as this one does, and has no more of them than the neighbours have.
        """
        ids, similarities = neighbors
        known, places = np.unique(ids, return_inverse=True)
        n_padding = int((ids < 0).any())  # -1 is one of `known` then, the first
        few = replace(self, labels=self.labels.take(known[n_padding:]))
        return few, ((places.reshape(ids.shape) - n_padding).astype(np.int32), similarities)

    def try_topk(
        self, network: WideNetwork, hidden, neighbors, net_topk, Y: SparseRows, rows, powers,
        n_neighbors, weights, n_threads=1,
    ) -> np.ndarray:  # fmt: skip
        """Whether labels by `merge_topk`, without gains, are of ``Y[rows]``, for each trial.

        A bool array (n, len(powers), len(n_neighbors), len(weights), k); `neighbors` as of
        `nearest`, their cosines to the power of 1. All are tried on one search, and a label's
        logit is computed once.
        """
        n_samples, k = net_topk[0].shape
        ids, cosines = neighbors
        similarities = np.stack([cosines**power for power in powers])
        trials = np.asarray(n_neighbors), np.asarray(weights, dtype=np.float32)
        right = np.empty((n_samples, len(powers), *map(len, trials), k), dtype=np.bool_)

        def task(start, stop):
            scores = np.zeros(network.n_labels, dtype=np.float32)
            scored = np.empty(network.n_labels, dtype=np.int32)
            try_knn_scores(
                hidden, network.head_weights, network.head_bias, ids, similarities,
                self.labels.indptr, self.labels.indices, SHARPNESS, scores, scored, *net_topk,
                Y.indptr, Y.indices, rows, *trials, right, start, stop,
            )  # fmt: skip

        run_blocks(task, blocks(n_samples, QUERIES), n_threads)
        return right

    def add_to(self, logits, neighbors) -> None:
        """Add k-NN scores to dense logits (n_samples, n_labels), in place."""
        n_labels = logits.shape[1]
        add_knn_scores(
            *neighbors, self.labels.indptr, self.labels.indices, np.float32(self.weight),
            SHARPNESS, np.zeros(n_labels, dtype=np.float32), np.empty(n_labels, dtype=np.int32),
            logits, 0, logits.shape[0],
        )  # fmt: skip
