"""The best labels of rows: exactly, over the head in blocks, or among what hash tables name."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.topk import probe_topk_rows, select_topk_rows
from sklsh.network.lsh import LSHCandidates
from sklsh.network.model import WideNetwork

ROWS, LABELS = 256, 2048
"""A block's logits, 2 MB, stay in a core's share of the cache."""

QUERIES = 16
"""Rows of one task of re-ranking."""


def exact_topk(network: WideNetwork, hidden: np.ndarray, k: int, n_threads: int = 1):
    """The `k` best labels in play of each row, best first.

    Parameters
    ----------
    hidden : ndarray (n_samples, n_hidden), float32
        Last hidden layer.
    k : int
        More than there are labels in play: padded with -1 and -inf.

    Returns
    -------
    labels : ndarray (n_samples, k), int64
    scores : ndarray (n_samples, k), float32

    Notes
    -----
    O(n_samples * n_labels * n_hidden) time, one block of logits a thread of memory.
    """
    n_samples = hidden.shape[0]
    labels = np.full((n_samples, k), -1, dtype=np.int32)
    scores = np.full((n_samples, k), -np.inf, dtype=np.float32)
    seen = network.seen_ids
    if seen is None:
        seen = np.arange(network.n_labels, dtype=np.int32)

    def task(start, stop):
        logits = np.empty((stop - start, LABELS), dtype=np.float32)
        gathered = np.empty((LABELS, network.n_hidden), dtype=np.float32)
        for first, last in blocks(seen.shape[0], LABELS):
            ids, part = seen[first:last], logits[:, : last - first]
            if network.seen_ids is None:
                weights = network.head_weights[first:last]
            else:
                # Rows of a block are copied once for all its queries: a few per cent.
                weights = gathered[: last - first]
                np.take(network.head_weights, ids, axis=0, out=weights, mode="clip")
            np.matmul(hidden[start:stop], weights.T, out=part)
            select_topk_rows(
                logits, network.head_bias[ids], ids,
                scores[start:stop], labels[start:stop], 0, stop - start,
            )  # fmt: skip

    run_blocks(task, blocks(n_samples, ROWS), n_threads)
    return labels.astype(np.int64), scores


@lru_cache(maxsize=4)
def _nobody(n_labels: int) -> np.ndarray:
    # Read alone. A million labels take a millisecond to make: as long as one row's answer.
    return np.full(n_labels, -1, dtype=np.int32)


def lsh_topk(
    network: WideNetwork, index: LSHCandidates, hidden: np.ndarray, k: int, n_threads: int = 1
):
    """The `k` best labels of each row among the candidates of `index`, scored exactly.

    Shapes, padding and order are those of `exact_topk`, which answers rows that have fewer
    than `k` candidates. O(n_samples * (collisions + n_candidates * n_hidden)) time.
    """
    n_samples = hidden.shape[0]
    indptr, ids, _ = index.query(hidden, n_threads)
    labels = np.empty((n_samples, k), dtype=np.int32)
    scores = np.empty((n_samples, k), dtype=np.float32)
    nobody = _nobody(network.n_labels)

    def task(start, stop):
        probe_topk_rows(
            hidden, network.head_weights, network.head_bias, indptr, ids, nobody,
            scores, labels, start, stop,
        )  # fmt: skip

    run_blocks(task, blocks(n_samples, QUERIES), n_threads)
    short = np.flatnonzero(labels[:, -1] < 0)
    if short.size:
        labels[short], scores[short] = exact_topk(network, hidden[short], k, n_threads)
    return labels.astype(np.int64), scores
