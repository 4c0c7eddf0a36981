"""`Merger`: moves the server's model by what devices have changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from sklsh.federated.aggregation import LOWER_MEDIAN, aggregate_rows
from sklsh.federated.messages import Update, bodies_of
from sklsh.federated.plan import Plan
from sklsh.federated.privacy import private_change
from sklsh.federated.secure.vector import Mean
from sklsh.federated.server_optimizers import ServerOptimizer
from sklsh.federated.undo import Undo
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import TOUCHED, RowwiseAdagrad

MOST_CONTRIBUTORS = 8
"""Contributing devices that count. What more devices have than these, such as a popular item or all
of a small model, each of them learns: weighing it by their number overshoots."""

HEAD = ("head_weights", "head_bias")
"""Arrays with a row a neuron."""


@dataclass(frozen=True)
class Change:
    """What devices have changed of an array, averaged.

    Attributes
    ----------
    name : str
        Of the array: one of `Merger.arrays`.
    rows : ndarray (n,), int32
    change : ndarray (n, ...), float32
    contributors : ndarray (n,), int32
        Devices that had the row.
    growth : ndarray (n,), float32, or None
        Of its accumulator; None where accumulators stay on devices.
    """

    name: str
    rows: np.ndarray
    change: np.ndarray
    contributors: np.ndarray
    growth: np.ndarray | None


def aggregated(updates: list[Update], weights: list[float], plan: Plan) -> Iterator[Change]:
    """Row by row, over the devices that had it, one array after the other.

    Accumulators grow by the lower median. The mean lets one device freeze what it holds; of many
    devices' growth the median is better as well: P@1 .6364 with the mean and .6427 with it on
    mulan-delicious, 32 devices. Adding all growth up, as if one machine had made all the steps,
    slows learning down: 2 points on citeulike-t with 8 devices.
    """
    updates = [update.moved() for update in updates]
    equal = [1.0] * len(updates)

    def change(name, ids, changes, states):
        growth = None
        if plan.local_optimizer == "sent":
            growth = aggregate_rows(ids, states, equal, LOWER_MEDIAN)[1]
        rows, mean, counts = aggregate_rows(ids, changes, weights, plan.aggregation)
        return Change(name, rows, mean, counts, growth)

    heads = [update.head for update in updates]
    ids = [head.ids for head in heads]
    yield change("head_weights", ids, [h.weights for h in heads], [h.state[:, 0] for h in heads])
    yield change("head_bias", ids, [h.bias for h in heads], [h.state[:, 1] for h in heads])
    bodies = bodies_of(updates)
    if not bodies:
        return
    features = [body.features for body in bodies]
    yield change("body_0", features, [b.rows for b in bodies], [b.state for b in bodies])
    for i, array in enumerate(bodies[0].dense):
        every = [np.arange(array.shape[0], dtype=np.int32)] * len(bodies)
        states = [body.dense_state[i] for body in bodies if body.dense_state]
        yield change(f"dense_{i}", every, [body.dense[i] for body in bodies], states)


def of_mean(mean: Mean) -> Iterator[Change]:
    """Those of the mean of updates that nobody has seen one by one."""
    head, body = mean.head, mean.body
    for column, (name, change) in enumerate(zip(HEAD, (head.weights, head.bias), strict=True)):
        growth = head.state[:, column] if head.state.size else None
        yield Change(name, head.ids, change, mean.head_contributors, growth)
    if body is None or mean.body_contributors is None:
        return
    growth = body.state if body.state.size else None
    yield Change("body_0", body.features, body.rows, mean.body_contributors, growth)
    for i, change in enumerate(body.dense):
        every = np.arange(change.shape[0], dtype=np.int32)
        contributors = np.full(every.shape[0], mean.n_devices, np.int32)
        growth = body.dense_state[i] if body.dense_state else None
        yield Change(f"dense_{i}", every, change, contributors, growth)


@dataclass
class Merger:
    """One round's way from changes to a model.

    Parameters
    ----------
    network : WideNetwork
    optimizer : RowwiseAdagrad
    server_optimizer : ServerOptimizer
    plan : Plan
    rate : float
        Learning rate of the round.

    Attributes
    ----------
    undo : Undo
        What all of it was before; private rounds move everything and save nothing.
    """

    network: WideNetwork
    optimizer: RowwiseAdagrad
    server_optimizer: ServerOptimizer
    plan: Plan
    rate: float
    undo: Undo = field(default_factory=Undo)

    def merge(self, changes: Iterable[Change]) -> None:
        """Move rows, and let their accumulators grow."""
        arrays = self.arrays
        for part in changes:
            array, state = arrays[part.name]
            self._move(part, array)
            if part.growth is not None:
                self.undo.save(state, part.rows)
                state[part.rows] += np.maximum(part.growth, 0)
            elif part.name in HEAD:
                self.undo.save(state, part.rows)
                state[part.rows] = np.maximum(state[part.rows], TOUCHED)

    def merge_private(self, updates: list[Update], rng: np.random.Generator) -> None:
        """The Gaussian mechanism: see `sklsh.federated.privacy`. Accumulators stay."""
        arrays = self.arrays
        names = [name for name in arrays if name in HEAD or self.plan.with_body]
        factor = np.float32(self.plan.server_learning_rate)
        changes = private_change(self.network, updates, self.plan, rng)
        for name, change in zip(names, changes, strict=True):
            self._step(name, arrays[name][0], slice(None), change, factor)

    @property
    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name the model's arrays, each with its accumulators."""
        network, state = self.network, self.optimizer
        dense = [*network.body_weights[1:], *network.body_biases]
        of_dense = [*state.body_weights[1:], *state.body_biases]
        return {
            "head_weights": (network.head_weights, state.head_weights),
            "head_bias": (network.head_bias, state.head_bias),
            "body_0": (network.body_weights[0], state.body_weights[0]),
            **{f"dense_{i}": both for i, both in enumerate(zip(dense, of_dense, strict=True))},
        }

    def _move(self, part: Change, array: np.ndarray) -> None:
        """Move rows by their contributing devices' averaged change."""
        plan = self.plan
        power = plan.head_power if part.name in HEAD else plan.body_power
        factor = np.full(part.rows.shape[0], plan.server_learning_rate, dtype=np.float32)
        if self.server_optimizer.uses_contributors:
            counted = np.minimum(part.contributors, MOST_CONTRIBUTORS)
            factor *= counted.astype(np.float32) ** power
        for other in (array, *self.server_optimizer.state(part.name, array)):
            self.undo.save(other, part.rows)
        factor = factor.reshape(-1, *[1] * (part.change.ndim - 1))
        self._step(part.name, array, part.rows, part.change, factor)

    def _step(self, name: str, array: np.ndarray, rows, change, factor) -> None:
        """Plain averaging scales the change; Adam, which is blind to scale, its rate."""
        rate = self.rate
        if self.server_optimizer.uses_contributors:
            change = change * factor
        else:
            rate *= self.plan.server_learning_rate
        self.server_optimizer.move(name, array, rows, change, rate)
