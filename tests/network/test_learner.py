"""Fitting whole and batch by batch: history, early stopping, Ctrl-C, memory of rows."""

import pickle
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.network.fitting import fit_epochs, precision_at_1
from sklsh.network.learner import PROTOTYPE_SCALE, Learner
from sklsh.network.linear import LinearView
from sklsh.network.rows import SparseRows, without_weightless
from sklsh.network.settings import Settings
from sklsh.network.trainer import Trainer
from sklsh.network.validation_rows import ValidationRows
from tests.network.problems import (
    arrays_of,
    assert_same_bits,
    labels_of,
    random_labels,
    random_rows,
)

N_FEATURES, N_LABELS = 30, 12


def problem(n_rows=600):
    """Each label has features of its own."""
    rng = np.random.default_rng(0)
    Y = random_labels(rng, n_rows, N_LABELS, most=2, least=1)
    X = 0.3 * rng.random((n_rows, N_FEATURES)) * (rng.random((n_rows, N_FEATURES)) < 0.3)
    for i, of_row in enumerate(labels_of(Y)):
        X[i, of_row] += 1
    return SparseRows.from_matrix(sp.csr_array(X.astype(np.float32))), Y


def settings_of(n_samples=600, n_labels=N_LABELS, **params):
    # Nothing that counts is left to "auto": these tests are not about the recipe.
    params = {
        "max_iter": 3, "hidden_layer_sizes": (16,), "batch_size": 40,
        "learning_rate_init": 0.02, "dropout": 0.1, **params,
    }  # fmt: skip
    params = SparseLSHMLPClassifier(**params).get_params()
    return Settings.resolve(params, n_samples, n_labels)


def start(X, settings, seed=0):
    return Learner.start(X, N_FEATURES, N_LABELS, settings, seed)


def state_of(learner):
    return arrays_of(learner.network, learner.optimizer)


def judge(learner, X, Y):
    return precision_at_1(learner.predictor(), X, Y, np.arange(X.n_rows, dtype=np.int32))


@pytest.fixture
def validated(monkeypatch):
    """The rows that each fit is validated on."""
    rows = []

    def spy(network, X, Y, validation, n_threads):
        rows.append(validation)
        return ValidationRows(network, X, Y, validation, n_threads)

    monkeypatch.setattr("sklsh.network.learner.ValidationRows", spy)
    return rows


@pytest.mark.parametrize("sampler", ["lsh", "codes", "random", "uniform", "labels", "exact", "all"])
def test_every_sampler_learns(sampler):
    X, Y = problem()
    settings = settings_of(sampler=sampler, n_active=4, n_neighbors=0)
    learner = start(X, settings)
    learner.fit(X, Y, settings)
    assert judge(learner, X, Y) > 0.9
    assert learner.history.losses[-1] < learner.history.losses[0]


@pytest.mark.parametrize(("n_held", "again"), [(60, True), (43, True), (40, False), (0, False)])
def test_the_linear_view_is_trained_again_on_all_rows(monkeypatch, n_held, again):
    """Where many are held out, once its weight is fitted without them."""
    X, Y = problem()
    built = []

    def build(X, Y, rows, *args, **options):
        built.append(rows)
        return LinearView.build(X, Y, rows, *args, **options)

    monkeypatch.setattr("sklsh.network.finishing.LinearView", Mock(build=build))
    # Two hidden units know too little for twelve labels.
    few = {"linear": True, "hidden_layer_sizes": (2,), "n_neighbors": 0}
    settings = replace(settings_of(**few), n_validation=n_held)
    learner = start(X, settings)
    learner.fit(X, Y, settings)
    everything = np.arange(600)
    assert len(built) == 1 + again and learner.linear.weight > 0
    assert len(built[0]) == 600 - n_held and np.isin(built[0], everything).all()
    if again:
        np.testing.assert_array_equal(built[1], everything)
        alone = LinearView.build(X, Y, everything, N_FEATURES, N_LABELS, 3, seed=learner.seed)
        assert_same_bits(*([*t.levels[0]] for t in (alone.trees[0], learner.linear.trees[0])))


def test_history_and_steps(validated):
    X, Y = problem()
    settings, seen = settings_of(early_stopping=True), []
    learner = start(X, settings)
    learner.fit(
        X, Y, settings, on_epoch=lambda epoch, history: seen.append((epoch, len(history.losses)))
    )
    assert seen == [(0, 1), (1, 2), (2, 3)]
    assert len(learner.history.validation_scores) == len(learner.history.losses) == 3
    assert learner.n_steps == 3 * int(np.ceil((600 - 60) / 40))
    (validation,) = validated
    assert len(validation) == settings.n_validation == 60 and len(np.unique(validation)) == 60


def test_held_out_rows_do_not_train(validated):
    """The network is that of the other rows, bit by bit; the neighbours come from all."""
    X, Y = problem()
    settings = settings_of()
    one = start(X, settings)
    one.fit(X, Y, settings)
    held_out = validated[0]
    labels = Y.indices.copy()
    for row in held_out:
        own = labels[Y.indptr[row] : Y.indptr[row + 1]]
        own[:] = np.arange(len(own))
    assert (labels != Y.indices).any()
    two = start(X, settings)
    two.fit(X, Y._replace(indices=labels), settings)
    np.testing.assert_array_equal(validated[1], held_out)
    assert_same_bits(state_of(one), state_of(two))
    if one.memory is not None:
        assert one.memory.labels.n_rows == X.n_rows


def test_small_data_is_validated_on_its_training_rows(validated):
    X, Y = problem(n_rows=40)
    settings = settings_of(n_samples=40)
    learner = start(X, settings)
    learner.fit(X, Y, settings)
    assert sorted(validated[0]) == list(range(40))
    assert learner.memory is None


def test_no_memory_when_told_so():
    X, Y = problem()
    settings = settings_of(n_neighbors=0)
    learner = start(X, settings)
    learner.fit(X, Y, settings)
    assert learner.memory is None


class Falling(Trainer):
    """Spoils the network a little more in each epoch after the second."""

    n_epochs = 0

    def epoch(self, X, Y, order, batch_size, learning_rate, weights=None):
        loss = super().epoch(X, Y, order, batch_size, learning_rate, weights)
        self.n_epochs += 1
        if self.n_epochs > 2:
            self.network.head_bias[: self.n_epochs - 2] += 100
        return loss


def run_epochs(settings, trainer_class=Falling, on_epoch=lambda epoch, history: None):
    X, Y = problem()
    learner = start(X, settings)
    trainer = learner.trainer(settings, 1)
    trainer = trainer_class(learner.network, trainer.sampler, learner.optimizer)
    rows = np.arange(600, dtype=np.int32)
    best = {}

    def watch(epoch, history):
        best[epoch] = arrays_of(learner.network)
        on_epoch(epoch, history)

    history = fit_epochs(
        trainer, X, Y, rows[60:], settings, validation=rows[:60], rng=np.random.default_rng(0),
        on_epoch=watch,
    )  # fmt: skip
    return learner, history, best


def test_early_stopping_stops_and_puts_the_best_weights_back():
    settings = settings_of(early_stopping=True, n_iter_no_change=2, max_iter=30)
    learner, history, after = run_epochs(settings)
    scores = history.validation_scores
    n_best = int(np.argmax(scores))
    assert n_best in (0, 1) and scores[n_best] > 0.8 > 0.5 > scores[-1]
    assert len(scores) == len(history.losses) < 30
    assert_same_bits(arrays_of(learner.network), after[n_best])


def test_tol_and_patience():
    """A gain below `tol` is none: with a huge one nothing after the first epoch counts."""
    for patience in (1, 4):
        settings = settings_of(early_stopping=True, n_iter_no_change=patience, tol=2.0, max_iter=30)
        assert len(run_epochs(settings, Trainer)[1].losses) == 1 + patience
    assert len(run_epochs(settings_of(max_iter=5), Falling)[1].losses) == 5


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupt_keeps_what_there_is(early_stopping):
    def interrupt(epoch, history):
        if epoch == 3:
            raise KeyboardInterrupt

    settings = settings_of(early_stopping=early_stopping, max_iter=9, n_iter_no_change=99)
    with pytest.warns(UserWarning, match="interrupted by the user after 4 whole epochs"):
        learner, history, after = run_epochs(settings, on_epoch=interrupt)
    assert len(history.losses) == 4
    kept = int(np.argmax(history.validation_scores)) if early_stopping else 3
    assert_same_bits(arrays_of(learner.network), after[kept])


def test_the_rate_falls_to_a_fraction():
    rates = []

    class Watching(Trainer):
        def step(self, X, Y, rows, learning_rate, weights=None):
            rates.append(learning_rate)
            return super().step(X, Y, rows, learning_rate, weights)

    run_epochs(settings_of(learning_rate_init=0.5), Watching)
    assert rates[0] == 0.5 and rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.02


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_do_not_matter(n_threads):
    X, Y = problem()
    results = []
    for threads in (1, n_threads):
        settings = settings_of(sampler="lsh", n_active=4, dropout=0.2)
        learner = start(X, settings)
        learner.fit(X, Y, settings, n_threads=threads)
        learner.partial_fit(X, Y, settings, n_threads=threads)
        results.append(state_of(learner))
    assert_same_bits(*results)


def test_partial_fit_starts_new_neurons_as_prototypes():
    """A label that comes late starts with its first rows; what others learnt stays."""
    X, Y = problem()
    settings = settings_of(sampler="labels", learning_rate_init=1e-12, shuffle=False)
    late = np.array([7 in of_row for of_row in labels_of(Y)])
    learner = start(X, settings)
    early, others = np.flatnonzero(~late), np.flatnonzero(late)
    learner.partial_fit(X.take(early), Y.take(early), settings)
    assert not learner.network.head_weights[7].any()
    before = arrays_of(learner.network)
    learner.partial_fit(X.take(others), Y.take(others), settings)
    lengths = np.linalg.norm(learner.network.head_weights, axis=1)
    np.testing.assert_allclose(lengths, PROTOTYPE_SCALE, rtol=1e-4)
    changed = (np.abs(learner.network.head_weights - before[2]) > 1e-6).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [7]
    assert len(learner.history.losses) == 2


def test_partial_fit_is_reproducible_and_survives_pickling():
    X, Y = problem()
    settings = settings_of(sampler="random", n_active=4)
    results = []
    for stored in (False, True):
        learner = start(X, settings)
        for first in range(0, 600, 200):
            part = np.arange(first, first + 200)
            learner.partial_fit(X.take(part), Y.take(part), settings)
            if stored:
                learner = pickle.loads(pickle.dumps(learner))
        results.append(state_of(learner))
    assert_same_bits(*results)


def test_without_weightless():
    X, Y = problem(n_rows=20)
    for weights in (None, np.ones(20, dtype=np.float32)):
        assert without_weightless(X, Y, weights) == (X, Y, weights)
    weights = np.tile(np.array([0, 2], dtype=np.float32), 10)
    some, labels, kept = without_weightless(X, Y, weights)
    assert kept.tolist() == [2] * 10 and labels_of(labels) == labels_of(Y, range(1, 20, 2))
    np.testing.assert_array_equal(
        some.to_matrix(N_FEATURES).toarray(), X.to_matrix(N_FEATURES).toarray()[1::2]
    )


def test_take_is_scipys(monkeypatch):
    monkeypatch.setattr("sklsh.network.rows.TAKEN", 3)
    rng = np.random.default_rng(0)
    X = random_rows(rng, 20, 6, 0.4)
    for rows in rng.integers(0, 20, 10), np.arange(20), np.empty(0, dtype=np.int32), [7]:
        rows = np.asarray(rows)
        expected = SparseRows.from_matrix(X.to_matrix(6)[rows])
        for part, wanted in zip(X.take(rows), expected, strict=True):
            np.testing.assert_array_equal(part, wanted)
            assert part.dtype == wanted.dtype


def test_take_of_rows_without_entries():
    rng = np.random.default_rng(0)
    X = random_rows(rng, 5, 6, 0.0)
    taken = X.take(np.array([4, 1]))
    assert taken.n_rows == 2 and taken.counts().tolist() == [0, 0]
    assert [a.dtype for a in taken] == [a.dtype for a in X]
