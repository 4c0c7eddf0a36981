"""`LocalModel`: a device's part of the model, from messages to what training has changed of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh.federated.parts import BodyPart, HeadPart
from sklsh.federated.settings import DeviceSettings
from sklsh.network.batching import similar_order
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import make_sampler
from sklsh.network.trainer import Trainer

BATCH_ACTIVE = 256
"""Neurons of the sub-model that a batch computes beside its labels."""

BLOCK = 1024
"""Rows whose change is computed at a time."""


def renumber(rows_of: SparseRows, rows, ids) -> SparseRows:
    """The given rows with columns numbered by their position in `ids`; others are dropped."""
    taken = rows_of.take(rows)
    places = np.searchsorted(ids, taken.indices)
    known = np.append(ids, -1)[places] == taken.indices
    if known.all():
        return SparseRows(taken.indptr, places.astype(np.int32), taken.data)
    indptr = np.append(0, np.cumsum(known))[taken.indptr].astype(np.int64)
    return SparseRows(indptr, places[known].astype(np.int32), taken.data[known])


def of_features(body: BodyPart, features: np.ndarray) -> BodyPart:
    """The part of a body that rows with these features need; unknown ones are left out."""
    kept = np.intersect1d(body.features, features, assume_unique=True, return_indices=True)[1]
    if kept.shape[0] == body.features.shape[0]:
        return body
    state = body.state[kept] if body.state.shape[0] else body.state
    weights = None if body.weights is None else body.weights[kept]
    return replace(
        body, features=body.features[kept], rows=body.rows[kept], state=state, weights=weights
    )


def build(head: HeadPart | None, body: BodyPart, activation: str) -> WideNetwork:
    """A network of the neurons and features in messages, copied to float32."""
    deep, biases = list(map(_own, body.deep_weights)), list(map(_own, body.biases))
    if head is None:
        weights = np.empty((0, biases[-1].shape[0]), dtype=np.float32)
        bias = np.empty(0, dtype=np.float32)
    else:
        weights, bias = _own(head.weights), _own(head.bias)
    return WideNetwork(
        [_own(body.rows), *deep], biases, weights, bias, activation,
        input_scale=body.input_scale,
    )  # fmt: skip


@dataclass(frozen=True)
class LocalModel:
    """A sub-model as a device has it: the parts before training, and a network of copies of them.

    Attributes
    ----------
    head : HeadPart
    body : BodyPart
        Both with accumulators.
    network : WideNetwork
    optimizer : RowwiseAdagrad
    """

    head: HeadPart
    body: BodyPart
    network: WideNetwork
    optimizer: RowwiseAdagrad

    @classmethod
    def of(cls, head: HeadPart, body: BodyPart, activation: str) -> LocalModel:
        """Of parts as sent, or kept."""
        n_deep, dense = len(body.deep_weights), [_own(array) for array in body.dense_state]
        optimizer = RowwiseAdagrad(
            [_own(body.state), *dense[:n_deep]], dense[n_deep:],
            _own(head.state[:, 0]), _own(head.state[:, 1]),
        )  # fmt: skip
        return cls(head, body, build(head, body, activation), optimizer)

    def train(
        self, X: SparseRows, Y: SparseRows, positions: np.ndarray, settings: DeviceSettings,
        batch_size: int, rate: float, seed: int,
    ) -> float:  # fmt: skip
        """Steps over rows of X and Y in the order of `positions` (int32); their mean loss."""
        network, training = self.network, settings.training
        n_ids = network.n_labels
        sampler = make_sampler(settings.local_sampler, min(BATCH_ACTIVE, n_ids), n_ids, seed)
        if training.shuffle == "lsh":
            rng = np.random.default_rng(seed)
            positions = similar_order(network, X, positions, batch_size, training, rng)
        return Trainer(
            network, sampler, self.optimizer, dropout=training.dropout, alpha=training.alpha,
            seed=seed,
        ).epoch(X, Y, positions, batch_size, rate)  # fmt: skip

    def head_state(self) -> np.ndarray:
        """Accumulators of the neurons now, (n, 2)."""
        return np.stack([self.optimizer.head_weights, self.optimizer.head_bias], axis=1)

    def trained_body(self) -> BodyPart:
        """The body itself after training, float32."""
        network, optimizer = self.network, self.optimizer
        return BodyPart(
            self.body.features,
            network.body_weights[0],
            optimizer.body_weights[0],
            (*network.body_weights[1:], *network.body_biases),
            (*optimizer.body_weights[1:], *optimizer.body_biases),
            self.body.input_scale,
        )

    def head_changes(self, payload: str, *, every: bool = False) -> HeadPart:
        """Differences of the neurons that a step has touched, or of all.

        The network's head is used up.
        """
        had, network, state = self.head, self.network, self.head_state()
        changed = np.flatnonzero((state != had.state).any(axis=1) | every)
        return HeadPart(
            had.ids[changed],
            packed_change(network.head_weights, had.weights, changed, payload),
            (network.head_bias[changed] - had.bias[changed]).astype(payload),
            coarse(state[changed] - had.state[changed]),
        )

    def body_changes(self, payload: str, *, every: bool = False) -> BodyPart:
        """Differences of the rows that a step has touched, or of all.

        The network's first layer is used up.
        """
        had, now = self.body, self.trained_body()
        changed = np.flatnonzero((now.state != had.state) | every)
        return BodyPart(
            had.features[changed],
            packed_change(now.rows, had.rows, changed, payload),
            coarse(now.state[changed] - had.state[changed]),
            tuple(a - b for a, b in zip(now.dense, had.dense, strict=True)),
            tuple(coarse(a - b) for a, b in zip(now.dense_state, had.dense_state, strict=True)),
        )


def coarse(growth: np.ndarray) -> np.ndarray:
    """The next power of two, float32: how far accumulators grew, and no exact square of a row.

    A learning rate that is off by a factor of 2 ** .25 at most is as good.
    """
    with np.errstate(divide="ignore"):
        return np.where(growth > 0, np.exp2(np.rint(np.log2(growth))), 0).astype(np.float32)


def packed_change(now: np.ndarray, had: np.ndarray, changed: np.ndarray, payload) -> np.ndarray:
    """``(now - had)[changed]`` in the wire's type, written over `now` from the front.

    A third copy of its rows would be half of a device's peak again. A row never lands
    behind the place it is read from: `changed` ascends.
    """
    n, width = changed.shape[0], now.shape[1]
    out = now.reshape(-1).view(payload)[: n * width].reshape(n, width)
    for start in range(0, n, BLOCK):
        rows = changed[start : start + BLOCK]
        change = now[rows]
        change -= had[rows]
        out[start : start + BLOCK] = change
    return out


def without_state(part):
    """A part whose accumulators stay at home."""
    if isinstance(part, HeadPart):
        return replace(part, state=part.state[:0])
    return replace(part, state=part.state[:0], dense_state=())


def _own(array) -> np.ndarray:
    return np.array(array, dtype=np.float32, order="C")
