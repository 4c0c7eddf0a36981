"""Weights of neighbours, linear view, frequency: none alone can change for a better ranking."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.network.growth import grown
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.predictor import Predictor
from sklsh.network.ranking import (
    LINEAR_WEIGHTS,
    NEIGHBOR_FACTORS,
    TAUS,
    fit_ranking,
    label_frequency,
    mean_and_error,
)
from sklsh.network.validation_rows import ValidationRows
from sklsh.persistence import load_model, save_model
from tests.network.problems import labels_of, random_labels, random_network, random_rows

N_LABELS = 12
ROWS = np.arange(40, dtype=np.int32)


class TwoLabelView:
    """Gives two labels of every row the shares .5 and .25."""

    def __init__(self, labels, weight=0.0):
        self.labels, self.weight = labels.astype(np.int32), weight

    def shares(self, X, rows, n_threads=1):
        return self.labels[rows], np.tile(np.float32([0.5, 0.25]), (len(rows), 1))

    def scaled(self, shares):
        return np.float32(self.weight) * np.sqrt(shares)

    def gains(self, X, rows, n_threads=1):
        labels, shares = self.shares(X, rows)
        return labels, self.scaled(shares)

    def add_to(self, logits, X, rows, n_threads=1):
        labels, gains = self.gains(X, rows)
        logits[np.arange(len(rows))[:, None], labels] += gains


def problem(seed):
    rng = np.random.default_rng(seed)
    X, network = random_rows(rng, 40, 10), random_network(rng, 10, n_labels=N_LABELS)
    Y = random_labels(rng, 40, N_LABELS, least=1)
    memory = NeighborMemory.build(X, Y, 10, 5)
    memory.weight = 1.0
    view = TwoLabelView(rng.permuted(np.tile(np.arange(N_LABELS), (40, 1)), axis=1)[:, :2])
    return X, Y, network, memory, view


def dcg_at_10(network, memory, view, X, Y):
    """Of each row, by sorting every label's score."""
    logits = Predictor(network, None, linear=view).logits(X)
    memory.add_to(logits, memory.nearest(X, ROWS, excluded=ROWS))
    out = []
    for scores, of_row in zip(logits, labels_of(Y, ROWS), strict=True):
        best = sorted(range(N_LABELS), key=lambda label: (-scores[label], label))[:10]
        out.append(sum(1 / np.log2(i + 2) for i, label in enumerate(best) if label in of_row))
    return np.array(out)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_no_weight_can_be_changed_alone_for_a_ranking_that_is_surely_better(seed):
    X, Y, network, memory, view = problem(seed)
    frequency = label_frequency(Y, ROWS, N_LABELS)
    validation_rows = ValidationRows(network, X, Y, ROWS, memory=memory)
    tau = fit_ranking(validation_rows, view, frequency)
    chosen = memory.weight, view.weight, tau

    def dcg(knn_weight, linear_weight, tau):
        adjusted = replace(network, head_bias=network.head_bias - np.float32(tau) * frequency)
        memory.weight, view.weight = knn_weight, linear_weight
        return dcg_at_10(adjusted, memory, view, X, Y)

    assert chosen[0] in NEIGHBOR_FACTORS and chosen[1] in LINEAR_WEIGHTS and tau in TAUS
    best = dcg(*chosen)
    for part, values in enumerate((NEIGHBOR_FACTORS, LINEAR_WEIGHTS, TAUS)):
        for value in values:
            gains = dcg(*chosen[:part], value, *chosen[part + 1 :]) - best
            assert gains.mean() <= max(1e-6, gains.std() / np.sqrt(len(ROWS)) + 1e-6)
    if chosen != (1.0, 0.0, 0.0):
        assert best.mean() > dcg(1.0, 0.0, 0.0).mean()


def test_a_view_that_is_right_counts_and_one_that_is_wrong_does_not():
    X, Y, network, _, _ = problem(3)
    frequency = label_frequency(Y, ROWS, N_LABELS)
    first = np.array([of_row[0] for of_row in labels_of(Y, ROWS)])
    right = TwoLabelView(np.stack([first, first], axis=1)[:, :1].repeat(2, axis=1))
    right.shares = lambda X, rows, n_threads=1: (
        first[rows, None].astype(np.int32), np.ones((len(rows), 1), np.float32)
    )  # fmt: skip
    validation_rows = ValidationRows(network, X, Y, ROWS)
    fit_ranking(validation_rows, right, frequency)
    assert right.weight > 0 and validation_rows.gains is not None
    worst = np.array(
        [[next(a for a in range(N_LABELS) if a not in of_row)] for of_row in labels_of(Y, ROWS)]
    )
    wrong = TwoLabelView(worst)
    wrong.shares = lambda X, rows, n_threads=1: (
        worst[rows].astype(np.int32), np.ones((len(rows), 1), np.float32)
    )  # fmt: skip
    validation_rows = ValidationRows(network, X, Y, ROWS)
    fit_ranking(validation_rows, wrong, frequency)
    assert wrong.weight == 0 and validation_rows.gains is None


def test_a_bias_towards_frequent_labels_is_taken_back():
    rng = np.random.default_rng(0)
    X, network = random_rows(rng, 40, 10), random_network(rng, 10, n_labels=N_LABELS)
    logits = Predictor(network).logits(X)
    Y = random_labels(rng, 40, N_LABELS, least=1)
    Y = Y._replace(
        indptr=np.arange(41, dtype=np.int64), indices=np.argmax(logits, axis=1).astype(np.int32),
        data=np.ones(40, dtype=np.float32),
    )  # fmt: skip
    frequency = label_frequency(Y, ROWS, N_LABELS)
    biased = replace(network, head_bias=network.head_bias + np.float32(0.6) * frequency)
    tau = fit_ranking(ValidationRows(biased, X, Y, ROWS), None, frequency)
    assert tau > 0
    assert fit_ranking(ValidationRows(network, X, Y, ROWS), None, frequency) == 0


def test_frequency_counts_rows_as_they_weigh():
    _, Y, *_ = problem(1)
    weights = np.linspace(0, 2, 40)
    rows = np.arange(0, 40, 2, dtype=np.int32)
    expected = np.zeros(N_LABELS)
    for row in rows:
        for label in labels_of(Y, [row])[0]:
            expected[label] += weights[row]
    got = label_frequency(Y, rows, N_LABELS, weights)
    np.testing.assert_allclose(got, np.log1p(expected), rtol=1e-6)


def test_the_adjustment_goes_where_the_model_goes(tmp_path):
    """Scores and top labels, folders, and models that have grown."""
    X, Y = make_extreme_classification(400, 60, 30, random_state=0)
    model = SparseLSHMLPClassifier((16,), random_state=0, max_iter=2).fit(X, Y)
    learner = model.learner_
    learner.adjustment = np.linspace(0, 3, Y.shape[1], dtype=np.float32)
    labels, scores = model.predict_topk(X[:50], 3)
    dense = np.take_along_axis(model.decision_function(X[:50]), labels, axis=1)
    gaps = (scores - scores[:, :1]) / learner.temperature
    np.testing.assert_allclose(dense - dense[:, :1], gaps, rtol=1e-3, atol=1e-4)
    assert np.array_equal(learner.network.head_bias, model.network_.head_bias)
    save_model(model, tmp_path / "model")
    assert np.array_equal(load_model(tmp_path / "model").predict_topk(X[:50], 3)[0], labels)
    wider = grown(replace(learner, network=learner.network), Y.shape[1] + 2)
    assert wider.adjustment[-2:].tolist() == [0, 0] and wider.adjustment.shape[0] == Y.shape[1] + 2
    learner.adjustment = None
    assert not np.array_equal(model.predict_topk(X[:50], 3)[1], scores)


def test_weights_of_validation_rows_are_repetitions():
    rng = np.random.default_rng(0)
    values, weights = rng.standard_normal(20), rng.integers(1, 4, 20)
    mean, error = mean_and_error(values, weights)
    assert mean == pytest.approx(np.repeat(values, weights).mean())
    alike = mean_and_error(values, None)
    assert alike == pytest.approx((values.mean(), values.std() / np.sqrt(20)))
    assert mean_and_error(values, np.full(20, 3.0)) == pytest.approx(alike)
    # One row has nearly all the say: nothing is certain.
    assert mean_and_error(np.array([1.0, -1.0]), np.array([1e-9, 1.0]))[0] == pytest.approx(-1)
    assert error > alike[1]
