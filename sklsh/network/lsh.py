"""`LSHCandidates`: hash tables over the head's rows, asked for the neurons of a hidden vector."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sklsh._utils.random import REDRAW, nth_seed
from sklsh._utils.threads import blocks
from sklsh.hashing import HashTables
from sklsh.hashing.base import HashFunctions
from sklsh.network.model import WideNetwork

ROWS = 8192
"""Neurons centred at a time, and of those that their mean is taken from."""


@dataclass
class InnerProductMap:
    """Turns neurons and hidden vectors into vectors whose angle orders the logits.

    ``w @ h + b`` becomes the inner product of ``[w - m, (b + (w - m) @ c - d) / s]`` and
    ``[h - c, s]``, less ``m @ h`` and `d`, which are the same for every neuron. ReLU
    activations share a large positive mean `c`, trained rows a mean `m` and their biases a
    mean `d`; angles without them tell neurons apart. `s` gives the bias coordinate its due
    length on both sides.

    Attributes
    ----------
    row_mean, hidden_mean : ndarray (n_hidden,), float32
    bias_length, bias_mean : float32
    """

    row_mean: np.ndarray
    hidden_mean: np.ndarray
    bias_length: np.float32
    bias_mean: np.float32 | float = 0.0

    @classmethod
    def of(cls, network: WideNetwork, hidden: np.ndarray) -> InnerProductMap:
        """The map of a network for vectors like the rows of `hidden`, ``(n_rows, n_hidden)``."""
        every = max(1, network.n_observed // ROWS)
        if network.observed_ids is None:
            sample = np.arange(0, network.n_labels, every)
        else:
            sample = network.observed_ids[::every]
        weights = network.head_weights[sample]
        row_mean, hidden_mean = weights.mean(axis=0), hidden.mean(axis=0)
        centred = weights - row_mean
        bias = network.head_bias[sample]
        bias = bias + centred @ hidden_mean
        bias_mean = bias.mean()
        bias = bias - bias_mean
        lengths = [
            float(np.sqrt(np.mean(np.square(a)) * (a.shape[1] if a.ndim > 1 else 1)))
            for a in (hidden - hidden_mean, bias, centred)
        ]
        ratio = lengths[0] * lengths[1] / lengths[2] if lengths[2] else 0.0
        length = np.float32(np.sqrt(ratio) or 1.0)
        return cls(row_mean, hidden_mean, length, np.float32(bias_mean))

    def neurons(self, network: WideNetwork, ids) -> np.ndarray:
        """Vectors of the head rows `ids` (an array or a slice), ``(n, n_hidden + 1)``."""
        rows = network.head_weights[ids] - self.row_mean
        bias = network.head_bias[ids] + rows @ self.hidden_mean - self.bias_mean
        return np.concatenate([rows, bias[:, None] / self.bias_length], axis=1)

    def queries(self, hidden) -> np.ndarray:
        """Vectors of hidden rows, ``(n, n_hidden + 1)``."""
        out = np.empty((hidden.shape[0], hidden.shape[1] + 1), dtype=np.float32)
        np.subtract(hidden, self.hidden_mean, out=out[:, :-1])
        out[:, -1] = self.bias_length
        return out


class LSHCandidates:
    """Neurons ranked by their collisions with a hidden vector.

    Parameters
    ----------
    family : HashFamily
    n_candidates : int
        Most candidates of a row.
    rehash_interval : int
        Steps before the tables are thrown away and built anew.
    seed : int

    Notes
    -----
    Each build draws *new* hash functions and a new fold, as the paper's devices do each
    round. Tables of fixed functions that are merely kept fresh miss the same neurons all
    through training, so that these are never pushed down: it costs more P@1 than hashing
    gains over random candidates.

    A build folds the head once, ``n_labels x sketch_dim``, and hashes all tables from that
    sketch: O(n_labels * (n_hidden + n_tables * (hash_length * sketch_dim))) for "pghash".
    """

    def __init__(self, family, n_candidates: int, rehash_interval: int, seed: int):
        self.family = family
        self.n_candidates = n_candidates
        self.rehash_interval = rehash_interval
        self.map: InnerProductMap
        self.tables: HashTables | None = None
        self._seed = seed
        self._functions: HashFunctions
        self._ids: np.ndarray | None = None
        self._next_rehash = 0

    def build(self, network: WideNetwork, hidden, step: int = 0, n_threads: int = 1) -> None:
        """Draw hash functions for `step`, hash every neuron; `hidden` rows to centre by."""
        self.map = InnerProductMap.of(network, hidden)
        self._draw(network, step)
        sketch = np.empty((network.n_observed, self._functions.projection.sketch_dim), np.float32)
        for start, stop in blocks(network.n_observed, ROWS):
            ids = slice(start, stop) if self._ids is None else self._ids[start:stop]
            vectors = self.map.neurons(network, ids)
            sketch[start:stop] = self._functions.sketch(vectors, n_threads)
        self.tables = HashTables.from_sketch(self._functions, sketch, n_jobs=n_threads)

    def _draw(self, network: WideNetwork, step: int) -> None:
        seed = nth_seed(self._seed, step, REDRAW)
        self._functions = self.family.draw(n_features=network.n_hidden + 1, seed=seed)
        self._ids = network.observed_ids
        self._next_rehash = step + self.rehash_interval

    def snapshot(self) -> dict:
        """All that `restore` needs, by name; empty before the first build."""
        if self.tables is None:
            return {}
        step = self._next_rehash - self.rehash_interval
        return {"step": step, "codes": self.tables.codes, **vars(self.map)}

    def restore(self, network: WideNetwork, snapshot: dict, n_threads: int = 1) -> None:
        """Be as when `snapshot` was taken, with the same labels observed."""
        codes = snapshot["codes"]
        self._draw(network, int(snapshot["step"]))
        names = [f.name for f in fields(InnerProductMap) if f.name in snapshot]
        of_map = {name: snapshot[name][()] for name in names}
        self.map = InnerProductMap(**of_map)
        present = np.ones(codes.shape[1], dtype=bool)
        self.tables = HashTables(codes, self._functions.code_bits, present, n_threads)

    @property
    def ids(self) -> np.ndarray | None:
        """Neurons in the tables, ascending; None: all."""
        return self._ids

    def query(self, hidden, n_threads: int = 1):
        """``(indptr, ids, counts)`` of hidden rows, from the tables as they are."""
        sketch = self._functions.sketch(self.map.queries(hidden), n_threads)
        codes = self._functions.codes(sketch, n_jobs=n_threads)
        assert self.tables is not None, "built before it is asked"
        indptr, ids, counts = self.tables.query(codes, self.n_candidates, n_jobs=n_threads)
        return indptr, ids if self._ids is None else self._ids[ids], counts

    def find(self, network, hidden, n_probes, step, n_threads):
        if self.tables is None or step >= self._next_rehash:
            self.build(network, hidden, step, n_threads)
        return self.query(hidden[:n_probes], n_threads)[:2]
