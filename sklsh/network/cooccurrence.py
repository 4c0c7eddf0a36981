"""`ItemMemory`: each item's nearest items by co-occurrence; a user's items score theirs.

The item-item score of item j for user u is that of a three-step random walk user -> item -> user ->
item, with the popularity of the items at both ends discounted::

    C_ij = sum over users v:  x_vi x_vj / s_v^p
    score(u, j) = sum over items i of u:  x_ui C_ij / (n_i^a n_j^b)

with x_vi what v has had of i, in units of the mean of v's entries (so that no unit and no
single user's large numbers outweigh the rest), n_i the sum of item i's column and s_v that of
user v's row (P. Cooper et al. "Random walks in recommender systems: exact computation and
simulations", WWW 2014; RP3-beta of F. Christoffel et al., RecSys 2015, has p = a = 1; p = 1 and
a = b = 1/2 is the linear filter of the normalised graph of items, see `lowpass`).
Only C is stored, the largest `n_neighbors` an item: it adds up over a stream of users, and n
enters at prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.interactions import add_cooccurrences, offset_rows
from sklsh.network.rows import SparseRows

POWERS = ((0.8, 0.15), (0.7, 0.3), (0.5, 0.0), (0.3, 0.0), (0.3, -0.1))
"""Pairs of a and b to choose from: popular items are discounted less where data is sparse."""

SHARE_POWER = 0.75
"""p: where users are to be evaluated on later items, 1 ranks best, where on others of the same
time, 1/2; between them neither loses much."""

KEPT_BY = 0.15
"""b in the ranking that decides which neighbours are kept, before the pair is chosen."""

SHARPNESS = np.float32(100.0)
"""A row's largest score is 1; ranking hardly changes between 100 and 1000."""

ITEMS = 256
"""Items of one task; each task has its own scratch of two numbers an item."""


@dataclass
class ItemMemory:
    """Neighbours of each item, best first.

    Attributes
    ----------
    ids : ndarray (n_items, n_neighbors), int32
        Padded with -1.
    values : ndarray (n_items, n_neighbors), float32
        Co-occurrences.
    counts : ndarray (n_items,), float64
        Sum of each item's column.
    weight : float
        Of item-item scores in the final one.
    powers : tuple of float
        a and b.
    """

    ids: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    weight: float = 0.0
    powers: tuple[float, float] = POWERS[0]

    @classmethod
    def empty(cls, n_items: int, n_neighbors: int) -> ItemMemory:
        shape = (n_items, n_neighbors)
        return cls(
            np.full(shape, -1, dtype=np.int32),
            np.zeros(shape, dtype=np.float32),
            np.zeros(n_items),
        )

    def grow(self, n_items: int, n_neighbors: int) -> ItemMemory:
        """The same with more items, whose neighbours are still to come, and room for these."""
        n_old, n_before = self.ids.shape
        larger = ItemMemory.empty(n_items, max(n_before, n_neighbors))
        larger.ids[:n_old, :n_before], larger.values[:n_old, :n_before] = self.ids, self.values
        larger.counts[:n_old] = self.counts
        larger.weight, larger.powers = self.weight, self.powers
        return larger

    def of(self, R: SparseRows, n_threads: int = 1) -> ItemMemory:
        """What these users alone have to tell, with the same weight and powers."""
        fresh = ItemMemory.empty(*self.ids.shape)
        fresh.weight, fresh.powers = self.weight, self.powers
        fresh.update(R, n_threads)
        return fresh

    def undo_of(self, items: np.ndarray) -> Callable[[], None]:
        """What puts everything back, after an `update` with rows of these items."""
        before = dict(vars(self), counts=self.counts.copy())
        ids, values = self.ids[items], self.values[items]

        def undo():
            vars(self).update(before)
            self.ids[items], self.values[items] = ids, values

        return undo

    def update(self, R: SparseRows, n_threads: int = 1) -> None:
        """Add users. O(sum of squared row lengths), whatever came before."""
        n_items = self.counts.shape[0]
        self.counts += np.bincount(R.indices, R.data, minlength=n_items)
        matrix = R.to_matrix(n_items)
        totals = matrix.sum(axis=1)
        shares = np.zeros_like(totals)
        shares[totals > 0] = totals[totals > 0] ** -SHARE_POWER
        users = SparseRows.from_matrix(matrix.T)
        items = np.flatnonzero(users.counts()).astype(np.int32)
        damping = self._scale(KEPT_BY)

        def task(start, stop):
            add_cooccurrences(
                items, *users, *R, shares.astype(np.float32), damping,
                np.zeros(n_items, dtype=np.float32), np.empty(n_items, dtype=np.int32),
                self.ids, self.values, start, stop,
            )  # fmt: skip

        run_blocks(task, blocks(items.shape[0], ITEMS), n_threads)

    def _scale(self, power: float) -> np.ndarray:
        return (np.maximum(self.counts, 1e-12) ** -power).astype(np.float32)

    @property
    def n_choices(self) -> int:
        return len(POWERS)

    @property
    def chosen(self) -> int:
        return POWERS.index(tuple(self.powers))

    def choose(self, choice: int, weight: float) -> None:
        self.powers, self.weight = POWERS[choice], weight

    def add(self, choice, weight, R: SparseRows, rows, position_of, out, start, stop) -> None:
        """Add `weight` times the logarithms of item-item scores to ``out[: stop - start]``."""
        n_items = self.counts.shape[0]
        scores = np.empty_like(out)
        offset_rows(
            rows, *R, self.ids, self.values, *self._scales(POWERS[choice]), np.float32(weight),
            SHARPNESS, position_of, False, np.float32(0), np.zeros(n_items, dtype=np.float32),
            np.empty(n_items, dtype=np.int32), scores, start, stop,
        )  # fmt: skip
        out += scores

    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors of the items that score others and of those scored."""
        return self._scales(self.powers)

    def _scales(self, powers: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        a, b = powers
        return self._scale(a), self._scale(b)
