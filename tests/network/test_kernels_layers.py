"""Forward, softmax and backward kernels against float64 twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.layers import (
    activate_rows,
    activation_gradient,
    exp_in_place,
    gather_accumulate_csr,
    scale_rows_csr,
    softmax_residual,
)
from sklsh.network.model import ACTIVATIONS
from tests import reference
from tests.network.problems import labels_of, random_labels, random_rows

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)
activations = st.sampled_from(sorted(ACTIVATIONS))


@given(seeds, sizes, sizes, sizes, activations)
def test_first_layer(seed, n_rows, n_features, n_hidden, activation):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_rows + 3, n_features, positive=False)
    rows = rng.integers(0, n_rows + 3, n_rows).astype(np.int32)
    weights = rng.standard_normal((n_features, n_hidden)).astype(np.float32)
    bias = rng.standard_normal(n_hidden).astype(np.float32)
    out = np.full((n_rows, n_hidden), np.nan, dtype=np.float32)
    scales = rng.choice(np.float32([1.0, 0.25, 3.0]), n_rows)
    gather_accumulate_csr(*X, rows, scales, weights, bias, ACTIVATIONS[activation], out, 0, n_rows)
    z = reference.dense(reference.csr_rows(X, rows), n_features) * scales[:, None] @ weights + bias
    np.testing.assert_allclose(out, reference.ACTIVATION[activation](z), rtol=1e-5, atol=1e-5)


@given(seeds, sizes, sizes, st.sampled_from([1e-30, 0.01, 1.0, 1e30]))
def test_scale_rows(seed, n_rows, n_features, size):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_rows + 3, n_features, positive=False)
    X = X._replace(data=X.data * np.float32(size))
    rows = rng.integers(0, n_rows + 3, n_rows).astype(np.int32)
    out = np.full(n_rows, np.nan, dtype=np.float32)
    scale = np.float32(rng.choice([0.1, 1.0, 1e6]))
    scale_rows_csr(X.indptr, X.data, rows, scale, 3.0, out, 0, n_rows)
    expected = reference.scale_rows(reference.csr_rows(X, rows), scale, 3.0)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@given(seeds, sizes, sizes, activations)
def test_dense_layer_and_gradient(seed, n_rows, n_hidden, activation):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n_rows, n_hidden)).astype(np.float32)
    bias = rng.standard_normal(n_hidden).astype(np.float32)
    y = z.copy()
    activate_rows(y, bias, ACTIVATIONS[activation], 0, n_rows)
    expected = reference.ACTIVATION[activation](z.astype(float) + bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)

    partials = rng.standard_normal((3, n_rows, n_hidden)).astype(np.float32)
    out = np.empty_like(y)
    one = np.float32(1.0)
    activation_gradient(partials, y, one, ACTIVATIONS[activation], out, 0, n_rows)
    slope = reference.ACTIVATION_SLOPE[activation](y.astype(float))
    np.testing.assert_allclose(out, partials.sum(axis=0) * slope, rtol=1e-4, atol=1e-5)


@given(seeds, sizes, sizes, activations, st.sampled_from([0.25, 0.5]))
def test_gradient_through_dropout(seed, n_rows, n_hidden, activation, rate):
    rng = np.random.default_rng(seed)
    y = reference.ACTIVATION[activation](rng.standard_normal((n_rows, n_hidden)) + 0.01)
    kept = rng.random(y.shape) >= rate
    scale = np.float32(1 / (1 - rate))
    dropped = np.where(kept, y * scale, 0.0).astype(np.float32)
    partials = rng.standard_normal((1, n_rows, n_hidden)).astype(np.float32)
    out = np.empty_like(dropped)
    activation_gradient(partials, dropped, scale, ACTIVATIONS[activation], out, 0, n_rows)
    expected = partials[0] * kept * scale * reference.ACTIVATION_SLOPE[activation](y)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_exp_is_accurate_on_all_of_its_range():
    values = -np.concatenate([np.linspace(0, 87, 400_001), np.geomspace(1e-30, 1, 10_001)])
    values = values.astype(np.float32)
    exact = np.exp(values.astype(np.float64))
    bits = np.empty(values.shape, dtype=np.int32)
    exp_in_place(values, bits, bits.view(np.float32))
    assert np.abs(values / exact - 1).max() < 1e-6


def test_exp_far_below_is_nearly_nothing_and_finite():
    values = np.array([-88, -1e4, -3e38], dtype=np.float32)
    bits = np.empty(3, dtype=np.int32)
    exp_in_place(values, bits, bits.view(np.float32))
    assert (values >= 0).all() and (values < 2e-38).all()


@given(seeds, sizes, st.integers(1, 30), st.sampled_from([1.0, 30.0]), st.booleans())
def test_softmax_residual(seed, n_rows, n_labels, spread, weighted):
    rng = np.random.default_rng(seed)
    Y = random_labels(rng, n_rows + 2, n_labels)
    rows = rng.permutation(n_rows + 2)[:n_rows].astype(np.int32)
    in_batch = [j for of_row in labels_of(Y, rows) for j in of_row]
    active, slot_of = reference.stamp([], [*in_batch, *rng.permutation(n_labels)[:5].tolist()])
    slots = np.full(n_labels, -1, dtype=np.int32)
    slots[active] = np.arange(len(active))
    logits = (spread * rng.standard_normal((n_rows, len(active)))).astype(np.float32)
    offsets = rng.standard_normal(len(active)).astype(np.float32)
    row_weights = np.ones(n_rows, dtype=np.float32)
    if weighted:
        row_weights[:] = 3 * rng.random(n_rows)
    losses = np.empty(n_rows, dtype=np.float32)
    expected = [
        reference.softmax_loss(
            logits[i].astype(float) + offsets, [slot_of[j] for j in of_row], row_weights[i]
        )
        for i, of_row in enumerate(labels_of(Y, rows))
    ]
    bits = np.empty(logits.shape, dtype=np.int32)
    softmax_residual(
        logits, offsets, len(active), Y.indptr, Y.indices, rows, slots, row_weights, bits,
        bits.view(np.float32), losses, 0, n_rows,
    )  # fmt: skip
    np.testing.assert_allclose(losses, [loss for loss, _ in expected], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits, [g for _, g in expected], atol=3e-6 * spread)


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_softmax_of_huge_logits_is_finite(size):
    logits = np.array([[size, -size, 0]], dtype=np.float32)
    losses, bits = np.empty(1, dtype=np.float32), np.empty((1, 3), np.int32)
    softmax_residual(
        logits, np.zeros(3, np.float32), 3, np.array([0, 1]), np.array([1], np.int32),
        np.zeros(1, np.int32), np.arange(3, dtype=np.int32), np.ones(1, np.float32),
        bits, bits.view(np.float32), losses, 0, 1,
    )  # fmt: skip
    np.testing.assert_allclose(logits, [[1, -1, 0]], atol=1e-6)
    np.testing.assert_allclose(losses, [2 * size], rtol=1e-6)
