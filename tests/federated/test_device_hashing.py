"""What a device's hashing is for: of a few neurons that it asks for, many are its rows' best.

A fixed head is published as the server would; the device's ids alone are judged, so that
nothing is taken for granted of how it finds them.
"""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.federated import Device, Plan, Server, resolve_device
from sklsh.federated.messages import Sketch
from sklsh.federated.selection import (
    HashedVectors,
    best_by_collisions,
    count_collisions,
    in_buckets,
)
from sklsh.hashing import make_family
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.rows import SparseRows
from tests.network.problems import best_neurons, negated, wide_head

N_ACTIVE = 100
"""Neurons that a device asks for, of 2,000: random ones would find one in twenty."""

CENTRES = {"none": 0.0, "near": 1.0, "far": 3.0}
"""Multiples of the rows' mean hidden vector that the server takes for all devices'."""


def device_of(network, hidden, **own):
    """A device whose rows are hidden vectors, of one label."""
    own = {"sampler": "lsh", "n_active": N_ACTIVE, "include_labels": False, **own}
    params = SparseLSHMLPClassifier((network.n_hidden,)).get_params()
    settings = resolve_device(params, own, len(hidden), network.n_labels, {})
    X = SparseRows.from_matrix(sp.csr_array(hidden))
    Y = SparseRows.from_classes(np.full(len(hidden), 7, dtype=np.int32))
    return Device(0, X, Y, network.n_features, network.n_labels, "relu", settings, seed=5)


def server_of(network, hidden, centre="near", **plan):
    plan = Plan(**{"n_rounds": 50, "local_steps": 1.0, "learning_rate": 0.05, **plan})
    times = np.float32(CENTRES[centre])
    middle = times * hidden.mean(axis=0) if times else None
    state = RowwiseAdagrad.for_network(network)
    return Server(network, state, plan, seed=3, hidden_centre=middle)


def picked(device, server, number):
    """What the device asks for in a round."""
    server.round = number
    sketch = server.sketches({0: -1})[0]
    return device.select(server.invite(), server.body(), sketch).ids


def recall(network, hidden, asked=None, n_rounds=6, centre="near", **own):
    """Share of the rows' 5 best neurons in what the device asks for, mean of some rounds."""
    best = np.unique(best_neurons(network, hidden, 5))
    device = device_of(network, hidden, **own)
    server = server_of(network if asked is None else asked, hidden, centre, sketch_dim=16)
    ids = [picked(device, server, number) for number in range(n_rounds)]
    assert max(map(len, ids)) <= N_ACTIVE
    return np.mean([np.isin(best, found).mean() for found in ids])


@pytest.mark.parametrize("centre", CENTRES)
def test_the_best_neurons_are_asked_for_more_with_more_tables(centre):
    network, hidden = wide_head()
    chance = N_ACTIVE / network.n_labels
    recalls = [
        recall(network, hidden, n_tables=L, hash_length=6, centre=centre) for L in (1, 8, 64)
    ]
    assert recalls[0] > 1.5 * chance and recalls[-1] > 3 * chance
    assert np.all(np.diff(recalls) > 0.02), recalls
    turned = negated(network)
    assert recall(network, hidden, turned, n_tables=64, hash_length=6) < chance / 5


@pytest.mark.parametrize("family", ["simhash", "pghash", "dwta", "pghash_d"])
def test_every_family_finds_them(family):
    network, hidden = wide_head()
    hash_length = 6 if family.endswith("hash") else 2
    own = {"family": family, "n_tables": 32, "hash_length": hash_length}
    chance = N_ACTIVE / network.n_labels
    assert recall(network, hidden, **own) > 2.5 * chance
    assert recall(network, hidden, negated(network), **own) < chance / 3


@pytest.mark.parametrize("centre", CENTRES)
def test_what_all_neurons_share_changes_no_pick(centre):
    """It orders nothing, and would outweigh all that tells neurons apart."""
    network, hidden = wide_head()
    device = device_of(network, hidden, n_tables=32, hash_length=6)
    shared = np.random.default_rng(1).normal(0, 10, network.n_hidden).astype(np.float32)
    moved = replace(
        network, head_weights=network.head_weights + shared, head_bias=network.head_bias + 40
    )
    alone, found = (
        picked(device, server_of(head, hidden, centre, sketch_dim=16), 0)
        for head in (network, moved)
    )
    assert len(np.intersect1d(alone, found)) > 0.95 * N_ACTIVE


@pytest.mark.parametrize("centre", CENTRES)
def test_vectors_of_a_whole_sketch_have_the_logits_as_inner_products(centre):
    """Less what all neurons share; a way to the centre of the wrong sign would not."""
    network, hidden = wide_head(n_labels=5_000)  # more than are hashed at a time
    server = server_of(network, hidden, centre, sketch_dim=network.n_hidden)
    vectors = HashedVectors(server.sketches({0: -1})[0], hidden)
    neurons = vectors.neurons(0, vectors.n)
    assert neurons.dtype == vectors.queries.dtype == np.float32
    np.testing.assert_array_equal(vectors.neurons(4_000, 4_100), neurons[4_000:4_100])
    logits = hidden.astype(float) @ network.head_weights.T + network.head_bias
    difference = vectors.queries.astype(float) @ neurons.T - logits
    spread = difference - difference.mean(axis=1, keepdims=True)
    assert np.abs(spread).max() < 1e-3
    # The bias counts as much on both sides: its share of the queries' and the neurons' length.
    shares = [
        np.linalg.norm(rows[:, -1]) / np.linalg.norm(rows[:, :-1])
        for rows in (neurons, vectors.queries)
    ]
    assert shares[0] == pytest.approx(shares[1], rel=1e-3)


def test_a_head_and_rows_that_tell_nothing_apart_divide_by_nothing():
    network, hidden = wide_head(n_labels=50)
    network.head_weights[...] = 0
    network.head_bias[...] = 0
    device, server = device_of(network, hidden[:1]), server_of(network, hidden[:1])
    vectors = HashedVectors(server.sketches({0: -1})[0], hidden[:1])
    assert np.isfinite(vectors.queries).all() and np.isfinite(vectors.neurons(0, 50)).all()
    assert picked(device, server, 0).dtype == np.int32


@pytest.mark.parametrize(("hash_length", "n_tables"), [(1, 1), (5, 1), (5, 6), (12, 6), (12, 60)])
def test_a_devices_own_tables_collide_as_often_as_theory_says(hash_length, n_tables):
    """``1 - (1 - p^k)^L`` with p = 1 - angle / pi: k and L are the device's, new each round."""
    network, hidden = wide_head(n_labels=400, n_rows=1)
    own = {"n_tables": n_tables, "hash_length": hash_length, "n_active": 400}
    device, server = device_of(network, hidden, **own), server_of(network, hidden)
    counts, expected = [], []
    for number in range(60):
        ids = picked(device, server, number)
        vectors = HashedVectors(server.sketches({0: -1})[0], hidden)
        neurons, query = vectors.neurons(0, 400), vectors.queries[0]
        cosines = neurons @ query / np.linalg.norm(neurons, axis=1) / np.linalg.norm(query)
        p = 1 - np.arccos(cosines.clip(-1, 1)) / np.pi
        counts.append(len(ids))
        expected.append((1 - (1 - p**hash_length) ** n_tables).sum())
    # Neurons of one round are not independent: the spread is that between rounds.
    error = np.std(counts) / np.sqrt(len(counts))
    assert abs(np.mean(counts) - np.mean(expected)) < 3.5 * error
    assert error < 0.15 * np.mean(expected), "the test must tell k and L from others"


def test_each_round_has_functions_of_its_own():
    """The same sketch and rows: what one round's functions miss another's find."""
    network, hidden = wide_head()
    best = np.unique(best_neurons(network, hidden, 5))
    device = device_of(network, hidden, n_tables=8, hash_length=6)
    server = server_of(network, hidden, sketch_dim=16, sketch_rounds=50)
    ids = [picked(device, server, number) for number in range(8)]
    np.testing.assert_array_equal(picked(device, server, 3), ids[3])
    found = [np.isin(best, round_) for round_ in ids]
    assert np.mean(np.any(found, axis=0)) > np.mean(found) + 0.2
    common = [len(np.intersect1d(a, b)) / N_ACTIVE for a, b in itertools.pairwise(ids)]
    assert np.mean(common) < 0.5
    other = replace(device, seed=6)
    assert picked(other, server, 3).tolist() != ids[3].tolist()


def test_the_papers_rule_takes_buckets_of_any_row_table_by_table_until_the_budget_is_full():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((9000, 6)).astype(np.float32)
    sketch = Sketch(0, "signed", 1, 6, values, np.zeros(9000, np.float32), values.mean(axis=0))
    hidden = rng.standard_normal((3, 6)).astype(np.float32)
    family, taken = make_family("pghash", n_tables=5, hash_length=6), np.arange(0, 9000, 3)
    vectors = HashedVectors(sketch, hidden)
    functions = family.draw(vectors.projection.n_features, 9, vectors.projection)
    neurons = functions.codes(vectors.neurons(0, 9000))
    queries = functions.codes(vectors.queries)
    tables = [
        {j for j in range(9000) if j % 3 and neurons[j, t] in queries[:, t]} for t in range(5)
    ]
    every = set().union(*tables)
    assert set(in_buckets(family, 9, sketch, hidden, 9000, taken).tolist()) == every
    for n_active in (len(tables[0]) // 2, len(tables[0] | tables[1]) - 5, len(every)):
        ids = in_buckets(family, 9, sketch, hidden, n_active, taken)
        assert ids.dtype == np.int32 and ids.shape == (n_active,)
        assert np.array_equal(ids, np.unique(ids))
        n_whole = sum(len(set().union(*tables[: t + 1])) <= n_active for t in range(5))
        assert set().union(*tables[:n_whole]) <= set(ids.tolist())
        assert set(ids.tolist()) <= set().union(*tables[: n_whole + 1])
    assert in_buckets(family, 9, sketch, hidden, 0, taken).size == 0


@pytest.mark.parametrize("hash_length", [4, 10, 11, 16])
def test_those_with_most_collisions_are_picked_ties_by_id(hash_length):
    network, hidden = wide_head(n_labels=300, n_rows=5)
    sketch = server_of(network, hidden).sketches({0: -1})[0]
    family = make_family("pghash", n_tables=11, hash_length=hash_length)
    vectors = HashedVectors(sketch, hidden)
    width = vectors.projection.n_features
    functions = family.draw(n_features=width, seed=9, projection=vectors.projection)
    codes = functions.codes(vectors.neurons(0, 300))[:, None]
    counts = (codes == functions.codes(vectors.queries)[None]).sum(axis=(1, 2))
    ours = count_collisions(functions, vectors.neurons, 300, vectors.queries)
    np.testing.assert_array_equal(ours, counts)
    taken = np.array([0, 17, int(counts.argmax())], dtype=np.int32)
    counts[taken] = 0
    order = [j for j in np.lexsort((np.arange(300), -counts)) if counts[j]]
    for n_active in (1, 5, 40, len(order) - 1, len(order), 300):
        ids = best_by_collisions(family, 9, sketch, hidden, n_active, taken)
        assert ids.dtype == np.int32
        assert ids.tolist() == sorted(order[:n_active])
    assert best_by_collisions(family, 9, sketch, hidden, 0, taken).size == 0


def test_few_rows_look_up_their_neurons_and_others_in_each_round():
    network, hidden = wide_head()
    device = device_of(network, hidden, n_probes=2, n_tables=64, hash_length=6, n_active=200)
    server = server_of(network, hidden, sketch_dim=network.n_hidden)
    best, seen, shares = best_neurons(network, hidden, 20), set(), []
    for number in range(8):
        ids = picked(device, server, number)
        probes = device._probes(np.arange(len(hidden)), server.invite())
        assert probes.shape == (2,)
        seen.update(probes.tolist())
        found = np.array([np.isin(row, ids).mean() for row in best])
        shares.append([found[probes].mean(), np.delete(found, probes).mean()])
    assert len(seen) > 6
    of_probes, of_others = np.mean(shares, axis=0)
    assert of_probes > 1.5 * of_others


@pytest.mark.parametrize(("payload", "hash_length"), [("float32", 4), ("float16", 20)])
def test_the_sketch_is_never_there_a_second_time(payload, hash_length):
    """Of 100,000 neurons with 64 numbers each, 25.6 MB as float32: a tenth of it beside them."""
    n_labels, width, rng = 100_000, 64, np.random.default_rng(0)
    values = rng.standard_normal((n_labels, width), dtype=np.float32).astype(payload)
    sketch = Sketch(
        0, "signed", 1, width, values, np.zeros(n_labels, dtype=payload),
        np.zeros(width, dtype=np.float32),
    )  # fmt: skip
    hidden = rng.standard_normal((8, width), dtype=np.float32)

    def peak(n_tables):
        family = make_family("pghash", n_tables=n_tables, hash_length=hash_length)
        tracemalloc.start()
        best_by_collisions(family, 5, sketch, hidden, 100, np.arange(3))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1)
    few, many = peak(8), peak(24)
    # A bias, a counter and two sorted copies of it, a neuron each; two blocks of sketches.
    assert few < 5.5e6
    assert many < few + 0.3e6
