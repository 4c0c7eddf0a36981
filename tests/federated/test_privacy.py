"""Clipping, noise and epsilon."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh import FederatedLSHClassifier, LSHRecommender
from sklsh.estimators import federated_run
from sklsh.federated import Ledger, rounds, run_round
from sklsh.federated.privacy import clipped, epsilon_spent, norm_of, private_generator
from tests.federated.problems import Tampering, federation

PUBLIC = {"n_samples": 3, "row_norm": 2.0, "labels_per_row": 1.0}


def updates_of_a_round():
    seen = []
    server, transport = federation()

    def look(question, replies):
        if question == "train":
            seen.extend(replies)
        return replies

    run_round(server, Tampering(transport, look), np.random.default_rng(0), ledger=Ledger())
    return seen


def test_clipping_shortens_the_whole_update_in_proportion():
    update = updates_of_a_round()[0]
    norm = norm_of(update)
    short = clipped(update, norm / 3)
    assert norm_of(short) == pytest.approx(norm / 3, rel=1e-5)
    np.testing.assert_allclose(short.head.weights, update.head.weights / 3, rtol=1e-4)
    np.testing.assert_allclose(short.body.rows, update.body.rows / 3, rtol=1e-4)
    assert clipped(update, 2 * norm) is update


def model_after(change=lambda question, replies: replies, **plan):
    server, transport = federation(**plan)
    run_round(server, Tampering(transport, change), np.random.default_rng(0), ledger=Ledger())
    return server


def test_one_device_moves_the_private_model_by_clip_norm_over_devices_at_most():
    plan = {"clip_norm": 0.01, "noise_multiplier": 1e-6, "expected_devices": 4.0}
    whole = model_after(**plan)
    without = model_after(
        lambda asked, replies: [r for r in replies if asked != "train" or r.device != 1], **plan
    )
    gap = sum(
        np.square(a - b, dtype=np.float64).sum()
        for a, b in zip(whole.network.parameters(), without.network.parameters(), strict=True)
    )
    assert 0.9 * 0.01 / 4 < np.sqrt(gap) < 1.01 * 0.01 / 4


def test_noise_is_on_every_neuron_and_of_the_size_that_was_asked_for():
    plan = {"clip_norm": 1e-6, "expected_devices": 4.0}
    start = federation(**plan)[0].network.body_weights[0]
    moved = model_after(noise_multiplier=1e5, **plan).network
    noise = np.concatenate([moved.head_weights.ravel(), (moved.body_weights[0] - start).ravel()])
    assert (moved.head_weights != 0).all()
    # 3,240 draws: the standard deviation is known to 1.2 %; four of these.
    assert noise.std() == pytest.approx(0.1 / 4, rel=0.05)


def test_accumulators_tell_nothing():
    plan = {"clip_norm": 1.0, "noise_multiplier": 1.0, "expected_devices": 4.0}
    before = federation(**plan)[0].optimizer.head_weights
    np.testing.assert_array_equal(model_after(**plan).optimizer.head_weights, before)


def test_epsilon():
    pytest.importorskip("dp_accounting")
    # One Gaussian release: the RDP bound min over a of a / (2 z^2) + log(1/delta) / (a - 1)
    # is an upper bound; the accountant's conversion is tighter, but not by half.
    z, delta = 2.0, 1e-5
    orders = np.linspace(1.01, 100, 10_000)
    bound = (orders / (2 * z**2) + np.log(1 / delta) / (orders - 1)).min()
    epsilon = epsilon_spent([(z, 1.0)], delta)
    assert 0.5 * bound < epsilon < bound
    assert epsilon < epsilon_spent([(z, 1.0)] * 10, delta)
    assert epsilon_spent([(z, 0.1)] * 10, delta) < epsilon_spent([(z, 1.0)] * 10, delta)


def test_epsilon_adds_up_rounds_of_different_noise():
    pytest.importorskip("dp_accounting")
    # Gaussian releases of deviations z_i are together one of 1 / z^2 = sum of 1 / z_i^2.
    both = epsilon_spent([(3.0, 1.0), (4.0, 1.0)], 1e-5)
    assert both == pytest.approx(epsilon_spent([(12 / 5, 1.0)], 1e-5))


def test_a_round_without_noise_has_spent_everything():
    assert epsilon_spent([(2.0, 1.0), (0.0, 1.0)], 1e-5) == np.inf


def test_history_reports_epsilon():
    pytest.importorskip("dp_accounting")
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 5)), np.arange(60) % 3
    model = FederatedLSHClassifier(
        n_rounds=3,
        clip_norm=1.0,
        noise_multiplier=1.5,
        fraction=0.5,
        random_state=0,
        public_statistics=PUBLIC,
    ).fit(X, y, groups=np.arange(60) % 6)
    epsilons = [entry["epsilon"] for entry in model.history_]
    assert epsilons == sorted(epsilons) and epsilons[0] > 0
    assert epsilons[-1] == pytest.approx(epsilon_spent([(1.5, 0.5)] * 3, 1e-5))
    # More noise from here on does not take back what was said.
    model.set_params(noise_multiplier=20.0, fraction=1.0).partial_fit(
        X, y, groups=np.arange(60) % 6
    )
    epsilons = [entry["epsilon"] for entry in model.history_]
    assert epsilons == sorted(epsilons)
    expected = epsilon_spent([(1.5, 0.5)] * 3 + [(20.0, 1.0)] * 3, 1e-5)
    assert epsilons[-1] == pytest.approx(expected)
    model.set_params(noise_multiplier=0.0).partial_fit(X, y, groups=np.arange(60) % 6)
    assert [entry["epsilon"] for entry in model.history_[-3:]] == [np.inf] * 3


@pytest.fixture
def no_accountant(monkeypatch):
    """Private rounds where dp-accounting is not installed."""
    for module in (rounds, federated_run):
        monkeypatch.setattr(module, "epsilon_spent", lambda rounds, delta: 0.0)


def private_fit(random_state, **params):
    """After a round from a head of zeros: noise, but for changes of a millionth."""
    X, y = np.random.default_rng(0).standard_normal((60, 5)), np.arange(60) % 3
    params = {"n_rounds": 1, "clip_norm": 1e-6, "noise_multiplier": 1e6, **params}
    params["public_statistics"] = PUBLIC
    model = FederatedLSHClassifier(random_state=random_state, **params)
    return model.fit(X, y, groups=np.arange(60) % 20)


def test_noise_is_no_function_of_a_seed_that_travels(no_accountant):
    """Nor does a federation without an integer `random_state` make the same noise twice."""
    models = [private_fit(seed) for seed in (np.random.RandomState(0), np.random.RandomState(0), 0)]
    one, other, third = (model.server_ for model in models)
    assert one.seed == other.seed == third.seed == models[0].estimator_.learner_.seed
    noise = [server.network.head_weights.ravel() for server in (one, other, third)]
    noise.append(np.random.default_rng([one.seed, 0, 1]).standard_normal(768, dtype=np.float32))
    # 768 draws: a correlation of independent ones is within .036, six of these.
    assert np.abs(np.corrcoef(noise) - np.eye(4)).max() < 0.22
    again = private_fit(0).server_
    np.testing.assert_array_equal(again.network.head_weights, third.network.head_weights)


def test_who_is_invited_is_no_function_of_a_seed_that_travels(no_accountant, monkeypatch):
    invited, run = [], rounds.run_round

    def look(*args, **options):
        report = run(*args, **options)
        invited.append(report.n_invited)
        return report

    monkeypatch.setattr(rounds, "run_round", look)
    model = private_fit(0, n_rounds=6, fraction=0.5)
    rng = np.random.default_rng([model.server_.seed, 0])
    guess = [int((rng.random(20) < 0.5).sum()) for _ in range(6)]
    assert len(invited) == 6 and invited != guess


def test_private_generator():
    def draw(*of):
        return private_generator(*of).random()

    assert draw(3, 5) == draw(np.int64(3), 5)
    assert len({draw(3, 5), draw(3, 6), draw(4, 5), draw(None, 5), draw(None, 5)}) == 5


def test_a_recommender_sends_exact_counts_and_is_refused(no_accountant):
    model = FederatedLSHClassifier(LSHRecommender(), clip_norm=1.0, noise_multiplier=1.0)
    with pytest.raises(ValueError, match="noise_multiplier must be 0 with an LSHRecommender"):
        model.fit(np.eye(4))


def test_private_rounds_need_a_clip_norm():
    with pytest.raises(ValueError, match="needs a clip_norm"):
        FederatedLSHClassifier(noise_multiplier=1.0).fit(np.eye(4), [0, 1, 0, 1])


def test_a_long_update_is_clipped_without_noise_too():
    free = model_after(clip_norm=None)
    tight = model_after(clip_norm=1e-3)
    start = federation()[0]
    moved = np.linalg.norm(tight.network.head_weights - start.network.head_weights)
    assert 0 < moved < 0.01 * np.linalg.norm(free.network.head_weights)
    assert replace(free.plan, clip_norm=1e-3) == tight.plan
