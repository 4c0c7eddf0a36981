"""Candidates without tables: what a device does that has no room for an index.

The paper's device builds one table at a time and throws it away. Here not even one is
built: blocks of rows are hashed, compared with the queries' codes and forgotten, and each
query keeps its best ids so far. The result is that of `HashTables.query`, to the last id.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks
from sklsh._utils.validation import INT32_MAX, check_int, check_n_jobs
from sklsh.hashing._blocks import run_rows
from sklsh.hashing._checks import MAX_COLLISIONS
from sklsh.hashing.base import HashFunctions, check_sketch, code_dtype
from sklsh.kernels.collisions import count_equal_codes, keep_best

CODE_BYTES = 1 << 16
"""Codes of the rows hashed at a time: they stay in the L2 cache while queries pass."""

SEGMENT_ROWS = 1 << 16
"""Rows of one task, each with best ids of its own."""


def serial_candidates(
    functions: HashFunctions,
    sketch_index: np.ndarray,
    sketch_query: np.ndarray,
    n_candidates: int | None = None,
    *,
    n_probes: int = 1,
    n_jobs: int | None = None,
):
    """`HashTables.query` of rows against rows, with no table in memory.

    Parameters
    ----------
    functions : HashFunctions
    sketch_index : ndarray (n, sketch_dim)
        Row i has id i.
    sketch_query : ndarray (n_queries, sketch_dim)
    n_candidates : int or None
        Keep this many a query. None: every id with a collision.
    n_probes : int
        Codes a table to look up; see `HashFunctions.probes`.
    n_jobs : int or None
        Threads. Changes no bit of the result.

    Returns
    -------
    indptr, ids, counts
        As from `HashTables.query`.

    Notes
    -----
    O(n * (hashing a row + n_queries * n_tables * n_probes)). Memory: 64 kB of codes a
    thread, and 8 bytes a query and candidate for each 65,536 rows.
    """
    n_jobs = check_n_jobs(n_jobs)
    if n_candidates is not None:
        n_candidates = min(check_int(n_candidates, "n_candidates", 1), INT32_MAX)
    sketch_index = check_sketch(sketch_index, functions.projection.sketch_dim)
    keys = functions.probes(sketch_query, n_probes, n_jobs=n_jobs)
    n_queries, n_tables, _ = keys.shape
    n_levels = n_tables * n_probes + 1
    if n_levels > MAX_COLLISIONS:
        raise ValueError(
            f"n_tables * n_probes must be at most {MAX_COLLISIONS - 1}, got {n_levels - 1}"
        )
    dtype = code_dtype(functions.code_bits)
    count_dtype = np.uint8 if n_levels <= 256 else np.uint16
    n_rows = max(64, CODE_BYTES // (n_tables * dtype.itemsize) // 64 * 64)
    fill = functions.hash_rows(np.arange(n_tables))

    def segment(start, stop):
        codes = np.empty((n_tables, n_rows), dtype=dtype)
        counts = np.empty((n_queries, n_rows), dtype=count_dtype)
        levels = np.empty(n_levels, dtype=np.int64)
        best = [_Best(n_candidates) for _ in range(n_queries)]
        room_ids, room_counts = np.empty(n_rows, np.int32), np.empty(n_rows, np.int32)
        for first, last in blocks(stop - start, n_rows):
            n = last - first
            fill(sketch_index[start + first : start + last], codes, 0, n)
            counts[:, :n] = 0
            count_equal_codes(codes[:, :n], keys, counts[:, :n])
            for q in range(n_queries):
                limit = n_rows if n_candidates is None else n_candidates
                n_kept = keep_best(
                    counts[q, :n], start + first, limit, levels, room_ids, room_counts
                )
                best[q].add(room_ids[:n_kept], room_counts[:n_kept])
        return [b.ranked() for b in best]

    parts = run_rows(segment, sketch_index.shape[0], SEGMENT_ROWS, n_jobs)
    results = []
    for q in range(n_queries):
        merged = _Best(n_candidates)
        for part in parts:
            merged.add(*part[q])
        results.append(merged.ranked())
    indptr = np.zeros(n_queries + 1, dtype=np.int64)
    np.cumsum([ids.shape[0] for ids, _ in results], out=indptr[1:])
    empty = [(np.empty(0, np.int32), np.empty(0, np.int32))]
    ids, counts = zip(*(results or empty), strict=True)
    return indptr, np.concatenate(ids), np.concatenate(counts)


class _Best:
    """The best ids of a query so far; put in order when twice too many have come together."""

    def __init__(self, n_candidates: int | None):
        self.n_candidates = n_candidates
        self.parts: list = []
        self.size = 0

    def add(self, ids: np.ndarray, counts: np.ndarray) -> None:
        self.parts.append((ids.copy(), counts.copy()))
        self.size += ids.shape[0]
        if self.n_candidates is not None and self.size > 2 * self.n_candidates:
            ids, counts = self.ranked()
            self.parts, self.size = [(ids, counts)], ids.shape[0]

    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.parts:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        ids = np.concatenate([ids for ids, _ in self.parts])
        counts = np.concatenate([counts for _, counts in self.parts])
        order = np.lexsort((ids, -counts))[: self.n_candidates]
        return ids[order], counts[order]
