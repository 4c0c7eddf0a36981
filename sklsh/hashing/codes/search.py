"""The best codes of hidden vectors, without an array of all scores."""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread, run_blocks
from sklsh._utils.validation import check_int
from sklsh.hashing.codes.base import Coder, Codes
from sklsh.kernels.topk import select_topk_rows

QUERIES, CODES = 4, 8192
"""Hidden vectors and codes of a block of scores, 128 kB."""


def estimates(coder: Coder, codes: Codes, hidden) -> np.ndarray:
    """Estimated scores of all codes, ``(n_queries, n)`` float32: for few of either."""
    prepared, shift = coder.queries(hidden)
    out = np.empty((prepared.shape[0], codes.n), dtype=np.float32)
    coder.score(codes, prepared, 0, codes.n, out)
    return out + shift[:, None]


def topk_codes(coder: Coder, codes: Codes, hidden, k: int, ids=None, n_threads: int = 1):
    """The `k` codes of each hidden vector with the largest estimated scores.

    Parameters
    ----------
    coder : Coder
    codes : Codes
        As `coder` has encoded them.
    hidden : ndarray (n_queries, n_features)
    k : int
    ids : ndarray of int (n,), optional
        Names of the rows that were encoded, ascending; by default their numbers.
    n_threads : int
        Changes no bit of the result.

    Returns
    -------
    ids : ndarray (n_queries, k), int64
        Best first, ties by id; padded with -1.
    scores : ndarray (n_queries, k), float32
        Padded with -inf.

    Notes
    -----
    O(n_queries * n * n_bytes) time, one block of scores a thread of memory.
    """
    k = check_int(k, "k", 1)
    names = None if ids is None else np.asarray(ids)
    if names is not None and names.shape != (codes.n,):
        raise ValueError(f"ids must have shape ({codes.n},), got {names.shape}")
    hidden = np.asarray(hidden)
    found = np.full((hidden.shape[0], k), -1, dtype=np.int64)
    best = np.full((hidden.shape[0], k), -np.inf, dtype=np.float32)
    nothing = np.zeros(CODES, dtype=np.float32)

    def task(start, stop):
        prepared, shift = coder.queries(hidden[start:stop])
        scores = np.empty((stop - start) * CODES, dtype=np.float32)
        for first, last in blocks(codes.n, CODES):
            part = scores[: (stop - start) * (last - first)].reshape(stop - start, -1)
            coder.score(codes, prepared, first, last, part)
            every = np.arange(first, last, dtype=np.int32) if names is None else names[first:last]
            select_topk_rows(
                part, nothing[: last - first], every, best[start:stop],
                found[start:stop], 0, stop - start,
            )  # fmt: skip
        best[start:stop] += shift[:, None]

    with one_blas_thread():
        run_blocks(task, blocks(hidden.shape[0], QUERIES), n_threads)
    return found, best
