"""Rows that are held out: the same in every fit, whatever else comes with them."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklsh.network.holdout import held_out, row_hashes, rows_to_train
from sklsh.network.rows import SparseRows
from tests.network.problems import random_rows

seeds = st.integers(0, 2**31)


def matrix_of(seed, n_rows=300, n_columns=40):
    rows = random_rows(np.random.default_rng(seed), n_rows, n_columns, positive=False, least=1)
    return rows.to_matrix(n_columns)


def hashes(X, seed=3):
    return row_hashes(SparseRows.from_matrix(X), seed)


@given(seeds, st.sampled_from([0.01, 3.0, 1e20, 1e-20]))
def test_a_hash_is_the_rows_own(seed, factor):
    X = matrix_of(seed)
    whole = hashes(X)
    order = np.random.default_rng(seed).permutation(300)
    np.testing.assert_array_equal(hashes(X[order]), whole[order])
    np.testing.assert_array_equal(hashes(X[40:90]), whole[40:90])
    np.testing.assert_array_equal(hashes(X.toarray()), whole)
    # In another unit an entry may round to the other side: hardly ever.
    assert (hashes(X * np.float32(factor)) == whole).mean() > 0.98
    assert (hashes(X, seed=4) == whole).mean() < 0.02


def test_layout_and_tiny_entries_do_not_count():
    X = matrix_of(0)
    turned = sp.csr_array(
        (
            np.concatenate([X.data[a:b][::-1] for a, b in zip(X.indptr, X.indptr[1:])]),
            np.concatenate([X.indices[a:b][::-1] for a, b in zip(X.indptr, X.indptr[1:])]),
            X.indptr,
        ),
        shape=X.shape,
    )  # fmt: skip
    np.testing.assert_array_equal(hashes(turned), hashes(X))
    dense = X.toarray()
    dense[dense == 0] = 1e-7
    np.testing.assert_array_equal(hashes(dense), hashes(X))


def test_signs_columns_and_entries_count():
    one = np.array([[1.0, 0, 0.5, 0]])
    others = np.array([[1, 0, -0.5, 0], [0, 1, 0.5, 0], [1, 0, 0, 0.5], [1, 0, 0.4, 0], [0] * 4])
    everything = np.concatenate([hashes(row[None]) for row in [*one, *others]])
    assert np.unique(everything).size == 6


def test_more_rows_than_are_hashed_at_a_time_some_of_them_empty():
    X = sp.random_array((40_000, 50), density=0.03, rng=np.random.default_rng(0), format="csr")
    whole = hashes(X)
    assert np.diff(X.indptr).min() == 0
    full = np.flatnonzero(np.diff(X.indptr) > 3)  # others are often alike
    np.testing.assert_array_equal(hashes(X[20_000:])[full[full >= 20_000] - 20_000],
                                  whole[full[full >= 20_000]])  # fmt: skip
    assert np.unique(whole).size == 40_000
    assert hashes(sp.csr_array((5, 9))).shape == (5,)


@pytest.mark.parametrize("kind", ["different", "alike", "empty"])
def test_hashes_are_uniform(kind):
    """Rows that are alike, too: no class of few different rows is held out whole."""
    n = 6_000
    X = {
        "different": lambda: np.random.default_rng(0).random((n, 3)),
        "alike": lambda: np.eye(3)[np.arange(n) % 3],
        "empty": lambda: np.zeros((n, 3)),
    }[kind]()
    values = hashes(X) / 2.0**64
    counts, _ = np.histogram(values, bins=20, range=(0, 1))
    assert ((counts - 300) ** 2 / 300).sum() < 43.8  # chi squared, 19 degrees, p = .001
    if kind == "alike":
        shares = [(values[c::3] < 0.1).mean() for c in range(3)]
        assert max(np.abs(np.array(shares) - 0.1)) < 0.03


@given(seeds, st.integers(0, 60))
def test_so_many_rows_are_held_out_as_are_asked_for(seed, n):
    rows = SparseRows.from_matrix(matrix_of(seed))
    out, train, bound = held_out(rows, 5, n)
    assert out.shape == (n,) and out.dtype == train.dtype == np.int32
    assert sorted([*out, *train]) == list(range(300))
    assert (np.diff(out) > 0).all() and (np.diff(train) > 0).all()
    assert (bound is None) == (n == 0)
    if n:
        values = row_hashes(rows, 5)
        assert values[out].max() == bound < values[train].min()


def test_a_later_fit_holds_out_none_that_was_trained_on():
    """Of other rows beside the old ones, in any number, whatever share is asked for."""
    X, fresh = matrix_of(0), matrix_of(1)
    out, train, bound = held_out(SparseRows.from_matrix(X), 5, 30)
    trained = set(row_hashes(SparseRows.from_matrix(X), 5)[train])
    for later in (X, X[50:], sp.vstack([fresh, X]).tocsr(), fresh):
        for n in (5, 30, 100):
            rows = SparseRows.from_matrix(later)
            again, _, after = held_out(rows, 5, n, bound)
            assert 0 < again.size <= n and after <= bound
            assert not trained & set(row_hashes(rows, 5)[again])
    np.testing.assert_array_equal(held_out(SparseRows.from_matrix(X), 5, 30, bound)[0], out)
    # Nothing but rows that have been trained on: some validation is better than none.
    assert held_out(SparseRows.from_matrix(X[train]), 5, 20, bound)[0].size == 20


def test_streams_leave_out_what_a_fit_holds_out():
    rows = SparseRows.from_matrix(matrix_of(0))
    _out, train, bound = held_out(rows, 5, 30)
    kept, same = rows_to_train(rows, 5, 0.5, bound)
    np.testing.assert_array_equal(kept, train)
    assert same == bound and kept.dtype == np.int32
    kept, bound = rows_to_train(rows, 5, 0.2)
    assert 0.7 < kept.size / 300 < 0.9
    again, _, _ = held_out(rows, 5, 300 - kept.size, bound)
    np.testing.assert_array_equal(np.sort(np.r_[kept, again]), np.arange(300))
    assert rows_to_train(rows, 5, 0.0)[0].size == 300
