"""The sketch between two folds: only what has changed is sent, and adds up to the whole."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated import Ledger, run_round
from sklsh.federated.cache import CacheMiss, MemoryCache
from sklsh.federated.device_state import DeviceStateStore
from sklsh.federated.sketch_broadcast import SketchBroadcast
from sklsh.hashing import make_projection
from sklsh.network.model import WideNetwork
from tests.federated.problems import N_LABELS, federation


def network_of(rng, n_labels=50, n_hidden=12):
    network = WideNetwork.initialise(5, (n_hidden,), n_labels, rng=rng)
    network.head_weights[:] = rng.standard_normal((n_labels, n_hidden))
    network.head_bias[:] = rng.standard_normal(n_labels)
    return network


@pytest.mark.parametrize("payload", ["float32", "float16"])
def test_deltas_add_up_to_the_sketch_whichever_rounds_a_device_has_missed(payload):
    rng = np.random.default_rng(0)
    network = network_of(rng)
    sketch_broadcast = SketchBroadcast("signed", 4, payload, 100, 0.0, 7)
    state_stores = [DeviceStateStore(MemoryCache(), 5, 50, 1) for _ in range(2)]
    for number in range(12):
        published = sketch_broadcast.publish(network, number)
        for state_store in state_stores[: 1 + (number % 3 == 0)]:
            sketch = state_store.whole(published.message(state_store.sketch_round()))
        rows = rng.choice(50, 4, replace=False)
        network.head_weights[rows] += rng.standard_normal((4, 12)).astype(np.float32)
    published = sketch_broadcast.publish(network, 12)
    projection = make_projection("signed", 12, 4, published.whole.seed)
    expected = projection.apply(network.head_weights)
    for state_store, since in zip(state_stores, (11, 9), strict=True):
        message = published.message(state_store.sketch_round())
        assert message.since == since and 0 < message.ids.shape[0] <= 4 * (12 - since)
        sketch = state_store.whole(message)
        rtol = 0 if payload == "float32" else 2.0**-10
        np.testing.assert_allclose(sketch.values, expected, rtol=rtol, atol=rtol * 4)
        np.testing.assert_allclose(sketch.bias, network.head_bias, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(published.whole.centre, expected.mean(axis=0), rtol=1e-5)


def test_tolerance_leaves_rows_that_have_hardly_moved():
    network = network_of(np.random.default_rng(1))
    sketch_broadcast = SketchBroadcast("signed", 4, "float32", 100, 0.1, 7)
    sketch_broadcast.publish(network, 0)
    network.head_weights[:10] *= 1.02
    network.head_weights[10:15] *= 1.5
    network.head_bias[10:15] *= 1.5
    published = sketch_broadcast.publish(network, 1)
    assert published.message(0).ids.tolist() == list(range(10, 15))
    # Small moves add up to one that is sent: they are measured from what is out.
    for number in range(2, 12):
        network.head_weights[:10] *= 1.02
        network.head_bias[:10] *= 1.02
        published = sketch_broadcast.publish(network, number)
    assert set(range(10)) <= set(published.message(0).ids.tolist())


def test_a_new_fold_is_sent_whole():
    network = network_of(np.random.default_rng(2))
    sketch_broadcast = SketchBroadcast("signed", 4, "float32", 3, 0.0, 7)
    seeds = []
    for number in range(6):
        message = sketch_broadcast.publish(network, number).message(number - 1)
        assert (message.ids is None) == (number % 3 == 0)
        assert message.keep == (number % 3 != 2)
        seeds.append(message.seed)
    assert len(set(seeds[:3])) == len(set(seeds[3:])) == 1 and seeds[0] != seeds[3]


def test_a_delta_on_top_of_nothing_is_a_miss():
    network = network_of(np.random.default_rng(3))
    sketch_broadcast = SketchBroadcast("signed", 4, "float32", 9, 0.0, 7)
    state_store = DeviceStateStore(MemoryCache(), 5, 50, 1)
    state_store.whole(sketch_broadcast.publish(network, 0).message(-1))
    network.head_weights[3] += 1
    message = sketch_broadcast.publish(network, 1).message(0)
    for wrong in (replace(message, since=5), replace(message, seed=1)):
        with pytest.raises(CacheMiss):
            state_store.whole(wrong)
    state_store.cache.clear()
    with pytest.raises(CacheMiss):
        state_store.whole(message)


def sketch_bytes(**plan):
    """Of the second round; few neurons change in a round."""
    own = {"n_active": 2, "batch_size": 2, "n_probes": 2, "least_rows": 1}
    server, transport = federation(own=own, local_steps=1, **plan)
    rng, ledger = np.random.default_rng(0), Ledger()
    reports = [run_round(server, transport, rng, ledger=ledger) for _ in range(2)]
    return ledger.total(round=1, kind="sketch"), reports[1], server


def test_the_ledger_shows_what_is_saved():
    whole, report, server = sketch_bytes(sketch_rounds=1)
    assert report.whole_sketches == 4
    dim = server.sketch_broadcast.out.values.shape[1]
    assert whole == 4 * (16 + 4 * dim + N_LABELS * (dim + 1) * 4)
    delta, report, server = sketch_bytes(sketch_rounds=5)
    changed = np.count_nonzero(server.sketch_broadcast.out.published == 1)
    assert report.whole_sketches == 0 and 0 < changed < N_LABELS / 2
    assert delta == 4 * (16 + 4 * dim + changed * ((dim + 1) * 4 + 4))
    half, _, _ = sketch_bytes(sketch_rounds=1, payload="float16")
    assert half == 4 * (16 + 4 * dim + N_LABELS * (dim + 1) * 2)
