"""`ValidationRows`: rows that training has not seen, and what a network says of them, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sklsh._utils.threads import one_blas_thread
from sklsh.network.lsh import LSHCandidates
from sklsh.network.merging import merge_topk
from sklsh.network.model import WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.rows import SparseRows
from sklsh.network.topk import exact_topk, lsh_topk

DEPTH = 50
"""Labels of a row that are known: its best so many."""


@dataclass
class ValidationRows:
    """All that is fitted after training asks the same rows: votes, tables, threshold.

    Attributes
    ----------
    network : WideNetwork
        Trained; must not change any more.
    X, Y : SparseRows
    rows : ndarray of int32
        Which rows of `X` and `Y` these are.
    n_threads : int
    memory : NeighborMemory or None
        Of all rows of `X`, if it votes: a row does not vote for itself.
    gains : tuple of labels and gains, or None
        What the linear view adds to their scores, see `LinearView.gains`, if it has a say.
    weights : ndarray (n,) or None
        How much each of them counts in what is fitted on them; None: all alike.
    """

    network: WideNetwork
    X: SparseRows
    Y: SparseRows
    rows: np.ndarray
    n_threads: int = 1
    memory: NeighborMemory | None = None
    gains: tuple[np.ndarray, np.ndarray] | None = None
    weights: np.ndarray | None = None

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Of values of the rows, (n, ...), as these count."""
        return np.average(values, axis=0, weights=self.weights)

    @cached_property
    def hidden(self) -> np.ndarray:
        """Their last hidden layer."""
        return self.network.hidden(self.X, self.rows, self.n_threads)

    @cached_property
    @one_blas_thread()
    def _found(self) -> tuple[np.ndarray, np.ndarray]:
        depth = min(DEPTH, self.network.n_labels)
        return exact_topk(self.network, self.hidden, depth, self.n_threads)

    def alone(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Their best `k` labels and scores without votes, exactly; at most `DEPTH`."""
        labels, scores = self._found
        return np.ascontiguousarray(labels[:, :k]), np.ascontiguousarray(scores[:, :k])

    def judge(self, network: WideNetwork) -> None:
        """Ask `network` from now on, whose biases alone are others."""
        self.network = network
        vars(self).pop("_found", None)

    def neighbors(self, memory: NeighborMemory):
        """Who votes on them, of those that `memory` knows: ids and cosines to its power."""
        return memory.nearest(self.X, self.rows, self.n_threads, excluded=self.rows)

    @one_blas_thread()
    def topk(self, k: int, index: LSHCandidates | None = None):
        """Their best `k` labels and scores, all counted; among those that `index` names."""
        if index is None:
            found = self.alone(k)
        else:
            found = lsh_topk(self.network, index, self.hidden, k, self.n_threads)
        return self.merged(found, self.gains)

    def merged(self, found, gains=None):
        """Labels and scores `found`, ranked again with their votes and `gains`."""
        if self.memory is None and gains is None:
            return found
        voters = None if self.memory is None else self.voters
        return merge_topk(
            self.network, self.hidden, found, found[0].shape[1], self.memory, voters, gains,
            self.n_threads,
        )  # fmt: skip

    @cached_property
    def voters(self):
        """Who votes on them, of `memory`; found once."""
        return self.neighbors(self.memory)
