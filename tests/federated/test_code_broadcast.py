"""The head as codes: what is sent adds up, finds the rows' best, and is asked for by families."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated import Ledger, run_round
from sklsh.federated.cache import CacheMiss, MemoryCache
from sklsh.federated.code_broadcast import CodeBroadcast, code_family, coder_of, codes_of
from sklsh.federated.device_state import DeviceStateStore
from sklsh.federated.messages import CODE_FAMILIES, Request
from sklsh.federated.parts import Rejected
from sklsh.hashing.codes import estimates, topk_codes
from sklsh.network.model import WideNetwork
from tests.federated.problems import N_LABELS, federation
from tests.network.problems import best_neurons, wide_head

families = pytest.mark.parametrize("family", CODE_FAMILIES)


def network_of(rng, n_labels=300, n_hidden=16):
    network = WideNetwork.initialise(5, (n_hidden,), n_labels, rng=rng)
    network.head_weights[:] = rng.standard_normal((n_labels, n_hidden))
    network.head_bias[:] = rng.standard_normal(n_labels)
    return network


def test_names_of_families():
    for family in CODE_FAMILIES:
        network = network_of(np.random.default_rng(0))
        for n_bytes in (8, 64):
            coder = code_family(family, n_bytes, 16).fit(network.head_weights)
            codes = coder.encode(network.head_weights)
            width = n_bytes if family == "signs" else min(n_bytes, 16)
            assert codes.packed.shape == (300, width) and codes.packed.itemsize == 1


@families
@pytest.mark.parametrize("payload", ["float32", "float16"])
def test_a_device_scores_codes_as_the_server_has_made_them(family, payload):
    rng = np.random.default_rng(0)
    network, centre = network_of(rng), rng.standard_normal(16).astype(np.float32)
    broadcast = CodeBroadcast(family, 16, payload, 1, 0.0, 7)
    message = broadcast.publish(network, 3, centre).message(-1)
    hidden = rng.standard_normal((5, 16)).astype(np.float32)
    found = estimates(coder_of(message), codes_of(message), hidden)
    np.testing.assert_array_equal(
        found, estimates(broadcast.out.coder, broadcast.out.codes, hidden)
    )
    logits = hidden @ network.head_weights.T + network.head_bias
    assert np.corrcoef(found.ravel(), logits.ravel())[0, 1] > 0.9
    # The mean hidden vector's logits are kept as they are, but for float16's precision.
    at_centre = estimates(coder_of(message), codes_of(message), centre[None])[0]
    exact = network.head_weights @ centre + network.head_bias
    np.testing.assert_allclose(at_centre, exact, atol=2e-2)


@families
def test_deltas_add_up_to_the_codes_whichever_rounds_a_device_has_missed(family):
    rng = np.random.default_rng(0)
    network = network_of(rng)
    broadcast = CodeBroadcast(family, 8, "float16", 100, 0.0, 7)
    state_stores = [DeviceStateStore(MemoryCache(), 5, 300, 1) for _ in range(2)]
    for number in range(10):
        published = broadcast.publish(network, number)
        for state_store in state_stores[: 1 + (number % 3 == 0)]:
            state_store.whole_codes(published.message(state_store.codes_round(family, 8)))
        rows = rng.choice(300, 4, replace=False)
        network.head_weights[rows] += rng.standard_normal((4, 16)).astype(np.float32)
    published = broadcast.publish(network, 10)
    expected = broadcast.out.coder.encode(network.head_weights, network.head_bias)
    for state_store, since in zip(state_stores, (9, 9), strict=True):
        assert state_store.codes_round(family, 8) == since
        message = published.message(since)
        assert 0 < message.ids.shape[0] <= 4 and message.learnt == () and message.means is None
        whole = state_store.whole_codes(message)
        for name in ("packed", "scale", "bias"):
            np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))
        assert coder_of(whole).n_features == 16


@families
def test_a_new_coder_is_sent_whole(family):
    network = network_of(np.random.default_rng(2))
    broadcast = CodeBroadcast(family, 8, "float16", 3, 0.0, 7)
    seeds = []
    for number in range(6):
        message = broadcast.publish(network, number).message(number - 1)
        assert (message.ids is None) == (number % 3 == 0)
        assert message.keep == (number % 3 != 2)
        seeds.append(message.seed)
    assert seeds[0] == seeds[2] != seeds[3] == seeds[5]


def test_tolerance_leaves_codes_that_have_hardly_moved():
    network = network_of(np.random.default_rng(1))
    broadcast = CodeBroadcast("signs", 8, "float32", 100, 0.1, 7)
    broadcast.publish(network, 0)
    network.head_weights[:10] *= 1.02
    network.head_weights[10:15] *= -1
    moved = broadcast.publish(network, 1).message(0).ids
    assert set(range(10, 15)) <= set(moved.tolist()) and not set(range(10)) & set(moved.tolist())


def test_a_delta_on_top_of_nothing_is_a_miss():
    network = network_of(np.random.default_rng(3))
    broadcast = CodeBroadcast("signs", 8, "float32", 9, 0.0, 7)
    state_store = DeviceStateStore(MemoryCache(), 5, 300, 1)
    state_store.whole_codes(broadcast.publish(network, 0).message(-1))
    network.head_weights[3] += 1
    message = broadcast.publish(network, 1).message(0)
    for wrong in (
        replace(message, since=5), replace(message, seed=1), replace(message, n_bytes=16)
    ):  # fmt: skip
        with pytest.raises(CacheMiss):
            state_store.whole_codes(wrong)
    assert state_store.codes_round("products", 8) == state_store.codes_round("signs", 16) == -1
    state_store.cache.clear()
    with pytest.raises(CacheMiss):
        state_store.whole_codes(message)


@families
def test_going_on_from_its_state(family):
    rng = np.random.default_rng(4)
    network = network_of(rng)
    broadcast = CodeBroadcast(family, 8, "float16", 9, 0.0, 7)
    broadcast.publish(network, 0)
    other = CodeBroadcast(family, 8, "float16", 9, 0.0, 7)
    other.restore(*broadcast.state(broadcast.out))
    network.head_weights[::40] += 1
    mine, theirs = (each.publish(network, 1).message(0) for each in (broadcast, other))
    for one, two in zip(mine.arrays(), theirs.arrays(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (mine.seed, mine.since, mine.round) == (theirs.seed, theirs.since, theirs.round)


@pytest.mark.parametrize("wanted", [("md5", 8), ("signs", 7), ("signs", 0), ("", 8), ("signs", 8.0),
                                    (3, 8)])  # fmt: skip
def test_requests_for_other_codes_are_rejected(wanted):
    server, _ = federation()
    none = np.empty(0, np.int32)
    with pytest.raises(Rejected):
        Request(0, 0, none, None, False, -1, *wanted).validate(server.shape)
    Request(0, 0, none, None, False, -1, "products", 64).validate(server.shape)


OWN = [
    {"selection": "codes"}, {"selection": "codes", "code_family": "products", "code_bytes": 4},
    {"selection": "codes", "code_family": "svd", "batch_rule": "mass"}, {"selection": "scores"},
    {"selection": "buckets"},
]  # fmt: skip


@pytest.mark.parametrize("own", OWN)
def test_a_federation_of_devices_that_choose_their_codes(own):
    server, transport = federation(own=own, sketch_rounds=3, n_rounds=4)
    ledger, rng = Ledger(), np.random.default_rng(0)
    for number in range(4):
        report = run_round(server, transport, rng, ledger=ledger)
        assert report.n_used == len(transport.devices) and report.faults == {}
        if number % 3 == 0:
            assert report.whole_sketches == 4
    kind = "codedhead" if own["selection"] == "codes" else "sketch"
    assert ledger.total(kind=kind) > 0


def test_each_device_is_sent_what_it_wants():
    server, transport = federation(n_rounds=1)
    kinds = [*OWN, {}]
    for number, own in enumerate(kinds[: len(transport.devices)]):
        device = transport._devices[number]
        transport._devices[number] = replace(device, settings=replace(device.settings, **own))
    ledger = Ledger()
    report = run_round(server, transport, np.random.default_rng(0), ledger=ledger)
    assert report.n_used == 4 and report.faults == {}
    assert set(server.code_broadcasts) == {("signs", 8), ("products", 4), ("svd", 8)}
    assert [ledger.total(device=d, kind="codedhead") > 0 for d in range(4)] == [True] * 3 + [False]
    # Of signs, 12 bytes a neuron, the means, and a message's 16.
    assert ledger.total(device=0, kind="codedhead") == 12 * N_LABELS + 2 * 4 * 12 + 16


@families
def test_codes_find_what_buckets_of_as_many_bytes_do_not(family):
    network, hidden = wide_head()
    best = best_neurons(network, hidden, 5)
    broadcast = CodeBroadcast(family, 16, "float16", 1, 0.0, 0)
    message = broadcast.publish(network, 0, hidden.mean(axis=0)).message(-1)
    found, _ = topk_codes(coder_of(message), codes_of(message), hidden, 100)
    share = np.mean([np.isin(b, f).mean() for b, f in zip(best, found, strict=True)])
    assert share > 0.5  # chance: 100 of the head's neurons
