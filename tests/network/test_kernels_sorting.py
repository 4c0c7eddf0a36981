"""Sorting in kernels against Python's own stable sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.sorting import RUN, sort_pairs

few_values = st.lists(st.integers(-3, 3), max_size=5 * RUN)
any_floats = st.lists(st.floats(allow_nan=False), max_size=5 * RUN)


def sorted_pairs(keys):
    keys, values = np.array(keys, dtype=np.float64), np.arange(len(keys), dtype=np.int32)
    sort_pairs(keys, values, np.empty_like(keys), np.empty_like(values))
    return keys, values


@given(few_values | any_floats)
def test_like_a_stable_sort(keys):
    found, order = sorted_pairs(keys)
    assert order.tolist() == sorted(range(len(keys)), key=keys.__getitem__)
    assert found.tolist() == sorted(keys)


@pytest.mark.parametrize("n", [10_000, 2**14])
def test_many(n):
    keys = np.random.default_rng(0).integers(0, 500, n)
    assert sorted_pairs(keys)[1].tolist() == np.argsort(keys, kind="stable").tolist()


@given(st.lists(st.floats(), max_size=5 * RUN))
def test_nothing_is_lost_where_there_is_no_order(keys):
    assert sorted(sorted_pairs(keys)[1].tolist()) == list(range(len(keys)))
