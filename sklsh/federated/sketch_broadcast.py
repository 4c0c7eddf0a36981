"""`SketchBroadcast`: the sketch as the server has published it, and what has changed since."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh._utils.random import REDRAW, nth_seed
from sklsh.federated.messages import Sketch
from sklsh.federated.round_broadcast import RoundBroadcast, continues
from sklsh.hashing import make_projection
from sklsh.network.model import WideNetwork

BLOCK = 8192
"""Neurons folded at a time."""


@dataclass(frozen=True)
class PublishedSketch:
    """What is out under one fold.

    Attributes
    ----------
    first_round : int
        Of the fold.
    values : ndarray (n_labels, sketch_dim)
    bias : ndarray (n_labels,)
    published : ndarray (n_labels,), int32
        The round in which a row was last published.
    """

    first_round: int
    values: np.ndarray
    bias: np.ndarray
    published: np.ndarray


@dataclass
class SketchBroadcast:
    """Folds the head each round; a row is published anew when it differs from what is out.

    Parameters
    ----------
    fold : str
    sketch_dim : int or None
    payload : {"float32", "float16"}
    n_rounds : int
        Rounds with one fold; then a new one is drawn.
    tolerance : float
        A row whose sketch has changed by less than this share of its length stays as it is.
    seed : int
        Of the folds.
    out : PublishedSketch or None
        None: nothing has been published.
    """

    fold: str
    sketch_dim: int | None
    payload: str
    n_rounds: int
    tolerance: float
    seed: int
    out: PublishedSketch | None = None

    def publish(
        self, network: WideNetwork, number: int, hidden_centre=None
    ) -> RoundBroadcast[Sketch]:
        """The sketch of round `number`. O(n_labels * n_hidden).

        `hidden_centre` must not change between two folds.
        """
        period = number // self.n_rounds * self.n_rounds
        seed = nth_seed(self.seed, period, REDRAW)
        projection = make_projection(self.fold, network.n_hidden, self.sketch_dim, seed)
        had = self.out
        if had is None or had.first_round != period:
            had, shape = None, (network.n_labels, projection.sketch_dim)
            values = np.empty(shape, dtype=self.payload)
            bias = np.empty(shape[0], dtype=self.payload)
            published = np.full(shape[0], number, dtype=np.int32)
        else:
            values, bias, published = had.values.copy(), had.bias.copy(), had.published.copy()
        total = np.zeros(projection.sketch_dim, dtype=np.float64)
        for start in range(0, network.n_labels, BLOCK):
            rows = slice(start, start + BLOCK)
            new_values = projection.apply(network.head_weights[rows], n_jobs=1)
            new_bias = network.head_bias[rows]
            if hidden_centre is not None:
                new_bias = new_bias + network.head_weights[rows] @ hidden_centre
            total += new_values.sum(axis=0, dtype=np.float64)
            ids = np.arange(start, start + new_values.shape[0])
            if had is not None:
                ids = ids[self._moved((new_values, new_bias), (values[rows], bias[rows]))]
            values[ids], bias[ids] = new_values[ids - start], new_bias[ids - start]
            published[ids] = number
        self.out = PublishedSketch(period, values, bias, published)
        whole = Sketch(
            number, self.fold, seed, projection.sketch_dim, values, bias,
            (total / network.n_labels).astype(np.float32),
            keep=continues(number, self.n_rounds), hidden_centre=hidden_centre,
        )  # fmt: skip
        return RoundBroadcast(
            whole, lambda ids: {"values": values[ids], "bias": bias[ids]}, published, period,
            values[:1].nbytes + bias[:1].nbytes,
        )  # fmt: skip

    def _moved(self, new: tuple, had: tuple) -> np.ndarray:
        """Of rows of the sketch and biases, which differ enough from what is out."""
        (values, bias), (old_values, old_bias) = new, had
        moved = np.square(values - old_values).sum(axis=1) + np.square(bias - old_bias)
        length = np.square(values).sum(axis=1) + np.square(bias)
        # Float16 cannot show a change below its precision: 2^-11 of the length.
        least = max(self.tolerance, 2.0**-11 if self.payload == "float16" else 0.0)
        return moved > least**2 * length
