"""Discounted cumulative gain: of a place, and of rankings by trials of a weight."""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.blending import blend_gains

ROWS = 16
"""Of one task."""


def discounts(depth: int) -> np.ndarray:
    """What a hit at each of so many places gains, the first first: ``1 / log2(place + 1)``."""
    return 1 / np.log2(np.arange(2, depth + 2))


def tried_gains(
    base: np.ndarray, added: np.ndarray, weights, ids: np.ndarray, right: np.ndarray, depth: int,
    n_threads: int = 1,
) -> np.ndarray:  # fmt: skip
    """DCG of each row's best `depth` by ``base + weight * added[v]``, see `blend_gains`.

    Parameters
    ----------
    base : ndarray (n, n_candidates), float32
        -inf: not ranked.
    added : ndarray (n_choices, n, n_candidates), float32
    weights : sequence of float (n_weights,)
    ids : ndarray (n, n_candidates), int32
        Padded with -1 at the end.
    right : ndarray (n, n_candidates), bool
    depth, n_threads : int

    Returns
    -------
    ndarray (n, n_choices, n_weights), float32
    """
    tried, of_places = np.asarray(weights, dtype=np.float32), discounts(depth).astype(np.float32)
    gains = np.empty((base.shape[0], added.shape[0], tried.shape[0]), dtype=np.float32)

    def task(start, stop):
        blend_gains(base, added, tried, ids, right, of_places, gains, start, stop)

    run_blocks(task, blocks(base.shape[0], ROWS), n_threads)
    return gains
