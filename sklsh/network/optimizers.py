"""Row-wise Adagrad: one float of state a neuron and one a feature, touched only when active."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.network.model import WideNetwork

INITIAL_ACCUMULATOR = 1e-10
"""Tiny: the first step of a row has length about `learning_rate_init` whatever its gradient.

It also says that no step has had the row, see `untouched`. An array of flags beside each of the
accumulators would be carried through growth, checkpoints, folders and a federation's messages to
say what these numbers say: a step adds its mean squared gradient, and one that is lost in 1e-10 has
moved nothing.
"""

TOUCHED = np.float32(2 * INITIAL_ACCUMULATOR)
"""Accumulator of a row that was trained elsewhere and whose own stayed there."""

FINAL_RATE = 0.02
"""Share of the initial learning rate that is left at the end of training."""


def falling_rate(initial: float, position: float) -> float:
    """The learning rate at `position`, 0 to 1, of training: it falls linearly."""
    return initial * max(FINAL_RATE, 1.0 - position)


def fresh_accumulators(shape: int | tuple[int, ...]) -> np.ndarray:
    """Of rows that no step has had, float32."""
    return np.full(shape, INITIAL_ACCUMULATOR, dtype=np.float32)


def untouched(accumulators: np.ndarray) -> np.ndarray:
    """Which rows no step has had yet, bool."""
    return accumulators == np.float32(INITIAL_ACCUMULATOR)


@dataclass
class RowwiseAdagrad:
    """Accumulated mean squared gradients; shapes follow the network's parameters.

    Attributes
    ----------
    body_weights, body_biases : list of ndarray
        ``(n_in,)`` a layer, one entry per input row; ``(n_out,)`` a layer.
    head_weights, head_bias : ndarray (n_labels,)

    References
    ----------
    Duchi, Hazan, Singer, JMLR 2011; the row-wise form is common for embedding tables.
    """

    body_weights: list[np.ndarray]
    body_biases: list[np.ndarray]
    head_weights: np.ndarray
    head_bias: np.ndarray

    @classmethod
    def for_network(cls, network: WideNetwork) -> RowwiseAdagrad:
        return cls(
            [fresh_accumulators(weights.shape[0]) for weights in network.body_weights],
            [fresh_accumulators(bias.shape[0]) for bias in network.body_biases],
            fresh_accumulators(network.n_labels),
            fresh_accumulators(network.n_labels),
        )

    def untouched_neurons(self) -> np.ndarray:
        """Neurons that no batch has had yet: bool (n_labels,)."""
        return untouched(self.head_weights)

    def averaged(self) -> RowwiseAdagrad:
        """One mean for all rows of an array that were touched: how much each was stays untold."""

        def mean(state):
            touched = ~untouched(state)
            out = state.copy()
            out[touched] = state[touched].mean(dtype=np.float64) if touched.any() else 0
            return out

        def means(states):
            return [mean(state) for state in states]

        head = means([self.head_weights, self.head_bias])
        return RowwiseAdagrad(means(self.body_weights), means(self.body_biases), *head)
