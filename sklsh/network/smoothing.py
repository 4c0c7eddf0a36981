"""First-layer rows of items drawn towards those of the items that they occur with.

Rows of a fresh first layer are random, and an item that few users have is trained too rarely
to move far: users who have one of two like items would look unlike. One round of averaging
over the graph of co-occurrences tells the network beforehand which items are alike (random
projections of a graph, as in H. Chen et al., "Fast and accurate network embeddings via very
sparse random projection", CIKM 2019). On Amazon Beauty's sparse rows it was worth a fifth of
the network's recall; further rounds gained no more.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.model import WideNetwork
from sklsh.network.products import times_dense
from sklsh.network.rows import SparseRows

ITEMS = 4096
"""Items averaged at a time."""


def smooth_items(
    network: WideNetwork, memory: ItemMemory, items: np.ndarray, n_threads: int = 1
) -> None:
    """Add to each item's first-layer row the mean direction of its neighbours' rows, in place.

    Parameters
    ----------
    items : ndarray of int32
        Whose rows change direction. They keep their length; an item without neighbours
        keeps its row.

    Notes
    -----
    O(len(items) * n_neighbors * n_hidden), with the scratch of `ITEMS` rows. Neighbours are
    weighed by ``C_ij / n_j^.5``.
    """
    weights = network.body_weights[0]
    for start, stop in blocks(items.shape[0], ITEMS):
        block = items[start:stop]
        known = memory.ids[block] >= 0
        neighbors = memory.ids[block][known]
        shares = memory.values[block][known] / np.sqrt(memory.counts[neighbors])
        ids, place = np.unique(neighbors, return_inverse=True)
        graph = SparseRows(
            np.concatenate([[0], np.cumsum(known.sum(axis=1))]),
            neighbors,
            (shares / np.maximum(_lengths(weights[ids]), 1e-30)[place]).astype(np.float32),
        )
        means = times_dense(graph, weights, n_threads)
        lengths, norms = _lengths(weights[block]), _lengths(means)
        means /= np.maximum(norms, 1e-30)[:, None]
        means += weights[block] / np.maximum(lengths, 1e-30)[:, None]
        means *= (lengths / np.maximum(_lengths(means), 1e-30))[:, None]
        weights[block[norms > 0]] = means[norms > 0]


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))
