"""Several networks as one: their mean logits, and everything that a network can do."""

import numpy as np
import pytest

from sklsh import SparseLSHMLPClassifier
from sklsh._utils.random import child_seed
from sklsh.datasets import make_extreme_classification
from sklsh.network.members import joined, joined_state
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.trainer import Trainer
from tests.network.problems import random_network, random_rows


@pytest.mark.parametrize("sizes", [(8,), (8, 5), (3, 4, 5)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_logits_are_the_mean(sizes, activation):
    rng = np.random.default_rng(0)
    networks = [random_network(rng, sizes=sizes, activation=activation) for _ in range(3)]
    X = random_rows(rng, 10, 20)
    one = joined(networks)
    logits = [n.hidden(X) @ n.head_weights.T + n.head_bias for n in [one, *networks]]
    np.testing.assert_allclose(logits[0], np.mean(logits[1:], axis=0), rtol=1e-4, atol=1e-5)
    assert [w.shape[1] for w in one.body_weights] == [3 * size for size in sizes]


def test_state_is_each_ones_own_or_the_mean_of_what_is_shared():
    rng = np.random.default_rng(0)
    networks = [random_network(rng, sizes=(4, 3)) for _ in range(2)]
    states = [RowwiseAdagrad.for_network(network) for network in networks]
    for i, state in enumerate(states):
        for array in (*state.body_weights, *state.body_biases, state.head_weights, state.head_bias):
            array[:] = i + 1
    one, shapes = joined_state(states), RowwiseAdagrad.for_network(joined(networks))
    for own, like in zip(
        (*one.body_weights, *one.body_biases, one.head_weights, one.head_bias),
        (*shapes.body_weights, *shapes.body_biases, shapes.head_weights, shapes.head_bias),
        strict=True,
    ):
        assert own.shape == like.shape and own.dtype == np.float32
    assert (one.body_weights[0] == 1.5).all() and (one.head_weights == 1.5).all()
    np.testing.assert_array_equal(one.body_weights[1], [1] * 4 + [2] * 4)
    np.testing.assert_array_equal(one.body_biases[1], [1] * 3 + [2] * 3)


@pytest.fixture(scope="module")
def problem():
    return make_extreme_classification(900, 300, 200, labels_per_row=2, random_state=1)


def fit(problem, **params):
    params = {"max_iter": 2, "batch_size": 50, "random_state": 0, **params}
    return SparseLSHMLPClassifier((12,), **params).fit(*problem)


def test_each_is_what_it_would_be_alone(problem):
    """The first's seed is the fit's, and the others have seeds of their own."""
    one, both = fit(problem), fit(problem, n_estimators=2)
    np.testing.assert_array_equal(both.coefs_[0][:, :12], one.coefs_[0])
    np.testing.assert_allclose(2 * both.coefs_[1][:12], one.coefs_[1], rtol=1e-6)
    assert np.abs(both.coefs_[0][:, 12:] - one.coefs_[0]).max() > 0.01
    assert child_seed(one.learner_.seed, 1) != one.learner_.seed
    assert both.n_iter_ == 4 and both.loss_curve_[:2] == one.loss_curve_


def test_a_stream_a_warm_fit_and_codes_take_it_as_one_network(problem):
    X, _ = problem
    model = fit(problem, n_estimators=2, warm_start=True)
    before = model.coefs_[1].copy()
    model.partial_fit(*problem)
    assert np.abs(model.coefs_[1] - before).max() > 1e-3
    model.fit(*problem)
    assert model.coefs_[0].shape == (300, 24) and model.n_iter_ == 2
    labels = model.predict_topk(X, 1)[0]
    small = model.compress(28, linear=True).predict_topk(X, 1)[0]
    assert (labels == small).mean() > 0.8
    with pytest.raises(ValueError, match=r"times n_estimators.*\(24,\).*got \(36,\)"):
        model.set_params(n_estimators=3).fit(*problem)


@pytest.mark.parametrize(("n_steps", "width"), [(3, 12), (25, 12), (40, 24)])
def test_an_interrupt_keeps_the_networks_that_are_whole(problem, monkeypatch, n_steps, width):
    step, count = Trainer.step, [0]

    def interrupted(self, *args):
        count[0] += 1
        if count[0] == n_steps:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        model = fit(problem, n_estimators=3, max_iter=1)
    assert model.coefs_[0].shape[1] == width and model.n_iter_ == width // 12 - (n_steps == 3)
    model.predict(problem[0])
