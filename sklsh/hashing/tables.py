"""`HashTables`: the buckets of all tables, collisions of queries, ranked.

The tables are a reference to a state, `Buckets`, that never changes. A change makes the next
state aside and puts it in place by one assignment, so that queries need no lock: each takes
the reference once, and sees the tables before the change or after it.
"""

from __future__ import annotations

from threading import Lock

import numpy as np

from sklsh._utils.validation import INT32_MAX, check_int, check_n_jobs
from sklsh.hashing._checks import check_codes, check_ids, check_keys
from sklsh.hashing.base import MAX_CODE_BITS, HashFunctions, code_dtype
from sklsh.hashing.buckets import Buckets

ARRAYS = ("codes", "present", "buckets", "starts")


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
    has queried; during a change the state before and the one after.

    Any number of threads may query while others change the tables: a query sees them as they
    were before a change or as they are after it, and does not wait. Changes wait for one
    another. Of attributes that must fit together take a `snapshot` first.
    """

    def __init__(self, codes: np.ndarray, code_bits: int, present: np.ndarray, n_jobs=None):
        self._state = Buckets.sort(codes, code_bits, present, check_n_jobs(n_jobs))
        self._change = Lock()

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

    def snapshot(self) -> HashTables:
        """These tables as they are now, whatever becomes of them; O(1), nothing is copied."""
        return HashTables._of(self._state)

    @classmethod
    def _of(cls, state: Buckets) -> HashTables:
        tables = cls.__new__(cls)
        tables._state, tables._change = state, Lock()
        return tables

    @property
    def codes(self) -> np.ndarray:
        return self._state.codes

    @property
    def present(self) -> np.ndarray:
        return self._state.present

    @property
    def buckets(self) -> np.ndarray:
        return self._state.buckets

    @property
    def starts(self) -> np.ndarray:
        return self._state.starts

    @property
    def code_bits(self) -> int:
        return self._state.code_bits

    @property
    def prefix_bits(self) -> int:
        return self._state.prefix_bits

    @property
    def n_tables(self) -> int:
        return self.codes.shape[0]

    @property
    def n_ids(self) -> int:
        """One more than the largest id there was room for."""
        return self._state.n_ids

    @property
    def n_present(self) -> int:
        """Number of ids in the tables."""
        return self._state.n_present

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, without the scratch of queries."""
        state = self._state
        return sum(getattr(state, name).nbytes for name in ARRAYS)

    def __getstate__(self):
        state = self._state
        return {name: getattr(state, name) for name in (*ARRAYS, "code_bits", "prefix_bits")}

    def __setstate__(self, state):
        state.pop("_scratch", None)  # which models of 0.1 have
        self._state, self._change = Buckets(**state), Lock()

    def __eq__(self, other):
        if not isinstance(other, HashTables):
            return NotImplemented
        one, two = self._state, other._state
        return (
            one.code_bits == two.code_bits
            and np.array_equal(one.present, two.present)
            and np.array_equal(one.codes[:, one.present], two.codes[:, two.present])
        )

    __hash__ = None  # type: ignore[assignment]

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
        state = self._state
        keys = check_keys(codes, state.code_bits, state.codes.shape[0])
        n_jobs = check_n_jobs(n_jobs)
        if n_candidates is not None:
            n_candidates = min(check_int(n_candidates, "n_candidates", 1), INT32_MAX)
        return state.query(keys, n_candidates, n_jobs)

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
        O(n_present) for each table in which a code changed; all tables if ids came in. A copy
        of the codes, O(n_tables * n_ids), in any case: queries go on with the old ones.
        """
        ids = check_ids(ids)
        codes = check_codes(codes, self.code_bits, self.n_tables)
        if codes.shape[0] != ids.shape[0]:
            raise ValueError(
                f"codes must have a row for each of {ids.shape[0]} ids, got {codes.shape[0]}"
            )
        n_jobs = check_n_jobs(n_jobs)
        with self._change:
            if ids.size:
                self._state = self._state.with_codes(ids, codes, n_jobs)
        return self

    def remove(self, ids, n_jobs: int | None = None) -> HashTables:
        """Take ids out of every table; O(n_tables * n_present). Returns self.

        Raises
        ------
        ValueError
            An id is not present; nothing is removed then.
        """
        ids = check_ids(ids)
        n_jobs = check_n_jobs(n_jobs)
        with self._change:
            absent = np.setdiff1d(ids, np.flatnonzero(self.present))
            if absent.size:
                raise ValueError(f"ids must be present, got {absent[:5].tolist()}, which are not")
            if ids.size:
                self._state = self._state.without(ids, n_jobs)
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
        n_jobs = check_n_jobs(n_jobs)
        theirs = other._state
        ids = np.flatnonzero(theirs.present)
        with self._change:
            both = ids[ids < self.n_ids]
            both = both[self.present[both]]
            if both.size:
                raise ValueError(f"ids of other must not be present here, got {both[:5].tolist()}")
            if ids.size:
                self._state = self._state.with_codes(ids, theirs.codes[:, ids].T, n_jobs)
        return self

    def sizes(self, table: int) -> np.ndarray:
        """Ids in each bucket of a table that is not empty, by ascending code."""
        table = check_int(table, "table", 0, self.n_tables - 1)
        state = self._state
        ordered = state.codes[table, state.buckets[table]]
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
        tables = self.snapshot()
        n_buckets, largest, candidates = [], [], []
        occupancy = np.zeros(max(1, tables.n_present.bit_length()), dtype=np.int64)
        for t in range(tables.n_tables):
            sizes = tables.sizes(t)
            n_buckets.append(sizes.shape[0])
            largest.append(sizes.max(initial=0))
            candidates.append((sizes.astype(float) ** 2).sum() / max(tables.n_present, 1))
            occupancy += np.bincount(np.frexp(sizes)[1] - 1, minlength=occupancy.shape[0])
        return {
            "n_tables": tables.n_tables,
            "n_present": tables.n_present,
            "code_bits": tables.code_bits,
            "nbytes": tables.nbytes,
            "n_buckets": np.array(n_buckets),
            "largest_bucket": np.array(largest),
            "candidates_per_query": np.array(candidates),
            "occupancy": occupancy,
        }
