"""`Device`: who holds private rows. Answers messages; keeps what its cache will hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from sklsh._utils.threads import blocks
from sklsh.federated.cache import Cache, CacheMiss, MemoryCache
from sklsh.federated.cardinality import naming_threshold
from sklsh.federated.device_state import DeviceStateStore
from sklsh.federated.id_requests import IdRequests
from sklsh.federated.memory import Batch
from sklsh.federated.messages import (
    LARGEST,
    Centre,
    ClientStatistics,
    CodedHead,
    Counts,
    HiddenMean,
    Invite,
    Prototypes,
    Request,
    Select,
    SubModel,
    Update,
)
from sklsh.federated.parts import BodyPart, HeadPart
from sklsh.federated.policy import Refused
from sklsh.federated.scoring import best_of_codes, best_of_sketch, chosen_neurons
from sklsh.federated.secure import device_side
from sklsh.federated.selection import best_by_collisions, in_buckets
from sklsh.federated.settings import DeviceSettings, n_samples_of
from sklsh.federated.submodels import (
    BATCH_ACTIVE,
    LocalModel,
    build,
    of_features,
    renumber,
    without_state,
)
from sklsh.hashing import make_family
from sklsh.kernels.prototypes import scatter_rows
from sklsh.network.interactions import drawn_entries, keep_entries, network_rows
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import N_CANDIDATES, SCORING_ROWS

HIDDEN_ROWS = 64
"""Rows whose hidden vectors are computed at a time."""

ORDER, NEGATIVES, TRAINING, TABLES, INPUTS, PROBES = range(6)
"""Streams of a device's randomness."""


@dataclass(frozen=True)
class Device:
    """A device: rows that never leave it, settings that never leave it, and a cache.

    Every answer is a function of these fields and of the messages it is given, so that a
    transport may start a new process for each message. With `body_exchange` "full" or
    "touched", `local_optimizer` "sent" or "fresh" and a new fold each round the cache is
    not used.

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
    body_exchange : {"full", "touched", "local"}
        First-layer rows that travel: all; those of features that the round's rows have;
        none, once the device has a body of its own.
    payload : {"float32", "float16"}
        Type of the weights that it sends.
    local_optimizer : {"sent", "fresh", "kept"}
        Where Adagrad's accumulators come from: with the rows; nowhere; from the cache.
    cache : Cache
    """

    id: int
    X: SparseRows
    Y: SparseRows
    n_features: int
    n_labels: int
    activation: str
    settings: DeviceSettings
    seed: int
    body_exchange: str = "touched"
    payload: str = "float32"
    local_optimizer: str = "sent"
    cache: Cache = field(default_factory=MemoryCache)

    # Before the first round -------------------------------------------------------------------

    def client_statistics(self) -> ClientStatistics:
        """How many rows there are, how long they are, how many labels they have."""
        owners = np.repeat(np.arange(self.X.n_rows), self.X.counts())
        norms = np.sqrt(np.bincount(owners, np.square(self.X.data, dtype=np.float64)))
        norm = min(float(np.median(norms[norms > 0])), LARGEST) if norms.any() else 0.0
        labels = self.Y.indices.shape[0] / self.X.n_rows
        return ClientStatistics(self.id, -1, self.X.n_rows, norm, float(labels))

    def counts(self) -> Counts:
        """In how many rows each of its labels is."""
        self._names_no_label()
        ids, counts = np.unique(self.Y.indices, return_counts=True)
        return Counts(self.id, -1, self.X.n_rows, ids.astype(np.int32), counts.astype(np.int32))

    def _names_no_label(self) -> None:
        self.settings.policy.check_in_clear("labels")
        if self.settings.public_rows:
            raise Refused("with public_rows nothing is said of single labels")

    def request_all(self) -> Request:
        """Asks for what prototypes need: the body, and no neurons."""
        rows = np.arange(self.X.n_rows, dtype=np.int32)
        return Request(self.id, -1, self.id_requests.features(rows), np.empty(0, np.int32))

    def hidden_mean(self, body: BodyPart) -> HiddenMean:
        """Mean hidden vector of all rows."""
        self.settings.policy.check_bytes(body)
        total = np.zeros(body.dense[-1].shape[0], dtype=np.float64)
        for _, hidden in self._hidden_blocks(body):
            total += hidden.sum(axis=0, dtype=np.float64)
        mean = (total / self.X.n_rows).astype(np.float32)
        return HiddenMean(self.id, -1, self.X.n_rows, mean)

    def prototypes(self, body: BodyPart, centre: Centre) -> Prototypes:
        """Sums of hidden vectors by label; see `sklsh.network.prototypes`. O(nnz(Y) n_hidden)."""
        self._names_no_label()
        self.settings.policy.check_bytes(body, centre)
        ids, codes = np.unique(self.Y.indices, return_inverse=True)
        codes, every = codes.astype(np.int32), np.ones(ids.shape[0], dtype=bool)
        sums = np.zeros((ids.shape[0], centre.centre.shape[0]), dtype=np.float32)
        for rows, hidden in self._hidden_blocks(body):
            hidden -= centre.centre
            norms = np.sqrt(np.einsum("ij,ij->i", hidden, hidden))
            hidden /= np.where(norms > 0, norms, 1.0)[:, None]
            scatter_rows(self.Y.indptr, codes, rows, hidden, every, sums, 0, hidden.shape[1])
        return Prototypes(
            self.id, -1, self.X.n_rows, ids.astype(np.int32), sums.astype(self.payload)
        )

    # A round ----------------------------------------------------------------------------------

    def request(self, invite: Invite) -> Request:
        """What the round needs; without hash tables, the neurons too."""
        rows, state_store = np.unique(self.order(invite)), self._state_store(invite)
        ids, sketch_round, wanted = None, -1, ("", 0)
        if not self.settings.public_rows:
            self.settings.policy.check_in_clear("neurons of its own choice")
        if self.settings.public_rows or self.settings.training.sampler != "lsh":
            ids = self.id_requests.neurons(rows, invite, self._rng(NEGATIVES, invite.round))
        elif self.settings.selection == "codes":
            wanted = self.settings.code_family, self.settings.code_bytes
            sketch_round = state_store.codes_round(*wanted)
        else:
            sketch_round = state_store.sketch_round()
        has_body = self.body_exchange == "local" and state_store.body() is not None
        features = np.empty(0, dtype=np.int32) if has_body else self._wanted_features(rows)
        return Request(self.id, invite.round, features, ids, has_body, sketch_round, *wanted)

    def select(self, invite: Invite, body: BodyPart | None, sketch) -> Select:
        """Labels, then the neurons that collide most with some of the round's rows, or score
        highest with each; `sketch` is a `Sketch` or a `CodedHead`.

        Raises
        ------
        CacheMiss
            The device has lost its body, or the sketch that a delta goes on top of.
        """
        self.settings.policy.check_in_clear("neurons of its own choice")
        self.settings.policy.check_bytes(body, sketch)
        state_store, settings = self._state_store(invite), self.settings.training
        coded = isinstance(sketch, CodedHead)
        sketch = state_store.whole_codes(sketch) if coded else state_store.whole(sketch)
        body = self._own_body(state_store, body)
        rows = np.unique(self.order(invite))
        labels = np.empty(0, np.int32)
        if self.settings.include_labels:
            labels = np.unique(self.Y.take(rows).indices).astype(np.int32)
        hidden, n_active = self._hidden(body, self._probes(rows, invite)), self.id_requests.n_active
        taken = self.id_requests.not_negatives(labels)
        if coded or self.settings.selection == "scores":
            best = best_of_codes(sketch, hidden) if coded else best_of_sketch(sketch, hidden)
            found = chosen_neurons(best, n_active, taken, self.settings.batch_rule)
        else:
            family = make_family(
                settings.family, n_tables=settings.n_tables, hash_length=settings.hash_length,
                fold=settings.fold, sketch_dim=sketch.sketch_dim,
            )  # fmt: skip
            seed = int(self._rng(TABLES, invite.round).integers(2**62))
            named = in_buckets if self.settings.selection == "buckets" else best_by_collisions
            found = named(family, seed, sketch, hidden, n_active, taken=taken)
        return Select(
            self.id, invite.round, np.union1d(self.id_requests.labels(rows), found).astype(np.int32)
        )

    def train(self, invite: Invite, model: SubModel, body: BodyPart | None) -> Update:
        """Local steps on the sub-model; what they changed.

        Raises
        ------
        CacheMiss
            The device has lost its body.
        Refused
            It sends nothing without masks.
        """
        self.settings.policy.check_in_clear("an update")
        return self.local_update(invite, model, body)

    def local_update(self, invite: Invite, model: SubModel, body: BodyPart | None) -> Update:
        """What `train` sends, and secure aggregation masks.

        Labels whose neurons were not sent are left out of the loss, as in the paper.
        """
        self.settings.policy.check_bytes(model, body)
        order, state_store = self.order(invite), self._state_store(invite)
        rows, positions = np.unique(order, return_inverse=True)
        whole = self._own_body(state_store, body)
        local = self._local_model(state_store, rows, model.head, whole)
        X = self._inputs(rows, local.body, self.settings.input_dropout, invite.round)
        Y = renumber(self.Y, rows, local.head.ids)
        threshold = None
        if local.body.weights is None:  # of a recommender all items are ranked, none is named
            threshold = naming_threshold(local.network, X, self.Y.counts()[rows])
        seed = int(self._rng(TRAINING, invite.round).integers(2**31))
        loss = local.train(
            X, Y, positions.astype(np.int32), self.settings, self._batch_size(),
            invite.learning_rate, seed,
        )  # fmt: skip
        self._keep(state_store, local, whole)
        every = bool(self.settings.public_rows)  # which rows have changed would name them
        stays = self.body_exchange == "local"
        sent_body = None if stays else local.body_changes(self.payload, every=every)
        sent = local.head_changes(self.payload, every=every)
        if self.local_optimizer != "sent":
            sent = without_state(sent)
            sent_body = None if sent_body is None else without_state(sent_body)
        n_samples = int(order.shape[0])
        return Update(self.id, invite.round, n_samples, float(loss), sent, sent_body, threshold)

    def order(self, invite: Invite) -> np.ndarray:
        """Rows of this round's steps, in order: the next ones of an endless shuffled stream.

        Raises
        ------
        Refused
            The device's policy is against it.
        """
        n_rows, batch_size = self.X.n_rows, self._batch_size()
        if not 0 < invite.local_steps < math.inf:
            raise Refused(f"{invite.local_steps!r} steps a round")
        count = n_samples_of(invite.local_steps, n_rows, batch_size)
        if self.settings.local_steps is not None:
            count = min(count, self.settings.local_steps * batch_size)
        self.settings.policy.check_invite(invite, n_rows, batch_size, count)
        if self.settings.public_rows:
            every = self._rng(ORDER, invite.round).permutation(n_rows)
            return np.resize(self.id_requests.preferred(every, invite), count).astype(np.int32)
        start = invite.round * count
        epochs = range(start // n_rows, (start + count - 1) // n_rows + 1)
        rows = np.concatenate([self._rng(ORDER, epoch).permutation(n_rows) for epoch in epochs])
        first = start % n_rows
        return rows[first : first + count].astype(np.int32)

    masking_keys = device_side.masking_keys
    masking_shares = device_side.masking_shares
    train_masked = device_side.train_masked
    unmask = device_side.unmask

    # Parts ------------------------------------------------------------------------------------

    def _wanted_features(self, rows: np.ndarray) -> np.ndarray | None:
        """Of the round's rows; of all rows for a body that is to stay here. None: all there are."""
        if self.body_exchange == "local":
            rows = np.arange(self.X.n_rows, dtype=np.int32)
        return self.id_requests.features(rows)

    def _probes(self, rows: np.ndarray, invite: Invite) -> np.ndarray:
        """Rows that look up their neurons: where there are many, others in each round."""
        n_probes = self.settings.n_probes
        if n_probes >= rows.shape[0]:
            return rows
        return np.sort(self._rng(PROBES, invite.round).choice(rows, n_probes, replace=False))

    def _state_store(self, invite: Invite) -> DeviceStateStore:
        return DeviceStateStore(self.cache, self.n_features, self.n_labels, invite.run)

    def _own_body(self, state_store: DeviceStateStore, body: BodyPart | None) -> BodyPart:
        """The body to compute with; where it is local, a copy that may be written to.

        Raises
        ------
        CacheMiss
            The device has lost its body.
        Refused
            The question lacks one.
        """
        if body is None and self.body_exchange == "local":
            kept = state_store.body()
            if kept is None:
                raise CacheMiss("body")
            return replace(kept, rows=kept.rows.copy(), state=kept.state.copy())
        if body is None:
            raise Refused("a question without the body that it is about")
        if self.body_exchange != "local":
            return body
        _, body = state_store.with_states(None, without_state(body), fresh=True)
        return replace(body, rows=np.array(body.rows, dtype=np.float32))

    def _local_model(
        self, state_store: DeviceStateStore, rows: np.ndarray, head: HeadPart, whole: BodyPart
    ) -> LocalModel:
        """What is trained in a round: neurons as sent, and the body, or what rows need of a whole
        one; with accumulators from where they are."""
        body, fresh = whole, self.local_optimizer == "fresh"
        if self.body_exchange == "local":
            body = of_features(whole, np.unique(self.X.take(rows).indices))
            if fresh:
                body = without_state(body)
        if self.local_optimizer != "sent":
            head, body = state_store.with_states(head, body, fresh=fresh)
        return LocalModel.of(head, body, self.activation)

    def _keep(self, state_store: DeviceStateStore, local: LocalModel, whole: BodyPart) -> None:
        """What stays here of a round: accumulators, and a body of one's own."""
        own_body = self.body_exchange == "local"
        if self.local_optimizer == "kept":
            head = replace(local.head, state=local.head_state())
            state_store.keep_states(head, None if own_body else local.trained_body())
        if own_body:
            trained = local.trained_body()
            places = np.searchsorted(whole.features, trained.features)
            whole.rows[places], whole.state[places] = trained.rows, trained.state
            whole = replace(whole, dense=trained.dense, dense_state=trained.dense_state)
            state_store.keep_body(whole)

    def _rng(self, stream: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, number + 1])

    def _batch_size(self) -> int:
        return min(self.settings.training.batch_size, self.X.n_rows)

    @property
    def id_requests(self) -> IdRequests:
        """Which ids its requests have."""
        return IdRequests(
            self.X, self.Y, self.n_features, self.n_labels, self.settings, self.seed,
            self.body_exchange == "full", self.payload, self.local_optimizer == "sent",
        )  # fmt: skip

    def _hidden_blocks(self, body: BodyPart, rows=None):
        """Some rows, a block at a time, and their last hidden layer.

        Of the first layer, what a block's rows need is copied to float32: copies of all would be
        the most that a device ever holds.
        """
        rows = np.arange(self.X.n_rows, dtype=np.int32) if rows is None else rows
        for start, stop in blocks(rows.shape[0], HIDDEN_ROWS):
            part = rows[start:stop]
            needed = of_features(body, np.unique(self.X.take(part).indices))
            network = build(None, needed, self.activation)
            yield part, network.hidden(self._inputs(part, needed))

    def _hidden(self, body: BodyPart, rows) -> np.ndarray:
        """Last hidden layer of some rows."""
        out = np.empty((rows.shape[0], body.dense[-1].shape[0]), dtype=np.float32)
        for i, (_, hidden) in enumerate(self._hidden_blocks(body, rows)):
            out[i * HIDDEN_ROWS : i * HIDDEN_ROWS + hidden.shape[0]] = hidden
        return out

    def batch(self, invite: Invite, n_ids: int) -> Batch:
        """What a step of the round takes, with a sub-model of so many neurons."""
        rows = np.unique(self.order(invite))
        X, Y = self.X.counts()[rows], self.Y.counts()[rows]
        n_rows, sampler = self._batch_size(), self.settings.local_sampler
        n_scored = {"exact": n_ids, "random": N_CANDIDATES}.get(sampler, 0) * SCORING_ROWS
        n_neurons = 0 if sampler == "labels" else BATCH_ACTIVE
        n_neurons += int(np.ceil(n_rows * Y.mean()))
        if sampler == "all":
            n_neurons = n_ids
        n_needed = int(np.ceil(min(HIDDEN_ROWS, rows.shape[0]) * X.mean()))
        return Batch(n_rows, min(n_neurons, n_ids), n_scored, int(X.sum() + Y.sum()), n_needed)

    def _inputs(self, rows, body: BodyPart, dropout: float = 0.0, number: int = 0) -> SparseRows:
        """What the network reads of some rows."""
        X = renumber(self.X, rows, body.features)
        if body.weights is None:
            return X
        if dropout:
            seed = int(self._rng(INPUTS, number).integers(2**31))
            X = keep_entries(X, ~drawn_entries(X, dropout, seed))
        return network_rows(X, body.weights)
