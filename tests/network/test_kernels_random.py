"""The stateless random source against plain integers, and its statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sklsh.kernels.counter import draw_integers, dropout_rows, mix
from tests import reference

seeds = st.integers(0, 2**40)


@given(seeds, st.integers(0, 2**31), st.integers(0, 2**31))
def test_mix_in_plain_integers(seed, row, draw):
    assert int(mix(seed, row, draw)) == reference.mix(seed, row, draw)


@given(seeds, st.integers(0, 10**6), st.integers(1, 2**31 - 1), st.integers(0, 40))
def test_draw_integers(seed, row, upper, n):
    out = np.empty(n, dtype=np.int32)
    draw_integers(seed, row, upper, out)
    assert out.tolist() == reference.uniform_integers(seed, row, upper, n)


@pytest.mark.parametrize("upper", [2, 7, 100, 1000])
def test_integers_are_uniform(upper):
    """Chi-square over many short streams, as the samplers use them."""
    draws = np.empty((400, 500), dtype=np.int32)
    for step, out in enumerate(draws):
        draw_integers(12345, step, upper, out)
    assert draws.min() == 0 and draws.max() == upper - 1
    counts = np.bincount(draws.ravel(), minlength=upper)
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


def test_integers_of_streams_are_uncorrelated():
    """Neighbouring draws, streams and seeds: correlations within 4 standard errors of 0."""
    draws = np.empty((2, 200, 500), dtype=np.int32)
    for seed in range(2):
        for step in range(200):
            draw_integers(seed, step, 10**6, draws[seed, step])
    for a, b in [
        (draws[..., 1:], draws[..., :-1]),
        (draws[:, 1:], draws[:, :-1]),
        (draws[1], draws[0]),
    ]:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


@given(seeds, st.integers(0, 6), st.integers(1, 11), st.floats(0, 0.99))
def test_dropout(seed, n_rows, n_columns, rate):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n_rows + 2, n_columns)).astype(np.float32)
    keys = rng.integers(0, 2**31, n_rows + 2).astype(np.int32)
    expected = values.copy()
    expected[1 : n_rows + 1] = reference.dropout(
        seed, keys[1 : n_rows + 1], np.float32(rate), values[1 : n_rows + 1]
    )
    dropout_rows(seed, keys, np.float32(rate), values, 1, n_rows + 1)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_dropout_belongs_to_the_row_not_to_its_place():
    keys = np.arange(6, dtype=np.int32)
    a, b = np.ones((2, 6, 9), dtype=np.float32)
    dropout_rows(3, keys, np.float32(0.4), a, 0, 6)
    dropout_rows(3, keys[::-1].copy(), np.float32(0.4), b, 0, 6)
    np.testing.assert_array_equal(a, b[::-1])
    c = np.ones_like(a)
    dropout_rows(4, keys, np.float32(0.4), c, 0, 6)
    assert (a != c).any()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    """Each unit is kept with 1 - rate and scaled: within 4 standard errors, column by column."""
    values = np.ones((20_000, 6), dtype=np.float32)
    dropout_rows(9, np.arange(20_000, dtype=np.int32), np.float32(rate), values, 0, 20_000)
    kept = (values > 0).mean(axis=0)
    assert (abs(kept - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 20_000)).all()
    np.testing.assert_allclose(values[values > 0], 1 / (1 - rate), rtol=1e-6)
    # Units of a row fall independently, also those that share a draw.
    correlations = np.corrcoef((values > 0).T)[np.triu_indices(6, 1)]
    assert (abs(correlations) < 4.5 / np.sqrt(20_000)).all()
