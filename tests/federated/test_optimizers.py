"""Server optimizers, and where a device's accumulators come from."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated import Ledger, run_round
from sklsh.federated.merging import MOST_CONTRIBUTORS, Change
from sklsh.federated.server_optimizers import BETA_1, BETA_2, EPSILON, FedAdam
from tests.federated.problems import Tampering, federation


def test_adam_is_adam_on_each_row_and_lets_others_be():
    rng = np.random.default_rng(0)
    array = rng.standard_normal((6, 5)).astype(np.float32)
    expected, start = array.astype(np.float64), array.copy()
    adam, m, v, t = FedAdam(), np.zeros((6, 5)), np.zeros(6), np.zeros(6)
    for _ in range(20):
        rows = np.sort(rng.choice(5, 3, replace=False))
        change = rng.standard_normal((3, 5)).astype(np.float32)
        adam.move("x", array, rows, change, 0.1)
        t[rows] += 1
        m[rows] = BETA_1 * m[rows] + (1 - BETA_1) * change
        v[rows] = BETA_2 * v[rows] + (1 - BETA_2) * (change**2).mean(axis=1)
        first = m[rows] / (1 - BETA_1 ** t[rows])[:, None]
        second = v[rows] / (1 - BETA_2 ** t[rows])
        expected[rows] += 0.1 * first / (np.sqrt(second) + EPSILON)[:, None]
    np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(array[5], start[5])


def test_large_changes_move_a_row_no_further_than_the_learning_rate():
    array, adam = np.zeros((4, 3), dtype=np.float32), FedAdam()
    adam.move("x", array, np.arange(4), np.full((4, 3), 50.0, dtype=np.float32), 0.1)
    np.testing.assert_allclose(array, 0.1, rtol=1e-3)


def losses(n_rounds=6, **plan):
    server, transport = federation(n_rounds=n_rounds, **plan)
    rng, ledger = np.random.default_rng(0), Ledger()
    reports = [run_round(server, transport, rng, ledger=ledger) for _ in range(n_rounds)]
    return [report.loss for report in reports], server, ledger, transport


@pytest.mark.parametrize(
    "plan",
    [
        {"server_optimizer": "adam"},
        {"local_optimizer": "fresh"},
        {"local_optimizer": "kept"},
        {"body_exchange": "local"},
        {"body_exchange": "local", "local_optimizer": "kept", "sizes": (12, 8)},
        {"body_exchange": "full", "local_optimizer": "kept", "sizes": (12, 8)},
        {"server_optimizer": "adam", "sizes": (12, 8)},
    ],
)
def test_each_way_learns_and_is_another(plan):
    whole = {"own": {"sampler": "all"}, "local_steps": 12}
    ours, server, _, _ = losses(**whole, **plan)
    sizes = {k: v for k, v in plan.items() if k == "sizes"}
    plain, other, _, _ = losses(**whole, **sizes)
    assert ours[-1] < ours[0] - 0.04
    assert ours[-1] != plain[-1]
    assert all(np.isfinite(array).all() for array in server.network.parameters())
    assert (server.network.head_weights != other.network.head_weights).any()


@pytest.mark.parametrize("local_optimizer", ["fresh", "kept"])
def test_accumulators_that_stay_cost_no_bytes(local_optimizer):
    _, _, sent, _ = losses(1)
    _, server, ours, _ = losses(1, local_optimizer=local_optimizer)
    # Two floats a neuron, less each way: the same neurons are asked for in round 0.
    neurons = (sent.total(kind="head", direction="down")) // (4 * (12 + 1 + 2 + 1))
    saved = sent.total(kind="head", direction="down") - ours.total(kind="head", direction="down")
    assert saved == neurons * 8
    assert ours.total(direction="up") < sent.total(direction="up")
    # The server knows which neurons have moved all the same.
    assert not server.optimizer.untouched_neurons()[
        np.flatnonzero(server.network.head_weights.any(axis=1))
    ].any()


@pytest.mark.parametrize("local_optimizer", ["fresh", "kept"])
def test_accumulators_that_stay_are_not_sent(local_optimizer):
    server, _ = federation(local_optimizer=local_optimizer, sizes=(12, 10))
    ids = np.arange(5, dtype=np.int32)
    head, body = server.head(ids), server.body(ids)
    assert head.state.shape == (0, 2) and body.state.shape == (0,) and body.dense_state == ()
    sending, _ = federation(sizes=(12, 10))
    head, body = sending.head(ids), sending.body(ids)
    assert head.state.shape == (5, 2) and body.state.shape == (5,)
    assert [state.shape for state in body.dense_state] == [(12,), (12,), (10,)]


def test_who_goes_on_begins_at_the_full_rate():
    server, transport = federation(n_rounds=4)
    rates = [server.invite().learning_rate]
    for _ in range(4):
        run_round(server, transport, np.random.default_rng(0), ledger=Ledger())
        rates.append(server.invite().learning_rate)
    np.testing.assert_allclose(rates, 0.05 * np.array([1, 0.75, 0.5, 0.25, 0.02]))
    later = server.resume(replace(server.plan, learning_rate=0.2, n_rounds=2))
    assert later.round == 4 and later.invite().learning_rate == 0.2
    run_round(later, transport, np.random.default_rng(0), ledger=Ledger())
    assert later.invite().learning_rate == pytest.approx(0.1)


def test_moments_go_on_with_the_same_server_optimizer_alone():
    server, transport = federation(server_optimizer="adam", server_learning_rate=0.02)
    run_round(server, transport, np.random.default_rng(0), ledger=Ledger())
    same = server.resume(server.plan).server_optimizer.moments
    assert same.keys() == server.server_optimizer.moments.keys() and same
    for name, moments in server.server_optimizer.moments.items():
        for ours, theirs in zip(same[name], moments, strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert not np.shares_memory(ours, theirs)
    other = server.resume(replace(server.plan, server_optimizer="avg"))
    assert not isinstance(other.server_optimizer, FedAdam)
    assert not other.resume(server.plan).server_optimizer.moments


def test_kept_accumulators_grow_from_round_to_round():
    kept = []
    for n_rounds in (1, 3):
        _, server, _, transport = losses(n_rounds, local_optimizer="kept")
        run = server.invite().run
        kept.append(transport.caches[0].get("accumulators", (run,)))
    _, first, later = np.intersect1d(kept[0]["head_ids"], kept[1]["head_ids"], return_indices=True)
    before, after = kept[0]["head_state"][first], kept[1]["head_state"][later]
    assert first.shape[0] == kept[0]["head_ids"].shape[0]
    assert (after >= before).all() and (after > before).any()


def test_a_local_body_never_leaves():
    seen = []
    server, transport = federation(body_exchange="local")

    class Watching:
        devices = transport.devices

        def ask(self, question, messages):
            replies = transport.ask(question, messages)
            seen.extend(replies)
            return replies

    start = server.network.body_weights[0].copy()
    rng, ledger = np.random.default_rng(0), Ledger()
    for _ in range(3):
        run_round(server, Watching(), rng, ledger=ledger)
    assert ledger.total(kind="body", direction="up") == 0
    assert [ledger.total(kind="body", round=r) > 0 for r in range(3)] == [True, False, False]
    np.testing.assert_array_equal(server.network.body_weights[0], start)
    bodies = [cache.get("body", (server.invite().run,)) for cache in transport.caches]
    moved = [np.abs(b["rows"] - start[b["features"]]).max() for b in bodies]
    assert min(moved) > 1e-3
    assert all(getattr(reply, "body", None) is None for reply in seen)


def test_accumulators_on_the_server_grow_by_the_lower_median():
    """Of the head, the first layer's rows and the dense rest; over the devices that had them."""
    server, transport = federation(n_devices=2, sizes=(8, 6))
    before = deepcopy(server.optimizer)
    seen = []

    def watch(question, replies):
        seen.extend(replies if question == "train" else [])
        return replies

    run_round(server, Tampering(transport, watch), np.random.default_rng(0), ledger=Ledger())
    one, two = seen
    grown = server.optimizer
    for i, name in enumerate(("head_weights", "head_bias")):
        of = [dict(zip(u.head.ids.tolist(), u.head.state[:, i], strict=True)) for u in seen]
        check(getattr(before, name), getattr(grown, name), of)
    of = [dict(zip(u.body.features.tolist(), u.body.state, strict=True)) for u in seen]
    check(before.body_weights[0], grown.body_weights[0], of)
    dense = [*before.body_weights[1:], *before.body_biases]
    now = [*grown.body_weights[1:], *grown.body_biases]
    assert len(dense) == len(now) == len(one.body.dense_state) == 3
    for was, is_now, a, b in zip(dense, now, one.body.dense_state, two.body.dense_state):
        np.testing.assert_allclose(is_now - was, np.minimum(a, b), rtol=1e-4, atol=1e-9)
        assert (is_now > was).any()


def check(was, is_now, of_devices):
    """Rows that devices had grew by the lower median of these, the others not at all."""
    for row, growth in enumerate(is_now - was):
        changes = [of[row] for of in of_devices if row in of]
        assert growth == pytest.approx(min(changes, default=0), rel=1e-3, abs=1e-9)
    assert (is_now > was).any()


def test_every_array_moves_by_what_the_only_device_has_changed():
    server, transport = federation(n_devices=1, sizes=(12, 10))
    before, sent = deepcopy(server.network), []

    def watch(question, replies):
        sent.extend(replies if question == "train" else [])
        return replies

    run_round(server, Tampering(transport, watch), np.random.default_rng(0), ledger=Ledger())
    (update,), now = sent, server.network
    deep, biases = update.body.dense[:1], update.body.dense[1:]
    for array, was, ids, change in (
        (now.head_weights, before.head_weights, update.head.ids, update.head.weights),
        (now.head_bias, before.head_bias, update.head.ids, update.head.bias),
        (now.body_weights[0], before.body_weights[0], update.body.features, update.body.rows),
        (now.body_weights[1], before.body_weights[1], slice(None), deep[0]),
        (now.body_biases[0], before.body_biases[0], slice(None), biases[0]),
        (now.body_biases[1], before.body_biases[1], slice(None), biases[1]),
    ):
        expected = was.copy()
        expected[ids] += change
        assert np.abs(change).max() > 1e-4
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_contributors", [1, 4, MOST_CONTRIBUTORS, 20])
def test_contributors_weigh_by_their_number_up_to_a_bound(n_contributors):
    server, _ = federation(n_devices=1, sizes=(8,), head_power=0.4, body_power=0.25)
    ids, change = np.array([3, 7], np.int32), np.ones((2, 8), np.float32)
    counted = min(n_contributors, MOST_CONTRIBUTORS)
    for name, array, power in (
        ("head_weights", server.network.head_weights, 0.4),
        ("body_0", server.network.body_weights[0], 0.25),
    ):
        before = array.copy()
        counts = np.full(2, n_contributors, np.int32)
        server._merger().merge([Change(name, ids, change, counts, None)])
        np.testing.assert_allclose(array[ids] - before[ids], counted**power, rtol=1e-5)
        np.testing.assert_array_equal(np.delete(array, ids, 0), np.delete(before, ids, 0))
