"""What items are called outside: column numbers, integers or text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from sklsh._utils.containers import ids_in_order, plain_ids

SPARSEST = 16
"""Numbers in the range of the ids for each item, from which they are searched instead of read off:
128 bytes an item."""


@dataclass(frozen=True)
class ItemIds:
    """Names of the columns, and where each is.

    Attributes
    ----------
    names : ndarray (n_items,)
    given : bool
        False: the names are the column numbers.
    """

    names: np.ndarray
    given: bool

    @cached_property
    def _column_of_number(self) -> tuple[int, np.ndarray] | None:
        """The least number, and the column of it and each next one, -1 where none has it: a read
        for each id instead of a search. None if the numbers lie too far apart for that.
        """
        least, most = int(self.names.min()), int(self.names.max())
        if most - least >= SPARSEST * self.names.shape[0]:
            return None
        columns = np.full(most - least + 1, -1, dtype=np.int64)
        columns[self.names.astype(np.int64) - least] = np.arange(self.names.shape[0])
        return least, columns

    @cached_property
    def _order(self) -> np.ndarray:
        """What sorts numbers; found out once, as names never change."""
        return np.argsort(self.names, kind="stable")

    @cached_property
    def _column_of(self) -> dict[str, int]:
        """Where each text is: a tenth of the time of a search among sorted ones."""
        return {name: column for column, name in enumerate(self.names.tolist())}

    def __getstate__(self) -> dict[str, Any]:
        return {"names": self.names, "given": self.given}

    @classmethod
    def learn(cls, item_ids, n_items: int) -> ItemIds:
        """Names as given, or column numbers.

        Raises
        ------
        ValueError, TypeError
            Not 1-d, not one an item, repeated, what pads answers (-1, or empty text), neither
            integers nor text.
        """
        if item_ids is None:
            return cls(np.arange(n_items), False)
        names = ids_in_order(item_ids, "item_ids", n_items, order="columns", of="items")
        if names.dtype.kind == "U" or names.dtype.kind == "i":
            padding: Any = "" if names.dtype.kind == "U" else -1
            if (names == padding).any():
                raise ValueError(f"item_ids must not be {padding!r}, with which answers are padded")
        unique, counts = np.unique(names, return_counts=True)
        if unique.shape[0] < n_items:
            raise ValueError(f"item_ids must differ, got {unique[counts > 1][0].item()!r} twice")
        return cls(names, True)

    def extend(self, item_ids, n_items: int) -> ItemIds:
        """Names of as many or more columns; those known must be the same."""
        n_old = self.names.shape[0]
        if item_ids is None:
            if n_items == n_old:
                return self
            if self.given:
                raise ValueError(
                    f"item_ids must name the {n_items - n_old} new items, got None: "
                    "the items of fit have names"
                )
            return ItemIds.learn(None, n_items)
        names = ItemIds.learn(item_ids, n_items)
        if not np.array_equal(names.names[:n_old], self.names):
            raise ValueError(f"item_ids must begin with the {n_old} known ones, got others")
        return names

    def flags(self, ids, argument: str) -> np.ndarray:
        """Of each item whether it is named, bool (n_items,); of such an array itself.

        Raises
        ------
        ValueError, TypeError
            As `columns`; flags of another number of items.
        """
        ids, shape = plain_ids(ids, argument), self.names.shape
        if ids.dtype.kind == "b":
            if ids.shape != shape:
                raise ValueError(
                    f"{argument} must be ids or, of bool, one for each of {shape[0]} items, "
                    f"got shape {ids.shape}"
                )
            return ids
        flags = np.zeros(shape, dtype=bool)
        flags[self.columns(ids, argument)] = True
        return flags

    def columns(self, ids, argument: str) -> np.ndarray:
        """Columns of items, in the shape of `ids` (a scalar or 1-d).

        Raises
        ------
        ValueError, TypeError
            An id that no item has; ids of another kind; more dimensions.
        """
        ids = plain_ids(ids, argument)
        if ids.ndim > 1:
            raise ValueError(f"{argument} must be a scalar or 1-d, got shape {ids.shape}")
        if not ids.size:
            return np.empty(ids.shape, dtype=np.int64)
        kind = "text" if self.names.dtype.kind == "U" else "integers"
        if ids.dtype.kind not in ("U" if kind == "text" else "iu"):
            raise TypeError(f"{argument} must be item ids ({kind}), got dtype {ids.dtype}")
        n_items = self.names.shape[0]
        if not self.given and ids.min() >= 0 and ids.max() < n_items:
            return ids.astype(np.int64, copy=False)
        if kind == "text":
            found = map(self._column_of.get, ids.ravel().tolist(), repeat(-1))
            columns = np.fromiter(found, dtype=np.int64, count=ids.size).reshape(ids.shape)
        else:
            columns = self._columns_of_numbers(ids.astype(np.int64, copy=False))
        unknown = columns < 0
        if np.any(unknown):
            allowed = "" if self.given else f" in [0, {n_items})"
            first = np.atleast_1d(ids)[np.atleast_1d(unknown)][0]
            raise ValueError(f"{argument} must be ids of items{allowed}, got {first.item()!r}")
        return columns

    def _columns_of_numbers(self, ids: np.ndarray) -> np.ndarray:
        """Where each id is; -1 where none has it."""
        if self._column_of_number is None:
            flat, at = ids.ravel(), np.empty(ids.size, dtype=np.int64)
            ascending = np.argsort(flat)  # neighbours are found where the last one was: a fifth
            at[ascending] = np.searchsorted(self.names, flat[ascending], sorter=self._order)
            columns = self._order[np.minimum(at, self.names.shape[0] - 1)].reshape(ids.shape)
            return np.where(self.names[columns] == ids, columns, -1)
        least, columns = self._column_of_number
        # Before the subtraction, which would wrap around for numbers far outside.
        near = np.clip(ids, least, least + columns.shape[0] - 1)
        return np.where(near == ids, columns[near - least], -1)

    def names_of(self, columns: np.ndarray) -> np.ndarray:
        """Names of columns; of -1 it is -1, or "" among text."""
        if not self.given:
            return columns
        padding = self.names.dtype.type("" if self.names.dtype.kind == "U" else -1)
        return np.where(columns >= 0, self.names[columns], padding)
