"""`ValidationRows`: rows that training has not seen, and what a network says of them, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sklsh._utils.threads import one_blas_thread
from sklsh.network.lsh import LSHCandidates
from sklsh.network.model import WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.predictor import LEAST_NAMED, Predictor
from sklsh.network.rows import SparseRows

DEPTH = LEAST_NAMED
"""Labels of a row that are known: its best so many."""


@dataclass
class ValidationRows:
    """All that is fitted after training asks the same rows: k-NN scores, tables, threshold.

    What `Predictor` needs of them is computed once, and it ranks.

    Attributes
    ----------
    network : WideNetwork
        Trained; must not change any more.
    X, Y : SparseRows
    rows : ndarray of int32
        Which rows of `X` and `Y` these are.
    n_threads : int
    memory : NeighborMemory or None
        Of all rows of `X`, if it has a say: a row is no neighbour of itself.
    gains : tuple of labels and gains, or None
        What the linear view adds to their scores, see `LinearView.gains`, if it has a say.
    weights : ndarray (n,) or None
        How much each of them counts in what is fitted on them; None: all alike.
    nearest : tuple of ids and cosines to the memory's power, or None
        Their neighbours in `memory`, once they are known.
    """

    network: WideNetwork
    X: SparseRows
    Y: SparseRows
    rows: np.ndarray
    n_threads: int = 1
    memory: NeighborMemory | None = None
    gains: tuple[np.ndarray, np.ndarray] | None = None
    weights: np.ndarray | None = None
    nearest: tuple[np.ndarray, np.ndarray] | None = None

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
        return self.predictor().head_topk(self.hidden, min(DEPTH, self.network.n_labels))

    def alone(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Their best `k` labels and scores by the head alone, exactly; at most `DEPTH`."""
        labels, scores = self._found
        return np.ascontiguousarray(labels[:, :k]), np.ascontiguousarray(scores[:, :k])

    def switch(self, network: WideNetwork) -> None:
        """To a `network` whose biases alone are others."""
        self.network = network
        vars(self).pop("_found", None)

    def neighbors(self, memory: NeighborMemory):
        """Those nearest to them that `memory` knows: ids and cosines to its power."""
        return memory.nearest(self.X, self.rows, self.n_threads, excluded=self.rows)

    @property
    def own_neighbors(self):
        """Their neighbours in `memory`; found once. None: there is none."""
        if self.memory is None:
            return None
        if self.nearest is None:
            self.nearest = self.neighbors(self.memory)
        return self.nearest

    def predictor(self, index: LSHCandidates | None = None, named_only=False) -> Predictor:
        return Predictor(self.network, self.memory, self.n_threads, index, named_only=named_only)

    @one_blas_thread()
    def topk(self, k: int, index: LSHCandidates | None = None, named_only: bool = False):
        """Their best `k` labels and scores, all counted; among candidates as `Predictor` has it."""
        predictor = self.predictor(index, named_only)
        if index is not None or named_only:
            return predictor.ranked(self.hidden, k, self.own_neighbors, self.gains)
        return predictor.merged(self.hidden, self.alone(k), self.own_neighbors, self.gains)
