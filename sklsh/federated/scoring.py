"""Which neurons a device asks for, where codes or a sketch are scored: rows' lists, and a rule.

A row's list has the neurons that score best for it. What a batch of rows asks for in the end is a
choice of its own: summed scores name what is popular, the same few for all rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sklsh.federated.code_broadcast import coder_of, codes_of
from sklsh.federated.messages import CodedHead
from sklsh.federated.selection import BLOCK, HashedVectors
from sklsh.hashing.codes import topk_codes
from sklsh.kernels.topk import select_topk_rows

QUERIES = 256
"""Rows scored at a time: a block of scores is 4 MB."""


def round_robin(lists, scores, n_chosen: int, taken) -> np.ndarray:
    """The first `n_chosen` different ids that rows name in turn: all first ones, all second ones.

    Parameters
    ----------
    lists : ndarray of int (n_rows, depth)
        Each row's ids, best first; -1 for none.
    scores : ndarray (n_rows, depth)
        Of no effect.
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


def by_mass(lists, scores, n_chosen: int, taken) -> np.ndarray:
    """The `n_chosen` ids with the largest sum of the softmax of rows' lists; ties by id.

    What a step would push down most, if rows alike were in one batch. As `round_robin`.
    """
    mass = np.exp(scores - scores.max(axis=1, keepdims=True), dtype=np.float64)
    mass /= mass.sum(axis=1, keepdims=True)
    named = (lists >= 0) & ~np.isin(lists, taken)
    ids, places = np.unique(lists[named], return_inverse=True)
    sums = np.bincount(places, mass[named], minlength=ids.shape[0])
    return np.sort(ids[np.argsort(-sums, kind="stable")[:n_chosen]]).astype(np.int32)


RULES: dict[str, Callable] = {"turn": round_robin, "mass": by_mass}


class RowsBest:
    """Lists of the best neurons of some rows, of any depth.

    Attributes
    ----------
    n, n_rows : int
        Neurons, and rows.
    lists : callable
        ``lists(depth)``: ids (n_rows, depth) int64 and scores, best first.
    """

    def __init__(self, n: int, n_rows: int, lists: Callable):
        self.n, self.n_rows, self.lists = n, n_rows, lists


def chosen_neurons(best: RowsBest, n_active: int, taken, rule: str) -> np.ndarray:
    """`n_active` neurons that are not in `taken`, by one of `RULES` from the rows' lists.

    Returns
    -------
    ndarray (at most n_active,), int32
        Ascending.

    Notes
    -----
    Lists are as long as it takes: rows that agree need longer ones.
    """
    # Enough for the budget even if all that are taken come first, shared by rows that agree.
    depth = min(best.n, 4 * -(-n_active // best.n_rows) + 16)
    while True:
        chosen = RULES[rule](*best.lists(depth), n_active, taken)
        if chosen.shape[0] == n_active or depth == best.n:
            return chosen
        depth = min(best.n, 2 * depth)


def best_of_codes(message: CodedHead, hidden) -> RowsBest:
    """By the codes of a whole message. O(n * n_labels * n_bytes); memory: see `topk_codes`."""
    coder, codes = coder_of(message), codes_of(message)
    return RowsBest(codes.n, hidden.shape[0], lambda depth: topk_codes(coder, codes, hidden, depth))


def best_of_sketch(sketch, hidden) -> RowsBest:
    """By a sketch with all its rows.

    A row of the sketch is a code of its neuron, and the product with a sketched hidden vector an
    estimate of its logit. O(n * n_labels * sketch_dim); one block of scores in memory.
    """
    vectors = HashedVectors(sketch, hidden)
    return RowsBest(vectors.n, hidden.shape[0], lambda depth: _best_of_rows(vectors, depth))


def _best_of_rows(vectors: HashedVectors, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The `depth` neurons of each query with the largest estimates, and these."""
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
    return found, scores
