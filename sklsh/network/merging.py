"""The final ranking: logits, k-NN scores and the linear view's gains, added."""

from __future__ import annotations

import numpy as np

from sklsh._utils.scratch import zeros
from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.knn_scores import merge_knn_topk
from sklsh.network.neighbors import SHARPNESS, NeighborMemory

QUERIES = 256
"""Queries of one task; each task has its own scratch of three numbers a label."""


def merge_topk(
    head: tuple[np.ndarray, np.ndarray], hidden, found, k: int,
    memory: NeighborMemory | None = None, neighbors=None, gains=None, n_threads: int = 1,
):  # fmt: skip
    """Top `k` of logit plus k-NN score plus gain.

    Parameters
    ----------
    head : tuple of weights (n_labels, n_hidden) and biases (n_labels,), float32
    hidden : ndarray (n_samples, n_hidden), float32
    found : tuple of labels and scores
        The head's own top k.
    k : int
    memory, neighbors
        The training rows, and which of them `nearest` has found; None: there are no k-NN scores.
    gains : tuple of labels (n_samples, depth) int32 and gains, float32
        Labels that score higher, padded with -1, and by how much (never negative). None: none.

    Returns
    -------
    labels : ndarray (n_samples, k), int64
    scores : ndarray (n_samples, k), float32
    """
    n_samples, n_labels = hidden.shape[0], head[1].shape[0]
    labels = np.full((n_samples, k), -1, dtype=np.int32)
    scores = np.full((n_samples, k), -np.inf, dtype=np.float32)
    nobody = np.empty((n_samples, 0), dtype=np.int32), np.empty((n_samples, 0), dtype=np.float32)
    if memory is None or neighbors is None:
        theirs = (*nobody, np.zeros(1, dtype=np.int64), nobody[0][0], np.float32(0.0))
    else:
        of_rows = memory.labels
        theirs = (*neighbors, of_rows.indptr, of_rows.indices, np.float32(memory.weight))
    extra = nobody if gains is None else gains

    def task(start, stop):
        scored = np.empty(n_labels, dtype=np.int32)
        with zeros(n_labels) as sums, zeros(n_labels) as added:
            merge_knn_topk(
                hidden, *head, *theirs, SHARPNESS, sums, scored, *extra, added, *found,
                labels, scores, start, stop,
            )  # fmt: skip

    run_blocks(task, blocks(n_samples, QUERIES), n_threads)
    return labels.astype(np.int64), scores
