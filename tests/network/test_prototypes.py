"""Prototype initialisation against dense numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.network import prototypes
from sklsh.network.prototypes import set_prototypes
from tests import reference
from tests.network.problems import (
    arrays_of,
    assert_same_bits,
    labels_of,
    random_labels,
    random_network,
    random_rows,
)

seeds = st.integers(0, 2**32 - 1)


def problem(seed, n_rows=20, n_labels=15, sizes=(8,)):
    rng = np.random.default_rng(seed)
    network = random_network(rng, 10, sizes, n_labels)
    network.head_weights[...] = 0
    network.head_bias[...] = 0
    return random_rows(rng, n_rows, 10), random_labels(rng, n_rows, n_labels), network, rng


@given(seeds, st.integers(1, 25), st.booleans())
def test_prototypes(seed, n_rows, weighted):
    X, Y, network, rng = problem(seed, n_rows)
    rows = np.sort(rng.permutation(n_rows)[: max(1, n_rows - 3)]).astype(np.int32)
    fresh = rng.random(network.n_labels) < 0.7
    network.head_weights[~fresh] = 3.0
    network.head_bias[~fresh] = 4.0
    weights = (0.1 + rng.random(n_rows)).astype(np.float32) if weighted else None
    head, bias = reference.prototypes(
        network.hidden(X, rows).astype(float),
        labels_of(Y, rows),
        network.n_labels,
        2.5,
        None if weights is None else weights[rows],
    )
    set_prototypes(network, X, Y, rows, fresh, 2.5, weights)
    seen = np.isin(np.arange(network.n_labels), np.concatenate([[-1], *labels_of(Y, rows)]))
    lengths = np.linalg.norm(network.head_weights, axis=1)
    np.testing.assert_allclose(lengths[fresh & ~seen], 0)
    # A label whose centred rows cancel has a prototype of rounding only.
    clear = fresh & seen & (np.linalg.norm(head, axis=1) > 2.4) & (lengths > 2.4)
    np.testing.assert_allclose(network.head_weights[clear], head[clear], atol=2e-3)
    np.testing.assert_allclose(network.head_bias[clear], bias[clear], atol=2e-3)
    assert (network.head_weights[~fresh] == 3).all() and (network.head_bias[~fresh] == 4).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_blocks_and_threads_do_not_matter(n_threads, monkeypatch):
    """Many small blocks give the bits of any number of threads, and the reference's values."""
    monkeypatch.setattr(prototypes, "ROWS", 64)
    monkeypatch.setattr(prototypes, "COLUMNS", 16)
    monkeypatch.setattr(prototypes, "NEURONS", 7)
    results = []
    for threads in (1, n_threads):
        X, Y, network, _ = problem(5, n_rows=500, sizes=(70,))
        rows = np.arange(500, dtype=np.int32)
        set_prototypes(network, X, Y, rows, np.ones(15, bool), 5.0, n_threads=threads)
        results.append(arrays_of(network))
    assert_same_bits(*results)
    expected, _ = reference.prototypes(
        network.hidden(X).astype(float), labels_of(Y), network.n_labels, 5.0
    )
    # The mean is that of a sample where there are more than 4 blocks of rows.
    np.testing.assert_allclose(network.head_weights, expected, atol=0.02)


def test_rows_without_features_or_labels():
    X, Y, network, _ = problem(0, n_rows=4)
    empty = X._replace(indptr=np.zeros(5, np.int64))
    set_prototypes(network, empty, Y, np.arange(4, dtype=np.int32), np.ones(15, bool), 5.0)
    assert np.isfinite(network.head_weights).all() and not network.head_weights.any()
    none = Y._replace(indptr=np.zeros(5, np.int64))
    set_prototypes(network, X, none, np.arange(4, dtype=np.int32), np.ones(15, bool), 5.0)
    assert not network.head_weights.any() and not network.head_bias.any()
