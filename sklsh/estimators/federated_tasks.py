"""What a federation can train: how an estimator reads its data, starts and keeps its model."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.base import clone

from sklsh._utils.validation import (
    INT32_MAX,
    check_float32,
    check_hidden_layer_sizes,
    check_int,
    check_same_length,
    check_X,
)
from sklsh.estimators.classifier import SparseLSHMLPClassifier
from sklsh.estimators.item_ids import ItemIds
from sklsh.estimators.recommender import LSHRecommender, check_some_interaction
from sklsh.estimators.targets import Targets
from sklsh.federated.server import Server
from sklsh.federated.start import typical_labels
from sklsh.network import autoencoder, learner
from sklsh.network.autoencoder import Autoencoder
from sklsh.network.fitting import History
from sklsh.network.learner import Learner
from sklsh.network.rows import SparseRows
from sklsh.network.settings import WIDTHS, Settings

WIDTH = WIDTHS[1:]
"""Automatic hidden layers: every neuron that a device asks for is sent so wide."""


class ClassifierTask:
    """Rows with labels."""

    prototype_scale = learner.PROTOTYPE_SCALE
    row_norm: float | None = None
    """Norm of the rows that the network reads; None: the devices say."""
    counts_items = False
    """Whether the server needs each label's number of rows."""

    def __init__(self, estimator: SparseLSHMLPClassifier):
        self.estimator = estimator

    def read(self, X, y, classes=None, *, first: bool) -> tuple[SparseRows, SparseRows]:
        """Checked rows and labels; sets `n_features` and `n_labels`."""
        X = check_float32(check_X(self.estimator, X, reset=first), resolved=True)
        if first:
            self.targets, Y = Targets.learn(y, classes)
        else:
            self.targets = self.estimator.targets_
            Y = self.targets.encode(y)
        check_same_length(X, Y)
        self.n_features, self.n_labels = X.shape[1], self.targets.classes.shape[0]
        return SparseRows.from_matrix(X), Y

    def expect(self, n_features, labels) -> None:
        """Sizes and classes of rows that are elsewhere; see `fit_devices`."""
        self.n_features = check_int(n_features, "n_features", 1, INT32_MAX)
        if isinstance(labels, Integral):
            classes = np.arange(check_int(labels, "labels", 2, INT32_MAX))
            self.targets = Targets(classes, True, "csr_matrix", "float32")
        else:
            self.targets, _ = Targets.learn(np.asarray(labels))
        self.n_labels = self.targets.classes.shape[0]
        self.estimator.n_features_in_ = self.n_features

    def params(self) -> dict:
        """The estimator's parameters, as devices resolve them."""
        params = self.estimator.get_params()
        if check_hidden_layer_sizes(params["hidden_layer_sizes"]) is None:
            params["hidden_layer_sizes"] = WIDTH
        return params

    def settings(self, n_samples: int) -> Settings:
        return Settings.resolve(self.params(), n_samples, self.n_labels)

    def keep(
        self, server: Server, client_statistics: dict, history: list[dict], *, first: bool
    ) -> None:
        """Make the estimator one that has fitted the server's network."""
        estimator, targets, learner = self.estimator, self.targets, _learner(server, history)
        if targets.multilabel:
            learner.threshold = server.threshold if first else estimator.threshold_
            if learner.threshold is None:
                # Of private rounds alone, whose devices are not asked.
                common = typical_labels(list(client_statistics.values()))
                learner.threshold = 0.5 / max(1.0, common)
        estimator._keep(learner, targets)


class RecommenderTask:
    """Users' items: the network reads them and names them; item-item scores are left out."""

    prototype_scale = autoencoder.PROTOTYPE_SCALE
    row_norm = 1.0
    counts_items = True

    def __init__(self, estimator: LSHRecommender):
        self.estimator = estimator

    def read(self, X, y=None, classes=None, *, first: bool) -> tuple[SparseRows, SparseRows]:
        """Checked users, twice: what is read is what is to be named. `y` is not used."""
        rows, n_items = self.estimator._rows(X, reset=first)
        if first:
            check_some_interaction(rows)
        self.n_features = self.n_labels = n_items
        return rows, rows

    def expect(self, n_features, labels) -> None:
        """Number of items of rows that are elsewhere, said twice; see `fit_devices`."""
        self.n_features = check_int(n_features, "n_features", 1, INT32_MAX)
        self.n_labels = check_int(labels, "labels", n_features, n_features, "items")
        self.estimator.n_features_in_ = self.n_features

    def params(self) -> dict:
        # What the recommender itself would resolve: its own dropout, and no item-item scores.
        return self.estimator.get_params() | {
            "n_neighbors": 0,
            "dropout": self.settings(1).dropout,
        }

    def settings(self, n_samples: int) -> Settings:
        return self.estimator._settings(n_samples, self.n_labels)

    def keep(
        self, server: Server, client_statistics: dict, history: list[dict], *, first: bool
    ) -> None:
        """Make the estimator one that has fitted the server's network."""
        names = ItemIds.learn(None, self.n_labels) if first else self.estimator.ids_
        counts = server.label_counts
        assert counts is not None, "devices count their items before the first round"
        server.network.see(np.flatnonzero(counts), only=True)
        autoencoder = Autoencoder(_learner(server, history), counts, n_users=server.n_counted)
        self.estimator._keep(autoencoder, names)


def _learner(server: Server, history: list[dict]) -> Learner:
    """The server's model itself, not a copy: it may be most of the memory.

    It has taken a step a round: a model of no step would forget its labels with the next ones.
    """
    losses = History.of(entry["loss"] for entry in history)
    return Learner(
        server.network, server.optimizer, server.seed, n_steps=server.round, history=losses
    )


Task = ClassifierTask | RecommenderTask


def task_of(estimator) -> Task:
    """What an estimator of this package is trained on.

    Raises
    ------
    TypeError
        Any other estimator.
    """
    if isinstance(estimator, SparseLSHMLPClassifier):
        return ClassifierTask(estimator)
    if isinstance(estimator, LSHRecommender):
        return RecommenderTask(estimator)
    raise TypeError(
        "estimator must be a SparseLSHMLPClassifier, an LSHRecommender or None, got "
        f"{type(estimator).__name__}"
    )


def new_task(estimator) -> Task:
    """The task of a checked copy of `estimator`; None: a classifier with default settings."""
    task = task_of(SparseLSHMLPClassifier() if estimator is None else clone(estimator))
    task.estimator._validate_params()
    check_hidden_layer_sizes(task.estimator.hidden_layer_sizes)
    return task
