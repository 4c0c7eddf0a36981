"""The one place that checks input. Every message names the argument, what came, what is allowed.

Kernels have no bounds checks, so a bad index would crash the process: a sparse matrix is
inspected here before scikit-learn, scipy or a kernel walks it. scikit-learn itself is loaded by
the two functions that need it: devices, which do not, start in a third of the time.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import plain
from sklsh.kernels.sparse import BAD_INDEX, BAD_INDPTR, UNSORTED, inspect_csr

INT32_MAX = np.iinfo(np.int32).max

MAX_PADDED = 1_000
"""Widest answer that may be asked of a smaller number of labels or items."""


def check_int(value, name: str, low: int, high: int | None = None, why: str = "") -> int:
    """`value` as an int, if it is an integer in ``[low, high]``.

    Raises
    ------
    TypeError
        Not an integer (booleans and integral floats are not).
    ValueError
        Outside the range. `why` says in the message where the range comes from.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    value = int(value)
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be {allowed}{why and f' ({why})'}, got {value}")
    return value


def check_depth(value, name: str, n: int) -> int:
    """How many of `n` labels or items to name: an int in ``[1, max(n, MAX_PADDED)]``.

    Answers have the width that was asked for, however few there are to name; the limit keeps
    a slip of the keyboard from filling the memory with padding.
    """
    value, high = check_int(value, name, 1), max(n, MAX_PADDED)
    if value > high:
        raise ValueError(f"{name} must be at most {high} (more could only be padding), got {value}")
    return value


def check_choice(value, name: str, allowed) -> str:
    """`value`, if it is one of `allowed`; a ValueError that lists them otherwise."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {sorted(allowed)}, got {value!r}")
    return value


def check_n_jobs(n_jobs) -> int | None:
    """`n_jobs`, if it is None or an integer other than 0."""
    if n_jobs is None:
        return None
    if isinstance(n_jobs, Integral) and n_jobs == 0:
        raise ValueError("n_jobs must be None or an integer other than 0, got 0")
    return check_int(n_jobs, "n_jobs", -INT32_MAX, INT32_MAX)


def check_csr_structure(X, name: str = "X") -> bool:
    """Whether the indices of a CSR or CSC matrix are sorted and unique in each row (column).

    Raises
    ------
    ValueError
        `indptr` does not start at 0, decreases or runs past the entries; an index is
        negative or too large; arrays of the wrong length; more columns than int32 counts.

    Notes
    -----
    O(nnz), no copy. Flags that scipy caches on the matrix are not believed.
    """
    n_major, n_minor = X.shape if X.format == "csr" else X.shape[::-1]
    major, minor = ("row", "column") if X.format == "csr" else ("column", "row")
    if max(X.shape) > INT32_MAX:
        raise ValueError(
            f"{name} must have at most {INT32_MAX} rows and columns (int32 indices), "
            f"got shape {X.shape}"
        )
    indptr, indices = X.indptr, X.indices
    if indptr.ndim != 1 or indptr.shape[0] != n_major + 1:
        raise ValueError(
            f"{name}.indptr must have {n_major + 1} entries for {n_major} {major}s, "
            f"got shape {indptr.shape}"
        )
    if indices.shape != X.data.shape or indices.ndim != 1:
        raise ValueError(
            f"{name}.indices and {name}.data must be 1-d and of one length, "
            f"got shapes {indices.shape} and {X.data.shape}"
        )
    for array, which in ((indptr, "indptr"), (indices, "indices")):
        if array.dtype.kind != "i":
            raise ValueError(f"{name}.{which} must be signed integers, got {array.dtype}")
    verdict, where = inspect_csr(indptr, indices, n_minor)
    if verdict == BAD_INDPTR:
        raise ValueError(
            f"{name}.indptr must start at 0, never decrease and end within the "
            f"{indices.shape[0]} entries; it does not at {major} {where}"
        )
    if verdict == BAD_INDEX:
        found = indices[indptr[where] : indptr[where + 1]]
        raise ValueError(
            f"{name}.indices must be in [0, {n_minor}) for {n_minor} {minor}s, got "
            f"{found.min()} to {found.max()} in {major} {where}"
        )
    return verdict != UNSORTED


def _check_coo(X, name: str) -> None:
    for axis, (coordinates, size) in enumerate(zip((X.row, X.col), X.shape, strict=True)):
        if coordinates.size and (coordinates.min() < 0 or coordinates.max() >= size):
            raise ValueError(
                f"{name} of shape {X.shape} must have coordinates in [0, {size}) along axis "
                f"{axis}, got {coordinates.min()} to {coordinates.max()}"
            )


def check_sparse(X, name: str = "X"):
    """A sound, canonical sparse matrix equal to `X`; `X` itself where it is one already.

    Unsorted or repeated indices are sorted and summed on a copy: the caller's matrix and
    its cached flags are left alone.
    """
    if X.ndim != 2:
        raise ValueError(f"{name} must be 2-d, got a sparse array of shape {X.shape}")
    if X.format in ("csr", "csc") and not (X.indptr.dtype.isnative and X.indices.dtype.isnative):
        # Of a file of another machine: kernels would read other numbers.
        native = [part.astype(part.dtype.newbyteorder("=")) for part in (X.indices, X.indptr)]
        X = type(X)((X.data, *native), shape=X.shape)
    if X.format == "coo":
        _check_coo(X, name)
    elif X.format in ("csr", "csc") and not check_csr_structure(X, name):
        # A fresh matrix: its flags are unknown, so that sum_duplicates looks for itself.
        arrays = (X.data.copy(), X.indices.copy(), X.indptr.copy())
        X = type(X)(arrays, shape=X.shape)
        X.sum_duplicates()
    return X


def check_X(estimator, X, *, reset: bool, dtype=(np.float64, np.float32)):
    """Feature matrix of an estimator: dense C-ordered or canonical CSR, finite, real.

    Parameters
    ----------
    estimator : BaseEstimator
        Learns (``reset=True``) or is compared with its ``n_features_in_`` and feature names.
    X : array-like or sparse matrix (n_samples, n_features)
    dtype : tuple of dtypes
        Those kept as they are; anything else becomes the first. float32 stays float32.

    Returns
    -------
    X : ndarray or csr_matrix or csr_array
        CSR has int32 indices where the number of entries allows.

    Raises
    ------
    ValueError
        NaN, inf, complex or text entries; a corrupted sparse matrix; no samples; another
        number of features than at fit.
    """
    from sklearn.utils.validation import validate_data

    if sp.issparse(X):
        X = check_sparse(X)
        if not reset and _is_plain(estimator, X, dtype):
            return X
    elif hasattr(X, "sparse") and np.ndim(X) == 2 and any(t.fill_value for t in X.dtypes):
        X = X.sparse.to_dense()  # a frame's sparse columns of something else than zeros
    elif getattr(getattr(X, "dtype", None), "kind", None) in ("U", "S", "V"):
        raise ValueError(f"X must be numeric, got an array of text or records ({X.dtype})")
    X = validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=list(dtype), order="C")
    if sp.issparse(X):
        # Conversions from other formats leave duplicates that were legal there.
        X = check_sparse(X)
        if X.indices.dtype != np.int32 and X.nnz <= INT32_MAX:
            arrays = (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32))
            X = type(X)(arrays, shape=X.shape)
    return X


def _is_plain(estimator, X, dtypes) -> bool:
    """Whether a checked sparse matrix is one that scikit-learn would return without a word.

    It would look at a single row for longer than the kernels take to score its labels.
    """
    return (
        X.format == "csr"
        and X.dtype in dtypes
        and X.indices.dtype == X.indptr.dtype == np.int32
        and X.shape[0] > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
        and bool(np.isfinite(X.data).all())
    )


def check_float32(X, *, resolved: bool = False):
    """`X`, if float32 can hold its entries; a ValueError otherwise.

    `resolved` refuses also what is lost for being too small: rows all of whose entries are below
    float32's smallest normal number, where digits go and then everything.
    """
    data = X.data if sp.issparse(X) else X
    if not data.size or (data.dtype == np.float32 and not resolved):
        return X
    largest, limits = max(abs(data.min()), abs(data.max())), np.finfo(np.float32)
    if largest > limits.max:
        raise ValueError(
            f"X must have entries within float32, at most {limits.max:.2g} in size, "
            f"got {largest:.2g}"
        )
    if resolved and 0 < largest < limits.tiny:
        raise ValueError(
            f"X must have entries within float32, the largest at least {limits.tiny:.2g} in size, "
            f"got {largest:.2g}"
        )
    return X


def is_auto(value) -> bool:
    """Whether a parameter is left to the package; arrays are not compared."""
    return isinstance(value, str) and value == "auto"


def check_hidden_layer_sizes(sizes) -> tuple[int, ...] | None:
    """Widths of the hidden layers as a tuple of positive integers, at least one; None: "auto"."""
    if is_auto(sizes):
        return None
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not sizes:
        raise ValueError("hidden_layer_sizes must name at least one layer, got none")
    return tuple(check_int(size, "hidden_layer_sizes", 1) for size in sizes)


def check_same_length(X, Y) -> None:
    """X and the encoded rows of y have one length."""
    if X.shape[0] != Y.n_rows:
        raise ValueError(
            f"y must have one entry for each of the {X.shape[0]} rows of X, got {Y.n_rows}"
        )


def check_weights(sample_weight, X) -> np.ndarray | None:
    """Non-negative float64 weights of the rows, not all 0, or None."""
    from sklearn.utils.validation import _check_sample_weight

    if sample_weight is None:
        return None
    if not np.isscalar(sample_weight):  # a number is every row's
        sample_weight = plain(sample_weight, "sample_weight")
    if np.asarray(sample_weight).dtype.kind in "US":
        raise TypeError("sample_weight must be numbers, got text")
    if not np.any(np.asarray(sample_weight)):
        raise ValueError("sample_weight must have a positive entry, got zeros only")
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not np.isfinite(weights.sum()):
        raise ValueError(
            f"sample_weight must have a sum within float64, got entries of {weights.max():.2g}"
        )
    return weights


def unique_inverse(values, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Different values, sorted, and the position of each of `values` among them.

    Raises
    ------
    TypeError
        Values that cannot be compared, such as numbers and text.
    ValueError
        NaN or inf.
    """
    try:
        found, places = np.unique(values, return_inverse=True)
        ordered = not (found != found).any()  # NaN is equal to nothing
    except (TypeError, OverflowError) as error:
        raise TypeError(f"{name} must be values that can be sorted: {error}") from error
    if not ordered or (found.dtype.kind == "f" and np.isinf(found).any()):
        raise ValueError(f"{name} must be without NaN and inf")
    return found, places
