"""Targets in and out: classes or label indicators as sparse rows, answers in y's container."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d

from sklsh._utils.containers import plain
from sklsh._utils.validation import check_sparse
from sklsh.network.rows import SparseRows


@dataclass(frozen=True)
class Targets:
    """What a classifier must remember of y.

    Attributes
    ----------
    classes : ndarray (n_labels,)
        Sorted classes, or the column numbers of an indicator.
    multilabel : bool
    container : {"array", "csr_matrix", "csr_array"}
        Of a multilabel y.
    dtype : str
        Name of a multilabel y's dtype.
    """

    classes: np.ndarray
    multilabel: bool
    container: str = "array"
    dtype: str = "int64"

    @classmethod
    def learn(cls, y, classes=None) -> tuple[Targets, SparseRows]:
        """Targets and encoded rows of `y`; `classes` as in ``partial_fit``.

        Raises
        ------
        ValueError
            NaN, continuous or ragged y; an indicator with other values than 0 and 1 or
            with fewer than two columns; no positive entry; fewer than two classes.
        """
        y = plain(y, "y")
        if is_indicator(y):
            rows, n_labels, container, dtype = _encode_indicator(y)
            if not rows.indices.size:
                raise ValueError("y must have at least one positive entry, got none")
            if classes is not None and len(classes) != n_labels:
                raise ValueError(
                    f"classes must name the {n_labels} columns of a multilabel y, "
                    f"got {len(classes)} classes"
                )
            if n_labels < 2:
                raise ValueError(
                    f"a multilabel y must have at least 2 columns, got {n_labels}; "
                    "one label is one class against none: pass y as 1-d"
                )
            return cls(np.arange(n_labels), True, container, dtype.name), rows
        y = _check_classes(y)
        seen = np.unique(y)
        known = seen if classes is None else _unique_classes(classes)
        if known.shape[0] < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {known.tolist()}")
        targets = cls(known, False)
        return targets, targets.encode(y)

    def same_classes(self, classes) -> bool:
        """Whether `classes` names what this has; of a multilabel y, as many columns."""
        if self.multilabel:
            return len(classes) == self.classes.shape[0]
        return np.array_equal(_unique_classes(classes), self.classes)

    def encode(self, y) -> SparseRows:
        """Rows of another y of the same kind; an indicator may be all 0 here.

        Raises
        ------
        ValueError
            The other kind; another number of columns; a class that is not in `classes`.
        """
        y = plain(y, "y")
        if self.multilabel != is_indicator(y):
            kinds = ("1-d classes", "a multilabel indicator")
            raise ValueError(
                f"y must be {kinds[self.multilabel]} as before, got {kinds[not self.multilabel]}"
            )
        if self.multilabel:
            rows, n_labels, _, _ = _encode_indicator(y)
            if n_labels != self.classes.shape[0]:
                raise ValueError(
                    f"y must have {self.classes.shape[0]} columns as before, got {n_labels}"
                )
            return rows
        y = _check_classes(y)
        unknown = np.setdiff1d(y, self.classes)
        if unknown.size:
            raise ValueError(
                f"y has values that are not in classes: {unknown[:10].tolist()}; "
                "all classes must be named in the first call of partial_fit, "
                'unless new_classes="grow"'
            )
        return SparseRows.from_classes(np.searchsorted(self.classes, y))

    def joined(self, y=None, classes=None) -> Targets:
        """With what `y` and `classes` have beside: more classes, in order, or more columns.

        Raises
        ------
        ValueError, TypeError
            Another kind of y or of classes; fewer columns.
        """
        if self.multilabel:
            n_before = n_labels = self.classes.shape[0]
            if y is not None and is_indicator(y):
                n_labels = y.shape[1] if hasattr(y, "shape") else np.shape(y)[1]
            if classes is not None:
                n_labels = max(n_labels, len(classes))
            return replace(self, classes=np.arange(max(n_labels, n_before)))
        known = self.classes
        for more in (classes, y):
            if more is not None and not is_indicator(more):
                known = _union(known, _unique_classes(more))
        return self if known.shape == self.classes.shape else replace(self, classes=known)

    def indicator(self, indptr, indices):
        """A multilabel answer in y's container and dtype."""
        shape = (indptr.shape[0] - 1, self.classes.shape[0])
        data = np.ones(indices.shape[0], dtype=self.dtype)
        if self.container == "array":
            return sp.csr_array((data, indices, indptr), shape=shape).toarray()
        return getattr(sp, self.container)((data, indices, indptr), shape=shape)

    def names(self, labels: np.ndarray) -> np.ndarray:
        """Label columns as labels: integer classes (int64) and text themselves, positions of
        others. None is -1, or "" among text.

        Raises
        ------
        ValueError
            Unsigned classes that int64 does not hold, so that there would be no -1 for none.
        """
        if not self.multilabel and is_text(self.classes):
            return np.where(labels >= 0, self.classes[labels], "")
        if self.multilabel or self.classes.dtype.kind not in "iu":
            return labels
        largest = np.iinfo(np.int64).max
        if self.classes[-1] > largest:
            raise ValueError(
                f"classes must be at most {largest} to be ranked as int64, got {self.classes[-1]}"
            )
        return np.where(labels >= 0, self.classes[labels].astype(np.int64), np.int64(-1))


def is_text(classes: np.ndarray) -> bool:
    """Whether classes are text, in an array of text or of objects."""
    kind = classes.dtype.kind
    return kind == "U" or (kind == "O" and all(isinstance(name, str) for name in classes.flat))


def is_indicator(y) -> bool:
    """Whether `y` is 2-d with more than one column: a multilabel indicator.

    Raises
    ------
    ValueError
        More than two dimensions, or lists of different lengths.
    """
    if sp.issparse(y):
        return True
    try:
        shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    except ValueError as error:
        raise ValueError(
            "y must be 1-d classes or a 2-d indicator, got lists of different lengths; "
            "sklearn.preprocessing.MultiLabelBinarizer turns lists of labels into one"
        ) from error
    if len(shape) > 2:
        raise ValueError(f"y must be 1-d classes or a 2-d indicator, got shape {shape}")
    return len(shape) == 2 and shape[1] > 1


def _unique_classes(classes) -> np.ndarray:
    if isinstance(classes, Set | range):
        classes = list(classes)
    return np.unique(_check_classes(plain(classes, "classes"), "classes"))


def _union(known: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Sorted classes of both; numbers stay the kind of number that the known ones are."""
    kinds = [_kind(known), _kind(more)]
    if more.size and kinds[0] != kinds[1]:
        raise TypeError(f"new classes must be {kinds[0]} as those before, got {kinds[1]}")
    if known.dtype.kind in "iu" and more.dtype.kind == "f":
        more = more.astype(np.int64)  # whole numbers: other floats are no classes
    return np.union1d(known, more)


def _kind(classes: np.ndarray) -> str:
    if is_text(classes):
        return "text"
    return {"b": "booleans", "O": "objects"}.get(classes.dtype.kind, "numbers")


def _check_classes(y, name: str = "y") -> np.ndarray:
    """1-d classes that can be sorted."""
    y = check_array(y, ensure_2d=False, dtype=None, input_name=name, ensure_min_samples=0)
    y = column_or_1d(y, warn=True)
    try:
        check_classification_targets(y)
        np.unique(y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be classes: integers, booleans or text. {error}") from error
    return y


def _encode_indicator(y):
    """Rows, number of columns, container name and dtype of an indicator matrix."""
    container, dtype = "array", getattr(y, "dtype", np.dtype(np.int64))
    if sp.issparse(y):
        container = "csr_array" if isinstance(y, sp.sparray) else "csr_matrix"
        y = check_sparse(y, "y")
    else:
        y = check_array(y, dtype=None, input_name="y")
        dtype = y.dtype
    if dtype.kind not in "biuf":
        raise ValueError(f"a multilabel y must be a numeric 0/1 indicator, got dtype {dtype}")
    y = sp.csr_array(y)
    if not y.data.all():
        y = y.copy()
        y.eliminate_zeros()
    wrong = np.flatnonzero(~(y.data == 1))
    if wrong.size:
        raise ValueError(
            f"a multilabel y must be an indicator of 0 and 1, got the value {y.data[wrong[0]]}"
        )
    rows = SparseRows(
        y.indptr.astype(np.int64), y.indices.astype(np.int32, copy=False),
        np.ones(y.nnz, dtype=np.float32),
    )  # fmt: skip
    return rows, y.shape[1], container, dtype
