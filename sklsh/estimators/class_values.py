"""Classes of a 1-d y: of one kind, sorted, and what new ones become among those before."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d

from sklsh._utils.containers import array_of_one_kind, is_missing, is_text, plain


def unique_classes(classes, name: str = "classes") -> np.ndarray:
    if isinstance(classes, Set | range):
        classes = list(classes)
    return np.unique(check_classes(plain(classes, name), name))


def as_number_of(classes: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Integers in the type of `classes`, where numpy would compare both as floats.

    Those that it does not hold become the number of no class.
    """
    if {y.dtype.kind, classes.dtype.kind} != {"i", "u"}:
        return y
    held = (y >= 0) if y.dtype.kind == "i" else (y <= np.uint64(np.iinfo(np.int64).max))
    if held.all():
        return y.astype(f"{classes.dtype.kind}8")
    return np.array(y.tolist(), dtype=object)


def union(known: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Sorted classes of both; numbers stay the kind of number that the known ones are."""
    kinds = [_kind(known), _kind(more)]
    if more.size and kinds[0] != kinds[1]:
        raise TypeError(f"new classes must be {kinds[0]} as those before, got {kinds[1]}")
    if known.dtype.kind in "iu" and more.dtype.kind == "f":
        more = more.astype(np.int64)  # whole numbers: other floats are no classes
    if {known.dtype.kind, more.dtype.kind} == {"i", "u"}:  # numpy would make floats of both
        largest = max(int(part.max(initial=0)) for part in (known, more))
        if largest > np.iinfo(np.int64).max:
            raise ValueError(
                f"new classes must be integers of one type with those before, got {more.dtype} "
                f"after {known.dtype}, and {largest}"
            )
        known, more = known.astype(np.int64), more.astype(np.int64)
    return np.union1d(known, more)


def _kind(classes: np.ndarray) -> str:
    if is_text(classes):
        return "text"
    return {"b": "booleans", "O": "objects"}.get(classes.dtype.kind, "numbers")


def check_classes(y, name: str = "y") -> np.ndarray:
    """1-d classes that can be sorted."""
    y = array_of_one_kind(y, name)
    if y.ndim and y.dtype.kind == "O" and any(map(is_missing, y.flat)):
        raise ValueError(f"{name} must have no missing values, got None or NaN")
    y = check_array(y, ensure_2d=False, dtype=None, input_name=name, ensure_min_samples=0)
    y = column_or_1d(y, warn=True)
    try:
        check_classification_targets(y)
        np.unique(y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be classes: integers, booleans or text. {error}") from error
    return y
