"""Batches of rows that hash alike."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from sklsh.network.batching import similar_order, split
from tests.network.problems import random_network, random_rows

SETTINGS = SimpleNamespace(fold="signed", sketch_dim=None)


def problem(n_rows=203, n_clusters=20):
    """Rows of `n_clusters` kinds, in random order, and a network that hides nothing of them."""
    rng = np.random.default_rng(0)
    X = random_rows(rng, n_clusters, 20, least=3)
    kinds = rng.integers(n_clusters, size=n_rows).astype(np.int32)
    return random_network(rng, sizes=(32,)), X.take(kinds), kinds


def order_of(network, X, rows=None, batch_size=10, seed=0, n_threads=1):
    rows = np.arange(X.n_rows, dtype=np.int32) if rows is None else rows
    rng = np.random.default_rng(seed)
    return similar_order(network, X, rows, batch_size, SETTINGS, rng, n_threads)


def test_each_row_once():
    network, X, _ = problem()
    rows = np.arange(5, 178, dtype=np.int32)
    order = order_of(network, X, rows)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), rows)


def test_rows_of_a_batch_are_alike():
    """Mean cosine within batches: 20 kinds of rows fill batches of one or two kinds."""
    network, X, _ = problem()

    def alike(order):
        hidden = normalize(network.hidden(X))
        batches = [hidden[order[i : i + 10]] for i in range(0, 200, 10)]
        return np.mean([np.mean(batch @ batch.T) for batch in batches])

    chance = np.mean([alike(np.random.default_rng(s).permutation(X.n_rows)) for s in range(5)])
    ours = np.mean([alike(order_of(network, X, seed=s)) for s in range(5)])
    assert 1 - ours < 0.5 * (1 - chance)


def test_order_depends_on_the_seed_and_on_nothing_else():
    network, X, _ = problem()
    first = order_of(network, X)
    np.testing.assert_array_equal(order_of(network, X, n_threads=2), first)
    assert (order_of(network, X, seed=1) != first).any()


@pytest.mark.parametrize("n", [1, 9, 10, 11, 30, 57])
def test_leaves_are_full_but_one(n):
    rng = np.random.default_rng(1)
    leaves = split(rng.random((n, 3), dtype=np.float32), np.arange(n), 10, rng)
    sizes = sorted(leaf.size for leaf in leaves)
    assert sizes[1:] == [10] * (len(sizes) - 1)
    np.testing.assert_array_equal(np.sort(np.concatenate(leaves)), np.arange(n))


def test_equal_rows_are_cut_all_the_same():
    rng = np.random.default_rng(2)
    leaves = split(np.ones((35, 3), dtype=np.float32), np.arange(35), 10, rng)
    assert [leaf.size for leaf in leaves].count(10) == 3


def test_the_short_batch_is_the_last():
    network, X, kinds = problem(n_clusters=3)
    for seed in range(5):
        order = order_of(network, X, batch_size=50, seed=seed)
        firsts = kinds[order[:200]].reshape(4, 50)
        # Three kinds of some 68 rows: most batches have a kind or two, not all three alike.
        largest = [np.bincount(batch).max() for batch in firsts]
        assert np.median(largest) >= 25
