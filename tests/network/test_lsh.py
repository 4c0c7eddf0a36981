"""Hash tables over the head: the map to angles, recall, and when tables are built anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.hashing import HashTables, make_family
from sklsh.network.lsh import InnerProductMap, LSHCandidates
from tests.network.problems import random_network

seeds = st.integers(0, 2**32 - 1)


def problem(seed=0, n_labels=500, n_rows=30):
    """A head and activations with large means, as training leaves them."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, n_labels=n_labels, sizes=(24,))
    network.head_weights -= 0.4 * rng.random(24).astype(np.float32)
    network.head_bias -= 1.0
    return network, np.maximum(rng.standard_normal((n_rows, 24)) + 0.5, 0).astype(np.float32)


@given(seeds)
def test_inner_products_are_the_logits_less_a_constant_a_row(seed):
    network, hidden = problem(seed)
    mapped = InnerProductMap.of(network, hidden)
    neurons, queries = mapped.neurons(network, slice(None)), mapped.queries(hidden)
    assert neurons.dtype == queries.dtype == np.float32
    logits = hidden.astype(float) @ network.head_weights.T + network.head_bias
    difference = queries.astype(float) @ neurons.T - logits
    np.testing.assert_allclose(difference, difference[:, :1].repeat(500, axis=1), atol=1e-4)
    ids = np.array([7, 3, 499])
    np.testing.assert_allclose(mapped.neurons(network, ids), neurons[ids], atol=1e-6)


def test_map_of_a_head_of_zeros():
    """Before any training there is nothing to tell apart, and nothing to divide by."""
    network, hidden = problem()
    network.head_weights[...] = 0
    network.head_bias[...] = 0
    mapped = InnerProductMap.of(network, hidden)
    assert np.isfinite(mapped.neurons(network, slice(None))).all()
    assert np.isfinite(mapped.queries(hidden)).all()


def candidates_of(n_candidates=50, rehash_interval=10, seed=3, **options):
    options = {"n_tables": 20, "hash_length": 5, **options}
    return LSHCandidates(make_family("simhash", **options), n_candidates, rehash_interval, seed)


def test_tables_hold_the_codes_of_all_neurons():
    network, hidden = problem()
    lsh = candidates_of()
    lsh.build(network, hidden)
    functions, vectors = lsh._functions, lsh.map.neurons(network, slice(None))
    expected = HashTables.build(functions.codes(functions.sketch(vectors)), functions.code_bits)
    np.testing.assert_array_equal(lsh.tables.codes, expected.codes)
    assert lsh.tables.present.all() and len(lsh.tables.present) == network.n_labels


def test_candidates_are_the_high_scorers():
    """Recall of each row's 10 best among 50 of 500 neurons: several times that of chance."""
    network, hidden = problem()
    indptr, ids = candidates_of(n_tables=60).find(network, hidden, len(hidden), 0, 1)
    sizes = np.diff(indptr)
    assert indptr[0] == 0 and len(indptr) == len(hidden) + 1 and (sizes <= 50).all()
    logits = hidden @ network.head_weights.T + network.head_bias
    best = np.argsort(-logits, axis=1)[:, :10]
    recalls = [np.isin(best[i], ids[indptr[i] : indptr[i + 1]]).mean() for i in range(len(hidden))]
    assert np.mean(recalls) > 0.4


def test_only_the_probed_rows_are_asked_for():
    network, hidden = problem()
    indptr, ids = candidates_of().find(network, hidden, 4, 0, 1)
    all_indptr, all_ids = candidates_of().find(network, hidden, len(hidden), 0, 1)
    np.testing.assert_array_equal(indptr, all_indptr[:5])
    np.testing.assert_array_equal(ids, all_ids[: indptr[-1]])


def test_tables_are_rebuilt_at_the_interval_and_not_before():
    network, hidden = problem()
    lsh, seen = candidates_of(rehash_interval=3), []
    for step in range(5, 12):
        lsh.find(network, hidden, 2, step, 1)
        seen.append(lsh.tables)
        network.head_weights += np.float32(0.01)
    rebuilt = [i for i in range(len(seen)) if i == 0 or seen[i] is not seen[i - 1]]
    assert rebuilt == [0, 3, 6]
    # New functions each time, and the same ones for the same step.
    assert (seen[0].codes != seen[3].codes).mean() > 0.5
    again = candidates_of(rehash_interval=3)
    network, hidden = problem()
    again.find(network, hidden, 2, 5, 1)
    np.testing.assert_array_equal(again.tables.codes, seen[0].codes)


@pytest.mark.parametrize("family", ["simhash", "pghash", "dwta", "pghash_d"])
def test_threads_do_not_matter(family):
    network, hidden = problem(n_labels=9_000)
    results = []
    for n_threads in (1, 2, 3):
        options = {"n_tables": 4, "hash_length": 3}
        lsh = LSHCandidates(make_family(family, **options), 50, 5, 0)
        results.append(lsh.find(network, hidden, 8, 0, n_threads))
    for other in results[1:]:
        for ours, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_bias_has_its_due_length_on_both_sides():
    """Neither drowned by the other coordinates nor drowning them, whatever its unit."""
    for unit in (0.01, 1.0, 100.0):
        network, hidden = problem()
        network.head_bias *= np.float32(unit)
        mapped = InnerProductMap.of(network, hidden)
        shares = [
            np.linalg.norm(vectors[:, -1]) / np.linalg.norm(vectors[:, :-1])
            for vectors in (mapped.neurons(network, slice(None)), mapped.queries(hidden))
        ]
        assert shares[0] == pytest.approx(shares[1], rel=1e-3)


@pytest.mark.parametrize("partly_seen", [False, True])
def test_a_snapshot_is_all_there_is(partly_seen):
    network, hidden = problem()
    if partly_seen:
        network.see(np.arange(0, 500, 3), only=True)
    lsh, other = candidates_of(rehash_interval=3), candidates_of(rehash_interval=3)
    assert lsh.snapshot() == {}
    lsh.find(network, hidden, 2, 4, 1)
    saved = {name: np.asarray(value).copy() for name, value in lsh.snapshot().items()}
    expected = [lsh.find(network, hidden, 5, step, 1) for step in (5, 6, 7)]
    other.restore(network, saved)
    for step, right in zip((5, 6, 7), expected, strict=True):
        for ours, theirs in zip(other.find(network, hidden, 5, step, 1), right, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # One of before biases were centred.
    other.restore(network, {name: saved[name] for name in saved if name != "bias_mean"})
    assert other.map.bias_mean == 0
