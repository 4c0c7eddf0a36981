"""`Device`: the holder of private rows. Answers messages; keeps nothing between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.federated.messages import (
    BodyPart,
    Census,
    Centre,
    HeadPart,
    HiddenMean,
    Invite,
    Prototypes,
    Request,
    Select,
    Sketch,
    SubModel,
    Update,
)
from sklsh.federated.selection import best_by_collisions, fixed_decoys, random_others
from sklsh.federated.settings import DeviceSettings
from sklsh.hashing import make_family
from sklsh.kernels.prototypes import scatter_rows
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import make_sampler
from sklsh.network.trainer import Trainer

BATCH_ACTIVE = 256
"""Neurons of the sub-model that a batch computes beside its labels."""

ORDER, NEGATIVES, TRAINING, TABLES = range(4)
"""Streams of a device's randomness."""


@dataclass(frozen=True)
class Device:
    """A device: rows that never leave it, settings that never leave it, and no other state.

    Every answer is a function of these fields and of the messages it is given, so that an
    engine may start a new process for each message.

    Parameters
    ----------
    id : int
    X, Y : SparseRows
        Private rows: features and labels, numbered as on the server.
    n_features, n_labels : int
    activation : str
    settings : DeviceSettings
    seed : int
        Of its order of rows, its hash functions and its decoys. Private.
    touched : bool
        Only first-layer rows of features that the round's rows have travel.
    payload : {"float32", "float16"}
        Type of the weights that it sends.
    """

    id: int
    X: SparseRows
    Y: SparseRows
    n_features: int
    n_labels: int
    activation: str
    settings: DeviceSettings
    seed: int
    touched: bool = True
    payload: str = "float32"

    # Before the first round -------------------------------------------------------------------

    def census(self) -> Census:
        """How many rows there are, how long they are, how many labels they have."""
        norms = np.square(self.X.data, dtype=np.float64).sum() / self.X.n_rows
        labels = self.Y.indices.shape[0] / self.X.n_rows
        return Census(self.id, -1, self.X.n_rows, float(np.sqrt(norms)), float(labels))

    def request_all(self) -> Request:
        """Asks for what prototypes need: the body, and no neurons."""
        rows = np.arange(self.X.n_rows, dtype=np.int32)
        return Request(self.id, -1, self._features(rows), np.empty(0, np.int32))

    def hidden_mean(self, body: BodyPart) -> HiddenMean:
        """Mean hidden vector of all rows."""
        hidden = self._hidden(body)
        return HiddenMean(self.id, -1, self.X.n_rows, hidden.mean(axis=0))

    def prototypes(self, body: BodyPart, centre: Centre) -> Prototypes:
        """Sums of hidden vectors by label; see `sklsh.network.prototypes`. O(nnz(Y) n_hidden)."""
        hidden = self._hidden(body) - centre.centre
        norms = np.sqrt(np.einsum("ij,ij->i", hidden, hidden))
        hidden /= np.where(norms > 0, norms, 1.0)[:, None]
        ids, codes = np.unique(self.Y.indices, return_inverse=True)
        sums = np.zeros((ids.shape[0], hidden.shape[1]), dtype=np.float32)
        scatter_rows(
            self.Y.indptr, codes.astype(np.int32), np.arange(self.X.n_rows, dtype=np.int32),
            hidden, np.ones(ids.shape[0], dtype=bool), sums, 0, hidden.shape[1],
        )  # fmt: skip
        return Prototypes(
            self.id, -1, self.X.n_rows, ids.astype(np.int32), sums.astype(self.payload)
        )

    # A round ----------------------------------------------------------------------------------

    def request(self, invite: Invite) -> Request:
        """What the round needs; without hash tables, the neurons too."""
        rows = np.unique(self.order(invite))
        ids = None
        if self.settings.training.sampler != "lsh":
            ids = self._with_decoys(self._ids(rows, invite.round), self.n_labels)
        return Request(self.id, invite.round, self._features(rows), ids)

    def select(self, invite: Invite, body: BodyPart, sketch: Sketch) -> Select:
        """Labels, then the neurons that collide most with some of the round's rows."""
        settings = self.settings.training
        rows = np.unique(self.order(invite))
        labels = self._labels(rows) if self.settings.include_labels else np.empty(0, np.int32)
        probes = rows[: self.settings.n_probes]
        family = make_family(
            settings.family, n_tables=settings.n_tables, hash_length=settings.hash_length,
            fold=settings.fold, sketch_dim=sketch.sketch_dim,
        )  # fmt: skip
        seed = int(self._rng(TABLES, invite.round).integers(2**62))
        hidden = self._hidden(body, probes)
        found = best_by_collisions(
            family, seed, sketch, hidden, self.settings.n_active, taken=labels
        )
        ids = np.union1d(labels, found).astype(np.int32)
        return Select(self.id, invite.round, self._with_decoys(ids, self.n_labels))

    def train(self, invite: Invite, model: SubModel, body: BodyPart) -> Update:
        """Local steps on the sub-model; what they changed.

        Labels whose neurons were not sent are left out of the loss, as in the paper.
        """
        order = self.order(invite)
        rows, positions = np.unique(order, return_inverse=True)
        X = _renumber(self.X, rows, body.features)
        Y = _renumber(self.Y, rows, model.head.ids)
        network, optimizer = _network(model.head, body, self.activation)
        settings, n_ids = self.settings.training, network.n_labels
        seed = int(self._rng(TRAINING, invite.round).integers(2**31))
        sampler = make_sampler(self._local_sampler(), min(BATCH_ACTIVE, n_ids), n_ids, seed)
        trainer = Trainer(
            network, sampler, optimizer, dropout=settings.dropout, alpha=settings.alpha, seed=seed
        )
        loss = trainer.epoch(
            X, Y, positions.astype(np.int32), self._batch_size(), invite.learning_rate
        )
        head = _changes(model.head, network, optimizer, self.payload)
        return Update(
            self.id, invite.round, int(order.shape[0]), float(loss), head,
            _body_changes(body, network, optimizer, self.payload),
        )  # fmt: skip

    def order(self, invite: Invite) -> np.ndarray:
        """Rows of this round's steps, in order: the next ones of an endless shuffled stream."""
        n_rows, batch_size = self.X.n_rows, self._batch_size()
        n_steps = invite.local_steps
        if self.settings.local_steps is not None:
            n_steps = min(self.settings.local_steps, n_steps or self.settings.local_steps)
        count = n_steps * batch_size if n_steps else n_rows
        start = invite.round * count
        epochs = range(start // n_rows, (start + count - 1) // n_rows + 1)
        rows = np.concatenate([self._rng(ORDER, epoch).permutation(n_rows) for epoch in epochs])
        first = start % n_rows
        return rows[first : first + count].astype(np.int32)

    # Parts ------------------------------------------------------------------------------------

    def _rng(self, stream: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, number + 1])

    def _batch_size(self) -> int:
        return min(self.settings.training.batch_size, self.X.n_rows)

    def _local_sampler(self) -> str:
        if self.settings.local_sampler != "auto":
            return self.settings.local_sampler
        sampler = self.settings.training.sampler
        return "random" if sampler == "lsh" else sampler

    def _labels(self, rows) -> np.ndarray:
        return np.unique(self.Y.take(rows).indices).astype(np.int32)

    def _features(self, rows) -> np.ndarray | None:
        """Features of rows, decoys among them; None for all."""
        if not self.touched:
            return None
        found = np.unique(self.X.take(rows).indices).astype(np.int32)
        return self._with_decoys(found, self.n_features)

    def _ids(self, rows, number: int) -> np.ndarray:
        """Neurons of a round without hash tables."""
        sampler = self.settings.training.sampler
        if sampler == "all":
            return np.arange(self.n_labels, dtype=np.int32)
        labels = self._labels(rows) if self.settings.include_labels else np.empty(0, np.int32)
        if sampler == "labels":
            return labels
        rng = self._rng(NEGATIVES, number)
        others = random_others(rng, self.n_labels, self.settings.n_active, labels)
        return np.union1d(labels, others).astype(np.int32)

    def _with_decoys(self, ids, n: int) -> np.ndarray:
        count = int(np.ceil(self.settings.n_decoys * ids.shape[0]))
        if not count:
            return ids
        return np.union1d(ids, fixed_decoys(self.seed, n, count, ids)).astype(np.int32)

    def _hidden(self, body: BodyPart, rows=None) -> np.ndarray:
        """Last hidden layer of some rows."""
        rows = np.arange(self.X.n_rows, dtype=np.int32) if rows is None else rows
        X = _renumber(self.X, rows, body.features)
        network, _ = _network(None, body, self.activation)
        return network.hidden(X)


def _renumber(rows_of: SparseRows, rows, ids) -> SparseRows:
    """The given rows with columns numbered by their position in `ids`; others are dropped."""
    taken = rows_of.take(rows)
    places = np.searchsorted(ids, taken.indices)
    known = np.append(ids, -1)[places] == taken.indices
    if known.all():
        return SparseRows(taken.indptr, places.astype(np.int32), taken.data)
    indptr = np.append(0, np.cumsum(known))[taken.indptr].astype(np.int64)
    return SparseRows(indptr, places[known].astype(np.int32), taken.data[known])


def _network(head: HeadPart | None, body: BodyPart, activation: str):
    """A network and its optimizer, copied from messages."""

    def own(array):
        return np.array(array, dtype=np.float32, order="C")

    n_deep = (len(body.dense) - 2) // 4
    dense = [own(array) for array in body.dense]
    deep, biases = dense[:n_deep], dense[n_deep : 2 * n_deep + 1]
    deep_state = dense[2 * n_deep + 1 : 3 * n_deep + 1]
    bias_state = dense[3 * n_deep + 1 :]
    n_hidden = biases[-1].shape[0]
    if head is None:
        empty = np.empty(0, dtype=np.float32)
        weights, bias, state = empty.reshape(0, n_hidden), empty, empty.reshape(0, 2)
    else:
        weights, bias, state = own(head.weights), own(head.bias), head.state
    network = WideNetwork([own(body.rows), *deep], biases, weights, bias, activation)
    optimizer = RowwiseAdagrad(
        [own(body.state), *deep_state], bias_state, own(state[:, 0]), own(state[:, 1])
    )
    return network, optimizer


def _changes(had: HeadPart, network, optimizer, payload) -> HeadPart:
    """Differences of the neurons that a step has touched."""
    state = np.stack([optimizer.head_weights, optimizer.head_bias], axis=1)
    changed = np.flatnonzero((state != had.state).any(axis=1))
    return HeadPart(
        had.ids[changed],
        (network.head_weights[changed] - had.weights[changed]).astype(payload),
        (network.head_bias[changed] - had.bias[changed]).astype(payload),
        state[changed] - had.state[changed],
    )


def _body_changes(had: BodyPart, network, optimizer, payload) -> BodyPart:
    changed = np.flatnonzero(optimizer.body_weights[0] != had.state)
    now = [
        *network.body_weights[1:], *network.body_biases,
        *optimizer.body_weights[1:], *optimizer.body_biases,
    ]  # fmt: skip
    return BodyPart(
        had.features[changed],
        (network.body_weights[0][changed] - had.rows[changed]).astype(payload),
        optimizer.body_weights[0][changed] - had.state[changed],
        tuple(a - b for a, b in zip(now, had.dense)),
    )
