"""How the changes of several devices become one: per row, over the devices that had it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

AGGREGATIONS = ("mean", "trimmed_mean", "median")
LOWER_MEDIAN = "lower median"
"""Of two the smaller: what one device alone claims counts only where it is alone."""

TRIM = 0.2
"""Share of the devices that "trimmed_mean" leaves out at each end, coordinate by coordinate."""


def union_of(ids: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """All ids, ascending int32, and where each device's are among them.

    O(number of ids + largest id): no sort.
    """
    present = np.zeros(1 + max((int(part.max(initial=-1)) for part in ids), default=-1), dtype=bool)
    for part in ids:
        present[part] = True
    place = np.cumsum(present, dtype=np.int32) - 1
    return np.flatnonzero(present).astype(np.int32), [place[part] for part in ids]


def aggregate_rows(
    ids: Sequence[np.ndarray], rows: Sequence[np.ndarray], weights: Sequence[float], how: str
):
    """One change for each row that any device has changed.

    Parameters
    ----------
    ids : sequence of ndarray of int32
        Per device, ascending.
    rows : sequence of ndarray (n_ids, ...)
    weights : sequence of float
        Of the devices; "mean" alone uses them.
    how : {"mean", "trimmed_mean", "median"} or LOWER_MEDIAN

    Returns
    -------
    union : ndarray of int32
    change : ndarray (n_union, ...), float32
    holders : ndarray (n_union,), int32
        Devices that had the row.

    Notes
    -----
    O(size of all changes + largest id). "mean" holds one row an id beside the
    changes; the others a copy of them.
    """
    union, places = union_of(ids)
    holders = np.zeros(union.shape[0], dtype=np.int32)
    for place in places:
        holders[place] += 1
    if how == "mean":
        change = np.zeros((union.shape[0], *rows[0].shape[1:]), dtype=np.float32)
        total = np.zeros(union.shape[0], dtype=np.float32)
        for place, part, weight in zip(places, rows, weights, strict=True):
            change[place] += np.float32(weight) * part
            total[place] += np.float32(weight)
        change /= total.reshape(-1, *[1] * (change.ndim - 1))
        return union, change, holders
    return union, _robust(places, rows, holders, how), holders


def _robust(places, rows, holders, how) -> np.ndarray:
    """Median or trimmed mean; rows with equally many holders together."""
    everything = np.concatenate(rows).astype(np.float32)
    order = np.argsort(np.concatenate(places), kind="stable")
    starts = np.append(0, np.cumsum(holders))
    change = np.empty((holders.shape[0], *everything.shape[1:]), dtype=np.float32)
    for count in np.unique(holders):
        group = np.flatnonzero(holders == count)
        stacked = everything[order[starts[group][:, None] + np.arange(count)]]
        if how == "median":
            change[group] = np.median(stacked, axis=1)
        elif how == LOWER_MEDIAN:
            change[group] = np.sort(stacked, axis=1)[:, (count - 1) // 2]
        else:
            n_cut = int(TRIM * count)
            if count > 2:
                n_cut = max(1, n_cut)
            kept = np.sort(stacked, axis=1)[:, n_cut : count - n_cut]
            change[group] = kept.mean(axis=1)
    return change
