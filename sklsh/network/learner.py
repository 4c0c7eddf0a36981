"""`Learner`: a network with its optimizer and its memory, fitted whole or batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from sklsh._utils.arrays import own_arrays
from sklsh._utils.random import child_seed
from sklsh._utils.threads import one_blas_thread
from sklsh.network.calibration import N_RIVALS, LabelCounts
from sklsh.network.checkpoints import FitCheckpoint
from sklsh.network.finishing import finish
from sklsh.network.fitting import (
    STREAM_HISTORY,
    History,
    check_finite,
    epoch_order,
    fit_epochs,
)
from sklsh.network.head_index import candidates_of
from sklsh.network.holdout import held_out, rows_to_train
from sklsh.network.journal import Journal
from sklsh.network.linear import LinearView
from sklsh.network.lsh import LSHCandidates
from sklsh.network.members import joined, joined_state
from sklsh.network.model import MAX_INPUT_SCALE, WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.predictor import Predictor
from sklsh.network.prototypes import set_prototypes
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import Sampler, make_sampler
from sklsh.network.settings import STREAM_ROWS, Settings
from sklsh.network.trainer import Trainer
from sklsh.network.units import (
    add_recent,
    inverse_norms,
    moved_scale,
    relative_weights,
    typical_norm,
)
from sklsh.network.validation_rows import ValidationRows

PROTOTYPE_SCALE = 5.0
"""Length of a fresh neuron's row."""

SAMPLING = (
    "sampler", "n_active", "family", "fold", "n_tables", "hash_length", "sketch_dim",
    "rehash_interval",
)  # fmt: skip
"""Settings that a sampler is made by; it is kept between the parts of a stream."""

MAX_COUNTED, COUNTED_SHARE, COUNTED_SCORES = 256, 0.25, 1 << 24
"""Rows of a stream's part that tell how many labels to name, before they are learnt: at most so
many, this share of them, and so many rows times labels; of a wide head 16 rows all the same."""

MAX_VALIDATION_ROWS = 1_000
"""Training rows that stand in for held-out ones where the data is too small to hold any out."""


@dataclass
class Learner:
    """Everything a fitted estimator keeps: arrays and numbers.

    Attributes
    ----------
    network : WideNetwork
    optimizer : RowwiseAdagrad
    seed : int
        Source of all randomness, with the number of steps taken.
    memory : NeighborMemory or None
    linear : LinearView or None
        Label trees over the raw features, if they help.
    index : LSHCandidates or None
        Hash tables over the trained head, for prediction.
    named_only : bool
        Whether prediction looks at labels alone that neighbours and linear view name.
    table_stats : dict
        Of what prediction looks at in place of the whole head, or has been offered: how well
        it finds what exact prediction finds.
    n_steps : int
    history : History
    hidden_mean : ndarray (n_hidden,) or None
        Of the validation rows: what codes of the head are centred by.
    adjustment : ndarray (n_labels,), float32, or None
        Taken off the logits at prediction, by how frequent labels are; see `fit_ranking`.
    temperature : float
        What scores are divided by in a softmax, fitted on held-out rows; 1 where there are none.
    sampler : Sampler or None
        Of a stream, made by the settings `sampled_by`; its tables last from part to part.
    row_scales : ndarray (at most 64,), float32, or None
        What would scale each of the last rows to unit norm.
    weight_sum, n_weighted : float
        Of the rows that came with a weight: see `relative_weights`.
    spared_to : int or None
        Rows whose hash is larger may have been trained on; None: there were none held out.
    threshold : float or None
        Share of a row's score from which a label is named; None: of classes, or not fitted yet.
    chances : ndarray (4, n_knots), float32, or None
        Of a multilabel fit that held out rows: how likely labels are, see `fit_chances`.
    label_counts : LabelCounts or None
        Of a multilabel stream that no fit has set a threshold for.
    """

    network: WideNetwork
    optimizer: RowwiseAdagrad
    seed: int
    memory: NeighborMemory | None = None
    index: LSHCandidates | None = None
    table_stats: dict = field(default_factory=dict)
    n_steps: int = 0
    history: History = field(default_factory=History)
    sampler: Sampler | None = None
    sampled_by: tuple = ()
    hidden_mean: np.ndarray | None = None
    linear: LinearView | None = None
    row_scales: np.ndarray | None = None
    weight_sum: float = 0.0
    n_weighted: float = 0.0
    temperature: float = 1.0
    adjustment: np.ndarray | None = None
    spared_to: int | None = None
    threshold: float | None = None
    chances: np.ndarray | None = None
    label_counts: LabelCounts | None = None
    named_only: bool = False
    _ranking: WideNetwork | None = field(default=None, init=False, repr=False)

    @classmethod
    def start(cls, X: SparseRows, n_features: int, n_labels: int, settings, seed: int) -> Learner:
        """A fresh network, its first layer scaled for rows like those of `X`."""
        network = WideNetwork.initialise(
            n_features, settings.hidden_layer_sizes, n_labels,
            activation=settings.activation, row_norm=typical_norm(X) or 1.0,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        learner = cls(network, RowwiseAdagrad.for_network(network), seed)
        learner._scale_for(X, move=False)
        return learner

    def _scale_for(self, X: SparseRows, *, move: bool = True) -> None:
        """Note how long rows are, and `move` the network's scale if they have changed."""
        scales = inverse_norms(X)
        if scales.size:
            self.row_scales, typical = add_recent(self.row_scales, scales)
            if move:
                scale = moved_scale(self.network.input_scale, typical)
                self.network.input_scale = min(scale, MAX_INPUT_SCALE)

    def _relative(self, sample_weight):
        """Weights in units of their mean; see `relative_weights`."""
        relative, self.weight_sum, self.n_weighted = relative_weights(
            sample_weight, self.weight_sum, self.n_weighted
        )
        return relative

    def own(self) -> None:
        """Arrays that training writes into become the learner's own, if they are read-only."""
        own_arrays(self.network, self.optimizer)
        if self.sampler is not None:
            own_arrays(self.sampler)

    def predictor(self, n_threads: int = 1) -> Predictor:
        network = self.ranking_network()
        return Predictor(network, self.memory, n_threads, self.index, self.linear, self.named_only)

    def ranking_network(self) -> WideNetwork:
        """The network with adjusted biases, for prediction; all other arrays are shared."""
        if self.adjustment is None:
            return self.network
        if self._ranking is None:  # kept until training moves the biases
            bias = self.network.head_bias - self.adjustment
            self._ranking = replace(self.network, head_bias=bias)
        return self._ranking

    def adjust(self, adjustment: np.ndarray | None) -> None:
        """Take `adjustment` off the logits from now on."""
        self.adjustment, self._ranking = adjustment, None

    def __getstate__(self):
        return {name: part for name, part in vars(self).items() if name != "_ranking"}

    def trainer(self, settings: Settings, n_threads: int) -> Trainer:
        wanted = tuple(getattr(settings, name) for name in SAMPLING)
        if self.sampler is None or self.sampled_by != wanted:
            self.sampled_by = wanted
            self.sampler = make_sampler(
                settings.sampler, settings.n_active, self.network.n_labels, self.seed,
                candidates_of(settings, self.seed),
            )  # fmt: skip
        return Trainer(
            self.network, self.sampler, self.optimizer, dropout=settings.dropout,
            alpha=settings.alpha, seed=self.seed, step_count=self.n_steps, n_threads=n_threads,
        )  # fmt: skip

    def fit(
        self,
        X: SparseRows,
        Y: SparseRows,
        settings: Settings,
        *,
        sample_weight: np.ndarray | None = None,
        n_threads: int = 1,
        on_epoch=lambda epoch, history: None,
        checkpoint: FitCheckpoint | None = None,
        multilabel: bool = False,
    ) -> None:
        """Train for ``settings.max_iter`` epochs; fit the rest on rows held out, see `finish`.

        Where no rows are held out, some training rows take their place in what can be fitted on
        these. What `checkpoint` has of this fit is not done again.
        """
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None:
            self.seed, self.n_steps = saved.numbers["seed"], saved.numbers["first_step"]
        fresh = self.n_steps == 0
        if not fresh:
            self._scale_for(X)
        self.weight_sum = self.n_weighted = 0.0
        sample_weight = self._relative(sample_weight)
        rng = np.random.default_rng([self.seed, self.n_steps])
        bound = self.spared_to
        spared, train, self.spared_to = held_out(X, self.seed, settings.n_validation, bound)
        if not Y.counts()[train].any():  # the few rows that have labels are not to be spared
            spared, train, self.spared_to = held_out(X, self.seed, 0, bound)
        validation = spared
        if not spared.size:
            validation = rng.permutation(train)[:MAX_VALIDATION_ROWS]
        how = {"sample_weight": sample_weight, "n_threads": n_threads, "on_epoch": on_epoch}
        with one_blas_thread():
            self._fit_network(X, Y, train, spared, settings, checkpoint, saved, rng, **how)
            if fresh and settings.n_estimators > 1:
                self._join(X, Y, train, spared, settings, checkpoint, **how)
            validation_rows = ValidationRows(self.network, X, Y, validation, n_threads)
            if sample_weight is not None:
                validation_rows.weights = sample_weight[validation]
            finish(
                self, validation_rows, settings, train=train, held_out=bool(spared.size),
                multilabel=multilabel, sample_weight=sample_weight,
            )  # fmt: skip

    def _fit_network(
        self, X, Y, train, spared, settings, checkpoint, saved, rng, *, sample_weight, n_threads,
        on_epoch,
    ) -> None:  # fmt: skip
        """All epochs, or those that `saved` has not seen."""
        if saved is not None:
            saved.restore(self)
        else:
            self.network.see(Y.take(train).indices, only=self.n_steps == 0)
            fresh = self.optimizer.untouched_neurons()
            set_prototypes(
                self.network, X, Y, train, fresh, PROTOTYPE_SCALE, sample_weight, n_threads
            )
        self.sampler = None
        trainer = self.trainer(settings, n_threads)

        def save(state):
            if checkpoint is not None:
                checkpoint.save(self, trainer, state, rng)

        self.history = fit_epochs(
            trainer, X, Y, train, settings, validation=spared, sample_weight=sample_weight,
            rng=rng, on_epoch=on_epoch, save=save,
            state=None if saved is None else saved.resume(trainer, rng),
        )  # fmt: skip
        self.n_steps, self.sampler = trainer.step_count, None

    def _join(self, X, Y, train, spared, settings, checkpoint, *, on_epoch, **how) -> None:
        """Train the other members, of other seeds, and be all of them from now on."""
        network, members = self.network, [self]
        for n in range(1, 1 if self.history.interrupted else settings.n_estimators):
            member = Learner.start(
                X, network.n_features, network.n_labels, settings, child_seed(self.seed, n)
            )
            own = checkpoint and checkpoint.of_member(n)
            saved = own and own.load()
            done = self.history.n_epochs

            def on_member_epoch(epoch, history, done=done):
                on_epoch(done + epoch, history)

            rng = np.random.default_rng(member.seed)
            member._fit_network(
                X, Y, train, spared, settings, own, saved, rng, on_epoch=on_member_epoch, **how
            )
            if member.history.interrupted:  # it is not whole
                break
            self.history = self.history.followed_by(member.history)
            members.append(member)
        self.network = joined([member.network for member in members])
        self.optimizer = joined_state([member.optimizer for member in members])

    def partial_fit(
        self, X: SparseRows, Y: SparseRows, settings: Settings, *, sample_weight=None, n_threads=1,
        spare: bool = False, count: bool = False, prototype_scale: float = PROTOTYPE_SCALE,
    ) -> None:  # fmt: skip
        """One pass over the rows; neurons of labels not seen before start as prototypes.

        Their rows are of length `prototype_scale`. `spare`: not over those that `fit` would hold
        out, or has. `count`: keep `label_counts`, by what some rows score before they are learnt.
        If it fails, or is interrupted, or leaves a weight that is not finite, everything is as it
        was before.
        O(rows touched * n_hidden) of memory for that.
        """
        self.own()
        self._ranking = None
        before, journal = dict(vars(self)), Journal(self.network, self.optimizer)
        rows = np.arange(X.n_rows, dtype=np.int32)
        if spare:
            share = settings.n_validation / STREAM_ROWS
            rows, self.spared_to = rows_to_train(X, self.seed, share, self.spared_to)
            if not rows.size:
                if count and self.label_counts is None:
                    self.label_counts = LabelCounts()
                    self.threshold = self.label_counts.threshold()
                return
        try:
            counted = count and self.n_steps > 0
            if counted:
                self._count_labels(X, Y, n_threads)
            loss = self._learn(
                X, Y, rows, settings, sample_weight, n_threads, journal, prototype_scale
            )
            check_finite(loss if journal.is_finite() else np.nan)
        except BaseException:
            journal.undo()
            # Without the sampler, whose tables may be of what has been undone.
            vars(self).update(before, sampler=None)
            raise
        # Candidates from before the head has moved on would miss what it learns.
        self.index, self.named_only, self.table_stats = None, False, {}
        if count and not counted:
            self._count_labels(X, Y, n_threads)
        if self.label_counts is not None:
            self.threshold = self.label_counts.threshold()
        self.history.add(loss, STREAM_HISTORY)

    def _count_labels(self, X: SparseRows, Y: SparseRows, n_threads: int) -> None:
        """Add the first rows of a part to `label_counts`."""
        n_labels = self.network.n_labels
        most = min(MAX_COUNTED, max(16, COUNTED_SCORES // n_labels), ceil(COUNTED_SHARE * X.n_rows))
        rows = np.arange(most, dtype=np.int32)
        predictor = replace(self.predictor(n_threads), index=None, named_only=False)
        _, scores = predictor.topk(X, min(N_RIVALS, n_labels), rows)
        counts = LabelCounts() if self.label_counts is None else self.label_counts
        scores /= np.float32(self.temperature)
        self.label_counts = counts.joined(scores, Y.counts()[rows])

    def _learn(
        self, X, Y, rows, settings, sample_weight, n_threads, journal: Journal, prototype_scale,
    ) -> float:  # fmt: skip
        """The pass itself; its mean loss. None is made before any row has had a label."""
        self._ranking = None
        if self.n_steps:
            self._scale_for(X)
        sample_weight = self._relative(sample_weight)
        rng = np.random.default_rng([self.seed, self.n_steps])
        with one_blas_thread():
            labels = np.unique(Y.take(rows).indices)
            self.network.see(labels, only=self.n_steps == 0)
            if not self.network.n_observed:
                return 0.0
            fresh = self.optimizer.untouched_neurons()
            journal.neurons(labels[fresh[labels]])
            set_prototypes(
                self.network, X, Y, rows, fresh, prototype_scale, sample_weight, n_threads
            )
            trainer = self.trainer(settings, n_threads)
            trainer.journal = journal
            order = epoch_order(self.network, X, rows, settings, rng, n_threads)
            loss = trainer.epoch(
                X, Y, order, settings.batch_size, settings.learning_rate_init, sample_weight
            )
        self.n_steps = trainer.step_count
        return loss
