"""Row-wise Adagrad: one float of state a neuron and one a feature, touched only when active."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.network.model import WideNetwork

INITIAL_ACCUMULATOR = 1e-10
"""Tiny: the first step of a row has length about `learning_rate_init` whatever its gradient."""

FINAL_RATE = 0.02
"""Share of the initial learning rate that is left at the end of training."""


def falling_rate(initial: float, position: float) -> float:
    """The learning rate at `position`, 0 to 1, of training: it falls linearly."""
    return initial * max(FINAL_RATE, 1.0 - position)


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
        def state(n):
            return np.full(n, INITIAL_ACCUMULATOR, dtype=np.float32)

        return cls(
            [state(weights.shape[0]) for weights in network.body_weights],
            [state(bias.shape[0]) for bias in network.body_biases],
            state(network.n_labels),
            state(network.n_labels),
        )

    def untouched_neurons(self) -> np.ndarray:
        """Neurons that no batch has had yet: bool (n_labels,)."""
        return self.head_weights == np.float32(INITIAL_ACCUMULATOR)

    def averaged(self) -> RowwiseAdagrad:
        """One mean for all rows of an array that were touched: how much each was stays untold."""

        def mean(state):
            touched = state != np.float32(INITIAL_ACCUMULATOR)
            out = state.copy()
            out[touched] = state[touched].mean(dtype=np.float64) if touched.any() else 0
            return out

        def means(states):
            return [mean(state) for state in states]

        head = means([self.head_weights, self.head_bias])
        return RowwiseAdagrad(means(self.body_weights), means(self.body_biases), *head)
