"""Which neurons a device asks for, where its sketch is scored: each row's best, in turn."""

from __future__ import annotations

import numpy as np

from sklsh.federated.selection import BLOCK, HashedVectors
from sklsh.kernels.topk import select_topk_rows

QUERIES = 256
"""Rows scored at a time: a block of scores is 4 MB."""


def round_robin(lists: np.ndarray, n_chosen: int, taken: np.ndarray) -> np.ndarray:
    """The first `n_chosen` different ids that rows name in turn: all first ones, all second ones.

    Summed scores or collisions choose what is popular, the same few for all rows.

    Parameters
    ----------
    lists : ndarray of int (n_rows, depth)
        Each row's ids, best first; -1 for none.
    n_chosen : int
    taken : ndarray of int
        Ids that are not to be chosen.

    Returns
    -------
    ndarray (at most n_chosen,), int32
        Ascending.
    """
    named = lists.T.ravel()
    named = named[(named >= 0) & ~np.isin(named, taken)]
    ids, first = np.unique(named, return_index=True)
    return np.sort(ids[np.argsort(first)[:n_chosen]]).astype(np.int32)


def best_in_turn(sketch, hidden, n_active: int, taken: np.ndarray) -> np.ndarray:
    """`n_active` neurons that are not in `taken`: the rows' best by the sketch, in turn.

    Parameters
    ----------
    sketch : Sketch
        With all rows.
    hidden : ndarray (n, n_hidden)
    n_active : int
    taken : ndarray of int32

    Returns
    -------
    ndarray (at most n_active,), int32
        Ascending.

    Notes
    -----
    A row of the sketch is a code of its neuron, and the product with a sketched hidden vector an
    estimate of its logit. O(n * n_labels * sketch_dim); one block of scores in memory.
    """
    vectors = HashedVectors(sketch, hidden)
    n_rows = hidden.shape[0]
    # Enough for the budget even if all that are taken come first, shared by rows that agree.
    depth = min(vectors.n, 4 * -(-n_active // n_rows) + 16)
    while True:
        lists = _best_of_rows(vectors, depth)
        chosen = round_robin(lists, n_active, taken)
        if chosen.shape[0] == n_active or depth == vectors.n:
            return chosen
        depth = min(vectors.n, 4 * depth)


def _best_of_rows(vectors: HashedVectors, depth: int) -> np.ndarray:
    """The `depth` neurons of each query with the largest estimates, ``(n, depth)`` int64."""
    queries = vectors.queries
    found = np.full((queries.shape[0], depth), -1, dtype=np.int64)
    scores = np.full(found.shape, -np.inf, dtype=np.float32)
    for start in range(0, vectors.n, BLOCK):
        neurons = vectors.neurons(start, start + BLOCK)
        ids = np.arange(start, start + neurons.shape[0], dtype=np.int32)
        nothing = np.zeros(ids.shape[0], dtype=np.float32)
        for first in range(0, queries.shape[0], QUERIES):
            part = queries[first : first + QUERIES]
            select_topk_rows(
                part @ neurons.T, nothing, ids, scores[first : first + QUERIES],
                found[first : first + QUERIES], 0, part.shape[0],
            )  # fmt: skip
    return found
