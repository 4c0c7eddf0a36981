"""Hash-clustered batches: rows that hash alike, whose labels are hard negatives of one another.

A batch's labels are negatives of all its rows but their own, free of charge. Where rows of a
batch are neighbours in the hidden space, these negatives are the labels that the network
confuses (compare Dahiya et al., "NGAME: negative mining-aware mini-batching for extreme
classification", WSDM 2023, which clusters rows). Here rows fall together that lie on the
same side of random hyperplanes in a sketch of the hidden space: a random projection tree
(Dasgupta and Freund, STOC 2008), drawn anew each epoch.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks
from sklsh.hashing.projection import make_projection
from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows

ROWS = 4096
"""Rows whose hidden vectors are held at once."""

TRIES = 4
"""Pairs drawn for a hyperplane before two equal rows are accepted."""


def similar_order(
    network: WideNetwork, X: SparseRows, rows, batch_size: int, settings, rng, n_threads: int = 1
) -> np.ndarray:
    """`rows` in an order whose batches hold rows with similar hidden vectors.

    Parameters
    ----------
    network : WideNetwork
    X : SparseRows
    rows : ndarray of int32
    batch_size : int
    settings : Settings
        Its `fold` and `sketch_dim` make the sketch.
    rng : numpy.random.Generator

    Notes
    -----
    O(nnz * n_hidden) for the hidden vectors, in parts, and O(n_rows * sketch_dim *
    log(n_batches)) for the tree; n_rows * sketch_dim floats of memory.
    """
    if rows.shape[0] <= batch_size:
        return rng.permutation(rows)
    seed = int(rng.integers(2**31))
    projection = make_projection(settings.fold, network.n_hidden, settings.sketch_dim, seed)
    sketch = np.empty((rows.shape[0], projection.sketch_dim), dtype=np.float32)
    for start, stop in blocks(rows.shape[0], ROWS):
        hidden = network.hidden(X, rows[start:stop], n_threads)
        sketch[start:stop] = projection.apply(hidden, n_threads)
    leaves = split(sketch, np.arange(rows.shape[0]), batch_size, rng)
    # A short leaf comes last: before others it would shift them across batches.
    turns = sorted(rng.permutation(len(leaves)), key=lambda leaf: leaves[leaf].size < batch_size)
    return rows[np.concatenate([rng.permutation(leaves[leaf]) for leaf in turns])]


def split(sketch: np.ndarray, members: np.ndarray, size: int, rng) -> list[np.ndarray]:
    """Cut `members` by random hyperplanes into leaves of `size`, one of which may be smaller.

    A hyperplane is normal to the difference of two random members, and lies where it
    leaves whole leaves on either side.
    """
    n_leaves = -(-members.size // size)
    if n_leaves <= 1:
        return [members]
    points = sketch[members]
    for _ in range(TRIES):
        one, other = rng.integers(members.size, size=2)
        normal = points[one] - points[other]
        if normal.any():
            break
    n_left = (n_leaves // 2) * size
    order = np.argpartition(points @ normal, n_left)
    left, right = members[order[:n_left]], members[order[n_left:]]
    return split(sketch, left, size, rng) + split(sketch, right, size, rng)
