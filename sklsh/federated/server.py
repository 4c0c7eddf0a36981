"""`Server`: holds the model, sees ids and changes; never rows, hash functions or tables."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from sklsh._utils.random import child_seed
from sklsh.federated.aggregation import LOWER_MEDIAN, aggregate_rows
from sklsh.federated.cardinality import common_threshold
from sklsh.federated.checks import check_lengths, longest_move
from sklsh.federated.code_broadcast import CodeBroadcast
from sklsh.federated.defence import Defence
from sklsh.federated.messages import (
    CodedHead,
    Counts,
    Invite,
    Reply,
    Request,
    Sketch,
    SubModel,
    Update,
)
from sklsh.federated.parts import BROKEN, BodyPart, HeadPart, ModelShape, Rejected
from sklsh.federated.privacy import clipped, private_change
from sklsh.federated.server_optimizers import SERVER_OPTIMIZERS, ServerOptimizer
from sklsh.federated.sketch_broadcast import SketchBroadcast
from sklsh.federated.start import bounded_counts
from sklsh.federated.undo import Undo
from sklsh.network.interactions import item_weights
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import INITIAL_ACCUMULATOR, RowwiseAdagrad, falling_rate

MOST_HOLDERS = 8
"""Holders that count. What more devices have than these, such as a popular item or all of a
small model, each of them learns: weighing it by their number overshoots."""

OFFENSIVE = {"type", "shape", "range", "nonfinite", "outsized", BROKEN}
"""Reasons for which a rejected reply is its device's fault."""

SMALLEST_BATCH = 4
"""A device's own batches may be so many times smaller than those announced: more steps."""

MOVED = np.float32(2 * INITIAL_ACCUMULATOR)
"""Accumulator of a row that has moved where accumulators stay on devices: not a fresh one's."""


@dataclass(frozen=True)
class Plan:
    """What the server decides, for all devices.

    Attributes
    ----------
    n_rounds : int
    local_steps : int or float
        Batches; a float is a share of a device's rows, each once.
    learning_rate : float
    body_exchange : {"full", "touched", "local"}
    payload : {"float32", "float16"}
    fold : str
    sketch_dim : int or None
    sketch_rounds : int
        Rounds with one fold: in between, only changed rows of the sketch are sent.
    sketch_tolerance : float
        Share of its length by which a row of the sketch must change to be sent again.
    local_optimizer : {"sent", "fresh", "kept"}
    server_optimizer : {"avg", "adam"}
    aggregation : {"mean", "trimmed_mean", "median"}
    server_learning_rate : float
        Factor of every change.
    head_power, body_power : float
        A row's averaged change is multiplied by the number of its holders, `MOST_HOLDERS`
        at most, to this power.
        0 averages models, 1 adds gradients up. A label's rows are on few devices, the other
        holders only push its neuron away: averaging alone dilutes what those few have
        learnt. On three sets .4 and .25 end .5 to 1 point
        above .25 and .1; higher ones end as high, but overshoot more in the first rounds.
    max_rows : int
        Most rows that a device's update can count for.
    batch_size : int
        Rows a step: with `max_rows`, how many steps a change can be of.
    clip_norm : float or None
        Longest change of a device, all parameters together; longer ones are scaled down.
    noise_multiplier : float
        Standard deviation of the noise on the sum of changes, in units of `clip_norm`.
    expected_devices : float
        What the noisy sum is divided by: the mean number of devices invited.
    """

    n_rounds: int
    local_steps: int | float
    learning_rate: float
    body_exchange: str = "touched"
    payload: str = "float32"
    fold: str = "signed"
    sketch_dim: int | None = None
    sketch_rounds: int = 1
    sketch_tolerance: float = 0.0
    local_optimizer: str = "sent"
    server_optimizer: str = "avg"
    aggregation: str = "mean"
    server_learning_rate: float = 1.0
    head_power: float = 0.4
    body_power: float = 0.25
    max_rows: int = 2**20
    batch_size: int = 1
    clip_norm: float | None = None
    noise_multiplier: float = 0.0
    expected_devices: float = 1.0

    @property
    def private(self) -> bool:
        """Whether rounds are differentially private."""
        return self.noise_multiplier > 0

    @property
    def with_body(self) -> bool:
        """Whether devices send what they have learnt of the body."""
        return self.body_exchange != "local"


@dataclass
class Server:
    """The model and the rounds' bookkeeping.

    Parameters
    ----------
    network : WideNetwork
    optimizer : RowwiseAdagrad
        Adagrad accumulators of every row: they travel with the rows, one float each, so
        that devices need keep none.
    plan : Plan
    seed : int
        Of the folds.
    server_optimizer : ServerOptimizer, optional
        By default a new one, as the plan says.
    hidden_centre : ndarray (n_hidden,), float32, or None
        Mean hidden vector of all devices before the first round, if they were asked.
    label_counts : ndarray (n_labels,), int64, or None
        Rows that have each label, of `n_counted` rows in all, where labels are features too.
    start_faults : dict
        As `RoundReport.faults`, of the messages before the first round.
    noise_of_rounds : list of [float, float]
        `noise_multiplier` and `fraction` of each round run, those of earlier plans too: what
        epsilon adds up.
    threshold : float or None
        Of labels: the median of what devices said in the last round. None: they have not.
    defence : Defence
        What earlier rounds say of devices. Private rounds neither use it nor add to it: their
        bound is `clip_norm`.
    """

    network: WideNetwork
    optimizer: RowwiseAdagrad
    plan: Plan
    seed: int
    round: int = 0
    first_round: int = 0
    server_optimizer: ServerOptimizer | None = None
    hidden_centre: np.ndarray | None = None
    label_counts: np.ndarray | None = None
    n_counted: int = 0
    start_faults: dict = field(default_factory=dict)
    noise_of_rounds: list = field(default_factory=list)
    defence: Defence = field(default_factory=Defence)
    threshold: float | None = None
    undone: bool = False
    _sent: dict = field(default_factory=dict)
    _undo: Undo | None = None

    def __post_init__(self):
        plan = self.plan
        if self.server_optimizer is None:
            self.server_optimizer = SERVER_OPTIMIZERS[plan.server_optimizer]()
        self.sketch_broadcast = SketchBroadcast(
            plan.fold, plan.sketch_dim, plan.payload, plan.sketch_rounds, plan.sketch_tolerance,
            self.seed,
        )  # fmt: skip
        self.code_broadcasts: dict[tuple[str, int], CodeBroadcast] = {}

    @property
    def shape(self) -> ModelShape:
        network, plan = self.network, self.plan
        sizes = tuple(weights.shape[1] for weights in network.body_weights)
        return ModelShape(
            network.n_features, network.n_labels, sizes, plan.with_body,
            plan.local_optimizer == "sent",
        )  # fmt: skip

    def resume(self, plan: Plan) -> Server:
        """A server that goes on from a copy of this model with another plan."""
        same = plan.server_optimizer == self.plan.server_optimizer
        parts = deepcopy((self.network, self.optimizer, self.server_optimizer if same else None))
        network, optimizer, server_optimizer = parts
        return Server(
            network, optimizer, plan, self.seed, self.round, first_round=self.round,
            server_optimizer=server_optimizer,
            hidden_centre=self.hidden_centre, label_counts=self.label_counts,
            n_counted=self.n_counted, noise_of_rounds=list(self.noise_of_rounds),
            defence=deepcopy(self.defence), threshold=self.threshold,
        )  # fmt: skip

    # What it sends ----------------------------------------------------------------------------

    def invite(self) -> Invite:
        """The round's invitation, the same for every device."""
        done = (self.round - self.first_round) / self.plan.n_rounds
        rate = falling_rate(self.plan.learning_rate, done)
        return Invite(self.round, self.plan.local_steps, rate, child_seed(self.seed, 3))

    def body(self, features: np.ndarray | None = None) -> BodyPart:
        """The first layer's rows of some features, or all, with the dense rest."""
        network, state, payload = self.network, self.optimizer, self.plan.payload
        if features is None:
            features = np.arange(network.n_features, dtype=np.int32)
            rows, row_state = network.body_weights[0], state.body_weights[0]
        else:
            rows, row_state = network.body_weights[0][features], state.body_weights[0][features]
        dense = (*network.body_weights[1:], *network.body_biases)
        dense_state: tuple = (*state.body_weights[1:], *state.body_biases)
        if self.plan.local_optimizer != "sent":
            row_state, dense_state = row_state[:0], ()
        rows = rows.astype(payload, copy=False)
        weights = None
        if self.label_counts is not None:
            weights = item_weights(self.label_counts, self.n_counted)[features]
        return BodyPart(features, rows, row_state, dense, dense_state, network.input_scale, weights)

    def body_for(self, request: Request) -> BodyPart | None:
        """What a device asked for; None: it has a body of its own."""
        if request.has_body and self.plan.body_exchange == "local":
            return None
        return self.body(request.features)

    def head(self, ids: np.ndarray) -> HeadPart:
        """Neurons, as sent."""
        network, state, payload = self.network, self.optimizer, self.plan.payload
        accumulators = np.stack([state.head_weights[ids], state.head_bias[ids]], axis=1)
        if self.plan.local_optimizer != "sent":
            accumulators = accumulators[:0]
        return HeadPart(
            ids, network.head_weights[ids].astype(payload, copy=False), network.head_bias[ids],
            accumulators,
        )  # fmt: skip

    def sketches(self, since: dict[int, int]) -> dict[int, Sketch]:
        """What each device is sent of the sketch, by the round of the one it has (-1: none)."""
        self.sketch_broadcast.publish(self.network, self.round, self.hidden_centre)
        return {device: self.sketch_broadcast.message(had) for device, had in since.items()}

    def coded(self, requests: dict[int, Request]) -> dict[int, CodedHead]:
        """The codes that each device wants, or what has changed of those that it has."""
        out = {}
        for device, request in requests.items():
            broadcast = self.code_broadcast(request.codes, request.code_bytes)
            broadcast.publish(self.network, self.round, self.hidden_centre)
            out[device] = broadcast.message(request.sketch_round)
        return out

    def code_broadcast(self, family: str, n_bytes: int) -> CodeBroadcast:
        """That of one kind of codes, begun when it is first asked for."""
        plan, wanted = self.plan, (family, n_bytes)
        if wanted not in self.code_broadcasts:
            self.code_broadcasts[wanted] = CodeBroadcast(
                *wanted, plan.payload, plan.sketch_rounds, plan.sketch_tolerance, self.seed
            )
        return self.code_broadcasts[wanted]

    def count(self, replies: list[Counts]) -> None:
        """Where labels are features too, their counts say what an entry weighs (idf).

        Rows add to those counted before: whoever is counted again counts again. What one
        device may claim is bounded by what the others do: see `sklsh.federated.start`.
        """
        counts = np.zeros(self.network.n_labels, dtype=np.int64)
        if self.label_counts is not None:
            counts += self.label_counts
        for ids, of_ids, n_rows in bounded_counts(replies):
            counts[ids] += of_ids
            self.n_counted += n_rows
        self.label_counts = counts

    # What it takes ----------------------------------------------------------------------------

    def open(self, devices) -> None:
        """Begin a round with some devices, or, with none, forget what was sent in the last."""
        self._sent = {device: {} for device in devices}

    def accept(self, reply: Reply, kind: type, number: int) -> None:
        """Check one reply; raise `Rejected` if it is not what was asked for."""
        if type(reply) is not kind:
            raise Rejected("type", f"expected {kind.__name__}, got {type(reply).__name__}")
        if type(reply.round) is not int or reply.round != number:
            raise Rejected("stale", f"the round is {number}, got a reply of another")
        if type(reply.device) is not int or reply.device not in self._sent:
            raise Rejected("stranger", "its device is not in this round")
        if kind.__name__ in self._sent[reply.device]:
            raise Rejected("duplicate", f"device {reply.device} has answered already")
        reply.validate(self.shape)
        if isinstance(reply, Update):
            self._check_update(reply)
        self._sent[reply.device][kind.__name__] = True

    def blame(self, reply, error: Exception) -> None:
        """Hold a rejected reply against its device; being late or repeated is no offence.

        Not in a private round: what is kept of devices would outlast its noise.
        """
        if self.plan.private:
            return
        reason = error.reason if isinstance(error, Rejected) else BROKEN
        known = issubclass(type(reply), Reply) and type(reply.device) is int
        if reason in OFFENSIVE and known and reply.device in self._sent:
            self.defence.blame(reply.device)

    def sent(self, device: int, model: SubModel, body: BodyPart | None) -> None:
        """Remember what a device was sent: it may change nothing else."""
        self._sent[device]["ids"] = model.head.ids
        if body is not None:
            self._sent[device]["features"] = body.features

    def _check_update(self, update: Update) -> None:
        sent = self._sent[update.device]
        changed = [("ids", update.head.ids)]
        if update.body is not None:
            changed.append(("features", update.body.features))
        for had, ids in changed:
            if had not in sent or np.setdiff1d(ids, sent[had], assume_unique=True).size:
                raise Rejected("range", f"{had} of the update were not sent to the device")
        rows, batch = min(update.n_samples, self.plan.max_rows), self.plan.batch_size
        steps = -(-rows // max(1, batch // SMALLEST_BATCH))
        check_lengths(update, longest_move(self.invite().learning_rate, steps))

    def apply(self, updates: list[Update], rng: np.random.Generator) -> tuple[int, float]:
        """Aggregate updates, in device order, and move the model; `rng` makes the noise.

        Returns
        -------
        n_used : int
            Updates that had a say; 0 too if the model was not finite after them, and is as it
            was before.
        loss : float
            Mean of theirs, weighted by it, none for more than the median counted twice; NaN
            without updates.
        """
        self.undone = False
        if not updates and not self.plan.private:
            return 0, float("nan")
        updates = sorted(updates, key=lambda update: update.device)
        if self.plan.private:
            self._apply_private(updates, rng)
            return len(updates), _loss(updates, [1.0] * len(updates))
        if self.plan.clip_norm is not None:
            updates = [clipped(update, self.plan.clip_norm) for update in updates]
        updates, weights = self.defence.judge(updates, self.invite().learning_rate, seed=self.round)
        updates, weights = _heard(updates, weights)
        if not updates:
            return 0, float("nan")
        self._undo = Undo()
        self._merge(updates, weights)
        self.undone, self._undo = self._undo.undo_unless_finite(), None
        if self.undone:
            return 0, float("nan")
        self.threshold = common_threshold(updates) or self.threshold
        return len(updates), _loss(updates, weights)

    def _merge(self, updates: list[Update], weights: list[float]) -> None:
        state, states_sent = self.optimizer, self.plan.local_optimizer == "sent"
        heads = [update.head for update in updates]
        ids = [head.ids for head in heads]
        self._move("head_weights", ids, [h.weights for h in heads], weights)
        self._move("head_bias", ids, [h.bias for h in heads], weights)
        for column, array in enumerate((state.head_weights, state.head_bias)):
            if states_sent:
                self._grow(array, ids, [h.state[:, column] for h in heads])
            else:
                moved = np.unique(np.concatenate(ids))
                array[moved] = np.maximum(array[moved], MOVED)
        if not self.plan.with_body:
            return
        bodies: list[BodyPart] = [update.body for update in updates]
        features = [body.features for body in bodies]
        self._move("body_0", features, [b.rows for b in bodies], weights)
        if states_sent:
            self._grow(state.body_weights[0], features, [b.state for b in bodies])
        for i, array in enumerate(self._dense()):
            every = [np.arange(array.shape[0], dtype=np.int32)] * len(bodies)
            self._move(f"dense_{i}", every, [body.dense[i] for body in bodies], weights)
            if states_sent:
                grown = [*state.body_weights[1:], *state.body_biases][i]
                self._grow(grown, every, [body.dense_state[i] for body in bodies])

    def _dense(self) -> list[np.ndarray]:
        return [*self.network.body_weights[1:], *self.network.body_biases]

    def _array(self, name: str) -> np.ndarray:
        network = self.network
        arrays = {
            "head_weights": network.head_weights, "head_bias": network.head_bias,
            "body_0": network.body_weights[0],
        }  # fmt: skip
        return arrays[name] if name in arrays else self._dense()[int(name.removeprefix("dense_"))]

    def _move(self, name: str, ids, changes, weights) -> None:
        plan = self.plan
        union, change, holders = aggregate_rows(ids, changes, weights, plan.aggregation)
        power = plan.head_power if name.startswith("head") else plan.body_power
        factor = np.full(holders.shape[0], plan.server_learning_rate, dtype=np.float32)
        if self.server_optimizer.uses_holders:
            factor *= np.minimum(holders, MOST_HOLDERS).astype(np.float32) ** power
        self._step(name, union, change, factor.reshape(-1, *[1] * (change.ndim - 1)))

    def _step(self, name: str, rows, change, factor) -> None:
        """Plain averaging scales the change; Adam, which is blind to scale, its rate."""
        rate = self.invite().learning_rate
        if self._undo is not None:
            for array in (self._array(name), *self.server_optimizer.state(name, self._array(name))):
                self._undo.save(array, rows)
        if self.server_optimizer.uses_holders:
            change = change * factor
        else:
            rate *= self.plan.server_learning_rate
        self.server_optimizer.move(name, self._array(name), rows, change, rate)

    def _apply_private(self, updates: list[Update], rng: np.random.Generator) -> None:
        """The Gaussian mechanism: see `sklsh.federated.privacy`. Accumulators stay."""
        plan = self.plan
        names = ["head_weights", "head_bias"]
        if plan.with_body:
            names += ["body_0", *(f"dense_{i}" for i in range(len(self._dense())))]
        for name, change in zip(
            names, private_change(self.network, updates, plan, rng), strict=True
        ):
            self._step(name, slice(None), change, np.float32(plan.server_learning_rate))

    def _grow(self, array, ids, changes) -> None:
        """Accumulators grow by the lower median of a row's holders.

        The mean lets one device freeze what it holds; of many devices' growth the median is
        better as well: P@1 .6364 with the mean and .6427 with it on mulan-delicious, 32 devices.
        Adding all growth up, as if one machine had made all the steps, slows learning
        down: 2 points on citeulike-t with 8 devices.
        """
        equal = [1.0] * len(ids)
        union, change, _ = aggregate_rows(ids, changes, equal, LOWER_MEDIAN)
        self._undo.save(array, union)
        array[union] += np.maximum(change, 0)


def _heard(updates, weights) -> tuple[list[Update], list[float]]:
    """Those that have a say."""
    pairs = [(u, w) for u, w in zip(updates, weights, strict=True) if w > 0]
    return [u for u, _ in pairs], [w for _, w in pairs]


def _loss(updates, weights) -> float:
    if not updates:
        return float("nan")
    losses = np.array([update.loss for update in updates])
    return float(np.average(np.minimum(losses, 2 * abs(np.median(losses))), weights=weights))
