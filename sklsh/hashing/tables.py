"""`HashTables`: the buckets of all tables, collisions of queries, ranked.

Buckets are CSR arrays: per table, the ids sorted by code and, for each prefix of the code,
where its run begins. Prefixes are as long as there are ids to tell apart (about log2 n
bits), so that narrow codes are found by one look-up and 62-bit codes by halving a short run.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.validation import INT32_MAX, check_int, check_n_jobs
from sklsh.hashing._blocks import run_rows
from sklsh.hashing._checks import check_codes, check_ids, check_keys
from sklsh.hashing.base import MAX_CODE_BITS, HashFunctions, code_dtype
from sklsh.kernels.tables import bucket_sizes, rank_collisions, sort_all, sort_table

QUERY_WORK = 1 << 16
"""Collisions of one query task: a millisecond or less, so that small calls use two cores."""


class HashTables:
    """Buckets of `n_tables` hash tables over the ids of rows.

    Made by `build` or `from_sketch`, not by the constructor.

    Attributes
    ----------
    codes : ndarray (n_tables, n_ids), the narrowest integer type
        Code of each id; what is written for ids that are not present has no meaning.
    present : ndarray (n_ids,), bool
    buckets : ndarray (n_tables, n_present), int32
        Ids sorted by code, equal codes by id.
    starts : ndarray (n_tables, 2 ** prefix_bits + 1), int32
        Where the run of each prefix begins in `buckets`.
    code_bits, prefix_bits : int

    Notes
    -----
    Memory: (4 + bytes of a code) * n_tables * n_ids, and 10 bytes an id for each thread that
    has queried. Queries may run on several threads at once; changes may not.
    """

    def __init__(self, codes: np.ndarray, code_bits: int, present: np.ndarray, n_jobs=None):
        self.codes = codes
        self.code_bits = code_bits
        self.present = present
        self._scratch: list = []
        self._sort(range(codes.shape[0]), n_jobs)

    @classmethod
    def build(cls, codes, code_bits: int, ids=None, n_jobs: int | None = None) -> HashTables:
        """Tables of given codes.

        Parameters
        ----------
        codes : ndarray of int (n, n_tables)
            In ``[0, 2 ** code_bits)``, as `HashFunctions.codes` gives them.
        code_bits : int, 1 to 62
        ids : ndarray of int (n,), optional
            Different ids of the rows; ``range(n)`` by default. Memory grows with the
            largest.
        n_jobs : int or None
            Threads. Changes no bit of the result.

        Raises
        ------
        TypeError, ValueError
            Naming the argument that is not as above.

        Notes
        -----
        O(n) a table and digit of 11 bits beyond the prefix: counting sort.
        """
        code_bits = check_int(code_bits, "code_bits", 1, MAX_CODE_BITS)
        codes = check_codes(codes, code_bits)
        if ids is None:
            ids = np.arange(codes.shape[0])
        ids = check_ids(ids)
        if ids.shape[0] != codes.shape[0]:
            raise ValueError(f"ids must have {codes.shape[0]} entries, got {ids.shape[0]}")
        n_ids = int(ids.max()) + 1 if ids.size else 0
        present = np.zeros(n_ids, dtype=bool)
        present[ids] = True
        packed = np.zeros((codes.shape[1], n_ids), dtype=code_dtype(code_bits))
        packed[:, ids] = codes.T
        return cls(packed, code_bits, present, n_jobs)

    @classmethod
    def from_sketch(
        cls, functions: HashFunctions, sketch: np.ndarray, n_jobs: int | None = None
    ) -> HashTables:
        """Tables of the rows of a sketch: `build`, without int64 codes on the way.

        Parameters
        ----------
        functions : HashFunctions
        sketch : ndarray (n, sketch_dim)
            Row i gets id i.
        n_jobs : int or None
            Threads. Changes no bit of the result.
        """
        packed = functions.packed_codes(sketch, n_jobs=n_jobs)
        present = np.ones(packed.shape[1], dtype=bool)
        return cls(packed, functions.code_bits, present, n_jobs)

    @property
    def n_tables(self) -> int:
        return self.codes.shape[0]

    @property
    def n_ids(self) -> int:
        """One more than the largest id there was room for."""
        return self.codes.shape[1]

    @property
    def n_present(self) -> int:
        """Number of ids in the tables."""
        return self.buckets.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, without the scratch of queries."""
        return sum(a.nbytes for a in (self.codes, self.present, self.buckets, self.starts))

    def __getstate__(self):
        return {**self.__dict__, "_scratch": []}

    def __eq__(self, other):
        if not isinstance(other, HashTables):
            return NotImplemented
        return (
            self.code_bits == other.code_bits
            and np.array_equal(self.present, other.present)
            and np.array_equal(self.codes[:, self.present], other.codes[:, other.present])
        )

    __hash__ = None

    def _sort(self, tables, n_jobs=None) -> None:
        """Sort the buckets of some tables anew; all of them if the ids present changed."""
        n_members = int(np.count_nonzero(self.present))
        if getattr(self, "buckets", None) is None or self.n_present != n_members:
            tables = range(self.n_tables)
            self.prefix_bits = min(self.code_bits, max(8, n_members.bit_length() - 1))
            self.buckets = np.empty((self.n_tables, n_members), dtype=np.int32)
            self.starts = np.empty((self.n_tables, 2**self.prefix_bits + 1), dtype=np.int32)
        tables = list(tables)
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

        per_task = max(1, QUERY_WORK // max(n_members, 1))
        n_jobs = check_n_jobs(n_jobs)
        run_rows(task, len(tables), per_task, n_jobs)

    def _take_scratch(self):
        # list.pop and list.append are atomic: each thread has a scratch to itself.
        try:
            counts, marks, touched = self._scratch.pop()
            if counts.shape[0] == self.n_ids:
                return counts, marks, touched
        except IndexError:
            pass
        counts = np.zeros(self.n_ids, dtype=np.uint16)
        marks = np.zeros(self.n_ids // 64 + 1, dtype=np.uint64)
        return counts, marks, np.empty(self.n_ids + 1, dtype=np.int32)

    def query(self, codes, n_candidates: int | None = None, n_jobs: int | None = None):
        """Ids that share buckets with the queries, ranked by the number of tables they share.

        Parameters
        ----------
        codes : ndarray of int (n_queries, n_tables) or (n_queries, n_tables, n_probes)
            As `HashFunctions.codes` or `HashFunctions.probes` gives them; -1 = no probe.
        n_candidates : int or None
            Keep this many a query. None: every id with a collision.
        n_jobs : int or None
            Threads. Changes no bit of the result.

        Returns
        -------
        indptr : ndarray (n_queries + 1,), int64
            Query q's candidates are ``ids[indptr[q]:indptr[q + 1]]``.
        ids : ndarray (n_found,), int32
            By descending count, ties by ascending id.
        counts : ndarray (n_found,), int32
            Number of (table, probe) pairs whose bucket has the id.

        Notes
        -----
        O(collisions + n_ids / 64) a query; allocates nothing of the size of the index
        after the first call on a thread.
        """
        keys = check_keys(codes, self.code_bits, self.n_tables)
        n_jobs = check_n_jobs(n_jobs)
        if n_candidates is not None:
            n_candidates = min(check_int(n_candidates, "n_candidates", 1), INT32_MAX)
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

    def update(self, ids, codes, n_jobs: int | None = None) -> HashTables:
        """Give ids new codes; ids that are not present come in.

        Parameters
        ----------
        ids : ndarray of int (n,)
        codes : ndarray of int (n, n_tables)
        n_jobs : int or None

        Returns
        -------
        self

        Notes
        -----
        O(n_present) for each table in which a code changed; all tables if ids came in.
        """
        ids = check_ids(ids)
        codes = check_codes(codes, self.code_bits, self.n_tables)
        if codes.shape[0] != ids.shape[0]:
            raise ValueError(
                f"codes must have a row for each of {ids.shape[0]} ids, got {codes.shape[0]}"
            )
        if not ids.size:
            return self
        self._own()
        n_ids = int(ids.max()) + 1
        if n_ids > self.n_ids:
            self.codes = np.pad(self.codes, ((0, 0), (0, n_ids - self.n_ids)))
            self.present = np.pad(self.present, (0, n_ids - self.present.shape[0]))
            self._scratch.clear()
        new = codes.T.astype(self.codes.dtype)
        changed = np.flatnonzero((self.codes[:, ids] != new).any(axis=1))
        self.codes[:, ids] = new
        self.present[ids] = True
        self._sort(changed, n_jobs)
        return self

    def remove(self, ids, n_jobs: int | None = None) -> HashTables:
        """Take ids out of every table; O(n_tables * n_present). Returns self.

        Raises
        ------
        ValueError
            An id is not present; nothing is removed then.
        """
        ids = check_ids(ids)
        absent = np.setdiff1d(ids, np.flatnonzero(self.present))
        if absent.size:
            raise ValueError(f"ids must be present, got {absent[:5].tolist()}, which are not")
        if not ids.size:
            return self
        self._own()
        self.present[ids] = False
        self._sort((), n_jobs)
        return self

    def merge(self, other: HashTables, n_jobs: int | None = None) -> HashTables:
        """Take over the ids of tables that were built with the same functions. Returns self.

        Raises
        ------
        ValueError
            Another number of tables or of code bits, or an id that both have.
        """
        if (other.n_tables, other.code_bits) != (self.n_tables, self.code_bits):
            raise ValueError(
                f"other must have n_tables={self.n_tables} and code_bits={self.code_bits}, got "
                f"n_tables={other.n_tables} and code_bits={other.code_bits}"
            )
        ids = np.flatnonzero(other.present)
        both = ids[ids < self.n_ids]
        both = both[self.present[both]]
        if both.size:
            raise ValueError(f"ids of other must not be present here, got {both[:5].tolist()}")
        return self.update(ids, other.codes[:, ids].T, n_jobs)

    def _own(self) -> None:
        """Arrays that another process mapped read-only become one's own before a change."""
        for name in ("codes", "present", "buckets", "starts"):
            setattr(self, name, np.require(getattr(self, name), requirements="W"))

    def sizes(self, table: int) -> np.ndarray:
        """Ids in each bucket of a table that is not empty, by ascending code."""
        table = check_int(table, "table", 0, self.n_tables - 1)
        ordered = self.codes[table, self.buckets[table]]
        if not ordered.size:
            return np.empty(0, dtype=np.int64)
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        return np.diff(np.append(first, ordered.shape[0]))

    def stats(self) -> dict:
        """How full the buckets are.

        Returns
        -------
        dict
            ``n_tables``, ``n_present``, ``code_bits``, ``nbytes``; per table, ``(n_tables,)``:
            ``n_buckets`` (not empty), ``largest_bucket``, ``candidates_per_query`` (mean
            size of the bucket that an indexed row falls in); ``occupancy``: entry i is the
            number of buckets of 2^i to 2^(i+1) - 1 ids, over all tables.
        """
        n_buckets, largest, candidates = [], [], []
        occupancy = np.zeros(max(1, self.n_present.bit_length()), dtype=np.int64)
        for t in range(self.n_tables):
            sizes = self.sizes(t)
            n_buckets.append(sizes.shape[0])
            largest.append(sizes.max(initial=0))
            candidates.append((sizes.astype(float) ** 2).sum() / max(self.n_present, 1))
            occupancy += np.bincount(np.frexp(sizes)[1] - 1, minlength=occupancy.shape[0])
        return {
            "n_tables": self.n_tables,
            "n_present": self.n_present,
            "code_bits": self.code_bits,
            "nbytes": self.nbytes,
            "n_buckets": np.array(n_buckets),
            "largest_bucket": np.array(largest),
            "candidates_per_query": np.array(candidates),
            "occupancy": occupancy,
        }


def _close_gaps(offsets, n_found, ids, counts):
    """Drop what queries did not use of the room they were given."""
    kept = np.zeros(ids.shape[0] + 1, dtype=np.int8)
    np.add.at(kept, offsets[:-1], 1)
    np.add.at(kept, offsets[:-1] + n_found, -1)
    kept = np.cumsum(kept[:-1], dtype=np.int8).astype(bool)
    return ids[kept], counts[kept]
