"""`Buckets`: one state of hash tables, which never changes and so needs no lock to be read.

Per table, the ids sorted by code and, for each prefix of the code, where its run begins.
Prefixes are as long as there are ids to tell apart (about log2 n bits), so that narrow codes
are found by one look-up and 62-bit codes by halving a short run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sklsh.hashing._blocks import run_rows
from sklsh.kernels.tables import bucket_sizes, rank_collisions, sort_all, sort_table

QUERY_WORK = 1 << 16
"""Collisions of one query task: a millisecond or less, so that small calls use two cores."""


@dataclass(frozen=True, eq=False)
class Buckets:
    """Codes of ids and the ids in the order of their codes.

    Attributes
    ----------
    codes, present, buckets, starts, code_bits, prefix_bits
        As of `HashTables`.
    """

    codes: np.ndarray
    present: np.ndarray
    buckets: np.ndarray
    starts: np.ndarray
    code_bits: int
    prefix_bits: int
    _scratch: list = field(default_factory=list)

    @classmethod
    def sort(cls, codes, code_bits: int, present, n_jobs: int | None = None) -> Buckets:
        """Buckets of the ids that are present, by counting sort."""
        n_members = int(np.count_nonzero(present))
        prefix_bits = min(code_bits, max(8, n_members.bit_length() - 1))
        made = cls(
            codes, present,
            np.empty((codes.shape[0], n_members), dtype=np.int32),
            np.empty((codes.shape[0], 2**prefix_bits + 1), dtype=np.int32),
            code_bits, prefix_bits,
        )  # fmt: skip
        made._fill(range(codes.shape[0]), n_jobs)
        return made

    def with_codes(self, ids, codes, n_jobs: int | None = None) -> Buckets:
        """One in which `ids` (checked) have the codes `codes` (n, n_tables)."""
        n_more = max(0, int(ids.max()) + 1 - self.n_ids)
        new = codes.T.astype(self.codes.dtype)
        packed = np.pad(self.codes, ((0, 0), (0, n_more)))
        present = np.pad(self.present, (0, n_more))
        came_in = not present[ids].all()
        changed = np.flatnonzero((packed[:, ids] != new).any(axis=1))
        packed[:, ids] = new
        present[ids] = True
        if came_in:
            return Buckets.sort(packed, self.code_bits, present, n_jobs)
        made = replace(self, codes=packed, buckets=self.buckets.copy(), starts=self.starts.copy())
        made._fill(changed, n_jobs)
        return made

    def without(self, ids, n_jobs: int | None = None) -> Buckets:
        """One without `ids`."""
        present = self.present.copy()
        present[ids] = False
        return Buckets.sort(self.codes, self.code_bits, present, n_jobs)

    @property
    def n_ids(self) -> int:
        return self.codes.shape[1]

    @property
    def n_present(self) -> int:
        return self.buckets.shape[1]

    def _fill(self, tables, n_jobs) -> None:
        """Sort some tables into the arrays there are: on the way to a state, not after."""
        n_members, tables = self.n_present, list(tables)
        wide = self.prefix_bits < self.code_bits
        if wide or n_members < self.n_ids:
            members = np.flatnonzero(self.present).astype(np.int32)

            def sort(t, scratch):
                sort_table(
                    self.codes[t], members, self.code_bits, self.prefix_bits,
                    self.starts[t], self.buckets[t], scratch,
                )  # fmt: skip

        else:

            def sort(t, scratch):
                sort_all(self.codes[t], self.starts[t], self.buckets[t])

        def task(start, stop):
            scratch = np.empty(n_members if wide else 0, dtype=np.int32)
            for t in tables[start:stop]:
                sort(t, scratch)

        run_rows(task, len(tables), max(1, QUERY_WORK // max(n_members, 1)), n_jobs)

    def _take_scratch(self):
        # list.pop and list.append are atomic: each thread has a scratch to itself.
        try:
            return self._scratch.pop()
        except IndexError:
            counts = np.zeros(self.n_ids, dtype=np.uint16)
            marks = np.zeros(self.n_ids // 64 + 1, dtype=np.uint64)
            return counts, marks, np.empty(self.n_ids + 1, dtype=np.int32)

    def query(self, keys, n_candidates: int | None, n_jobs: int | None):
        """As `HashTables.query`, of checked `keys` (n_queries, n_tables, n_probes)."""
        n_queries = keys.shape[0]
        low_bits = self.code_bits - self.prefix_bits
        totals = np.empty(n_queries, dtype=np.int64)
        bucket_sizes(self.codes, self.buckets, self.starts, low_bits, keys, totals, 0, n_queries)
        limits = np.minimum(totals, self.n_present)
        if n_candidates is not None:
            np.minimum(limits, n_candidates, out=limits)
        offsets = np.zeros(n_queries + 1, dtype=np.int64)
        np.cumsum(limits, out=offsets[1:])
        ids = np.empty(offsets[-1], dtype=np.int32)
        counts = np.empty(offsets[-1], dtype=np.int32)
        n_found = np.zeros(n_queries, dtype=np.int64)

        def task(start, stop):
            scratch = self._take_scratch()
            levels = np.empty(keys.shape[1] * keys.shape[2] + 1, dtype=np.int64)
            rank_collisions(
                self.codes, self.buckets, self.starts, low_bits, keys, limits, offsets,
                *scratch, levels, ids, counts, n_found, start, stop,
            )  # fmt: skip
            self._scratch.append(scratch)

        mean = int(totals.sum()) // max(n_queries, 1) + self.n_ids // 64
        run_rows(task, n_queries, max(1, QUERY_WORK // max(mean, 1)), n_jobs)
        if (n_found != limits).any():
            ids, counts = _close_gaps(offsets, n_found, ids, counts)
            np.cumsum(n_found, out=offsets[1:])
        return offsets, ids, counts


def _close_gaps(offsets, n_found, ids, counts):
    """Drop what queries did not use of the room they were given."""
    kept = np.zeros(ids.shape[0] + 1, dtype=np.int8)
    np.add.at(kept, offsets[:-1], 1)
    np.add.at(kept, offsets[:-1] + n_found, -1)
    kept = np.cumsum(kept[:-1], dtype=np.int8).astype(bool)
    return ids[kept], counts[kept]
