"""`SketchBroadcast`: the sketch as the server has published it, and what has changed since."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sklsh._utils.random import REDRAW, nth_seed
from sklsh.federated.messages import Sketch
from sklsh.hashing import Projection, make_projection
from sklsh.network.model import WideNetwork

BLOCK = 8192
"""Neurons folded at a time."""


def rows_to_send(
    published: np.ndarray, rounds: tuple[int, int], since: int, row_bytes: float
) -> np.ndarray | None:
    """Rows published after round `since`, int32; None where all are wanted, or fewer bytes.

    `rounds` are the first with what is out, and this one; a row's id takes four bytes more.
    """
    first, now = rounds
    if not first <= since < now:
        return None
    changed = np.flatnonzero(published > since).astype(np.int32)
    smaller = changed.shape[0] * (row_bytes + 4) < published.shape[0] * row_bytes
    return changed if smaller else None


def goes_on(number: int, n_rounds: int) -> bool:
    """Whether the round after this one adds to what is out, rather than begin anew."""
    return (number + 1) // n_rounds == number // n_rounds


@dataclass
class SketchBroadcast:
    """Folds the head each round; a row is published anew when it differs from what is out.

    Every device's copy is a past state of this one, so that rows published after a round
    bring a device of that round up to date, whichever rounds it has missed.

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
    """

    fold: str
    sketch_dim: int | None
    payload: str
    n_rounds: int
    tolerance: float
    seed: int
    first_round: int = -1
    values: np.ndarray | None = None
    bias: np.ndarray | None = None
    centre: np.ndarray | None = None
    published: np.ndarray | None = None
    _projection: Projection | None = None
    _messages: dict = field(default_factory=dict)

    def publish(self, network: WideNetwork, number: int, hidden_centre=None) -> None:
        """The sketch of round `number`. O(n_labels * n_hidden).

        `hidden_centre` must not change between two folds.
        """
        self._hidden_centre = hidden_centre
        self._messages = {}
        period = number // self.n_rounds * self.n_rounds
        fresh = self.values is None or period != self.first_round
        if fresh:
            self._draw(network.n_hidden, period)
            shape = (network.n_labels, self._projection.sketch_dim)
            self.values = np.empty(shape, dtype=self.payload)
            self.bias = np.empty(shape[0], dtype=self.payload)
            self.published = np.full(shape[0], number, dtype=np.int32)
        self.values, self.bias = self.values.copy(), self.bias.copy()
        total = np.zeros(self._projection.sketch_dim, dtype=np.float64)
        for start in range(0, network.n_labels, BLOCK):
            rows = slice(start, start + BLOCK)
            values = self._projection.apply(network.head_weights[rows], n_jobs=1)
            bias = network.head_bias[rows]
            if hidden_centre is not None:
                bias = bias + network.head_weights[rows] @ hidden_centre
            total += values.sum(axis=0, dtype=np.float64)
            out = np.arange(start, start + values.shape[0])
            if not fresh:
                moved = np.square(values - self.values[rows]).sum(axis=1)
                moved += np.square(bias - self.bias[rows])
                length = np.square(values).sum(axis=1) + np.square(bias)
                # Float16 cannot show a change below its precision: 2^-11 of the length.
                least = max(self.tolerance, 2.0**-11 if self.payload == "float16" else 0.0)
                out = out[moved > least**2 * length]
            self.values[out], self.bias[out] = values[out - start], bias[out - start]
            self.published[out] = number
        self.centre = (total / network.n_labels).astype(np.float32)
        self.round = number

    def _draw(self, n_hidden: int, period: int) -> None:
        self.first_round = period
        self._fold_seed = nth_seed(self.seed, period, REDRAW)
        self._projection = make_projection(self.fold, n_hidden, self.sketch_dim, self._fold_seed)

    def restore(self, n_hidden: int, period: int, values, bias, published) -> None:
        """Go on from what was published under the fold of the round `period`."""
        self._draw(n_hidden, period)
        self.values, self.bias, self.published = values, bias, published

    def message(self, since: int) -> Sketch:
        """What a device needs that has the sketch of round `since`; -1: it has none."""
        row_bytes = self.values[:1].nbytes + self.bias[:1].nbytes
        ids = rows_to_send(self.published, (self.first_round, self.round), since, row_bytes)
        key = -1 if ids is None else since
        if key not in self._messages:
            rows = slice(None) if ids is None else ids
            self._messages[key] = Sketch(
                self.round, self.fold, self._fold_seed, self.values.shape[1],
                self.values[rows], self.bias[rows], self.centre, ids, key,
                keep=goes_on(self.round, self.n_rounds),
                hidden_centre=self._hidden_centre,
            )  # fmt: skip
        return self._messages[key]
