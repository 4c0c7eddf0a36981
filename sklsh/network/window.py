"""`RecentRows`: a stream's latest rows, for what is computed from rows and not summed up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sklsh.network.rows import SparseRows

MAX_ENTRIES = 1 << 23
"""Interactions kept at most: 64 MB."""

MIN_ENTRIES = 1_000
"""Interactions kept at least, if so many came."""

GROWTH, GROWTH_ANEW = 1.5, 1.3
"""What is computed from the rows is computed anew when so many times the interactions came; the
second, everything: that costs 4.3 times what it costs once in all, 1.5 would three times, and the
last rows are missing less long."""


@dataclass
class RecentRows:
    """The latest rows, without names of users.

    Attributes
    ----------
    indptr, indices, data : ndarray
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
    data: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float32))

    def joined(self, R: SparseRows, n_items: int) -> RecentRows:
        """With these behind those that are there; this one stays. O(entries kept)."""
        most = min(max(n_items**2, MIN_ENTRIES), MAX_ENTRIES)
        own = self.rows()
        indices = np.concatenate([own.indices, R.indices])
        data = np.concatenate([own.data, R.data])
        indptr = np.concatenate([self.indptr, self.indptr[-1] + R.indptr[1:]])
        first = np.searchsorted(indptr, indptr[-1] - most)
        kept = slice(indptr[first], None)
        n_entries = self.n_entries + R.indices.shape[0]
        return RecentRows(
            indptr[first:] - indptr[first], indices[kept], n_entries, self.due, most, data[kept]
        )

    def is_due(self, growth: float = GROWTH) -> bool:
        """Whether to compute anew; if so, the next time is set."""
        if self.n_entries < self.due:
            return False
        # Full, it is computed anew when half of it is new.
        self.due = min(growth * self.n_entries, self.n_entries + self.most / 2)
        return True

    @property
    def n_rows(self) -> int:
        return self.indptr.shape[0] - 1

    def rows(self) -> SparseRows:
        data = self.data
        if data.shape != self.indices.shape:  # of a folder of when amounts were not kept
            data = np.ones_like(self.indices, dtype=np.float32)
        return SparseRows(self.indptr, self.indices, data)
