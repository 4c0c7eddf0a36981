"""Optimizer and active-set kernels against plain numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.active import stamp_ids, stamp_labels_csr
from sklsh.kernels.updates import (
    adagrad_features,
    adagrad_rows,
    adagrad_vector,
    transpose_batch,
)
from tests import reference
from tests.network.problems import labels_of, random_labels, random_rows

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)
decays = st.sampled_from([0.0, 0.1])
RATE = np.float32(0.05)


def state(rng, n):
    return rng.random(n).astype(np.float32) + np.float32(1e-10)


@given(seeds, sizes, sizes, decays)
def test_adagrad_rows(seed, n_ids, n_columns, decay):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((15, n_columns)).astype(np.float32)
    accumulators = state(rng, 15)
    ids = rng.permutation(15)[:n_ids].astype(np.int32)
    gradients = rng.standard_normal((n_ids, n_columns)).astype(np.float32)
    start = n_ids // 3
    expected, sums = weights.astype(float), accumulators.astype(float)
    touched = ids[start:]
    expected[touched], sums[touched] = reference.adagrad_rows(
        expected[touched],
        sums[touched],
        gradients[start:].astype(float) + decay * expected[touched],
        RATE,
    )
    adagrad_rows(weights, accumulators, ids, gradients, RATE, np.float32(decay), start, n_ids)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(accumulators, sums, rtol=1e-5)


@given(seeds, sizes)
def test_adagrad_vector(seed, n_ids):
    rng = np.random.default_rng(seed)
    weights, accumulators = rng.standard_normal(15).astype(np.float32), state(rng, 15)
    ids = rng.permutation(15)[:n_ids].astype(np.int32)
    gradients = rng.standard_normal(n_ids).astype(np.float32)
    expected, sums = weights.astype(float), accumulators.astype(float)
    expected[ids], sums[ids] = reference.adagrad_entries(
        expected[ids], sums[ids], gradients.astype(float), RATE
    )
    adagrad_vector(weights, accumulators, ids, gradients, RATE, 0, n_ids)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(accumulators, sums, rtol=1e-5)


def transposed(X, rows, n_features):
    """What `transpose_batch` gives, and the check that it leaves no slot behind."""
    n_entries = int((X.indptr[rows + 1] - X.indptr[rows]).sum())
    slots = np.full(n_features, -1, dtype=np.int32)
    features, columns = np.empty((2, n_entries), dtype=np.int32)
    starts = np.empty(n_entries + 1, dtype=np.int64)
    values = np.empty(n_entries, dtype=np.float32)
    n_found = transpose_batch(*X, rows, slots, features, starts, columns, values)
    assert (slots == -1).all()
    return n_found, features, starts, columns, values


@given(seeds, sizes, sizes, st.sampled_from([0.0, 0.2, 0.9]))
def test_transpose_batch(seed, n_rows, n_features, density):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_rows + 2, n_features, density)
    rows = rng.permutation(n_rows + 2)[:n_rows].astype(np.int32)
    n_found, features, starts, columns, values = transposed(X, rows, n_features)
    expected = reference.feature_major(reference.csr_rows(X, rows))
    assert features[:n_found].tolist() == list(expected)
    for u, feature in enumerate(expected):
        span = slice(starts[u], starts[u + 1])
        found = list(zip(columns[span].tolist(), values[span].tolist(), strict=True))
        assert found == expected[feature]
    # And back: the entries are those of the batch.
    back = np.zeros((n_rows, n_features))
    back[columns, np.repeat(features[:n_found], np.diff(starts[: n_found + 1]))] = values
    np.testing.assert_array_equal(back, reference.dense(reference.csr_rows(X, rows), n_features))


@given(seeds, sizes, sizes, decays)
def test_adagrad_features(seed, n_rows, n_features, decay):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_rows, n_features, positive=False)
    rows = np.arange(n_rows, dtype=np.int32)
    n_found, features, starts, columns, values = transposed(X, rows, n_features)
    weights = rng.standard_normal((n_features, 6)).astype(np.float32)
    accumulators = state(rng, n_features)
    hidden_gradient = rng.standard_normal((n_rows, 6)).astype(np.float32)
    expected, sums = weights.astype(float), accumulators.astype(float)
    touched = features[:n_found]
    gradients = reference.dense(reference.csr_rows(X), n_features).T @ hidden_gradient
    expected[touched], sums[touched] = reference.adagrad_rows(
        expected[touched], sums[touched], gradients[touched] + decay * expected[touched], RATE
    )
    adagrad_features(
        weights, accumulators, features, starts, columns, values, hidden_gradient, RATE,
        np.float32(decay), np.empty(6, dtype=np.float32), 0, n_found,
    )  # fmt: skip
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(accumulators, sums, rtol=1e-4)


@given(seeds, sizes, st.integers(1, 25))
def test_active_set(seed, n_rows, n_labels):
    rng = np.random.default_rng(seed)
    Y = random_labels(rng, n_rows, n_labels)
    rows = rng.permutation(n_rows).astype(np.int32)
    proposals = [rng.integers(0, n_labels, 6).astype(np.int32) for _ in range(2)]
    slots = np.full(n_labels, -1, dtype=np.int32)
    active = np.empty(n_labels, dtype=np.int32)
    offsets = np.zeros(n_labels, dtype=np.float32)

    batch = [j for of_row in labels_of(Y, rows) for j in of_row]
    expected, slot_of = reference.stamp([], batch)
    n_active = stamp_labels_csr(Y.indptr, Y.indices, rows, slots, active)
    assert active[:n_active].tolist() == expected
    for ids, offset in zip(proposals, (0.5, 0.25), strict=True):
        before = len(expected)
        expected, slot_of = reference.stamp(expected, ids.tolist())
        n_active = stamp_ids(ids, np.float32(offset), slots, active, offsets, n_active)
        assert active[:n_active].tolist() == expected
        assert (offsets[before:n_active] == offset).all()
    assert {j: slots[j] for j in np.flatnonzero(slots >= 0)} == slot_of
