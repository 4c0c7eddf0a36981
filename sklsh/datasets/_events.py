"""`Interactions`: events of users and items by name, as a matrix and its names."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import plain_ids
from sklsh._utils.validation import check_choice, check_int
from sklsh.datasets._event_columns import (
    Codes,
    Moments,
    encode,
    moments,
    read_events,
    weights,
)
from sklsh.datasets._interactions import parts_by_time

DUPLICATES = ("sum", "last", "max")

MOST_HALVINGS = 900.0
"""Beyond, an event is as old as can be: float64 is not to end before float32 does."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who had what, and how much: a matrix, with the names of its rows and columns.

    `from_events` makes it of a log of events, `stream` of one many that follow each other. The
    matrix and the item names are what `LSHRecommender` takes: ``fit(found.matrix,
    item_ids=found.item_ids)``.

    Attributes
    ----------
    matrix : csr_array (n_users, n_items), float32
        Entries above 0.
    user_ids, item_ids : ndarray (n_users,), (n_items,) of int64 or str
        Names of rows and columns.
    latest : number, numpy.datetime64 or None
        Time of the last event, if there are times.

    Examples
    --------
    >>> from sklsh.datasets import Interactions
    >>> log = {
    ...     "who": ["ann", "bob", "ann", "ann"],
    ...     "what": ["tea", "tea", "milk", "tea"],
    ...     "day": [1, 1, 2, 3],
    ... }
    >>> found = Interactions.from_events(log, user="who", item="what", time="day", half_life=1)
    >>> found.user_ids.tolist(), found.item_ids.tolist()
    (['ann', 'bob'], ['milk', 'tea'])
    >>> found.matrix.toarray().tolist()
    [[0.5, 1.25], [0.0, 0.25]]
    >>> found.rows(["bob"]).toarray().tolist()
    [[0.0, 0.25]]
    """

    matrix: sp.csr_array
    user_ids: np.ndarray
    item_ids: np.ndarray
    latest: Any = None

    @classmethod
    def from_events(
        cls, events, *, user="user", item="item", time=None, weight=None, half_life=None, now=None,
        duplicates="sum", items=None, new_items="add",
    ) -> Interactions:  # fmt: skip
        """Count the events of each user and item.

        Parameters
        ----------
        events : frame, mapping or path
            One row an event: a frame of pandas, polars or pyarrow, a mapping of columns, or a
            parquet file (for which pyarrow is needed), of which only these columns are read.
        user, item : str, default="user", "item"
            Columns of ids, integers or text.
        time : str, default=None
            Column of numbers of any unit, or of datetimes.
        weight : str, default=None
            Column of what an event counts, at least 0. None: 1 each.
        half_life : number or timedelta, default=None
            An event counts half after this time: a number in the unit of `time`, a
            `datetime.timedelta` or `numpy.timedelta64` where these are datetimes; in the end
            1e-38, never nothing. None: no event ages.
        now : number or datetime, default=None
            When ages are counted from. None: the last event.
        duplicates : {"sum", "last", "max"}, default="sum"
            What the entry is of a user who had an item several times: the sum of the weights,
            the weight of the latest event (of those at the same time, the last row), or the
            largest weight; each with its age.
        items : array-like of item ids, default=None
            Items that come first, in this order, whether they occur or not: a model's
            `item_ids_`.
        new_items : {"add", "drop"}, default="add"
            Events of items beyond `items`: their items are added behind, in ascending order, or
            they are left out, as when a model is asked that does not know them.

        Returns
        -------
        Interactions
            Users, and items without `items`, in ascending order.

        Raises
        ------
        ValueError, TypeError
            A column that is not there, or is there twice; missing ids (empty text too) or times,
            negative weights, entries beyond float32; what needs a `time` without one; ids of
            another kind than `items`; no event at all.

        Notes
        -----
        O(n_events log n_events) time, and some 60 bytes an event beyond the frame. No loop
        over rows.
        """
        check_choice(new_items, "new_items", ("add", "drop"))
        log = _Events.read(events, user, item, time, weight, half_life, now, duplicates)
        known = _known(items)
        names, places = _joined(known, log.items, "item", add=new_items == "add")
        return log.interactions(cls, names, places[log.items.codes])

    @classmethod
    def stream(
        cls, events, n_parts, *, time, user="user", item="item", weight=None, half_life=None,
        now=None, duplicates="sum", items=None,
    ) -> list[Interactions]:  # fmt: skip
        """Events in parts that follow each other, for `LSHRecommender.partial_fit`.

        Parameters
        ----------
        events : frame, mapping or path
            As in `from_events`.
        n_parts : int
            Parts of nearly equal numbers of events; those of one time stay together.
        time, user, item, weight, half_life, now, duplicates, items
            As in `from_events`.

        Returns
        -------
        list of Interactions
            Each with its own users, and with the items of those before it, in their order,
            before its new ones: as `partial_fit` wants them.

        Raises
        ------
        ValueError, TypeError
            As `from_events`; ``n_parts < 1``.

        Examples
        --------
        >>> from sklsh.datasets import Interactions
        >>> log = {"user": [1, 2, 1, 3], "item": ["b", "c", "a", "b"], "time": [1, 2, 3, 4]}
        >>> for part in Interactions.stream(log, 2, time="time"):
        ...     print(part.user_ids.tolist(), part.item_ids.tolist(), part.matrix.shape)
        [1, 2] ['b', 'c'] (2, 2)
        [1, 3] ['b', 'c', 'a'] (2, 3)
        """
        n_parts = check_int(n_parts, "n_parts", 1)
        if time is None:
            raise ValueError("time must name a column to cut events by, got None")
        log = _Events.read(events, user, item, time, weight, half_life, now, duplicates)
        assert log.times is not None
        part_of = parts_by_time(log.times.values, n_parts)
        names = _known(items)
        found = []
        for chosen in _events_of_parts(part_of, n_parts):
            part = log.take(chosen)
            names, places = _joined(names, part.items, "item", add=True)
            found.append(part.interactions(cls, names, places[part.items.codes]))
        return found

    def rows(self, users) -> sp.csr_array:
        """The rows of some users, by name.

        Parameters
        ----------
        users : user id, or array-like (n,) of them

        Returns
        -------
        csr_array (n, n_items)

        Raises
        ------
        ValueError, TypeError
            A user that is not there; ids of another kind.
        """
        if isinstance(users, Set):
            raise TypeError("users must be in the order of the rows, got a set")
        wanted = np.atleast_1d(plain_ids(users, "users"))
        if wanted.ndim > 1:
            raise ValueError(f"users must be a scalar or 1-d, got shape {wanted.shape}")
        _check_kind(self.user_ids, wanted, "users")
        at = np.minimum(np.searchsorted(self.user_ids, wanted), self.user_ids.shape[0] - 1)
        unknown = wanted[self.user_ids[at] != wanted]
        if unknown.size:
            raise ValueError(f"users must be ids of users, got {unknown[0].item()!r}")
        return self.matrix[at]


@dataclass(frozen=True, eq=False)
class _Events:
    """Checked columns, with weights that have aged."""

    users: Codes
    items: Codes
    values: np.ndarray
    times: Moments | None
    duplicates: str

    @classmethod
    def read(cls, events, user, item, time, weight, half_life, now, duplicates) -> _Events:
        check_choice(duplicates, "duplicates", DUPLICATES)
        given = {"half_life": half_life is not None, "now": now is not None,
                 'duplicates="last"': duplicates == "last"}  # fmt: skip
        for what in (name for name, is_given in given.items() if is_given and time is None):
            raise ValueError(f"time must name a column where there is {what}, got None")
        if now is not None and half_life is None:
            raise ValueError("half_life must be given where there is now, got None")
        if user is None or item is None or user == item:
            raise ValueError(f"user and item must name two columns, got {user!r} and {item!r}")
        names = [name for name in (user, item, time, weight) if name is not None]
        frame = read_events(events, names)
        users, items = encode(frame[user], user), encode(frame[item], item)
        n_events = users.codes.shape[0]
        times = None if time is None else moments(frame[time], time)
        values = np.ones(n_events) if weight is None else weights(frame[weight], weight)
        lengths = {items.codes.shape[0], values.shape[0], n_events}
        if len(lengths | ({n_events} if times is None else {times.values.shape[0]})) > 1:
            raise ValueError(f"columns of events must be of one length, got {sorted(lengths)}")
        if not n_events:
            raise ValueError("events must have at least one row, got none")
        if half_life is not None and times is not None:
            length = times.length(half_life)
            if not length > 0:
                raise ValueError(f"half_life must be above 0, got {half_life!r}")
            halvings = np.clip(times.age(now) / length, -MOST_HALVINGS, MOST_HALVINGS)
            values = values * np.exp2(-halvings)
        return cls(users, items, values, times, duplicates)

    def take(self, chosen: np.ndarray) -> _Events:
        """Some of the events, with the names that these have."""
        times = (
            None if self.times is None else self.times._replace(values=self.times.values[chosen])
        )
        return replace(
            self, users=_taken(self.users, chosen), items=_taken(self.items, chosen),
            values=self.values[chosen], times=times,
        )  # fmt: skip

    def interactions(self, kind, item_ids: np.ndarray, columns: np.ndarray):
        """The matrix of events whose item is in column `columns`, -1 for those left out."""
        rows, values, times = self.users.codes, self.values, self.times
        user_ids = self.users.names
        when = None if times is None else times.values
        if columns.min(initial=0) < 0:
            kept = np.flatnonzero(columns >= 0)
            if not kept.size:
                raise ValueError("events must be of at least one of the items, got none")
            users = _taken(self.users, kept)
            user_ids, rows = users.names, users.codes
            columns, values = columns[kept], values[kept]
            when = None if when is None else when[kept]
        shape = (user_ids.shape[0], item_ids.shape[0])
        if self.duplicates != "sum":
            chosen = _last_of_each(rows, columns, when if self.duplicates == "last" else values)
            rows, columns, values = rows[chosen], columns[chosen], values[chosen]
        matrix = sp.coo_array((values, (rows, columns)), shape=shape).tocsr()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        matrix = _float32(matrix)
        return kind(matrix, user_ids, item_ids, None if times is None else times.latest)


def _float32(matrix: sp.csr_array) -> sp.csr_array:
    """Entries above 0 as float32 above 0: what is very old is little, not nothing.

    Raises
    ------
    ValueError
        An entry beyond float32, or none that it can resolve.
    """
    limits = np.finfo(np.float32)
    largest = matrix.data.max(initial=0)
    if largest > limits.max or 0 < largest < limits.tiny:
        raise ValueError(
            "weight, with its age, must add up to entries within float32, the largest in "
            f"[{limits.tiny:.2g}, {limits.max:.2g}], got {largest:.2g}; take another unit, or now"
        )
    return sp.csr_array(
        (np.maximum(matrix.data, limits.tiny).astype(np.float32), matrix.indices, matrix.indptr),
        shape=matrix.shape,
    )


def _taken(codes: Codes, chosen: np.ndarray) -> Codes:
    present, places = np.unique(codes.codes[chosen], return_inverse=True)
    return Codes(codes.names[present], places.astype(np.int32))


def _last_of_each(rows, columns, order_by) -> np.ndarray:
    """Of each pair the event with the largest `order_by`, of equal ones the last."""
    order = np.lexsort((order_by, columns, rows))
    first, second = rows[order], columns[order]
    ends = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return order[np.append(ends, True)]


def _events_of_parts(part_of: np.ndarray, n_parts: int) -> Iterator[np.ndarray]:
    """Numbers of the events of each part that has some."""
    order = np.argsort(part_of, kind="stable")
    bounds = np.searchsorted(part_of[order], np.arange(n_parts + 1))
    for begin, end in pairwise(bounds):
        if end > begin:
            yield order[begin:end]


def _known(items) -> np.ndarray | None:
    if items is None:
        return None
    if isinstance(items, Set):
        raise TypeError("items must be in the order of the columns, got a set")
    known = plain_ids(items, "items")
    if known.ndim != 1 or known.dtype.kind not in "iuU":
        raise TypeError(
            f"items must be 1-d, of integers or text, got dtype {known.dtype}, shape {known.shape}"
        )
    if np.unique(known).shape[0] < known.shape[0]:
        raise ValueError("items must differ, got one twice")
    return known


def _joined(known: np.ndarray | None, found: Codes, name: str, *, add: bool):
    """Names that begin with `known`; where each of `found`'s names is, -1 if it has no place."""
    if known is None:
        if not add:
            raise ValueError('items must be given where new_items="drop", got None')
        return found.names, np.arange(found.names.shape[0], dtype=np.int32)
    if not known.size:
        return found.names, np.arange(found.names.shape[0], dtype=np.int32)
    _check_kind(known, found.names, name)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known, found.names, sorter=order), known.shape[0] - 1)
    places = order[at].astype(np.int32)
    is_new = known[places] != found.names
    places[is_new] = -1
    if add and is_new.any():
        new = found.names[is_new]
        places[is_new] = known.shape[0] + np.arange(new.shape[0], dtype=np.int32)
        known = np.concatenate([known, new])
    return known, places


def _check_kind(known: np.ndarray, asked: np.ndarray, name: str) -> None:
    kinds = ["text" if ids.dtype.kind == "U" else "integers" for ids in (known, asked)]
    if asked.size and kinds[0] != kinds[1]:
        raise TypeError(f"{name} must be {kinds[0]}, as before, got {kinds[1]}")
