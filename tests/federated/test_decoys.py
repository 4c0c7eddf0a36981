"""Decoys: others than a device's ids, and with the same law over rounds."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklsh.federated.decoys import decoys
from sklsh.federated.messages import Invite
from sklsh.network.rows import SparseRows
from tests.federated.attackers import named_by_pattern
from tests.federated.problems import N_LABELS, federation


def random_rows(rng, n_rows, n):
    return SparseRows.from_matrix(sp.csr_matrix(rng.random((n_rows, n)) < 0.1, dtype=np.float32))


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 12), st.floats(0, 5))
def test_decoys_are_others_as_many_as_asked_for(seed, n, n_rows, share):
    of = random_rows(np.random.default_rng(seed), n_rows, n)
    own = np.unique(of.indices)
    found = decoys(of, np.arange(n_rows), n, seed, share)
    assert not np.intersect1d(found, own).size
    assert found.shape[0] == min(int(np.ceil(share * own.shape[0])), n - own.shape[0])
    assert found.dtype == np.int32 and (np.diff(found) > 0).all()
    assert found.size == 0 or 0 <= found.min() <= found.max() < n


def test_each_decoy_is_in_as_many_rows_as_an_id():
    rng = np.random.default_rng(0)
    of, n = random_rows(rng, 40, 50), 400
    own, real = np.unique(of.indices, return_counts=True)
    by_row = [decoys(of, np.array([i]), n, 7, 2.0) for i in range(40)]
    found, counts = np.unique(np.concatenate(by_row), return_counts=True)
    assert found.shape[0] == 2 * own.shape[0]
    np.testing.assert_array_equal(np.sort(counts), np.sort(np.repeat(real, 2)))
    # Rows' decoys together are those of the rows.
    some = np.array([3, 5, 8])
    together = np.unique(np.concatenate([by_row[i] for i in some]))
    np.testing.assert_array_equal(decoys(of, some, n, 7, 2.0), together)
    assert not np.array_equal(decoys(of, some, n, 8, 2.0), together)


def asked(sampler, n_decoys, n_rounds=8, body="touched"):
    """Ids that a device asks for in rounds of half of its rows, and its labels."""
    own = {"sampler": sampler, "n_decoys": n_decoys, "n_active": 10}
    _, transport = federation(n_samples=160, own=own)
    device = transport._devices[0]
    invites = [Invite(r, 0.5, 0.1) for r in range(n_rounds)]
    return device, [device.request(invite) for invite in invites], np.unique(device.Y.indices)


@pytest.mark.parametrize("sampler", ["labels", "random"])
def test_without_decoys_the_pattern_over_rounds_names_labels(sampler):
    _, requests, labels = asked(sampler, 0.0)
    assert named_by_pattern([r.ids for r in requests], labels) > 0.95


@pytest.mark.parametrize("sampler", ["labels", "random"])
def test_with_a_decoy_for_each_label_half_of_what_is_named_is_wrong(sampler):
    device, requests, labels = asked(sampler, 1.0)
    n_decoys = min(labels.shape[0], N_LABELS - labels.shape[0])
    share = labels.shape[0] / (labels.shape[0] + n_decoys)
    assert named_by_pattern([r.ids for r in requests], labels) < 1.2 * share
    # All of a round's labels are there all the same.
    for number, request in enumerate(requests):
        rows = np.unique(device.order(Invite(number, 0.5, 0.1)))
        assert np.isin(device.Y.take(rows).indices, request.ids).all()
    features = np.unique(device.X.indices)
    if 2 * features.shape[0] < device.n_features:
        assert named_by_pattern([r.features for r in requests], features) < 0.6


def test_collisions_pick_neither_labels_nor_decoys_of_other_rows():
    own = {"n_decoys": 0.5, "n_active": 10, "n_tables": 40}
    server, transport = federation(n_devices=8, own=own, n_samples=160)
    device, invite = transport._devices[0], Invite(0, 0.3, 0.1)
    rows = np.unique(device.order(invite))
    body = server.body(device.request(invite).features)
    server.network.head_weights[...] = np.random.default_rng(0).standard_normal((N_LABELS, 12))
    found = device.select(invite, body, server.sketches({0: -1})[0]).ids
    labels = np.unique(device.Y.take(rows).indices)
    false = decoys(device.Y, rows, N_LABELS, device.seed, 0.5)
    picked = np.setdiff1d(found, np.union1d(labels, false))
    assert picked.size and np.isin([*labels, *false], found).all()
    every = decoys(device.Y, np.arange(device.Y.n_rows), N_LABELS, device.seed, 0.5)
    assert not np.isin(picked, np.union1d(device.Y.indices, every)).any()
    bare = replace(device, settings=replace(device.settings, n_decoys=0.0))
    assert bare.id_requests.not_negatives(labels) is labels


def test_a_recommender_s_features_and_labels_have_the_same_decoys():
    """Otherwise what is asked for as both would be the device's own."""
    of = random_rows(np.random.default_rng(0), 20, 90)
    rows = np.arange(5)
    np.testing.assert_array_equal(decoys(of, rows, 90, 3, 1.0), decoys(of, rows, 90, 3, 1.0))
