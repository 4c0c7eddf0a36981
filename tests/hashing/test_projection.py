"""Base projections: shapes, bits that must agree, settings that must be refused."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh.hashing import PROJECTIONS, Identity, auto_sketch_dim, make_projection
from tests import reference


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((9000, 29)).astype(np.float32)


@pytest.mark.parametrize("fold", PROJECTIONS)
@pytest.mark.parametrize("sketch_dim", [1, 7, 29])
def test_apply_is_the_matrix(X, fold, sketch_dim):
    sketch_dim = 29 if fold == "identity" else sketch_dim
    projection = make_projection(fold, 29, sketch_dim, seed=5)
    B = projection.matrix()
    assert B.shape == (sketch_dim, 29) and B.dtype == np.float32
    sketch = projection.apply(X)
    assert sketch.dtype == np.float32
    np.testing.assert_allclose(sketch, (B @ X.T).T, rtol=1e-4, atol=1e-5)
    # Every bin is used: the sketch wastes no column.
    assert sketch.any(axis=0).all()
    # Bins are balanced to within one coordinate.
    sizes = np.bincount(projection.bins[projection.bins >= 0], minlength=sketch_dim)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("fold", PROJECTIONS)
def test_a_row_alone_in_a_batch_sparse_and_on_two_threads(X, fold):
    X[X < 0.7] = 0
    projection = make_projection(fold, 29, None if fold == "identity" else 6, seed=1)
    sketch = projection.apply(X, n_jobs=1)
    np.testing.assert_array_equal(sketch, projection.apply(X, n_jobs=2))
    np.testing.assert_array_equal(sketch[4095:4102], projection.apply(X[4095:4102]))
    np.testing.assert_array_equal(sketch[8999:], projection.apply(X[8999:]))
    for matrix in (sp.csr_matrix(X), sp.csr_array(X), sp.csc_array(X)):
        np.testing.assert_array_equal(sketch, projection.apply(matrix, n_jobs=2))
    np.testing.assert_array_equal(sketch, projection.apply(X.astype(np.float64)))
    np.testing.assert_array_equal(sketch, projection.apply(np.asfortranarray(X)))


@pytest.mark.parametrize("fold", ["signed", "sample"])
def test_a_seed_is_a_projection(fold):
    first, again, other = (make_projection(fold, 40, 8, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.matrix().toarray(), again.matrix().toarray())
    assert (first.matrix() != other.matrix()).nnz > 0


def test_a_seed_is_the_same_projection_on_every_machine():
    """Bins and signs follow from the seed by integer arithmetic alone, redone here."""
    seed = reference.mix(2024, ~0, 0) >> 1
    drawn = [reference.mix(seed, 0, i) for i in range(12)]
    projection = make_projection("signed", 12, 4, seed=2024)
    order = sorted(range(12), key=lambda i: drawn[i])
    assert projection.bins.tolist() == [i % 4 for i in order]
    signs = [1 - 2 * (reference.mix(seed, 1, i) >> 63) for i in range(12)]
    assert projection.weights.tolist() == signs


def test_sketch_dim_by_itself():
    assert [auto_sketch_dim(n) for n in (1, 7, 20, 64, 128, 1000, 10**6)] == [
        1, 7, 8, 8, 16, 125, 256,
    ]  # fmt: skip
    assert make_projection("signed", 128).sketch_dim == 16


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("signed", 10, 11),
            ValueError,
            r"sketch_dim must be in \[1, 10\] .*10 features.*got 11",
        ),
        (("periodic", 10, 0), ValueError, "sketch_dim must be .* got 0"),
        (("periodic", 10, 2.0), TypeError, r"sketch_dim must be an integer, got 2\.0"),
        (("signed", 0), ValueError, r"n_features must be in \[1, 2147483647\], got 0"),
        (("signed", 2**31), ValueError, "n_features must be .* got 2147483648"),
        (("signed", 10, 5, -1), ValueError, "seed must be at least 0, got -1"),
        (("folded", 10), ValueError, r"fold must be one of \['identity'.*got 'folded'"),
        (("identity", 10, 5), ValueError, "sketch_dim must be None or 10, got 5"),
    ],
)
def test_refused_settings(arguments, error, message):
    with pytest.raises(error, match=message):
        make_projection(*arguments)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((2, 3)), r"X must have shape \(n, 4\), got \(2, 3\)"),
        (np.ones(4), r"X must have shape \(n, 4\), got \(4,\)"),
        (np.ones((2, 4)) * 1j, "X must be real numbers, got dtype complex128"),
        (np.array([["a"] * 4]), "X must be real numbers, got dtype <U1"),
        (sp.csr_matrix((2, 3)), r"X must have shape \(n, 4\), got \(2, 3\)"),
        (
            sp.csr_matrix(np.ones((2, 4)) * 1j),
            "X must be real numbers, got dtype complex128",
        ),
    ],
)
def test_refused_rows(X, message):
    with pytest.raises(ValueError, match=message):
        Identity.draw(4).apply(X)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_corrupted_rows_never_reach_a_kernel(dtype):
    """Nor scipy's: converting integers would walk the matrix."""
    X = sp.csr_matrix(np.eye(4, dtype=dtype))
    X.indices = np.array([0, 1, 2, 10**6])
    with pytest.raises(ValueError, match=r"X.indices must be in \[0, 4\)"):
        make_projection("signed", 4, 2).apply(X)


def test_no_rows():
    assert make_projection("signed", 4, 2).apply(np.empty((0, 4))).shape == (0, 2)
    assert make_projection("signed", 4, 2).apply(sp.csr_matrix((0, 4))).shape == (0, 2)


def test_entries_beyond_float32_are_refused():
    """Their codes would be those of infinities, alike for all."""
    X = np.full((2, 9), 1e39)
    for given in (X, sp.csr_array(X)):
        with pytest.raises(ValueError, match="within float32"):
            make_projection("signed", 9, 3).apply(given)
