"""The prediction pipeline: logits of the head, k-NN scores and the linear view's gains, added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread
from sklsh.network.linear import LinearView
from sklsh.network.lsh import LSHCandidates
from sklsh.network.merging import merge_topk
from sklsh.network.model import WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.rows import SparseRows
from sklsh.network.topk import exact_topk, lsh_topk

UNSEEN = np.float32(-1e9)
"""Score of a label that training has not seen: finite, and below any other."""


LEAST_NAMED = 50
"""Labels that neighbours and view name for a row that is answered by these alone: so that its best
are the same however few of them are asked for."""


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
    named_only : bool
        Score those labels alone that neighbours and linear view name, if there is either.
    """

    network: WideNetwork
    memory: NeighborMemory | None = None
    n_threads: int = 1
    index: LSHCandidates | None = None
    linear: LinearView | None = None
    named_only: bool = False

    n_rows_at_once: ClassVar[int] = 4096
    """Rows predicted at a time: hidden vectors and neighbours of so many are held at once."""

    # From rows ----------------------------------------------------------------------------------

    @one_blas_thread()
    def topk(self, X: SparseRows, k: int, rows=None):
        """Labels (n, k) int64 and scores (n, k) float32, best first, padded with -1 / -inf.

        Exact, O(n_rows * n_labels * n_hidden) in blocks, with an index or `named_only` among
        candidates, which are scored exactly.
        """
        if rows is None:
            rows = np.arange(X.n_rows, dtype=np.int32)
        labels = np.empty((rows.shape[0], k), dtype=np.int64)
        scores = np.empty((rows.shape[0], k), dtype=np.float32)
        for start, stop in blocks(rows.shape[0], self.n_rows_at_once):
            part = rows[start:stop]
            hidden = self.network.hidden(X, part, self.n_threads)
            neighbors, gains = self.neighbors(X, part), self.gains(X, part)
            labels[start:stop], scores[start:stop] = self.ranked(hidden, k, neighbors, gains)
        return labels, scores

    @one_blas_thread()
    def logits(self, X: SparseRows) -> np.ndarray:
        """Scores of every label, dense (n_rows, n_labels) float32: for small heads.

        Labels that training has not seen score `UNSEEN`, unless neighbours have them: of a
        label that only held-out rows have, the k-NN score is the score, in `topk` as well.
        """
        seen = self.network.observed_ids
        unseen = np.full(self.network.n_labels, seen is not None)
        if seen is not None:
            unseen[seen] = False
        out = np.empty((X.n_rows, self.network.n_labels), dtype=np.float32)
        for start, stop in blocks(X.n_rows, self.n_rows_at_once):
            rows, part = np.arange(start, stop, dtype=np.int32), out[start:stop]
            self.head_logits(self.network.hidden(X, rows, self.n_threads), part)
            neighbors = self.neighbors(X, rows)
            if self.memory is not None and neighbors is not None:
                self.memory.add_to(part, neighbors)
            if self.linear is not None:
                self.linear.add_to(part, X, rows, self.n_threads)
            if seen is not None:
                mark_unseen(part, unseen)
        return out

    def neighbors(self, X: SparseRows, rows):
        """The training rows nearest to each, see `NeighborMemory.nearest`; None: they weigh 0."""
        if self.memory is None or not self.memory.weight > 0:
            return None
        return self.memory.nearest(X, rows, self.n_threads)

    def gains(self, X: SparseRows, rows):
        """What the linear view adds, see `LinearView.gains`; None: it has no say."""
        return None if self.linear is None else self.linear.gains(X, rows, self.n_threads)

    # From hidden vectors ------------------------------------------------------------------------

    def head_topk(self, hidden: np.ndarray, k: int):
        """Labels and scores of the head alone."""
        if self.index is None:
            return exact_topk(self.network, hidden, k, self.n_threads)
        return lsh_topk(self.network, self.index, hidden, k, self.n_threads)

    def head_logits(self, hidden: np.ndarray, out: np.ndarray) -> None:
        """Logits of all labels, into `out`."""
        np.matmul(hidden, self.network.head_weights.T, out=out)
        out += self.network.head_bias

    def ranked(self, hidden: np.ndarray, k: int, neighbors=None, gains=None):
        """The best `k`, all counted; among the whole head where few labels are named."""
        if not self.named_only or (neighbors is None and gains is None):
            return self.merged(hidden, self.head_topk(hidden, k), neighbors, gains)
        shape = hidden.shape[0], max(k, LEAST_NAMED)
        none = np.full(shape, -1), np.full(shape, -np.inf, np.float32)
        found = self.merged(hidden, none, neighbors, gains)
        short = np.flatnonzero(found[0][:, min(shape[1], self.network.n_labels) - 1] < 0)
        labels, scores = (np.ascontiguousarray(part[:, :k]) for part in found)
        if short.size:
            few = (part and (part[0][short], part[1][short]) for part in (neighbors, gains))
            found = self.head_topk(hidden[short], k)
            labels[short], scores[short] = self.merged(hidden[short], found, *few)
        return labels, scores

    def merged(self, hidden: np.ndarray, found, neighbors=None, gains=None):
        """`found` of the head, ranked again with `neighbors` and `gains`, if there are any."""
        if neighbors is None and gains is None:
            return found
        return merge_topk(
            self.network.head, hidden, found, found[0].shape[1], self.memory, neighbors, gains,
            self.n_threads,
        )  # fmt: skip


def mark_unseen(scores: np.ndarray, unseen: np.ndarray) -> None:
    """Columns `unseen` (bool) in place: their k-NN scores where there are any, else `UNSEEN`."""
    found = scores[:, unseen]
    scores[:, unseen] = np.where(found > 0, found, UNSEEN)
