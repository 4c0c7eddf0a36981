"""Splits of users' items: parts add up, hide the share asked for, and follow time."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklsh.datasets import split_by_time, split_interactions


def users_and_times(seed, n_users=7, n_items=6):
    rng = np.random.default_rng(seed)
    users = rng.integers(1, 4, (n_users, n_items)) * (rng.random((n_users, n_items)) < 0.5)
    return users.astype(np.float32), rng.integers(-5, 6, (n_users, n_items))


@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_parts_add_up_and_follow_time(seed, n_parts, sparse):
    users, times = users_and_times(seed)
    if sparse:  # stored zeros are times as good as any
        rows, columns = np.indices(times.shape)
        when = sp.coo_array((times.ravel(), (rows.ravel(), columns.ravel())), shape=times.shape)
        parts = split_by_time(sp.csr_matrix(users), when, n_parts)
        assert all(isinstance(part, sp.csr_matrix) for part in parts)
    else:
        parts = split_by_time(users, times, n_parts)
    assert len(parts) == n_parts
    np.testing.assert_array_equal(sum(part.toarray() for part in parts), users)
    latest = -np.inf
    for part in parts:
        mine = times[part.toarray() > 0].astype(float)
        assert not mine.size or mine.min() > latest
        latest = mine.max(initial=latest)
        assert part.dtype == np.float32


def test_different_times_give_equal_parts():
    users = np.ones((10, 12))
    times = np.random.default_rng(0).permutation(120).reshape(10, 12)
    assert [part.nnz for part in split_by_time(users, times, 8)] == [15] * 8
    assert [part.nnz for part in split_by_time(users, np.zeros((10, 12)), 3)] == [0, 120, 0]
    assert [part.nnz for part in split_by_time(np.zeros((2, 3)), np.zeros((2, 3)), 2)] == [0, 0]


def test_hidden_share_and_seeds():
    users = sp.csr_array(np.ones((100, 200)))
    visible, hidden = split_interactions(users, 0.3, random_state=1)
    # Standard error 65 of 6,000.
    assert abs(hidden.nnz - 6000) < 300
    np.testing.assert_array_equal((visible + hidden).toarray(), users.toarray())
    again, other = (split_interactions(users, 0.3, random_state=s)[1] for s in (1, 2))
    assert (again != hidden).nnz == 0 and (other != hidden).nnz > 0
    assert split_interactions(users, 0)[1].nnz == 0 and split_interactions(users, 1)[0].nnz == 0


def test_stored_zeros_are_no_interactions_and_the_caller_keeps_them():
    users = sp.csr_array(np.ones((3, 3)))
    users.data[0] = 0
    visible, _ = split_interactions(users, 0)
    assert visible.nnz == 8 and users.nnz == 9


USERS = np.ones((2, 3))
BAD = {
    "shape": ((USERS, np.ones((2, 2)), 2), ValueError, r"the shape of user_items, \(2, 3\)"),
    "1-d": ((np.ones(3), np.ones(3), 2), ValueError, "user_items must be 2-d"),
    "missing": ((USERS, sp.csr_array(np.eye(2, 3)), 2), ValueError, "user 0 and item 1"),
    "no times": ((USERS, sp.csr_array((2, 3)), 2), ValueError, "user 0 and item 0"),
    "nan": ((USERS, np.full((2, 3), np.nan), 2), ValueError, "times must be finite"),
    "text": ((USERS, np.full((2, 3), "x"), 2), TypeError, "times must be numbers"),
    "parts": ((USERS, USERS, 0), ValueError, "n_parts must be at least 1"),
}


@pytest.mark.parametrize(("arguments", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_times_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        split_by_time(*arguments)


def test_bad_share_is_refused():
    with pytest.raises(ValueError, match="hidden_share"):
        split_interactions(USERS, 1.5)
