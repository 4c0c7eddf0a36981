"""`ItemRegression`: each item regressed on its nearest items, over all users.

EASE (H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019) regresses each
item on all others, ``B = argmin |X - X B|^2 + penalty * |B|^2`` with a zero diagonal: items
vote with the weight that is theirs *given the other items that a user has*, where co-occurrence
counts the same taste once for each item of it. Its matrix is dense. Here each item is regressed
on its `n_neighbors` nearest alone (the sparsity pattern of H. Steck, "Markov random fields for
collaborative filtering", NeurIPS 2019, without the sharing of factors): exact on this pattern,
with memory that is linear in the number of items. On the sets of the guide 128 neighbours rank
as well as the dense matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.regression import add_linear_rows, regress_items
from sklsh.network.rows import SparseRows

PENALTIES = (30.0, 100.0, 300.0)
"""Of which validation users choose. Where nobody does, the middle one."""

MAX_COEFFICIENTS = 1 << 24
"""Items times neighbours: with more items than 131,072 an item has fewer than 128 neighbours."""

ITEMS = 32
"""Items of one task; each task has its own scratch of one number a user."""


@dataclass
class ItemRegression:
    """Coefficients by the item that votes.

    Attributes
    ----------
    indptr : ndarray (n_items + 1,), int64
    items : ndarray (nnz,), int32
        Items that each item votes for.
    values : ndarray (n_penalties, nnz), float32
    penalties : tuple of float
    weight : float
        In the final score.
    chosen : int
        Which penalty answers.
    """

    indptr: np.ndarray
    items: np.ndarray
    values: np.ndarray
    penalties: tuple[float, ...]
    weight: float = 0.0
    chosen: int = 0

    @classmethod
    def fit(
        cls, R: SparseRows, neighbors: np.ndarray, penalties=PENALTIES, n_threads: int = 1
    ) -> ItemRegression:
        """Regress each item of `R` on its ``neighbors (n_items, k)``, padded with -1.

        What a user has counts as 1, however much it is. O(n_items * (k^3 / 6 * n_penalties +
        pairs of neighbours that meet in a user)).
        """
        n_items = neighbors.shape[0]
        neighbors = np.ascontiguousarray(neighbors[:, : max(1, MAX_COEFFICIENTS // n_items)])
        users = SparseRows.from_matrix(R.to_matrix(n_items).T)
        known = np.flatnonzero(users.counts()).astype(np.int32)
        found = np.zeros((len(penalties), *neighbors.shape), dtype=np.float32)
        strengths = np.asarray(penalties, dtype=np.float32)

        def task(start, stop):
            regress_items(
                known, neighbors, users.indptr, users.indices, strengths,
                np.full(R.n_rows, -1, dtype=np.int32), found, start, stop,
            )  # fmt: skip

        run_blocks(task, blocks(known.shape[0], ITEMS), n_threads)
        indptr, items, values = _by_voter(neighbors, found)
        return cls(indptr, items, values, tuple(map(float, penalties)))

    def grow(self, n_items: int) -> ItemRegression:
        """The same with more items, which do not vote yet."""
        tail = np.full(n_items + 1 - self.indptr.shape[0], self.indptr[-1])
        return replace(self, indptr=np.concatenate([self.indptr, tail]))

    @property
    def n_choices(self) -> int:
        return len(self.penalties)

    def choose(self, choice: int, weight: float) -> None:
        self.chosen, self.weight = choice, weight

    def settle(self) -> ItemRegression:
        """With the chosen penalty alone."""
        values = self.values[self.chosen : self.chosen + 1].copy()
        penalties = (self.penalties[self.chosen],)
        return ItemRegression(self.indptr, self.items, values, penalties, self.weight)

    def add(self, choice, weight, R: SparseRows, rows, position_of, out, start, stop) -> None:
        """Add `weight` times the scores of ``rows[start:stop]`` to ``out[: stop - start]``."""
        add_linear_rows(
            rows, R.indptr, R.indices, self.indptr, self.items, self.values[choice],
            np.float32(weight), position_of, out, start, stop,
        )  # fmt: skip


def _by_voter(neighbors: np.ndarray, found: np.ndarray):
    """Coefficients of targets on voters, turned into lists of targets by voter."""
    n_items, k = neighbors.shape
    given = neighbors.ravel() >= 0
    voters = neighbors.ravel()[given]
    targets = np.repeat(np.arange(n_items, dtype=np.int32), k)[given]
    order = np.argsort(voters, kind="stable")  # a radix sort: linear time
    indptr = np.zeros(n_items + 1, dtype=np.int64)
    np.cumsum(np.bincount(voters, minlength=n_items), out=indptr[1:])
    values = np.stack([part.ravel()[given][order] for part in found])
    return indptr, targets[order], values
