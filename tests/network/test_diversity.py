"""Maximal marginal relevance against the naive twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh.network.diversity import diversified
from tests import reference


def candidates(seed, n_rows, n, n_items=30):
    """Lists of different lengths, best first, padded; and vectors, one of them of length 0."""
    rng = np.random.default_rng(seed)
    items = np.stack([rng.permutation(n_items)[:n] for _ in range(n_rows)]).astype(np.int64)
    scores = -np.sort(-rng.standard_normal((n_rows, n)).astype(np.float32), axis=1)
    for row, length in enumerate(rng.integers(0, n + 1, n_rows)):
        items[row, length:], scores[row, length:] = -1, -np.inf
    vectors = rng.standard_normal((n_items, 3)).astype(np.float32)
    vectors[0] = 0
    return items, scores, vectors, np.linalg.norm(vectors, axis=1).astype(np.float32)


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)
def test_as_the_twin(seed, n, k, diversity):
    k = min(k, n)
    items, scores, vectors, norms = candidates(seed, 4, n)
    found, values = diversified(items, scores, k, diversity, vectors, norms)
    assert found.shape == values.shape == (4, k) and found.dtype == np.int64
    for row, own in enumerate(items):
        own = own[own >= 0]
        want = (
            reference.maximal_marginal_relevance(
                scores[row, : len(own)].astype(float), vectors[own].astype(float), k, diversity
            )
            if len(own)
            else []
        )
        assert found[row, : len(want)].tolist() == own[want].tolist()
        np.testing.assert_array_equal(values[row, : len(want)], scores[row, want])
        assert (found[row, len(want) :] == -1).all() and np.isneginf(values[row, len(want) :]).all()


def test_none_is_the_first_and_all_takes_no_twins():
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    items, scores = np.array([[0, 1, 2]]), np.array([[3, 2, 1]], dtype=np.float32)
    norms = np.ones(3, dtype=np.float32)
    assert diversified(items, scores, 2, 0.0, vectors, norms)[0].tolist() == [[0, 1]]
    found, values = diversified(items, scores, 2, 1.0, vectors, norms)
    assert found.tolist() == [[0, 2]] and values.tolist() == [[3, 1]]


@pytest.mark.parametrize("entries", [1, 200])
def test_blocks_and_threads_change_nothing(monkeypatch, entries):
    items, scores, vectors, norms = candidates(3, 50, 8)
    whole = diversified(items, scores, 5, 0.4, vectors, norms)
    monkeypatch.setattr("sklsh.network.diversity.ENTRIES", entries)
    parts = diversified(items, scores, 5, 0.4, vectors, norms, n_threads=2)
    np.testing.assert_array_equal(parts[0], whole[0])
