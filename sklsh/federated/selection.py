"""Which neurons a device asks for: its labels, those that collide with its rows, decoys."""

from __future__ import annotations

import numpy as np

from sklsh.hashing import HashFamily, Projection, make_projection
from sklsh.hashing._random import random_permutation
from sklsh.hashing.base import HashFunctions

MAX_DIRECT_BITS = 16
"""Codes up to this wide are counted in an array of all codes, wider ones by binary search."""


def with_bias(projection: Projection) -> Projection:
    """The projection of ``[w, b]``: the bias gets a bin of its own behind the sketch."""
    bins = np.append(projection.bins, np.int32(projection.sketch_dim))
    weights = np.append(projection.weights, np.float32(1.0))
    return Projection(bins.astype(np.int32), weights, projection.sketch_dim + 1)


def hashed_vectors(fold: str, seed: int, values, bias, hidden):
    """Sketches whose angles order the logits of hidden rows, from the server's sketch alone.

    ``w @ h + b`` is the inner product of ``[w - m, (b + (w - m) @ c) / s]`` and
    ``[h - c, s]`` up to what all neurons share; `m` is the neurons' mean (the server has
    taken it off), `c` the mean of the device's own hidden rows, ``(w - m) @ c`` is read off
    the sketch, and `s` gives the bias its due length on both sides.

    Parameters
    ----------
    fold, seed
        Of the base projection.
    values : ndarray (n_labels, sketch_dim)
    bias : ndarray (n_labels,)
    hidden : ndarray (n, n_hidden)

    Returns
    -------
    projection : Projection
        Of ``n_hidden + 1`` coordinates to ``sketch_dim + 1``.
    neurons : ndarray (n_labels, sketch_dim + 1), float32
    queries : ndarray (n, sketch_dim + 1), float32
    """
    projection = make_projection(fold, hidden.shape[1], values.shape[1], seed)
    centre = hidden.mean(axis=0)
    values = values.astype(np.float32, copy=False)
    queries = projection.apply(hidden - centre, n_jobs=1)
    last = bias.astype(np.float32) + values @ projection.apply(centre[None], n_jobs=1)[0]
    lengths = [_rms_norm(queries), _rms_norm(last[:, None]), _rms_norm(values)]
    share = np.float32(np.sqrt(lengths[0] * lengths[1] / (lengths[2] or 1.0)) or 1.0)
    neurons = np.concatenate([values, last[:, None] / share], axis=1)
    ones = np.full((hidden.shape[0], 1), share, dtype=np.float32)
    return with_bias(projection), neurons, np.concatenate([queries, ones], axis=1)


def _rms_norm(rows) -> float:
    return float(np.sqrt(np.einsum("ij,ij->", rows, rows, dtype=np.float64) / rows.shape[0]))


def count_collisions(functions: HashFunctions, neurons, queries) -> np.ndarray:
    """Collisions of each neuron with all queries in all tables, one table in memory at a time.

    Parameters
    ----------
    functions : HashFunctions
    neurons : ndarray (n_labels, sketch_dim)
    queries : ndarray (n, sketch_dim)

    Returns
    -------
    ndarray (n_labels,), int32

    Notes
    -----
    O(n_tables * (n_labels + n) * (hashing a row + log n)); memory: one table's codes and
    one counter a neuron, whatever `n_tables` and `n`.
    """
    counts = np.zeros(neurons.shape[0], dtype=np.int32)
    for table in range(functions.n_tables):
        asked = functions.packed_codes(queries, [table], n_jobs=1)[0]
        codes = functions.packed_codes(neurons, [table], n_jobs=1)[0]
        if functions.code_bits <= MAX_DIRECT_BITS:
            of_code = np.bincount(asked, minlength=1 << functions.code_bits).astype(np.int32)
            counts += of_code[codes]
        else:
            kinds, sizes = np.unique(asked, return_counts=True)
            places = np.minimum(np.searchsorted(kinds, codes), kinds.shape[0] - 1)
            counts += np.where(kinds[places] == codes, sizes[places], 0).astype(np.int32)
    return counts


def best_by_collisions(
    family: HashFamily, seed: int, sketch, hidden, n_active: int, taken: np.ndarray
) -> np.ndarray:
    """The `n_active` neurons with most collisions that are not in `taken`; ties by id.

    `sketch` is a `Sketch` message, `seed` the device's own for this round.
    """
    projection, neurons, queries = hashed_vectors(
        sketch.fold, sketch.seed, sketch.values, sketch.bias, hidden
    )
    functions = family.draw(n_features=projection.n_features, seed=seed, projection=projection)
    counts = count_collisions(functions, neurons, queries)
    counts[taken] = -1
    n_kept = min(n_active, int((counts > 0).sum()))
    if not n_kept:
        return np.empty(0, dtype=np.int32)
    least = np.partition(counts, counts.shape[0] - n_kept)[counts.shape[0] - n_kept]
    above, level = np.flatnonzero(counts > least), np.flatnonzero(counts == least)
    return np.sort(np.append(above, level[: n_kept - above.shape[0]])).astype(np.int32)


def fixed_decoys(seed: int, n: int, count: int, taken) -> np.ndarray:
    """`count` ids of ``range(n)`` that are not in `taken`: the first in an order by `seed`.

    The same seed names nearly the same decoys in every round: fresh ones would be told from
    a device's labels by what stays when requests of two rounds are intersected.
    """
    order = random_permutation(seed, 0, n)
    free = order[~np.isin(order, taken)]
    return np.sort(free[:count]).astype(np.int32)


def random_others(rng: np.random.Generator, n: int, count: int, taken) -> np.ndarray:
    """`count` different ids of ``range(n)`` that are not in `taken`, ascending int32."""
    free = np.ones(n, dtype=bool)
    free[taken] = False
    free = np.flatnonzero(free)
    if count < free.shape[0]:
        free = np.sort(rng.choice(free, count, replace=False))
    return free.astype(np.int32)
