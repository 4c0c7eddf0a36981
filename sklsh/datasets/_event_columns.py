"""Columns of events - ids, times, weights - as arrays, from frames of any kind or parquet.

No frame library is imported: frames are told by what they can do. Nothing loops over rows in
Python where the column's own library (pandas, polars, pyarrow) or numpy can.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sklsh._utils.containers import is_missing, plain, plain_ids
from sklsh._utils.numbers import check_number
from sklsh.datasets._tables import check_columns, read_parquet


class Codes(NamedTuple):
    """Names that differ, (n,) int64 or text, ascending; and which one each event has, int32."""

    names: np.ndarray
    codes: np.ndarray


class Moments(NamedTuple):
    """Times, int64 or float64, and their unit: of datetimes that of numpy, of numbers None."""

    values: np.ndarray
    unit: Any

    @property
    def latest(self) -> Any:
        """The last of them, as it came."""
        last = self.values.max()
        return last if self.unit is None else np.datetime64(int(last), self.unit)

    def age(self, now) -> np.ndarray:
        """How long before `now` each is, float64 in their unit; None: before the latest.

        Raises
        ------
        TypeError, ValueError
            `now` is no time of their kind, or not finite.
        """
        values, first, last = self.values, self.values.min(), self.values.max()
        if self.unit is not None and now is not None:
            since = _moment(now) - np.datetime64(int(first), self.unit)  # in the finer unit
            now = int(first) + float(since / np.timedelta64(1, self.unit))
        elif isinstance(now, Integral):
            now = int(now)  # of which a float would lose digits
        elif now is not None:
            now = check_number(now, "now", -np.inf, closed="neither")
        if values.dtype.kind == "f":
            return np.asarray((last if now is None else now) - values, dtype=np.float64)
        # Differences of integers are exact, and wrap to what they are: no type is too narrow.
        since_first = values.astype(np.uint64) - first.astype(np.uint64)
        until = int(last) - int(first) if now is None else now - int(first)
        return float(until) - since_first.astype(np.float64)

    def length(self, half_life) -> float:
        """A duration in their unit.

        Raises
        ------
        TypeError
            A number for datetimes, or a duration for numbers.
        """
        if self.unit is None:
            if isinstance(half_life, bool) or not isinstance(half_life, int | float | np.number):
                raise TypeError(f"half_life must be a number, as times are, got {half_life!r}")
            return float(half_life)
        try:
            if isinstance(half_life, int | float | np.number) and not isinstance(
                half_life, np.timedelta64
            ):
                raise TypeError
            duration = np.timedelta64(half_life)
            if np.datetime_data(duration.dtype)[0] == "generic" and not np.isnat(duration):
                raise TypeError  # a number of nothing
            return float(duration / np.timedelta64(1, self.unit))
        except (TypeError, ValueError) as error:
            raise TypeError(
                "half_life must be a datetime.timedelta or numpy.timedelta64, as times are dates, "
                f"got {half_life!r}"
            ) from error


def _moment(now) -> np.datetime64:
    """A datetime of any library, in UTC.

    Raises
    ------
    TypeError
        No datetime, or none that is there (NaT).
    """
    wrong = TypeError(f"now must be a datetime, as times are, got {now!r}")
    if isinstance(now, int | float | np.number) and not isinstance(now, np.datetime64):
        raise wrong
    if getattr(now, "tzinfo", None) is not None and hasattr(now, "astimezone"):
        now = now.astimezone(datetime.UTC).replace(tzinfo=None)
    try:
        with zones_are_heeded():
            found = np.datetime64(now)
    except (TypeError, ValueError) as error:
        raise wrong from error
    if np.isnat(found):
        raise wrong
    return found


def read_events(events, names: list[str]):
    """What columns are taken from: a frame or mapping as it is, or a parquet file's columns.

    Raises
    ------
    ValueError
        Another kind of file, or one that cannot be read; pyarrow is not installed.
    TypeError
        No frame, mapping or path.
    """
    if isinstance(events, str | PathLike):
        return _read_parquet(Path(events), names)
    if hasattr(events, "collect"):
        raise TypeError(f"events must be there: collect() the {type(events).__name__} first")
    if not isinstance(events, Mapping) and not hasattr(events, "columns"):
        raise TypeError(
            "events must be a frame, a mapping of columns, or the path of a parquet file, got "
            f"{type(events).__name__}"
        )
    # A pyarrow table has its columns themselves under `columns`.
    named = events if isinstance(events, Mapping) else getattr(events, "column_names", None)
    check_columns("events", names, list(events.columns if named is None else named))
    return events


def _read_parquet(path: Path, names: list[str]):
    if path.suffix.lower() != ".parquet":
        raise ValueError(f"events must be a .parquet file where it is a path, got {path}")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    return read_parquet(path, names)


def encode(column, name: str) -> Codes:
    """Names of a column of ids, and codes.

    Raises
    ------
    ValueError
        A missing id, empty text among them, or more names than int32 counts.
    TypeError
        Ids that are neither integers nor text.
    """
    if hasattr(column, "factorize"):  # pandas
        codes, found = column.factorize()
        names = np.asarray(found)
    elif hasattr(column, "dictionary_encode"):  # pyarrow
        _check_no_nulls(column.null_count, name)
        encoded = column.dictionary_encode()
        if hasattr(encoded, "combine_chunks"):
            encoded = encoded.combine_chunks()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        names = encoded.dictionary.to_numpy(zero_copy_only=False)
    elif hasattr(column, "null_count"):  # polars
        _check_no_nulls(column.null_count(), name)
        codes = column.rank("dense").to_numpy().astype(np.int64) - 1
        names = column.unique().sort().to_numpy()
    else:
        ids = plain_ids(column, name)
        if not ids.size:
            raise ValueError("events must have at least one row, got none")
        if ids.ndim != 1:
            raise ValueError(f"{name} must be a column of ids, got shape {ids.shape}")
        if ids.dtype.kind == "O":
            _check_no_nulls(sum(map(is_missing, ids.flat)), name)
            raise TypeError(f"{name} must be integers or text, got objects of several kinds")
        _check_no_nulls(int(np.count_nonzero(ids != ids)), name)
        names, codes = np.unique(ids, return_inverse=True)
    _check_no_nulls(int(np.count_nonzero(codes < 0)), name)
    names = plain_ids(names, name)
    if names.dtype.kind not in "iuU":
        raise TypeError(f"{name} must be integers or text, got dtype {names.dtype}")
    if names.dtype.kind == "U":  # what a file has where there is nothing
        _check_no_nulls(int(np.isin(codes, np.flatnonzero(names == "")).sum()), name)
    order = np.argsort(names, kind="stable")
    rank = np.empty(order.shape[0], dtype=np.int32)
    rank[order] = np.arange(order.shape[0], dtype=np.int32)
    return Codes(names[order], rank[codes])


def _check_no_nulls(n_missing: int, name: str) -> None:
    if n_missing:
        raise ValueError(f"{name} must have no missing values, got {n_missing}; leave them out")


def moments(column, name: str) -> Moments:
    """Times as numbers.

    Raises
    ------
    ValueError
        A missing or infinite one.
    TypeError
        Text, or anything else that is no number and no date.
    """
    array = _datetimes(column)
    if array.dtype.kind == "M":
        missing = np.count_nonzero(np.isnat(array))
        _check_no_nulls(int(missing), name)
        unit = np.datetime_data(array.dtype)[0]  # without a count of it, as in "M8[10us]"
        if unit in ("Y", "M"):
            unit = "D"  # years and months are of no length
        return Moments(array.astype(f"M8[{unit}]").astype(np.int64), unit)
    array = _numbers(column, name)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must be numbers or datetimes, got dtype {array.dtype}; pandas.to_datetime "
            "reads dates from text"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return Moments(array, None)


@contextmanager
def zones_are_heeded() -> Iterator[None]:
    """Silences numpy's warning of dates with a zone: it computes their UTC, and says it has none.

    A DeprecationWarning until numpy 2.0, a UserWarning since.
    """
    with warnings.catch_warnings():
        for category in (DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


def _datetimes(column) -> np.ndarray:
    """datetime64 of whatever is a date, in UTC where it has a zone; else as numpy has it."""
    if getattr(getattr(column, "dtype", None), "tz", None) is not None:  # pandas
        zoned = getattr(column, "dt", column)
        column = zoned.tz_convert("UTC")
        column = getattr(column, "dt", column).tz_localize(None)
    if hasattr(column, "to_numpy"):
        # Arrow's arrays, but not its chunked ones, refuse to copy unless they are told to.
        copies = {"zero_copy_only": False} if hasattr(column, "dictionary_encode") else {}
        array = column.to_numpy(**copies)
    else:
        array = np.asarray(column)
    if array.dtype.kind == "O" and array.size and hasattr(array.flat[0], "year"):
        with zones_are_heeded():
            return array.astype("datetime64[us]")
    return array


def _numbers(column, name: str) -> np.ndarray:
    """An array of a column; objects that are all numbers, such as decimal ones, as floats."""
    array = np.asarray(plain(column, name))
    if array.dtype.kind != "O":
        return array
    if not all(isinstance(value, Real | Decimal) for value in array.flat):
        _check_no_nulls(sum(map(is_missing, array.flat)), name)
        return array
    return array.astype(np.float64)


def weights(column, name: str) -> np.ndarray:
    """Weights as float64.

    Raises
    ------
    ValueError
        A missing, negative or infinite one.
    TypeError
        No numbers.
    """
    array = _numbers(column, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if (array < 0).any():
        raise ValueError(
            f"{name} must be at least 0, got {array.min()}; a dislike is no interaction: leave it "
            "out, or name it in filter_items"
        )
    return array
