"""What each row's ranking is worth, by metric: means of these are the metrics."""

from __future__ import annotations

import numpy as np


def precision_of_rows(hits: np.ndarray, n_true: np.ndarray, k: int) -> np.ndarray:
    """`hits` is a bool array (n_rows, n_ranked), best first; `n_true` counts relevant labels."""
    return hits.sum(axis=1) / k


def recall_of_rows(hits: np.ndarray, n_true: np.ndarray, k: int) -> np.ndarray:
    return hits.sum(axis=1) / np.maximum(n_true, 1)


def ndcg_of_rows(hits: np.ndarray, n_true: np.ndarray, k: int) -> np.ndarray:
    n_ranked = hits.shape[1]  # fewer than k only where there are no more labels
    gains = 1 / np.log2(np.arange(2, n_ranked + 2))
    best = np.concatenate([[np.inf], np.cumsum(gains)])[np.minimum(n_true, n_ranked)]
    return hits @ gains / best


def hit_rate_of_rows(hits: np.ndarray, n_true: np.ndarray, k: int) -> np.ndarray:
    return np.where(hits.any(axis=1), 1.0, 0.0)


def mrr_of_rows(hits: np.ndarray, n_true: np.ndarray, k: int) -> np.ndarray:
    return np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)


ROW_VALUES = {
    "precision": precision_of_rows,
    "recall": recall_of_rows,
    "ndcg": ndcg_of_rows,
    "hit_rate": hit_rate_of_rows,
    "mrr": mrr_of_rows,
}
