"""What is fitted after training, on rows that training has not seen: vote weight, threshold."""

from __future__ import annotations

import numpy as np

from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows
from sklsh.network.topk import exact_topk

WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
THRESHOLDS = np.geomspace(1e-3, 0.9, 60, dtype=np.float32)
DEPTHS = (1, 3, 5)

N_RIVALS = 50
"""A label's share is its softmax over the row's so many best scores: cheap, and the tail of
a wide head carries no information on how many labels a row has."""


def hits(labels: np.ndarray, Y: SparseRows, rows) -> np.ndarray:
    """Whether ``labels[i, j]`` is a label of row ``rows[i]``: bool, shape of `labels`."""
    counts = Y.counts()[rows]
    owner = np.repeat(np.arange(counts.shape[0]), counts)
    positions = np.arange(owner.shape[0]) + np.repeat(
        Y.indptr[rows] - np.cumsum(counts) + counts, counts
    )
    true = Y.indices[positions].astype(np.int64)
    # One number for each (row, label); padding, -1, falls on a number that no label has.
    stride = max(int(true.max(initial=0)), int(labels.max(initial=0))) + 2
    return np.isin(np.arange(labels.shape[0])[:, None] * stride + labels, owner * stride + true)


def fit_vote_weight(predictor: Predictor, X: SparseRows, Y: SparseRows, rows) -> float:
    """The weight of the neighbours' votes with the best mean of P@1, P@3 and P@5 on `rows`.

    Sets it on the predictor's memory, which must hold the rows of `X`: a row does not vote
    for itself. 0 where votes do not help.
    """
    network, memory, n_threads = predictor.network, predictor.memory, predictor.n_threads
    k = min(max(DEPTHS), network.n_labels)
    hidden = network.hidden(X, rows, n_threads)
    found = exact_topk(network, hidden, k, n_threads)
    neighbors = memory.nearest(X, rows, n_threads, excluded=rows)
    scores = []
    for weight in WEIGHTS:
        memory.weight = weight
        labels, _ = memory.merge_topk(network, hidden, neighbors, found, k, n_threads)
        right = hits(labels, Y, rows)
        scores.append(np.mean([right[:, :depth].mean() for depth in DEPTHS]))
    memory.weight = WEIGHTS[int(np.argmax(scores))]
    return memory.weight


def log_shares(scores: np.ndarray) -> np.ndarray:
    """Log-softmax of each row of best scores (-inf where padded)."""
    shifted = scores - scores[:, :1]
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def fit_threshold(predictor: Predictor, X: SparseRows, Y: SparseRows, rows) -> float:
    """The share above which to predict a label, with the best samples-averaged F1 on `rows`.

    The predictor's memory, if any, must hold the rows of `X`: a row does not vote for itself.
    """
    k = min(N_RIVALS, predictor.network.n_labels)
    labels, scores = predictor.topk(X, k, rows, in_memory=True)
    shares = np.exp(log_shares(scores))
    right = np.cumsum(hits(labels, Y, rows), axis=1)
    n_true = Y.counts()[rows]
    best_f1, best = -1.0, 0.5
    for threshold in THRESHOLDS:
        n_predicted = (shares >= threshold).sum(axis=1)
        n_right = np.where(
            n_predicted > 0,
            np.take_along_axis(right, np.maximum(n_predicted - 1, 0)[:, None], axis=1)[:, 0],
            0,
        )
        total = n_predicted + n_true
        # A row without labels and without predictions is right.
        f1 = np.where(total > 0, 2 * n_right / np.maximum(total, 1), 1.0).mean()
        if f1 > best_f1:
            best_f1, best = f1, float(threshold)
    return best
