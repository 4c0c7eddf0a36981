"""First-layer rows drawn towards neighbours, against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.network import smoothing
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.rows import SparseRows
from sklsh.network.smoothing import smooth_items
from tests.network.problems import random_network, random_rows


def unit(vector):
    length = np.linalg.norm(vector)
    return vector / length if length else vector


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 3))
def test_smoothed_as_plain_loops(seed, n_neighbors, n_threads):
    rng = np.random.default_rng(seed)
    n_items = 9
    memory = ItemMemory.empty(n_items, n_neighbors)
    memory.update(random_rows(rng, 6, n_items))
    network = random_network(rng, n_features=n_items, n_labels=n_items)
    before = network.body_weights[0].copy()
    items = np.flatnonzero(rng.random(n_items) < 0.7).astype(np.int32)
    smooth_items(network, memory, items, n_threads)
    for item in range(n_items):
        known = memory.ids[item] >= 0
        want = before[item]
        if item in items and known.any():
            mean = sum(
                value / np.sqrt(memory.counts[j]) * unit(before[j])
                for j, value in zip(memory.ids[item][known], memory.values[item][known])
            )
            want = np.linalg.norm(before[item]) * unit(unit(before[item]) + unit(mean))
        np.testing.assert_allclose(network.body_weights[0][item], want, rtol=1e-3, atol=1e-5)


def test_blocks_keep_lengths_and_bring_alike_items_together(monkeypatch):
    monkeypatch.setattr(smoothing, "ITEMS", 3)
    rng = np.random.default_rng(0)
    memory = ItemMemory.empty(8, 7)
    users = np.kron(np.eye(2), np.ones((5, 4))).astype(np.float32)
    memory.update(SparseRows.from_matrix(users))
    network = random_network(rng, n_features=8, sizes=(32,), n_labels=8)
    before = network.body_weights[0].copy()
    smooth_items(network, memory, np.arange(8, dtype=np.int32))
    after = network.body_weights[0]
    np.testing.assert_allclose(
        np.linalg.norm(after, axis=1), np.linalg.norm(before, axis=1), rtol=1e-5
    )

    def cosines(weights):
        rows = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        return rows @ rows.T

    same = np.kron(np.eye(2), np.ones((4, 4))).astype(bool) & ~np.eye(8, dtype=bool)
    assert cosines(after)[same].mean() > cosines(before)[same].mean() + 0.4
    assert cosines(after)[~same & ~np.eye(8, dtype=bool)].mean() == pytest.approx(0, abs=0.3)
