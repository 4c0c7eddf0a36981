"""What a device asks for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.federated import Ledger, run_round
from sklsh.federated.aggregation import aggregate_rows, union_of
from sklsh.federated.messages import Invite
from sklsh.federated.selection import count_collisions
from sklsh.hashing import make_family
from tests.federated.problems import Tampering, federation


def device_of(own, **plan):
    return federation(own=own, **plan)[1]._devices[0]


@pytest.mark.parametrize("hash_length", [3, 20])
def test_collisions_are_those_of_all_tables_and_queries(hash_length):
    rng = np.random.default_rng(0)
    neurons, queries = (rng.standard_normal((n, 6)).astype(np.float32) for n in (50, 9))
    queries[:3] = neurons[:3]
    functions = make_family("pghash", n_tables=5, hash_length=hash_length, sketch_dim=6).draw(
        6, seed=1
    )
    ours = functions.codes(neurons)[:, None, :] == functions.codes(queries)[None]
    counts = count_collisions(functions, lambda a, b: neurons[a:b], 50, queries)
    np.testing.assert_array_equal(counts, ours.sum(axis=(1, 2)))
    assert (counts[:3] >= 5).all()


def test_a_request_has_the_labels_of_the_rounds_rows():
    device = device_of({"sampler": "labels"})
    for number in range(3):
        invite = Invite(number, 2, 0.1)
        rows = np.unique(device.order(invite))
        labels = np.unique(device.Y.take(rows).indices)
        np.testing.assert_array_equal(device.request(invite).ids, labels)
    paper = replace(device, settings=replace(device.settings, include_labels=False))
    assert paper.request(Invite(0, 2, 0.1)).ids.size == 0


def test_order_is_a_stream_of_whole_passes():
    device = device_of({"batch_size": 7})
    rows = np.concatenate([device.order(Invite(r, 5, 0.1)) for r in range(20)])
    n = device.X.n_rows
    for start in range(0, rows.shape[0] - n, n):
        assert sorted(rows[start : start + n]) == list(range(n))


def test_own_local_steps_are_fewer_not_more():
    device = device_of({"local_steps": 2, "batch_size": 5, "least_rows": 1})
    assert device.order(Invite(0, 9, 0.1)).shape == (10,)
    assert device.order(Invite(0, 1, 0.1)).shape == (5,)
    assert device.order(Invite(0, 1.0, 0.1)).shape == (10,)
    assert device.order(Invite(0, 1e-9, 0.1)).shape == (1,)


def test_a_share_of_the_rows_goes_on_where_the_last_round_ended():
    device = device_of({})
    n = device.X.n_rows
    parts = [device.order(Invite(r, 0.25, 0.1)) for r in range(4)]
    assert {part.shape[0] for part in parts} == {-(-n // 4)}
    assert np.unique(np.concatenate(parts)).shape[0] == n


def test_no_message_tells_seeds_tables_or_rows():
    """Another seed of tables, same picked ids: the same bytes leave the device."""
    server, transport = federation()
    sent = []

    def look(question, replies):
        sent.extend(replies)
        return replies

    run_round(server, Tampering(transport, look), np.random.default_rng(0), ledger=Ledger())
    device = transport._devices[0]
    private = {id(device.X.data), id(device.X.indices), id(device.Y.indices)}
    for reply in sent:
        fields = set(vars(reply))
        assert not fields & {"seed", "settings", "X", "Y", "family", "n_tables", "hash_length"}
        assert not private & {id(array) for array in reply.arrays()}


@given(st.integers(0, 2**20), st.integers(1, 6), st.sampled_from(["mean", "median"]))
def test_aggregation_is_per_row_over_its_contributors(seed, n_devices, how):
    rng = np.random.default_rng(seed)
    ids = [np.flatnonzero(rng.random(12) < 0.5).astype(np.int32) for _ in range(n_devices)]
    rows = [rng.standard_normal((len(i), 3)).astype(np.float32) for i in ids]
    weights = rng.integers(1, 9, n_devices).astype(float)
    union, change, contributors = aggregate_rows(ids, rows, weights, how)
    assert union.tolist() == sorted(set(np.concatenate(ids).tolist()))
    for row, found, n in zip(union, change, contributors):
        held = [(r[i == row][0], w) for i, r, w in zip(ids, rows, weights) if row in i]
        values, w = np.array([h[0] for h in held]), [h[1] for h in held]
        right = np.average(values, axis=0, weights=w) if how == "mean" else np.median(values, 0)
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5)
        assert n == len(held)


@pytest.mark.parametrize("how", ["median", "trimmed_mean"])
def test_robust_aggregation_is_not_moved_by_one_device(how):
    ids = [np.arange(4, dtype=np.int32)] * 5
    rows = [np.full((4, 2), 1.0 + 0.01 * i, dtype=np.float32) for i in range(4)]
    _, change, _ = aggregate_rows(ids, [*rows, np.full((4, 2), 1e6, np.float32)], [1.0] * 5, how)
    assert np.all((change >= 1.0) & (change <= 1.03))


@given(st.lists(st.sets(st.integers(0, 50)), min_size=1, max_size=5))
def test_union_of_ids(sets):
    ids = [np.array(sorted(some), dtype=np.int32) for some in sets]
    union, places = union_of(ids)
    np.testing.assert_array_equal(union, np.unique(np.concatenate(ids)))
    assert union.dtype == np.int32
    for part, place in zip(ids, places, strict=True):
        np.testing.assert_array_equal(union[place], part)
