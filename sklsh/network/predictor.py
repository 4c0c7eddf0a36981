"""Prediction: logits of the head, votes of nearest rows and gains of the linear view, added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread
from sklsh.network.linear import LinearView
from sklsh.network.lsh import LSHCandidates
from sklsh.network.merging import merge_topk
from sklsh.network.model import WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.rows import SparseRows
from sklsh.network.topk import exact_topk, lsh_topk

ROWS = 4096
"""Rows predicted at a time: hidden vectors and neighbours of so many are held at once."""

UNSEEN = np.float32(-1e9)
"""Score of a label that training has not seen: finite, and below any other."""


@dataclass
class Predictor:
    """Top k and logits.

    Attributes
    ----------
    network : WideNetwork
    memory : NeighborMemory or None
    n_threads : int
    index : LSHCandidates or None
        Hash tables over the head: where to look for the best neurons. None: at all of them.
    linear : LinearView or None
    """

    network: WideNetwork
    memory: NeighborMemory | None = None
    n_threads: int = 1
    index: LSHCandidates | None = None
    linear: LinearView | None = None

    @property
    def _votes(self) -> bool:
        return self.memory is not None and self.memory.weight > 0

    @one_blas_thread()
    def topk(self, X: SparseRows, k: int, rows=None):
        """Labels (n, k) int64 and scores (n, k) float32, best first, padded with -1 / -inf.

        Without an index exact, O(n_rows * n_labels * n_hidden) in blocks; with one,
        candidates by collision rank are scored exactly.
        """
        if rows is None:
            rows = np.arange(X.n_rows, dtype=np.int32)
        labels = np.empty((rows.shape[0], k), dtype=np.int64)
        scores = np.empty((rows.shape[0], k), dtype=np.float32)
        for start, stop in blocks(rows.shape[0], ROWS):
            part = rows[start:stop]
            hidden = self.network.hidden(X, part, self.n_threads)
            if self.index is None:
                found = exact_topk(self.network, hidden, k, self.n_threads)
            else:
                found = lsh_topk(self.network, self.index, hidden, k, self.n_threads)
            if self._votes or self.linear is not None:
                votes = self._votes and (self.memory, self.memory.nearest(X, part, self.n_threads))
                gains = self.linear and self.linear.gains(X, part, self.n_threads)
                found = merge_topk(
                    self.network, hidden, found, k, *(votes or (None, None)), gains, self.n_threads
                )
            labels[start:stop], scores[start:stop] = found
        return labels, scores

    @one_blas_thread()
    def logits(self, X: SparseRows) -> np.ndarray:
        """Scores of every label, dense (n_rows, n_labels) float32: for small heads.

        Labels that training has not seen score `UNSEEN`, unless rows vote for them: of a
        label that only held-out rows have, the votes are the score, in `topk` as well.
        """
        out = np.empty((X.n_rows, self.network.n_labels), dtype=np.float32)
        for start, stop in blocks(X.n_rows, ROWS):
            part = np.arange(start, stop, dtype=np.int32)
            hidden = self.network.hidden(X, part, self.n_threads)
            np.matmul(hidden, self.network.head_weights.T, out=out[start:stop])
            out[start:stop] += self.network.head_bias
            if self._votes:
                neighbors = self.memory.nearest(X, part, self.n_threads)
                self.memory.add_to(out[start:stop], neighbors)
            if self.linear is not None:
                self.linear.add_to(out[start:stop], X, part, self.n_threads)
            if self.network.seen_ids is not None:
                unseen = np.ones(self.network.n_labels, dtype=bool)
                unseen[self.network.seen_ids] = False
                votes = out[start:stop, unseen]
                out[start:stop, unseen] = np.where(votes > 0, votes, UNSEEN)
        return out
