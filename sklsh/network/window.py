"""`RecentRows`: a stream's latest rows, for what is computed from rows and not summed up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sklsh.network.rows import SparseRows

MAX_ENTRIES = 1 << 23
"""Interactions kept at most: 32 MB."""

MIN_ENTRIES = 1_000
"""Interactions kept at least, if so many came."""

GROWTH = 1.5
"""What is computed from the rows is computed anew when so many times the interactions came."""


@dataclass
class RecentRows:
    """Items of the latest rows, without amounts and without names of users.

    Attributes
    ----------
    indptr, indices : ndarray
        CSR rows.
    n_entries : int
        Interactions that came in all, kept or not.
    due : float
        From so many on the next computation is due.
    most : int
        Interactions kept; older rows go first. Pairs of items there are, as a regression of each
        item on the others has no more numbers to learn, within the two bounds above.
    """

    indptr: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    indices: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    n_entries: int = 0
    due: float = 1.0
    most: int = MAX_ENTRIES

    def joined(self, R: SparseRows, n_items: int) -> RecentRows:
        """With these behind those that are there; this one stays. O(entries kept)."""
        most = min(max(n_items**2, MIN_ENTRIES), MAX_ENTRIES)
        indices = np.concatenate([self.indices, R.indices])
        indptr = np.concatenate([self.indptr, self.indptr[-1] + R.indptr[1:]])
        first = np.searchsorted(indptr, indptr[-1] - most)
        kept, n_entries = indices[indptr[first] :], self.n_entries + R.indices.shape[0]
        return RecentRows(indptr[first:] - indptr[first], kept, n_entries, self.due, most)

    def is_due(self) -> bool:
        """Whether to compute anew; if so, the next time is set."""
        if self.n_entries < self.due:
            return False
        # Full, it is computed anew when half of it is new.
        self.due = min(GROWTH * self.n_entries, self.n_entries + self.most / 2)
        return True

    def rows(self) -> SparseRows:
        return SparseRows(self.indptr, self.indices, np.ones_like(self.indices, dtype=np.float32))
