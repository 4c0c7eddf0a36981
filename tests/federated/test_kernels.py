"""Kernels of rounds against plain numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.agreement import add_rows, product_of_common, products_of_rows
from tests import reference


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 9))
def test_sums_and_products_of_rows(seed, n_rows, n_columns):
    rng = np.random.default_rng(seed)
    places = np.sort(rng.permutation(15)[:n_rows]).astype(np.int32)
    rows = rng.standard_normal((n_rows, n_columns)).astype(np.float32)
    total = rng.standard_normal((15, n_columns)).astype(np.float32)
    expected = reference.add_rows(places, rows, 0.3, total)
    add_rows(places, rows, np.float32(0.3), total)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-6)
    found = products_of_rows(places, rows, total)
    expected = reference.products_of_rows(places, rows, total.astype(float))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12), st.integers(1, 9))
def test_product_of_common_rows(seed, n_one, n_other, n_columns):
    rng = np.random.default_rng(seed)
    one, other = (np.sort(rng.permutation(15)[:n]).astype(np.int32) for n in (n_one, n_other))
    rows, others = (
        rng.standard_normal((n, n_columns)).astype(np.float32) for n in (n_one, n_other)
    )
    shared, other_shared = np.zeros(n_one, bool), np.zeros(n_other, bool)
    found = product_of_common(one, rows, other, others, shared, other_shared)
    expected = reference.product_of_common(one, rows, other, others)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    np.testing.assert_array_equal(shared, np.isin(one, other))
    np.testing.assert_array_equal(other_shared, np.isin(other, one))
