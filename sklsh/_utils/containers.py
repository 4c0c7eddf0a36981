"""What users hold their data in, as numpy arrays and scipy matrices of plain types.

Nothing here imports pandas: its objects are told by what they can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp


def plain(values, name: str):
    """`values` as an array of numpy's own types, or a sparse matrix; lists stay lists.

    Parameters
    ----------
    values : array-like, Series, DataFrame or sparse matrix
        A frame of sparse columns becomes a CSR matrix; pandas' nullable types, Arrow's, and
        objects that are all integers (booleans, numbers) become these.
    name : str
        For messages.

    Raises
    ------
    ValueError
        Missing values in a Series or frame, or `pandas.NA` elsewhere.
    """
    if values is None or sp.issparse(values) or isinstance(values, list | tuple | str):
        return values
    shape: tuple[int, ...] = getattr(values, "shape", ())
    if len(shape) == 2 and shape[1] > 1 and hasattr(values, "sparse"):
        try:  # pandas has the attribute if all columns are sparse
            return values.sparse.to_coo().tocsr()
        except ValueError:  # of something else than zeros
            pass
    array = np.asarray(values)
    if array.dtype.kind == "T":
        return np.array(array.tolist(), dtype=str)
    if array.dtype == np.float16:  # which scipy has no matrices of
        array = array.astype(np.float32)
    if array.dtype.kind in "fO" and hasattr(values, "isna") and np.any(np.asarray(values.isna())):
        raise ValueError(f"{name} must have no missing values, got NaN or NA")
    return _unboxed(array, name) if array.dtype.kind == "O" else array


def _unboxed(array: np.ndarray, name: str) -> np.ndarray:
    """An array of objects as one of what they all are, or as it is."""
    kinds = set(map(type, array.ravel()))
    if any(kind.__name__ == "NAType" for kind in kinds):
        raise ValueError(f"{name} must have no missing values, got NA")
    if not kinds:
        return array
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return array.astype(bool)
    if array.ndim != 2 and any(issubclass(kind, bool | np.bool_) for kind in kinds):
        return array  # a class True beside a class 1; columns of a frame may be of both types
    try:
        if all(issubclass(kind, Integral) for kind in kinds):
            return array.astype(np.int64)
        if all(issubclass(kind, Real | np.bool_) for kind in kinds):
            return array.astype(np.float64)
    except OverflowError:  # integers that none of numpy's types has
        pass
    return array


def label_lists(y) -> list | None:
    """Rows of labels by name, as lists; None if `y` is something else.

    They are lists or tuples of text, or sets (of text or of whole numbers), in a list, Series or
    array of objects. Lists of numbers are rows of a matrix, as everywhere in numpy.
    """
    if isinstance(y, str | bytes) or sp.issparse(y) or len(getattr(y, "shape", (0,))) != 1:
        return None
    if "list" in str(getattr(y, "dtype", getattr(y, "type", ""))).lower():
        y = as_list(y)  # of polars, pyarrow, or pandas with Arrow's types
    kind = getattr(getattr(y, "dtype", None), "kind", None)
    if not isinstance(y, list | tuple) and kind != "O":
        return None
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in y]
    if not rows or not all(isinstance(row, list | tuple | Set) for row in rows):
        return None
    names = [name for row in rows for name in row]
    if any(isinstance(row, Set) for row in rows):
        return rows
    return rows if all(isinstance(name, str) for name in names) else None


def as_list(values) -> list:
    """The elements of an iterable or a column, of Python's own types where its library has such."""
    for name in ("to_pylist", "to_list", "tolist"):  # of pyarrow, polars and pandas, numpy
        if hasattr(values, name):
            return getattr(values, name)()
    return list(values)


def column_names(y) -> np.ndarray | None:
    """Names of a frame's columns, if all are text.

    Raises
    ------
    ValueError
        Two of one name, or one that is empty text, with which answers are padded.
    """
    # A pyarrow table has its columns themselves under `columns`.
    columns = getattr(y, "column_names", getattr(y, "columns", None))
    if columns is None or len(getattr(y, "shape", ())) != 2:
        return None
    names = list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        return None
    check_names(names, "the columns of y")
    return np.array(names)


def check_names(names: list, owner: str) -> None:
    """A ValueError where labels could not be told apart, or from the padding of answers."""
    padding = [name for name in names if name == "" or (name == -1 and isinstance(name, Integral))]
    if padding:
        raise ValueError(
            f"{owner} must not be called {padding[0]!r}, with which answers are padded"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{owner} must have different names, got {twice!r} twice")


def check_column_names(y, known: np.ndarray | None) -> None:
    """A ValueError unless a frame's columns are called as those before, if these had names."""
    names = column_names(y)
    if names is None or known is None or known.dtype.kind != "U":
        return
    known = known[: names.shape[0]]
    wrong = np.flatnonzero(names[: known.shape[0]] != known)
    if wrong.size:
        raise ValueError(
            f"y must have the columns of before, in their order: {known[wrong[0]].item()!r}, "
            f"got {names[wrong[0]].item()!r}"
        )


def is_text(array: np.ndarray) -> bool:
    """Whether an array is of text, or of objects that are."""
    kind = array.dtype.kind
    return kind == "U" or (kind == "O" and all(isinstance(name, str) for name in array.flat))


def is_missing(value) -> bool:
    """Whether a field of a table is None, NaN or pandas' NA."""
    missing = value is None or type(value).__name__ == "NAType"
    return missing or (isinstance(value, float) and value != value)


def plain_ids(ids, name: str) -> np.ndarray:
    """Ids in any container as an array of text or signed integers, where they are such.

    Sets come in ascending order; floats that are all whole numbers, as rows of mixed frames
    have them, are integers.

    Raises
    ------
    ValueError
        A missing value; unsigned integers that int64 does not hold; lists of different lengths.
    TypeError
        A set of what cannot be sorted; a sparse matrix.
    """
    if isinstance(ids, Set):
        try:
            ids = sorted(ids)
        except TypeError as error:
            raise TypeError(f"{name} must be ids of one kind, got a set of several") from error
    elif isinstance(ids, Iterator) or type(ids).__name__ == "dict_values":
        ids = list(ids)
    if sp.issparse(ids):
        raise TypeError(f"{name} must be ids, got a sparse matrix")
    ids = array_of_one_kind(plain(ids, name), name)
    if ids.dtype.kind == "O":
        ids = _unboxed(ids, name)
    if not ids.dtype.isnative:
        ids = ids.astype(ids.dtype.newbyteorder("="))
    kind = ids.dtype.kind
    if kind == "O" and all(isinstance(part, str) for part in ids.ravel()):
        return ids.astype(str)
    if kind == "u":
        largest = np.iinfo(np.int64).max
        if ids.max(initial=0) > largest:
            raise ValueError(f"{name} must be at most {largest}, got {ids.max()}")
        return ids.astype(np.int64)
    if kind == "f" and ids.size and (np.abs(ids) < 2.0**53).all() and (ids == np.rint(ids)).all():
        return ids.astype(np.int64)
    return ids


def array_of_one_kind(ids, name: str) -> np.ndarray:
    """An array of a list or another container, in which numbers do not become text."""
    try:
        array = np.asarray(ids)
    except ValueError as error:
        raise ValueError(f"{name} must be lists of one length, got others") from error
    if array.dtype.kind == "U" and isinstance(ids, list | tuple):
        boxed = np.array(ids, dtype=object)
        return array if all(isinstance(part, str) for part in boxed.ravel()) else boxed
    return array


def ids_in_order(ids, name: str, n: int, *, order: str, of: str) -> np.ndarray:
    """Ids of rows or columns, one for each, as `plain_ids` has them.

    Parameters
    ----------
    order, of : str
        For messages: what they are in the order of, and what there are `n` of.

    Raises
    ------
    ValueError, TypeError
        Not one for each; a set, which has no order; neither integers nor text.
    """
    if isinstance(ids, Set):
        raise TypeError(f"{name} must be in the order of the {order}, got a set")
    found = plain_ids(ids, name)
    if found.shape != (n,):
        raise ValueError(
            f"{name} must be 1-d, one for each of the {n} {of}, got shape {found.shape}"
        )
    if found.dtype.kind not in "iuU":
        raise TypeError(f"{name} must be integers or text, got dtype {found.dtype}")
    return found


def one_row(row):
    """A row in one dimension - of an array, a frame or a sparse array - in two."""
    if np.ndim(row) != 1:
        return row
    if sp.issparse(row):
        return row.reshape((1, -1))
    values = np.asarray(row)[None]
    if hasattr(row, "to_frame"):  # the names are those of the columns
        return type(row.to_frame())(values, columns=row.index)
    return values
