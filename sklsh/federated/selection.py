"""Which neurons a device asks for, where a sketch is hashed: those that collide with its rows."""

from __future__ import annotations

import numpy as np

from sklsh.hashing import HashFamily, Projection, make_projection
from sklsh.hashing.base import HashFunctions

MAX_DIRECT_BITS = 10
"""Codes up to this wide are counted in an array of all codes, wider ones by binary search."""

BLOCK = 4096
"""Neurons hashed at a time: only so many are ever there as float32, or as codes."""

TABLES = 8
"""Tables hashed at a time, of one block: calls cost more than codes."""


def with_bias(projection: Projection) -> Projection:
    """The projection of ``[w, b]``: the bias gets a bin of its own behind the sketch."""
    bins = np.append(projection.bins, np.int32(projection.sketch_dim))
    weights = np.append(projection.weights, np.float32(1.0))
    return Projection(bins.astype(np.int32), weights, projection.sketch_dim + 1)


class HashedVectors:
    """Sketches whose angles order the logits of hidden rows, from the server's sketch alone.

    ``w @ h + b`` is the inner product of ``[w - m, (b + (w - m) @ c) / s]`` and
    ``[h - c, s]`` up to what all neurons share; `m` is the neurons' mean, `c` the mean of
    the device's own hidden rows, and `s` gives the bias its due length on both sides. The
    server has added to `b` what neurons make of a hidden vector near all; what they make
    of the way from there to `c` is read off the sketch.

    Parameters
    ----------
    sketch : Sketch
        With all rows.
    hidden : ndarray (n, n_hidden)

    Attributes
    ----------
    projection : Projection
        Of ``n_hidden + 1`` coordinates to ``sketch_dim + 1``.
    queries : ndarray (n, sketch_dim + 1), float32
    """

    def __init__(self, sketch, hidden):
        projection = make_projection(sketch.fold, hidden.shape[1], sketch.sketch_dim, sketch.seed)
        centre = hidden.mean(axis=0)
        queries = projection.apply(hidden - centre, n_jobs=1)
        away = centre if sketch.hidden_centre is None else centre - sketch.hidden_centre
        direction = projection.apply(away[None], n_jobs=1)[0]
        self._sketch = sketch
        self._last = sketch.bias.astype(np.float32)
        squares = 0.0
        for start in range(0, self.n, BLOCK):
            values = self._values(start, start + BLOCK)
            self._last[start : start + BLOCK] += values @ direction
            squares += float(np.einsum("ij,ij->", values, values, dtype=np.float64))
        # A sum that all neurons share orders nothing, and would outweigh what tells them apart.
        self._last -= self._last.mean(dtype=np.float64)
        lengths = [_rms_norm(queries), _rms_norm(self._last[:, None]), np.sqrt(squares / self.n)]
        share = np.float32(np.sqrt(lengths[0] * lengths[1] / (lengths[2] or 1.0)) or 1.0)
        self._last /= share
        ones = np.full((hidden.shape[0], 1), share, dtype=np.float32)
        self.queries = np.concatenate([queries, ones], axis=1)
        self.projection = with_bias(projection)

    @property
    def n(self) -> int:
        """Number of neurons."""
        return self._sketch.values.shape[0]

    def _values(self, start: int, stop: int) -> np.ndarray:
        values = self._sketch.values[start:stop].astype(np.float32)
        values -= self._sketch.centre
        return values

    def neurons(self, start: int, stop: int) -> np.ndarray:
        """Neurons ``start .. stop``, ``(stop - start, sketch_dim + 1)`` float32."""
        last = self._last[start:stop, None]
        return np.concatenate([self._values(start, stop), last], axis=1)


def _rms_norm(rows) -> float:
    return float(np.sqrt(np.einsum("ij,ij->", rows, rows, dtype=np.float64) / rows.shape[0]))


def count_collisions(functions: HashFunctions, neurons, n: int, queries) -> np.ndarray:
    """Collisions of each neuron with all queries in all tables, with no table in memory.

    Parameters
    ----------
    functions : HashFunctions
    neurons : callable
        ``neurons(start, stop)`` is a block of the `n` sketches to count for.
    n : int
    queries : ndarray (n_queries, sketch_dim)

    Returns
    -------
    ndarray (n,), int32

    Notes
    -----
    O(n_tables * (n + n_queries) * (hashing a row + log n_queries)); memory: one block of
    codes, one counter a neuron, and the queries' codes, at most 4 kB a table.
    """
    asked = functions.packed_codes(queries, n_jobs=1)
    direct = functions.code_bits <= MAX_DIRECT_BITS
    if direct:
        size = 1 << functions.code_bits
        of_code = [np.bincount(codes, minlength=size).astype(np.int32) for codes in asked]
    else:
        kinds = [np.unique(codes, return_counts=True) for codes in asked]
    counts = np.zeros(n, dtype=np.int32)
    for start in range(0, n, BLOCK):
        block, out = neurons(start, start + BLOCK), counts[start : start + BLOCK]
        for first in range(0, functions.n_tables, TABLES):
            several = functions.packed_codes(block, slice(first, first + TABLES), n_jobs=1)
            for table, codes in enumerate(several, start=first):
                if direct:
                    out += of_code[table][codes]
                else:
                    known, sizes = kinds[table]
                    places = np.minimum(np.searchsorted(known, codes), known.shape[0] - 1)
                    out += np.where(known[places] == codes, sizes[places], 0).astype(np.int32)
    return counts


def best_by_collisions(
    family: HashFamily, seed: int, sketch, hidden, n_active: int, taken: np.ndarray
) -> np.ndarray:
    """The `n_active` neurons with most collisions that are not in `taken`; ties by id.

    `sketch` is a `Sketch` message, `seed` the device's own for this round.
    """
    vectors = HashedVectors(sketch, hidden)
    functions = family.draw(
        n_features=vectors.projection.n_features, seed=seed, projection=vectors.projection
    )
    counts = count_collisions(functions, vectors.neurons, vectors.n, vectors.queries)
    counts[taken] = -1
    n_kept = min(n_active, int((counts > 0).sum()))
    if not n_kept:
        return np.empty(0, dtype=np.int32)
    least = np.partition(counts, counts.shape[0] - n_kept)[counts.shape[0] - n_kept]
    above, level = np.flatnonzero(counts > least), np.flatnonzero(counts == least)
    return np.sort(np.append(above, level[: n_kept - above.shape[0]])).astype(np.int32)


def in_buckets(
    family: HashFamily, seed: int, sketch, hidden, n_active: int, taken: np.ndarray
) -> np.ndarray:
    """The paper's rule: neurons in the bucket of any row, table by table, until the budget is full.

    The table that would fill more than the budget gives random ones of its neurons. Arguments and
    returns as of `best_by_collisions`.

    Notes
    -----
    As the time of `count_collisions`, for the tables that it takes.
    """
    vectors = HashedVectors(sketch, hidden)
    functions = family.draw(
        n_features=vectors.projection.n_features, seed=seed, projection=vectors.projection
    )
    asked = functions.packed_codes(vectors.queries, n_jobs=1)
    free = np.ones(vectors.n, dtype=bool)
    free[taken] = False
    found = np.zeros(vectors.n, dtype=bool)
    for table in range(functions.n_tables):
        new = []
        for start in range(0, vectors.n, BLOCK):
            block = vectors.neurons(start, start + BLOCK)
            (codes,) = functions.packed_codes(block, slice(table, table + 1), n_jobs=1)
            rows = slice(start, start + BLOCK)
            new.append(start + np.flatnonzero(np.isin(codes, asked[table]) & free[rows]))
        ids = np.concatenate(new)
        room = n_active - int(found.sum())
        if ids.shape[0] >= room:
            found[np.random.default_rng([seed, table]).permutation(ids)[:room]] = True
            break
        found[ids], free[ids] = True, False
    return np.flatnonzero(found).astype(np.int32)


def random_others(rng: np.random.Generator, n: int, count: int, taken) -> np.ndarray:
    """`count` different ids of ``range(n)`` that are not in `taken`, ascending int32."""
    free = np.ones(n, dtype=bool)
    free[taken] = False
    free = np.flatnonzero(free)
    if count < free.shape[0]:
        free = np.sort(rng.choice(free, count, replace=False))
    return free.astype(np.int32)
