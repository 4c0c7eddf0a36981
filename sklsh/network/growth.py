"""A learner for more items than before: what it has learnt stays, new rows start fresh."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np

from sklsh.network.learner import Learner
from sklsh.network.model import HIDDEN_NORM
from sklsh.network.optimizers import INITIAL_ACCUMULATOR


def grown(learner: Learner, n_items: int) -> Learner:
    """An autoencoder's learner with more features and as many more neurons; `learner` stays.

    New first-layer rows are random as in a fresh network for rows of unit norm, new head
    rows are 0 and out of play until a row has their item. O(n_items * n_hidden).
    """
    network, state = deepcopy((learner.network, learner.optimizer))
    n_old = network.n_labels
    n_new = n_items - n_old
    if network.seen_ids is None:
        network.seen_ids = np.arange(n_old, dtype=np.int32)
    n_out = network.body_weights[0].shape[1]
    rng = np.random.default_rng([learner.seed, n_old])
    fresh = rng.standard_normal((n_new, n_out), dtype=np.float32)
    gain = 2.0 if network.activation == "relu" else 1.0
    fresh *= np.float32(HIDDEN_NORM * np.sqrt(gain / n_out))

    def longer(array, value=0.0):
        tail = np.full((n_new, *array.shape[1:]), value, dtype=array.dtype)
        return np.concatenate([array, tail])

    network.body_weights[0] = np.concatenate([network.body_weights[0], fresh])
    network.head_weights = longer(network.head_weights)
    network.head_bias = longer(network.head_bias)
    state.body_weights[0] = longer(state.body_weights[0], INITIAL_ACCUMULATOR)
    state.head_weights = longer(state.head_weights, INITIAL_ACCUMULATOR)
    state.head_bias = longer(state.head_bias, INITIAL_ACCUMULATOR)
    adjustment = None if learner.adjustment is None else longer(learner.adjustment)
    # Without the sampler: its tables and id lists are of the narrower head.
    return replace(
        learner, network=network, optimizer=state, sampler=None, adjustment=adjustment,
        history=deepcopy(learner.history),
    )  # fmt: skip
