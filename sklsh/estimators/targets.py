"""Targets in and out: classes or label indicators as sparse rows, answers in y's container."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array

from sklsh._utils.containers import (
    check_column_names,
    check_names,
    column_names,
    is_text,
    label_lists,
    plain,
    plain_ids,
)
from sklsh._utils.validation import check_sparse
from sklsh.estimators.class_values import (
    as_number_of,
    check_classes,
    union,
    unique_classes,
)
from sklsh.metrics._hits import places_of
from sklsh.network.rows import SparseRows


@dataclass(frozen=True)
class Targets:
    """What a classifier must remember of y.

    Attributes
    ----------
    classes : ndarray (n_labels,)
        Sorted classes, or the column numbers of an indicator.
    multilabel : bool
    container : {"array", "csr_matrix", "csr_array", "lists"}
        Of a multilabel y.
    dtype : str
        Name of a multilabel y's dtype.
    label_names : ndarray (n_labels,) of str or int64, or None
        What the columns of a multilabel y are called, if it says so.
    """

    classes: np.ndarray
    multilabel: bool
    container: str = "array"
    dtype: str = "int64"
    label_names: np.ndarray | None = None

    @classmethod
    def learn(cls, y, classes=None, *, may_grow=False) -> tuple[Targets, SparseRows]:
        """Targets and encoded rows of `y`; `classes` as in ``partial_fit``.

        With `may_grow`, `classes` need not name all of them.

        Raises
        ------
        ValueError
            NaN, continuous or ragged y; an indicator with other values than 0 and 1 or
            with fewer than two columns; no positive entry; fewer than two classes; columns of
            one name, or of other names than `classes`.
        """
        lists, names = label_lists(y), column_names(y)
        if lists is not None:
            given = () if classes is None else list(classes)
            names = names_in([*lists, given])
            y = indicator_of(lists, names)
            beside = set(names.tolist()) - set(given)
            if classes is not None and beside and not may_grow:
                raise ValueError(
                    f"y has labels that are not in classes: {sorted(beside)[:10]}; all must be "
                    'named in the first call of partial_fit, unless new_classes="grow"'
                )
            classes = None
        elif names is not None:
            _check_named(classes, names)
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
            if lists is not None:
                container = "lists"
            return cls(np.arange(n_labels), True, container, dtype.name, names), rows
        y = check_classes(y)
        seen = np.unique(y)
        known = seen if classes is None else unique_classes(classes)
        if classes is not None and may_grow:
            known = union(known, seen)
        if known.shape[0] < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {known.tolist()}")
        targets = cls(known, False)
        return targets, targets.encode(y)

    @property
    def _listed(self) -> np.ndarray:
        """Names of the labels of a y of lists, which always has them."""
        assert self.label_names is not None
        return self.label_names

    def same_classes(self, classes) -> bool:
        """Whether `classes` names what this has; of a multilabel y, as many columns."""
        if self.container == "lists":
            return set(classes) == set(self._listed.tolist())
        if self.multilabel:
            if self.label_names is not None:
                _check_named(classes, self.label_names)
            return len(classes) == self.classes.shape[0]
        return np.array_equal(unique_classes(classes), self.classes)

    def encode(self, y) -> SparseRows:
        """Rows of another y of the same kind; an indicator may be all 0 here.

        Raises
        ------
        ValueError
            The other kind; another number of columns, or others; a class that is not in `classes`.
        """
        lists = label_lists(y)
        if (lists is not None) != (self.container == "lists"):
            kinds = ("no lists of labels", "lists of labels")
            raise ValueError(
                f"y must be {kinds[lists is None]} as before, got {kinds[lists is not None]}"
            )
        if lists is not None:
            y = indicator_of(lists, self._listed)
        check_column_names(y, self.label_names)
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
        y = as_number_of(self.classes, check_classes(y))
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
        if self.container == "lists":
            lists = label_lists(y) or []
            found = names_in([*lists, () if classes is None else list(classes), self._listed])
            new = found[~np.isin(found, self._listed)]
            listed = np.concatenate([self._listed, new])
            return replace(self, classes=np.arange(listed.shape[0]), label_names=listed)
        if self.multilabel:
            check_column_names(y, self.label_names)
            names, of_y = self.label_names, column_names(y)
            if names is not None and of_y is not None:
                names = np.concatenate([names, of_y[names.shape[0] :]])
            n_before = n_labels = self.classes.shape[0]
            if y is not None and label_lists(y) is None and is_indicator(y):
                n_labels = y.shape[1] if hasattr(y, "shape") else np.shape(y)[1]
            if classes is not None and len(classes) != n_labels:
                raise ValueError(
                    f"classes must name the {n_labels} columns of a multilabel y, "
                    f"got {len(classes)} classes"
                )
            n_labels = max(n_labels, n_before)
            if names is not None and names.shape[0] < n_labels:
                raise ValueError(
                    f"y must name its {n_labels - names.shape[0]} new columns, as those before"
                )
            return replace(self, classes=np.arange(n_labels), label_names=names)
        known = self.classes
        for name, more in (("classes", classes), ("y", y)):
            if more is not None and not is_indicator(more):
                known = union(known, unique_classes(more, name))
        return self if known.shape == self.classes.shape else replace(self, classes=known)

    def indicator(self, indptr, indices):
        """A multilabel answer in y's container and dtype."""
        if self.container == "lists":
            answer = np.empty(indptr.shape[0] - 1, dtype=object)
            for row, (begin, end) in enumerate(pairwise(indptr)):
                answer[row] = sorted(self._listed[indices[begin:end]].tolist())
            return answer
        shape = (indptr.shape[0] - 1, self.classes.shape[0])
        data = np.ones(indices.shape[0], dtype=self.dtype)
        if self.container == "array":
            return sp.csr_array((data, indices, indptr), shape=shape).toarray()
        return getattr(sp, self.container)((data, indices, indptr), shape=shape)

    def names(self, labels: np.ndarray) -> np.ndarray:
        """Label columns as labels: names of a multilabel y that has them, classes that are text
        or whole numbers (int64), else positions. None is -1, or "" among text.

        Raises
        ------
        ValueError
            Classes that int64 does not hold, so that there would be no -1 for none.
        """
        names = self.label_names if self.multilabel else self.classes
        if names is None or names.dtype.kind not in "iufUO":
            return labels
        if is_text(names):
            return np.where(labels >= 0, names[labels].astype(str), "")
        if names.dtype.kind == "O":
            return labels
        if self.multilabel:
            return np.where(labels >= 0, names[labels], -1)
        largest = np.iinfo(np.int64).max
        ends = [name for name in self.classes[[0, -1]] if not -largest <= name <= largest]
        if ends:
            raise ValueError(
                f"classes must be at most {largest} to be ranked as int64, got {ends[0]}"
            )
        return np.where(labels >= 0, self.classes[labels].astype(np.int64), np.int64(-1))

    def columns(self, labels) -> np.ndarray:
        """The other way: columns, int64, of labels as `names` gives them; -1 of none.

        Raises
        ------
        ValueError, TypeError
            Labels that are not there; a set, which has no order.
        """
        if isinstance(labels, Set):
            raise TypeError("labels must be in the order of their scores, got a set")
        known = self.names(np.arange(self.classes.shape[0]))
        labels = plain_ids(labels, "labels")
        if labels.dtype.kind == "b":
            if self.multilabel or self.classes.dtype.kind != "b":
                raise ValueError("labels must be those of y, got booleans: name those to score")
            labels = labels.astype(np.int64)
        kind = labels.dtype.kind
        if (kind == "O" or (kind == "U") != (known.dtype.kind == "U")) and labels.size:
            raise ValueError(
                f"labels must be {'text' if known.dtype.kind == 'U' else 'numbers'} as those of y, "
                f"got dtype {labels.dtype}"
            )
        columns = places_of(known, labels)
        none = labels == ("" if known.dtype.kind == "U" else -1)
        unknown = labels[(columns < 0) & ~none]
        if unknown.size:
            raise ValueError(
                f"labels must be among those of y, got {np.unique(unknown)[:10].tolist()}"
            )
        return columns


def names_in(lists) -> np.ndarray:
    """Different labels in lists, ascending: text, or whole numbers.

    Raises
    ------
    TypeError
        Others, or both.
    """
    names = plain_ids({name for row in lists for name in row}, "labels in y")
    if names.dtype.kind not in "iuU" and names.size:
        raise TypeError(f"labels in y must be text or integers, got dtype {names.dtype}")
    check_names(names.tolist(), "labels in y")
    return names


def indicator_of(lists, names: np.ndarray) -> sp.csr_array:
    """Rows of labels by name as an indicator of columns `names`, which have all of them."""
    column_of = {name: column for column, name in enumerate(names.tolist())}
    unknown = {name for row in lists for name in row} - column_of.keys()
    if unknown:
        raise ValueError(
            f"y has labels that were not there before: {sorted(map(str, unknown))[:10]}; "
            'new_classes="grow" takes them'
        )
    rows = [sorted({column_of[name] for name in row}) for row in lists]
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([column for row in rows for column in row], dtype=np.int32)
    data = np.ones(indices.shape[0], dtype=np.int64)
    return sp.csr_array((data, indices, indptr), shape=(len(rows), names.shape[0]))


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
            "y must be 1-d classes, a 2-d indicator, or lists of labels that are text (or sets of "
            "labels), got lists of different lengths; "
            "sklearn.preprocessing.MultiLabelBinarizer turns them into an indicator"
        ) from error
    if len(shape) > 2:
        raise ValueError(f"y must be 1-d classes or a 2-d indicator, got shape {shape}")
    return len(shape) == 2 and shape[1] > 1


def _check_named(classes, names: np.ndarray) -> None:
    """A ValueError where `classes` are names, and other ones than those of y's columns."""
    given = [] if classes is None else list(classes)
    if given and all(isinstance(name, str) for name in given) and given != names.tolist():
        raise ValueError(
            f"classes must be the names of y's columns in their order, {names.tolist()[:10]}, or "
            f"their numbers, got {given[:10]}"
        )


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
