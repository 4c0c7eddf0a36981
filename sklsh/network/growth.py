"""A learner for more labels than before: what it has learnt stays, new rows start fresh."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np

from sklsh.network.learner import Learner
from sklsh.network.model import HIDDEN_NORM
from sklsh.network.optimizers import INITIAL_ACCUMULATOR, fresh_accumulators


def with_labels(learner: Learner, n_labels: int, places: np.ndarray) -> Learner:
    """A learner with a wider head: old neuron i is ``places[i]``, ascending; `learner` stays.

    New head rows are 0 and out of play until a row has their label. Layers below the head are
    shared with `learner`, not copied. O(n_labels * n_hidden).
    """
    network, state = learner.network, learner.optimizer
    places = places.astype(np.int32)

    def spread(array, value=0.0):
        out = np.full((n_labels, *array.shape[1:]), value, dtype=array.dtype)
        out[places] = array
        return out

    head = replace(
        network, head_weights=spread(network.head_weights), head_bias=spread(network.head_bias),
        observed_ids=places if network.observed_ids is None else places[network.observed_ids],
    )  # fmt: skip
    optimizer = replace(
        state, head_weights=spread(state.head_weights, INITIAL_ACCUMULATOR),
        head_bias=spread(state.head_bias, INITIAL_ACCUMULATOR),
    )  # fmt: skip
    memory, linear = learner.memory, learner.linear
    if memory is not None:
        labels = memory.labels
        memory = replace(memory, labels=labels._replace(indices=places[labels.indices]))
    if linear is not None:
        trees = [replace(tree, order=places[tree.order]) for tree in linear.trees]
        linear = replace(linear, trees=trees, n_labels=n_labels)
    # Without sampler and index: their tables and id lists are of the narrower head.
    return replace(
        learner, network=head, optimizer=optimizer, memory=memory, linear=linear, sampler=None,
        index=None, named_only=False, table_stats={}, history=deepcopy(learner.history),
        adjustment=None if learner.adjustment is None else spread(learner.adjustment),
    )  # fmt: skip


def grown(learner: Learner, n_items: int) -> Learner:
    """An autoencoder's learner with more features and as many more neurons; `learner` stays.

    New first-layer rows are random as in a fresh network for rows of unit norm.
    O(n_items * n_hidden).
    """
    n_old = learner.network.n_labels
    n_new = n_items - n_old
    wider = with_labels(learner, n_items, np.arange(n_old))
    network, state = wider.network, wider.optimizer
    for part in (network, state):
        part.body_weights, part.body_biases = deepcopy((part.body_weights, part.body_biases))
    n_out = network.body_weights[0].shape[1]
    rng = np.random.default_rng([learner.seed, n_old])
    fresh = rng.standard_normal((n_new, n_out), dtype=np.float32)
    gain = 2.0 if network.activation == "relu" else 1.0
    fresh *= np.float32(HIDDEN_NORM * np.sqrt(gain / n_out))
    tail = fresh_accumulators(n_new)
    network.body_weights[0] = np.concatenate([network.body_weights[0], fresh])
    state.body_weights[0] = np.concatenate([state.body_weights[0], tail])
    return wider
