"""Maximal marginal relevance: a list of items that differ from each other.

After each item comes the one with the largest ``(1 - diversity) * relevance - diversity * s``,
where s is its largest cosine to those before it (J. Carbonell, J. Goldstein, "The use of MMR,
diversity-based reranking for reordering documents and producing summaries", SIGIR 1998).
Relevance is the score, moved and scaled: 1 of the best candidate and 0 of the last one.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread, run_blocks

CANDIDATES = 5
"""Times the length of the list: so many of the best items it is chosen from."""

ENTRIES = 1 << 20
"""Cosines held at a time by a task: 4 MB."""


@one_blas_thread()
def diversified(
    items: np.ndarray, scores: np.ndarray, k: int, diversity: float, vectors: np.ndarray,
    norms: np.ndarray, n_threads: int = 1,
):  # fmt: skip
    """`k` of each row's candidates, by maximal marginal relevance.

    Parameters
    ----------
    items : ndarray (n_rows, n_candidates), int64
        Best first, padded with -1.
    scores : ndarray (n_rows, n_candidates), float32
    k : int
        At most `n_candidates`.
    diversity : float in [0, 1]
        0: the first k as they are; 1: only likeness counts after the first item.
    vectors, norms : ndarray (n_items, n_hidden), (n_items,)
        Of all items, and their lengths; one of length 0 is like none.

    Returns
    -------
    items, scores : ndarray (n_rows, k)
        In the order of choice, so that scores do not fall; padded alike.

    Notes
    -----
    O(n_rows * n_candidates * (n_candidates * n_hidden + k)).
    """
    n_rows, n = items.shape
    chosen = np.empty((n_rows, k), dtype=np.int64)

    def task(start, stop):
        own = items[start:stop]
        ids = np.maximum(own, 0)
        near = vectors[ids] / np.maximum(norms[ids], np.float32(1e-30))[..., None]
        cosines = near @ near.transpose(0, 2, 1)
        relevance = _relevance(own, scores[start:stop])
        likeness = np.zeros_like(relevance)
        left = np.where(own >= 0, np.float32(0), -np.inf)
        rows = np.arange(stop - start)
        for place in range(k):
            gain = (1 - diversity) * relevance - diversity * likeness + left
            # Of equal ones the better; where nothing is left, padding in its order.
            best = np.where(
                np.isfinite(gain).any(axis=1), gain.argmax(axis=1), np.minimum(place, n - 1)
            )
            chosen[start:stop, place] = best
            left[rows, best] = -np.inf
            said = cosines[rows, best]
            likeness = said if place == 0 else np.maximum(likeness, said)

    run_blocks(task, blocks(n_rows, max(1, ENTRIES // n**2)), n_threads)
    return np.take_along_axis(items, chosen, 1), np.take_along_axis(scores, chosen, 1)


def _relevance(items: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores, 1 for a row's best and 0 for its last; float32."""
    named = items >= 0
    last = np.maximum(named.sum(axis=1, keepdims=True) - 1, 0)  # padding is at the end
    lowest = np.take_along_axis(scores, last, axis=1)
    above = np.where(named, scores, lowest) - np.where(named[:, :1], lowest, 0)
    spread = np.where(named[:, :1], above[:, :1], 0)
    return np.divide(above, spread, out=np.zeros(items.shape, np.float32), where=spread > 0)
