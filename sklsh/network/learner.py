"""`Learner`: a network with its optimizer and its memory, fitted whole or batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from sklsh._utils.arrays import own_arrays
from sklsh._utils.threads import one_blas_thread
from sklsh._utils.validation import check_int
from sklsh.hashing import HashFamily, make_family
from sklsh.network.calibration import (
    N_RIVALS,
    NEIGHBORS,
    LabelCounts,
    fit_temperature,
    fit_votes,
    hits,
)
from sklsh.network.checkpoints import FitCheckpoint
from sklsh.network.fitting import (
    STREAM_HISTORY,
    History,
    check_finite,
    epoch_order,
    fit_epochs,
)
from sklsh.network.holdout import held_out, rows_to_train
from sklsh.network.journal import Journal
from sklsh.network.linear import LinearView
from sklsh.network.lsh import LSHCandidates
from sklsh.network.model import MAX_INPUT_SCALE, WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.predictor import Predictor
from sklsh.network.prototypes import set_prototypes
from sklsh.network.ranking import fit_ranking, label_frequency
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import N_CANDIDATES, Sampler, make_sampler
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

WIDE_HEAD = 100_000
"""Neurons in play beyond which ``prediction="auto"`` tries hash tables."""

KEPT = 0.99
"""Share of exact P@1 and P@5 that tables must keep to be used."""

SAMPLING = (
    "sampler", "n_active", "family", "fold", "n_tables", "hash_length", "sketch_dim",
    "rehash_interval",
)  # fmt: skip
"""Settings that a sampler is made by; it is kept between the parts of a stream."""

UNFITTED_WEIGHT = 4.0
"""Of the linear view, if it is wanted where no rows are held out to fit it on."""

MAX_JUDGED, JUDGED_SHARE, JUDGED_SCORES = 256, 0.25, 1 << 24
"""Rows of a stream's part that tell how many labels to name, before they are learnt: at most so
many, this share of them, and so many rows times labels; of a wide head 16 rows all the same."""

MAX_VALIDATION_ROWS = 1_000
"""Training rows that stand in for held-out ones where the data is too small to hold any out."""


def family_of(settings: Settings) -> HashFamily:
    """The hash family of an estimator's settings."""
    return make_family(
        settings.family, n_tables=settings.n_tables, fold=settings.fold,
        hash_length=settings.hash_length, sketch_dim=settings.sketch_dim,
    )  # fmt: skip


def check_hashing(settings: Settings, n_labels: int) -> None:
    """A ValueError, before anything is trained, for hash functions that can't be drawn."""
    tries = settings.prediction == "auto" and n_labels > WIDE_HEAD
    if not tries and "lsh" not in (settings.sampler, settings.shuffle, settings.prediction):
        return
    width = settings.hidden_layer_sizes[-1]
    if settings.sketch_dim is not None:
        check_int(settings.sketch_dim, "sketch_dim", 1, width, "the last hidden layer's width")
    family_of(settings).draw(width + 1, 0)  # a neuron and its bias


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
    table_stats : dict
        Of the index: its tables, and how well it finds what exact prediction finds.
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
    chances : ndarray (2, n_knots), float32, or None
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
    chances: np.ndarray | None = None
    label_counts: LabelCounts | None = None
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
        return Predictor(network, self.memory, n_threads, self.index, self.linear)

    def ranking_network(self) -> WideNetwork:
        """The network with adjusted biases, for prediction; all other arrays are shared."""
        if self.adjustment is None:
            return self.network
        if self._ranking is None:  # kept until training moves the biases
            bias = self.network.head_bias - self.adjustment
            self._ranking = replace(self.network, head_bias=bias)
        return self._ranking

    def __getstate__(self):
        return {name: part for name, part in vars(self).items() if name != "_ranking"}

    def _candidates(self, settings: Settings) -> LSHCandidates:
        return LSHCandidates(family_of(settings), N_CANDIDATES, settings.rehash_interval, self.seed)

    def _trainer(self, settings: Settings, n_threads: int) -> Trainer:
        wanted = tuple(getattr(settings, name) for name in SAMPLING)
        if self.sampler is None or self.sampled_by != wanted:
            self.sampled_by = wanted
            self.sampler = make_sampler(
                settings.sampler, settings.n_active, self.network.n_labels, self.seed,
                self._candidates(settings),
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
    ) -> ValidationRows:
        """Train for ``settings.max_iter`` epochs; fit the neighbours' votes and the linear view.

        What `checkpoint` has of this fit is not done again.

        Returns
        -------
        validation_rows : ValidationRows
            To calibrate on: rows held out, or training rows where there are none.
        """
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None:
            self.seed, self.n_steps = saved.numbers["seed"], saved.numbers["first_step"]
        if self.n_steps:
            self._scale_for(X)
        self.weight_sum = self.n_weighted = 0.0
        sample_weight = self._relative(sample_weight)
        rng = np.random.default_rng([self.seed, self.n_steps])
        spared, train, self.spared_to = held_out(
            X, self.seed, settings.n_validation, self.spared_to
        )
        validation = spared
        if not spared.size:
            validation = rng.permutation(train)[:MAX_VALIDATION_ROWS]
        with one_blas_thread():
            if saved is not None:
                saved.restore(self)
            else:
                self.network.see(Y.take(train).indices, only=self.n_steps == 0)
                fresh = self.optimizer.untouched_neurons()
                set_prototypes(
                    self.network, X, Y, train, fresh, PROTOTYPE_SCALE, sample_weight, n_threads
                )
            self.sampler = None
            trainer = self._trainer(settings, n_threads)

            def save(state):
                if checkpoint is not None:
                    checkpoint.save(self, trainer, state, rng)

            self.history = fit_epochs(
                trainer, X, Y, train, settings, validation=spared, sample_weight=sample_weight,
                rng=rng, on_epoch=on_epoch, save=save,
                state=None if saved is None else saved.resume(trainer, rng),
            )  # fmt: skip
            self.n_steps, self.sampler = trainer.step_count, None
            self.memory = self.linear = self.label_counts = self.chances = None
            validation_rows = ValidationRows(self.network, X, Y, validation, n_threads)
            if sample_weight is not None:
                validation_rows.weights = sample_weight[validation]
            if settings.n_neighbors and spared.size:
                self._fit_memory(validation_rows, settings)
            if settings.linear:
                self._train_linear(validation_rows, train, sample_weight)
            self._fit_ranking(validation_rows, train, bool(spared.size), sample_weight)
            self.temperature = fit_temperature(validation_rows) if spared.size else 1.0
            self._fit_index(validation_rows, settings)
            self.hidden_mean = validation_rows.hidden.mean(axis=0)
        return validation_rows

    def _fit_memory(self, validation_rows: ValidationRows, settings: Settings) -> None:
        """Let the rows nearest to a query vote, as is best on rows held out of training."""
        memory = NeighborMemory.build(
            validation_rows.X, validation_rows.Y, self.network.n_features, 0
        )
        given = settings.n_neighbors
        choices = NEIGHBORS if given == "auto" else (int(given),)
        if fit_votes(validation_rows, memory, choices) > 0:
            self.memory = validation_rows.memory = memory

    def _train_linear(self, validation_rows: ValidationRows, train, sample_weight) -> None:
        """Train the linear view on what the network was trained on."""
        self.linear = LinearView.build(
            validation_rows.X, validation_rows.Y, train, self.network.n_features,
            self.network.n_labels, sample_weight=sample_weight, seed=self.seed,
            n_threads=validation_rows.n_threads,
        )  # fmt: skip

    def _fit_ranking(
        self, validation_rows: ValidationRows, train, held_out: bool, sample_weight
    ) -> None:
        """What adds up to a score, weighed on rows held out of training."""
        self.adjustment = self._ranking = None
        if held_out:
            frequency = label_frequency(
                validation_rows.Y, train, self.network.n_labels, sample_weight
            )
            tau = fit_ranking(validation_rows, self.linear, frequency)
            if tau:
                self.adjustment = np.float32(tau) * frequency
                validation_rows.judge(self.ranking_network())
        elif self.linear is not None:
            # Its own training rows would find it better than it is.
            X, rows, n_threads = validation_rows.X, validation_rows.rows, validation_rows.n_threads
            self.linear.weight = UNFITTED_WEIGHT
            validation_rows.gains = self.linear.gains(X, rows, n_threads)
        if self.memory is not None and not self.memory.weight:
            self.memory = validation_rows.memory = None
        if self.linear is not None and not self.linear.weight:
            self.linear = None

    def _fit_index(self, validation_rows: ValidationRows, settings: Settings) -> None:
        """Hash the trained head, if prediction is to look there, and say how much it finds.

        With ``prediction="auto"`` only a wide head is hashed, and only if the tables keep
        `KEPT` of the exact P@1 and P@5 on the validation rows.
        """
        self.index, self.table_stats = None, {}
        wide = self.network.n_seen > WIDE_HEAD
        if settings.prediction == "exact" or (settings.prediction == "auto" and not wide):
            return
        index = self._candidates(settings)
        index.build(validation_rows.network, validation_rows.hidden, 0, validation_rows.n_threads)
        k = min(5, self.network.n_labels)
        answers = {
            name: validation_rows.topk(k, tables)[0]
            for name, tables in (("exact", None), ("lsh", index))
        }
        right = {
            name: hits(labels, validation_rows.Y, validation_rows.rows)
            for name, labels in answers.items()
        }
        found = (answers["lsh"][:, :, None] == answers["exact"][:, None, :]).any(axis=1)
        self.table_stats = {
            "recall@1": float(found[:, 0].mean()),
            "recall@5": float(found.mean()),
            **{f"{name}_P@1": float(right[name][:, 0].mean()) for name in right},
            **{f"{name}_P@5": float(right[name].mean()) for name in right},
            **index.tables.stats(),
        }
        kept = all(
            self.table_stats[f"lsh_{p}"] >= KEPT * self.table_stats[f"exact_{p}"]
            for p in ("P@1", "P@5")
        )
        self.index = index if kept or settings.prediction == "lsh" else None

    def partial_fit(
        self, X: SparseRows, Y: SparseRows, settings: Settings, *, sample_weight=None, n_threads=1,
        spare: bool = False, count: bool = False,
    ) -> None:  # fmt: skip
        """One pass over the rows; neurons of labels not seen before start as prototypes.

        `spare`: not over those that `fit` would hold out, or has. `count`: keep `label_counts`,
        by what some rows score before they are learnt. If it fails, or is interrupted, or leaves
        a weight that is not finite, everything is as it was before.
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
                return
        try:
            judged = count and self.n_steps > 0
            if judged:
                self._count_labels(X, Y, n_threads)
            loss = self._learn(X, Y, rows, settings, sample_weight, n_threads, journal)
            check_finite(loss if journal.is_finite() else np.nan)
        except BaseException:
            journal.undo()
            # Without the sampler, whose tables may be of what has been undone.
            vars(self).update(before, sampler=None)
            raise
        # Tables over a head that has moved on would miss what it learns.
        self.index, self.table_stats = None, {}
        if count and not judged:
            self._count_labels(X, Y, n_threads)
        self.history.add(loss, STREAM_HISTORY)

    def _count_labels(self, X: SparseRows, Y: SparseRows, n_threads: int) -> None:
        """Add the first rows of a part to `label_counts`."""
        n_labels = self.network.n_labels
        most = min(MAX_JUDGED, max(16, JUDGED_SCORES // n_labels), ceil(JUDGED_SHARE * X.n_rows))
        rows = np.arange(most, dtype=np.int32)
        predictor = replace(self.predictor(n_threads), index=None)
        _, scores = predictor.topk(X, min(N_RIVALS, n_labels), rows)
        counts = LabelCounts() if self.label_counts is None else self.label_counts
        scores /= np.float32(self.temperature)
        self.label_counts = counts.joined(scores, Y.counts()[rows])

    def _learn(self, X, Y, rows, settings, sample_weight, n_threads, journal: Journal) -> float:
        """The pass itself; its mean loss."""
        self._ranking = None
        if self.n_steps:
            self._scale_for(X)
        sample_weight = self._relative(sample_weight)
        rng = np.random.default_rng([self.seed, self.n_steps])
        with one_blas_thread():
            labels = np.unique(Y.take(rows).indices)
            self.network.see(labels, only=self.n_steps == 0)
            fresh = self.optimizer.untouched_neurons()
            journal.neurons(labels[fresh[labels]])
            set_prototypes(
                self.network, X, Y, rows, fresh, PROTOTYPE_SCALE, sample_weight, n_threads
            )
            trainer = self._trainer(settings, n_threads)
            trainer.journal = journal
            order = epoch_order(self.network, X, rows, settings, rng, n_threads)
            loss = trainer.epoch(
                X, Y, order, settings.batch_size, settings.learning_rate_init, sample_weight
            )
        self.n_steps = trainer.step_count
        return loss
