"""Exact prediction over the whole head in blocks: no n_samples x n_labels array."""

from __future__ import annotations

import numpy as np

from sklsh._threads import blocks, run_blocks
from sklsh.kernels.topk import select_topk_rows
from sklsh.network.model import WideNetwork

ROWS, LABELS = 256, 2048
"""A block's logits, 2 MB, stay in a core's share of the cache."""


def exact_topk(network: WideNetwork, hidden: np.ndarray, k: int, n_threads: int = 1):
    """The `k` best labels of each row, best first.

    Parameters
    ----------
    hidden : ndarray (n_samples, n_hidden), float32
        Last hidden layer.
    k : int
        More than there are labels: padded with -1 and -inf.

    Returns
    -------
    labels : ndarray (n_samples, k), int64
    scores : ndarray (n_samples, k), float32

    Notes
    -----
    O(n_samples * n_labels * n_hidden) time, one block of logits a thread of memory.
    """
    n_samples = hidden.shape[0]
    labels = np.full((n_samples, k), -1, dtype=np.int64)
    scores = np.full((n_samples, k), -np.inf, dtype=np.float32)
    spans = blocks(network.n_labels, LABELS)

    def task(start, stop):
        logits = np.empty((stop - start, LABELS), dtype=np.float32)
        for first, last in spans:
            part = logits[:, : last - first]
            np.matmul(hidden[start:stop], network.head_weights[first:last].T, out=part)
            select_topk_rows(
                part, network.head_bias, first, last - first,
                scores[start:stop], labels[start:stop], 0, stop - start,
            )  # fmt: skip

    run_blocks(task, blocks(n_samples, ROWS), n_threads)
    return labels, scores
