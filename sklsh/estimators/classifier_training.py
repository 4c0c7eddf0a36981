"""How a `SparseLSHMLPClassifier` is trained: whole, or by the parts of a stream."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.base import _fit_context
from sklearn.utils import check_random_state

from sklsh._utils.containers import label_lists
from sklsh._utils.locks import changes
from sklsh._utils.progress import EpochProgress
from sklsh._utils.threads import effective_n_threads
from sklsh._utils.validation import (
    check_float32,
    check_hidden_layer_sizes,
    check_same_length,
    check_weights,
    check_X,
)
from sklsh.estimators.checkpointing import checkpoint_of
from sklsh.estimators.class_weight import weighted_rows
from sklsh.estimators.targets import Targets, is_indicator
from sklsh.estimators.unused import unused_in_training, warn_unused
from sklsh.estimators.warm_start import warm_learner, warm_targets, widened
from sklsh.network.head_index import check_hashing
from sklsh.network.learner import Learner
from sklsh.network.rows import SparseRows, without_weightless
from sklsh.network.settings import STREAM_ROWS, Settings


class ClassifierTraining:
    """`fit` and `partial_fit`, for an estimator with the classifier's parameters."""

    _parameter_constraints: ClassVar[dict]
    get_params: Any
    hidden_layer_sizes: Any
    warm_start: bool
    new_classes: str
    class_weight: Any
    random_state: Any
    n_jobs: int | None
    verbose: bool

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=False)
    def fit(self, X, y, sample_weight=None):
        """Train from scratch (or, with `warm_start`, from the weights there are).

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            In any unit: the network divides rows by the median of their lengths, and shortens
            those that are then longer than 8.
        y : array-like (n_samples,), or indicator (n_samples, n_labels), dense or sparse
            Classes, or a multilabel indicator of 0 and 1. A sparse one stays sparse; columns of a
            frame keep their names. Or lists of labels: lists of text, or sets of text or of
            integers, one for each row, maybe empty. (Lists of numbers are rows of an indicator.)
        sample_weight : array-like (n_samples,), default=None
            Factor of each row's loss, of its share in prototypes, and of its say in what is fitted
            on held-out rows, in units of their mean: all of them times a constant changes nothing.
            A row of weight 0 is left out altogether.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            NaN, inf or complex entries; a corrupted sparse matrix; X and y of different
            lengths; a y of one class, or without a positive entry; a training that diverges
            to infinite or NaN weights; a checkpoint that is damaged or of another training.
        """
        check_hidden_layer_sizes(self.hidden_layer_sizes)
        had_names = getattr(self, "feature_names_in_", None)
        X = check_float32(check_X(self, X, reset=True), resolved=True)
        targets, Y = Targets.learn(y)
        grown = warm_targets(self, y) if self.warm_start else None
        if grown is not None:
            targets, Y = grown, grown.encode(y)
        check_same_length(X, Y)
        weights = check_weights(sample_weight, X)
        may_grow = self.new_classes == "grow"
        weights = weighted_rows(self.class_weight, targets, Y, weights, may_grow=may_grow)
        learner = warm_learner(self, X, targets, had_names)
        rows, Y, weights = without_weightless(SparseRows.from_matrix(X), Y, weights)
        if not Y.indices.size:
            raise ValueError("y must have a positive entry in a row of positive weight, got none")
        settings = self._settings(rows.n_rows, targets, dense=rows.is_dense(X.shape[1]))
        warn_unused(self, unused_in_training(settings, targets.classes.shape[0], self.get_params()))
        n_threads = effective_n_threads(self.n_jobs)
        weighted = [] if weights is None else [weights]
        before = [] if learner is None else learner.network.parameters()
        checkpoint = checkpoint_of(self, [*rows, *Y, *weighted, *before])
        if learner is None:
            learner = self._start(rows, X, targets, settings)
        n_epochs = settings.max_iter * (settings.n_estimators if learner.n_steps == 0 else 1)
        with EpochProgress(self.verbose, n_epochs) as progress:
            learner.fit(
                rows, Y, settings, sample_weight=weights, n_threads=n_threads,
                on_epoch=progress, checkpoint=checkpoint, multilabel=targets.multilabel,
            )  # fmt: skip
        self._keep(learner, targets)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One pass over a mini-batch of a stream.

        Costs a row what an epoch of `fit` does, and a call O(n_labels + n_features) for
        tables of numbers beside that, however many there were before.

        A label's neuron starts as the mean hidden vector of its first rows. The neighbours of
        k-NN scores are rows of the last `fit`, if any: a stream adds none. The learning rate does
        not fall but by what row-wise Adagrad itself lets it. The multilabel threshold lets as
        many labels through as rows have: a quarter of each part's rows, at most 256, are
        predicted before they are learnt, O(n_labels * n_hidden) each (on heads of more than
        65,536 labels fewer rows, but 16). A threshold that `fit` has fitted stays. The scale of
        rows follows the median of the last 64, by powers of two: where a stream's unit changes,
        what has been learnt holds in the new one. Weights are in units of their mean, some
        16,000 rows back.

        Parameters
        ----------
        X, y : as in `fit`
        classes : array-like (n_classes,), default=None
            All classes there will ever be; needed in the first call for 1-d y. Later calls
            may repeat it, not change it. With ``new_classes="grow"``, any of them.
        sample_weight : as in `fit`

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; no `classes` in the first call; other classes than then. The model is then
            as it was before the call, as after an interrupt.
        """
        check_hidden_layer_sizes(self.hidden_layer_sizes)
        first = not hasattr(self, "learner_")
        X = check_float32(check_X(self, X, reset=first), resolved=True)
        targets, Y = self._stream_targets(y, classes)
        check_same_length(X, Y)
        weights = check_weights(sample_weight, X)
        weights = weighted_rows(
            self.class_weight, targets, Y, weights, stream=True,
            may_grow=self.new_classes == "grow",
        )  # fmt: skip
        rows, Y, weights = without_weightless(SparseRows.from_matrix(X), Y, weights)
        near = not first and self.learner_.memory is not None
        settings = self._settings(STREAM_ROWS, targets, near)
        if first:
            learner = self._start(rows, X, targets, settings)
        else:
            learner = widened(self.learner_, self.targets_, targets)
            if learner.threshold is None:  # a model of a version whose learners had none
                learner.threshold = self.threshold_
        learner.partial_fit(
            rows, Y, settings, sample_weight=weights, n_threads=effective_n_threads(self.n_jobs),
            spare=self.warm_start,
            count=targets.multilabel and (first or learner.label_counts is not None),
        )  # fmt: skip
        self._keep(learner, targets)
        return self

    def _stream_targets(self, y, classes) -> tuple[Targets, SparseRows]:
        """Classes by now, and a part's labels as rows of them."""
        if not hasattr(self, "learner_"):
            is_multilabel = label_lists(y) is not None or is_indicator(y)
            if classes is None and not is_multilabel and self.new_classes != "grow":
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return Targets.learn(y, classes, may_grow=self.new_classes == "grow")
        targets = warm_targets(self, y, classes)
        if targets is None:
            targets = self.targets_
            if classes is not None and not targets.same_classes(classes):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, "
                    f"was: {targets.classes!r}"
                )
        return targets, targets.encode(y)

    def _settings(self, n_samples, targets, near=True, dense=False) -> Settings:
        params = {name: getattr(self, name) for name in self._parameter_constraints}
        if not near:
            params["n_neighbors"] = 0
        n_labels = targets.classes.shape[0]
        settings = Settings.resolve(params, n_samples, n_labels, dense)
        check_hashing(settings, n_labels)
        return settings

    def _start(self, rows, X, targets, settings) -> Learner:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return Learner.start(rows, X.shape[1], targets.classes.shape[0], settings, seed)

    def _keep(self, learner, targets) -> None:
        """Fitted attributes, all at once: a failed fit leaves the estimator as it was."""
        history = learner.history
        self.learner_, self.targets_, self.classes_ = learner, targets, targets.classes
        self.threshold_, self.table_stats_ = learner.threshold, learner.table_stats
        self.loss_curve_, self.n_iter_ = history.losses, history.n_epochs
        self.best_loss_ = history.best_loss
        self.validation_scores_ = history.validation_scores or None
