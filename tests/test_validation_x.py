"""Checks of X and of integers: what is refused, in which words, and what is left alone."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from sklsh._utils.validation import (
    check_choice,
    check_int,
    check_n_jobs,
    check_sparse,
    check_X,
)


def check(X, reset=True, estimator=None):
    return check_X(estimator or BaseEstimator(), X, reset=reset)


def matrix(container=sp.csr_matrix):
    return container(np.array([[1.0, 0, 2], [0, 0, 3], [4, 5, 0]], dtype=np.float32))


def corrupt(**arrays):
    """A CSR matrix whose arrays were swapped afterwards, so that scipy has not looked."""
    X = matrix()
    for name, values in arrays.items():
        setattr(X, name, np.asarray(values))
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csr_array])
def test_floats_keep_their_type(container, dtype):
    X = container(np.eye(3, dtype=dtype))
    checked = check(X)
    assert checked.dtype == dtype and type(checked) is type(X)
    if sp.issparse(X):
        assert checked.indices.dtype == checked.indptr.dtype == np.int32


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool, np.float16])
def test_other_numbers_become_float64(dtype):
    assert check(np.eye(3, dtype=dtype)).dtype == np.float64


@pytest.mark.parametrize("container", [sp.csc_matrix, sp.coo_array, sp.lil_matrix, sp.dok_array])
def test_other_formats_become_csr(container):
    X = matrix()
    checked = check(container(X))
    assert checked.format == "csr"
    np.testing.assert_array_equal(checked.toarray(), X.toarray())


def test_int64_indices_that_fit_become_int32():
    X = corrupt(
        indices=matrix().indices.astype(np.int64),
        indptr=matrix().indptr.astype(np.int64),
    )
    checked = check(X)
    assert checked.indices.dtype == checked.indptr.dtype == np.int32
    assert X.indices.dtype == np.int64
    np.testing.assert_array_equal(checked.toarray(), matrix().toarray())


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_indices_of_the_other_byte_order(kind):
    """As they come from a file of another machine."""
    wanted = sp.random_array((9, 7), density=0.4, rng=0, format=kind)
    X = type(wanted)(wanted.shape)
    other = ">" if sys.byteorder == "little" else "<"
    X.data = wanted.data.astype(wanted.data.dtype.newbyteorder(other))
    X.indices, X.indptr = (
        part.astype(part.dtype.newbyteorder(other)) for part in (wanted.indices, wanted.indptr)
    )
    checked = check(X)
    np.testing.assert_array_equal(checked.toarray(), wanted.toarray())
    assert checked.indices.dtype == np.int32 and checked.indices.dtype.isnative


@pytest.mark.parametrize("pretend_sorted", [False, True])
def test_unsorted_and_repeated_indices_are_summed_on_a_copy(pretend_sorted):
    indices, data = (
        np.array([2, 0, 1, 1, 0]),
        np.array([1.0, 2, 3, 4, 5], dtype=np.float32),
    )
    X = sp.csr_matrix((data, indices, [0, 2, 4, 5]), shape=(3, 3))
    expected = np.array([[2, 0, 1], [0, 7, 0], [5, 0, 0]])
    # A stale flag must not be believed.
    X.has_sorted_indices = X.has_canonical_format = pretend_sorted
    before = [a.copy() for a in (X.data, X.indices, X.indptr)]
    checked = check(X)
    np.testing.assert_array_equal(checked.toarray(), expected)
    assert checked.nnz == 4 and checked.indices.tolist() == [0, 2, 1, 0]
    for old, now in zip(before, (X.data, X.indices, X.indptr), strict=True):
        np.testing.assert_array_equal(old, now)
    assert X.has_canonical_format == pretend_sorted


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            corrupt(indices=[0, -1, 2, 0, 1]),
            r"indices must be in \[0, 3\).*got -1 to 0 in row 0",
        ),
        (
            corrupt(indices=[0, 2, 3, 0, 1]),
            r"indices must be in \[0, 3\).*got 3 to 3 in row 1",
        ),
        (corrupt(indices=[0, 2, 2**40, 0, 1]), r"indices must be in \[0, 3\)"),
        (corrupt(indptr=[0, 3, 2, 5]), "indptr must .* never decrease.* row 1"),
        (corrupt(indptr=[1, 2, 3, 5]), "indptr must start at 0"),
        (corrupt(indptr=[0, 2, 3, 6]), "indptr must .* 5 entries"),
        (corrupt(indptr=[0, 2**40, 3, 5]), "indptr must .* never decrease.* row 1"),
        (corrupt(indptr=[0, 2, 5]), "indptr must have 4 entries for 3 rows"),
        (corrupt(indices=[0, 1]), r"one length, got shapes \(2,\) and \(5,\)"),
        (corrupt(data=[1.0, 2]), r"one length, got shapes \(5,\) and \(2,\)"),
        (
            corrupt(indices=[0.0, 2, 2, 0, 1]),
            "indices must be signed integers, got float64",
        ),
    ],
)
def test_corrupted_csr_is_refused_before_anyone_walks_it(X, message):
    with pytest.raises(ValueError, match=message):
        check(X)


def test_corrupted_csc_and_coo():
    X = matrix(sp.csc_matrix)
    X.indices = np.array([0, 2, 2, 0, 7])
    with pytest.raises(ValueError, match=r"indices must be in \[0, 3\) for 3 rows.*column 2"):
        check(X)
    X = matrix(sp.coo_matrix)
    X.row[0] = -2
    with pytest.raises(ValueError, match=r"coordinates in \[0, 3\) along axis 0, got -2 to 2"):
        check(X)


def test_more_columns_than_int32_counts():
    X = sp.csr_matrix((np.ones(1), np.array([2**31 + 5]), [0, 1]), shape=(1, 2**31 + 10))
    with pytest.raises(ValueError, match=r"at most 2147483647 rows and columns.*got shape"):
        check(X)


def test_sparse_array_of_one_dimension():
    with pytest.raises(ValueError, match=r"X must be 2-d, got a sparse array of shape \(3,\)"):
        check_sparse(sp.coo_array(np.ones(3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
def test_not_finite(bad, container):
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        check(container(np.array([[1.0, bad]])))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.eye(2) * 1j, "Complex data not supported"),
        (sp.csr_matrix(np.eye(2) * 1j), "Complex data not supported"),
        (np.array([["a", "b"]]), "X must be numeric, got an array of text"),
        ([["a", "b"]], "could not convert string to float"),
        (np.empty((0, 3)), "0 sample"),
        (sp.csr_matrix((0, 3)), "0 sample"),
        (np.empty((3, 0)), "0 feature"),
        (np.ones(3), "Expected 2D array"),
        (np.ones((2, 2, 2)), "Found array with dim 3"),
    ],
)
def test_not_a_matrix_of_real_numbers(X, message):
    with pytest.raises(ValueError, match=message):
        check(X)


def test_another_number_of_features_than_at_fit():
    estimator = BaseEstimator()
    check(np.eye(3), estimator=estimator)
    with pytest.raises(ValueError, match="X has 2 features, but BaseEstimator is expecting 3"):
        check(np.ones((1, 2)), reset=False, estimator=estimator)


def test_rows_without_entries_are_fine():
    assert check(sp.csr_matrix((4, 3), dtype=np.float32)).nnz == 0
    assert not check(np.zeros((2, 2))).any()


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_check_int_accepts_integers(value):
    assert check_int(value, "k", 1, 3) == 3


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None])
def test_check_int_wants_an_integer(value):
    with pytest.raises(TypeError, match=r"k must be an integer, got .* of type"):
        check_int(value, "k", 1)


def test_check_int_names_the_range():
    with pytest.raises(ValueError, match=r"k must be in \[1, 62\], got 63"):
        check_int(63, "k", 1, 62)
    with pytest.raises(ValueError, match=r"k must be in \[1, 4\] \(4 columns\), got 0"):
        check_int(0, "k", 1, 4, "4 columns")
    with pytest.raises(ValueError, match="k must be at least 1, got -1"):
        check_int(-1, "k", 1)


def test_check_choice_and_n_jobs():
    assert check_choice("b", "letter", ("b", "a")) == "b"
    for wrong in ("c", 1, None):
        with pytest.raises(ValueError, match=r"letter must be one of \['a', 'b'\], got"):
            check_choice(wrong, "letter", ("b", "a"))
    assert [check_n_jobs(n) for n in (None, 2, -1)] == [None, 2, -1]
    with pytest.raises(ValueError, match="n_jobs must be None or an integer other than 0, got 0"):
        check_n_jobs(0)
    with pytest.raises(TypeError, match=r"n_jobs must be an integer, got 1\.5"):
        check_n_jobs(1.5)


class TestAfterFit:
    """What scikit-learn would return without a word is not handed to it."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """Lists what scikit-learn was asked for."""
        from sklearn.utils import validation

        calls, original = [], validation.validate_data

        def spy(estimator, X, **options):
            calls.append(X)
            return original(estimator, X, **options)

        monkeypatch.setattr(validation, "validate_data", spy)
        return calls

    @pytest.fixture
    def fitted(self):
        estimator = BaseEstimator()
        check(matrix(), estimator=estimator)
        return estimator

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array])
    def test_sound_rows_are_taken_as_they_are(self, fitted, asked, container, dtype):
        X = container(matrix()).astype(dtype)
        assert check(X, reset=False, estimator=fitted) is X and not asked

    def test_everything_else_is_looked_at(self, fitted, asked):
        wide, bad, other = sp.csr_matrix(np.eye(4)), matrix(), matrix().astype(np.int64)
        bad.data[2] = np.nan
        for X, message in ((wide, "4 features"), (bad, "NaN"), (matrix()[:0], "0 sample")):
            with pytest.raises(ValueError, match=message):
                check(X, reset=False, estimator=fitted)
        assert check(other, reset=False, estimator=fitted).dtype == np.float64
        assert len(asked) == 4

    def test_names_of_features_are_still_missed(self):
        estimator = BaseEstimator()
        check(pd.DataFrame(np.eye(3), columns=list("abc")), estimator=estimator)
        with pytest.warns(UserWarning, match="feature names"):
            check(matrix(), reset=False, estimator=estimator)
