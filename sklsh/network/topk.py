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

FEW = 8
"""Queries for which unobserved rows between the observed ones are multiplied too."""

QUERIES = 16
"""Rows of one task of re-ranking."""

MASKED = np.float32(-1e30)
"""A logit below any other, and finite: kernels in fast arithmetic must meet no infinity."""


def exact_topk(network: WideNetwork, hidden: np.ndarray, k: int, n_threads: int = 1):
    """The `k` best observed labels of each row; see `topk_of_head`."""
    return topk_of_head(network.head, network.observed_ids, hidden, k, n_threads)


def topk_of_head(
    head: tuple[np.ndarray, np.ndarray], observed_ids: np.ndarray | None, hidden: np.ndarray,
    k: int, n_threads: int = 1,
):  # fmt: skip
    """The `k` rows of a head that score highest with each hidden vector, best first.

    Parameters
    ----------
    head : tuple of weights (n_labels, n_hidden) and biases (n_labels,), float32
    observed_ids : ndarray of int32 or None
        Rows of observed labels, ascending; None: all.
    hidden : ndarray (n_samples, n_hidden), float32
        Last hidden layer.
    k : int
        More than there are observed labels: padded with -1 and -inf.

    Returns
    -------
    labels : ndarray (n_samples, k), int64
    scores : ndarray (n_samples, k), float32

    Notes
    -----
    O(n_samples * n_labels * n_hidden) time, one block of logits a thread of memory.
    """
    (head_weights, head_bias), n_samples = head, hidden.shape[0]
    labels = np.full((n_samples, k), -1, dtype=np.int32)
    scores = np.full((n_samples, k), -np.inf, dtype=np.float32)
    seen = np.arange(head_bias.shape[0], dtype=np.int32) if observed_ids is None else observed_ids

    def task(start, stop):
        logits = np.empty((stop - start, LABELS), dtype=np.float32)
        gathered = np.empty((LABELS, head_weights.shape[1]), dtype=np.float32)
        for first, last in blocks(seen.shape[0], LABELS):
            ids, part = seen[first:last], logits[:, : last - first]
            span = slice(ids[0], ids[-1] + 1)
            if observed_ids is None:
                np.matmul(hidden[start:stop], head_weights[span].T, out=part)
            elif stop - start <= FEW and span.stop - span.start <= 2 * ids.shape[0]:
                # To copy rows for few queries would take longer than their products.
                products = hidden[start:stop] @ head_weights[span].T
                np.take(products, ids - span.start, axis=1, out=part)
            else:
                # Rows of a block are copied once for all its queries: a few per cent.
                weights = gathered[: last - first]
                np.take(head_weights, ids, axis=0, out=weights, mode="clip")
                np.matmul(hidden[start:stop], weights.T, out=part)
            select_topk_rows(
                logits, head_bias[ids], ids,
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
