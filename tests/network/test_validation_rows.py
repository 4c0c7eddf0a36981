"""What validation rows say is what prediction says, but for their own neighbourhood."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.network.neighbors import NeighborMemory
from sklsh.network.predictor import Predictor
from sklsh.network.validation_rows import DEPTH, ValidationRows
from tests.network.problems import random_labels, random_network, random_rows
from tests.network.test_lsh_prediction import index_of


def problem(seed, n_rows=30, n_labels=70):
    rng = np.random.default_rng(seed)
    X, Y = random_rows(rng, n_rows, 10), random_labels(rng, n_rows, n_labels)
    return X, Y, random_network(rng, 10, n_labels=n_labels)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([3, DEPTH]))
def test_as_predicted_by_a_memory_without_the_row(seed, neighbors, k):
    X, Y, network = problem(seed)
    rows = np.array([4, 29, 7], dtype=np.int32)
    validation_rows = ValidationRows(network, X, Y, rows)
    if neighbors:
        validation_rows.memory = NeighborMemory.build(X, Y, 10, 5)
        validation_rows.memory.weight, validation_rows.memory.power = 2.0, 2.0
    labels, scores = validation_rows.topk(k)
    assert labels.shape == scores.shape == (3, k)
    for i, row in enumerate(rows):
        others = np.delete(np.arange(X.n_rows), row)
        memory = None
        if neighbors:
            memory = NeighborMemory.build(X.take(others), Y.take(others), 10, 5)
            memory.weight, memory.power = 2.0, 2.0
        expected = Predictor(network, memory).topk(X, k, rows[i : i + 1])
        np.testing.assert_allclose(scores[i], expected[1][0], rtol=1e-4, atol=1e-4)
        # Near ties may change places.
        moved = labels[i] != expected[0][0]
        assert np.abs(np.diff(scores[i][moved])).max(initial=0) < 1e-3


def test_by_tables_and_no_deeper_than_there_are_labels():
    X, Y, network = problem(1, n_labels=12)
    validation_rows = ValidationRows(network, X, Y, np.arange(5, dtype=np.int32))
    assert validation_rows.topk(DEPTH)[0].shape == (5, 12)
    index = index_of(network, validation_rows.hidden, 12, n_tables=30, hash_length=1)
    for found, exact in zip(validation_rows.topk(4, index), validation_rows.topk(4), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_the_head_is_scored_once(monkeypatch):
    X, Y, network = problem(2)
    validation_rows = ValidationRows(network, X, Y, np.arange(5, dtype=np.int32))
    first = validation_rows.topk(7)
    monkeypatch.setattr(network, "head_weights", None)
    np.testing.assert_array_equal(validation_rows.topk(3)[0], first[0][:, :3])
    with pytest.raises(AttributeError):
        ValidationRows(network, X, Y, np.arange(5, dtype=np.int32)).topk(3)
