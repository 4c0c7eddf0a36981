"""`Server`: holds the model, sees ids and changes; never rows, hash functions or tables."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from sklsh._utils.random import child_seed
from sklsh.federated.cardinality import common_threshold
from sklsh.federated.code_broadcast import CodeBroadcast
from sklsh.federated.defence import Defence
from sklsh.federated.merging import Change, Merger, aggregated, of_mean
from sklsh.federated.messages import CodedHead, Counts, Invite, Request, Sketch, Update
from sklsh.federated.parts import BodyPart, HeadPart, ModelShape
from sklsh.federated.plan import Plan
from sklsh.federated.privacy import clipped
from sklsh.federated.secure.vector import Mean
from sklsh.federated.server_optimizers import SERVER_OPTIMIZERS, ServerOptimizer
from sklsh.federated.sketch_broadcast import SketchBroadcast
from sklsh.federated.start import bounded_counts
from sklsh.network.interactions import item_weights
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad, falling_rate
from sklsh.network.settings import Settings


@dataclass
class Server:
    """The model, what is out of it, and what rounds have said of devices.

    Parameters
    ----------
    network : WideNetwork
    optimizer : RowwiseAdagrad
        Adagrad accumulators of every row: they travel with the rows, one float each, so
        that devices need keep none.
    plan : Plan
    seed : int
        Of the folds.
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

    Attributes
    ----------
    server_optimizer : ServerOptimizer
        A new one, as the plan says; `resume` keeps that of before.
    sketch_broadcast : SketchBroadcast
    code_broadcasts : dict
        By family and bytes of a code.
    """

    network: WideNetwork
    optimizer: RowwiseAdagrad
    plan: Plan
    seed: int
    round: int = 0
    first_round: int = 0
    hidden_centre: np.ndarray | None = None
    label_counts: np.ndarray | None = None
    n_counted: int = 0
    start_faults: dict = field(default_factory=dict)
    noise_of_rounds: list = field(default_factory=list)
    defence: Defence = field(default_factory=Defence)
    threshold: float | None = None
    undone: bool = False
    server_optimizer: ServerOptimizer = field(init=False)
    sketch_broadcast: SketchBroadcast = field(init=False)
    code_broadcasts: dict[tuple[str, int], CodeBroadcast] = field(init=False, default_factory=dict)

    def __post_init__(self):
        plan = self.plan
        self.server_optimizer = SERVER_OPTIMIZERS[plan.server_optimizer]()
        self.sketch_broadcast = SketchBroadcast(
            plan.fold, plan.sketch_dim, plan.payload, plan.sketch_rounds, plan.sketch_tolerance,
            self.seed,
        )  # fmt: skip

    @classmethod
    def begin(
        cls, n_features: int, n_labels: int, settings: Settings, plan: Plan, seed: int,
        row_norm: float = 1.0,
    ) -> Server:  # fmt: skip
        """With a fresh network, its first layer scaled for rows of norm `row_norm`."""
        network = WideNetwork.initialise(
            n_features, settings.hidden_layer_sizes, n_labels, activation=settings.activation,
            row_norm=row_norm, rng=np.random.default_rng(seed),
        )  # fmt: skip
        return cls(network, RowwiseAdagrad.for_network(network), plan, seed)

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
        network, optimizer = deepcopy((self.network, self.optimizer))
        server = Server(
            network, optimizer, plan, self.seed, self.round, first_round=self.round,
            hidden_centre=self.hidden_centre, label_counts=self.label_counts,
            n_counted=self.n_counted, noise_of_rounds=list(self.noise_of_rounds),
            defence=deepcopy(self.defence), threshold=self.threshold,
        )  # fmt: skip
        if plan.server_optimizer == self.plan.server_optimizer:
            server.server_optimizer = deepcopy(self.server_optimizer)
        return server

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
        sketch = self.sketch_broadcast.publish(self.network, self.round, self.hidden_centre)
        return {device: sketch.message(had) for device, had in since.items()}

    def coded(self, requests: dict[int, Request]) -> dict[int, CodedHead]:
        """The codes that each device wants, or what has changed of those that it has."""
        kinds = {device: (r.codes, r.code_bytes) for device, r in requests.items()}
        coded = {
            kind: self.code_broadcast(*kind).publish(self.network, self.round, self.hidden_centre)
            for kind in dict.fromkeys(kinds.values())
        }
        return {d: coded[kinds[d]].message(r.sketch_round) for d, r in requests.items()}

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
            self._merger().merge_private(updates, rng)
            return len(updates), _loss(updates, [1.0] * len(updates))
        updates = [update.in_float32() for update in updates]
        if self.plan.clip_norm is not None:
            updates = [clipped(update, self.plan.clip_norm) for update in updates]
        updates, weights = self.defence.judge(updates, self.invite().learning_rate, seed=self.round)
        updates, weights = _heard(updates, weights)
        if not updates:
            return 0, float("nan")
        if not self._moved_by(aggregated(updates, weights, self.plan)):
            return 0, float("nan")
        self.threshold = common_threshold(updates) or self.threshold
        return len(updates), _loss(updates, weights)

    def apply_mean(self, mean: Mean | None) -> tuple[int, float]:
        """As `apply`, of a sum of masked updates; None: there is none, and nothing changes."""
        self.undone = False
        if mean is None:
            return 0, float("nan")
        if not self._moved_by(of_mean(mean)):
            return 0, float("nan")
        self.threshold = mean.threshold or self.threshold
        return mean.n_devices, mean.loss

    def _moved_by(self, changes: Iterable[Change]) -> bool:
        """Whether the model is moved: it is as it was if it were not finite after that."""
        merger = self._merger()
        merger.merge(changes)
        self.undone = merger.undo.undo_unless_finite()
        return not self.undone

    def _merger(self) -> Merger:
        """What moves the model in this round."""
        return Merger(
            self.network, self.optimizer, self.server_optimizer, self.plan,
            self.invite().learning_rate,
        )  # fmt: skip


def _heard(updates, weights) -> tuple[list[Update], list[float]]:
    """Those that have a say."""
    pairs = [(u, w) for u, w in zip(updates, weights, strict=True) if w > 0]
    return [u for u, _ in pairs], [w for _, w in pairs]


def _loss(updates, weights) -> float:
    if not updates:
        return float("nan")
    losses = np.array([update.loss for update in updates])
    return float(np.average(np.minimum(losses, 2 * abs(np.median(losses))), weights=weights))
