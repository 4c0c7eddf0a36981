"""How far an honest device can have moved a row: longer changes are not used."""

from __future__ import annotations

import numpy as np

from sklsh.federated.messages import Update
from sklsh.federated.parts import Rejected
from sklsh.network.optimizers import INITIAL_ACCUMULATOR

MAX_STATE = 1e6
"""Most that an accumulator can grow in a round."""

SLACK = 1.05
"""Room for float16 rounding."""


def longest_move(learning_rate: float, n_steps: int) -> float:
    """Longest change of a row of one entry in `n_steps` steps of row-wise Adagrad.

    A step is ``rate * g / sqrt(a)`` and the sum of ``mean(g^2) / a`` over steps is at most
    ``1 + log(a_last / a_first)``; by Cauchy-Schwarz a row of n entries has moved by
    ``rate * sqrt(n * n_steps * (1 + log(a_last / a_first)))`` at most [1]_.

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer. "Adaptive subgradient methods", JMLR 2011, lemma 4.
    """
    growth = 1.0 + np.log(MAX_STATE / INITIAL_ACCUMULATOR)
    return SLACK * learning_rate * float(np.sqrt(n_steps * growth))


def check_lengths(update: Update, longest: float) -> None:
    """Raise `Rejected` if the update moved a row further than `longest` allows."""
    for name, change in update.changes().items():
        rows = change if change.ndim > 1 else change[:, None]
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64, casting="unsafe")
        if squares.size and squares.max() > rows.shape[1] * longest**2:
            raise Rejected(
                "norm bound exceeded", f"{name} has a longer change than training can make"
            )
    for state in update.growth().values():
        if state.size and (state.min() < 0 or state.max() > MAX_STATE):
            raise Rejected("norm bound exceeded", "an accumulator shrank or exploded")
