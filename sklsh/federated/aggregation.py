"""How the changes of several devices become one: per row, over the devices that had it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

TRIM = 0.2
"""Share of the devices that "trimmed_mean" leaves out at each end, coordinate by coordinate."""


def median(rows: np.ndarray) -> np.ndarray:
    """Of each coordinate, over devices: (n_rows, n_devices, ...) to (n_rows, ...)."""
    return np.median(rows, axis=1)


def trimmed_mean(rows: np.ndarray) -> np.ndarray:
    """The mean without `TRIM` of the devices at each end; of three, without one."""
    count = rows.shape[1]
    n_cut = int(TRIM * count)
    if count > 2:
        n_cut = max(1, n_cut)
    return np.sort(rows, axis=1)[:, n_cut : count - n_cut].mean(axis=1)


def lower_median(rows: np.ndarray) -> np.ndarray:
    """Of two the smaller: what one device alone claims counts only where it is alone."""
    return np.sort(rows, axis=1)[:, (rows.shape[1] - 1) // 2]


LOWER_MEDIAN = "lower median"
"""Of accumulators; not for changes."""

AGGREGATIONS: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
    "mean": None, "trimmed_mean": trimmed_mean, "median": median,
}  # fmt: skip
"""Name -> what makes one row of the devices' rows, as `median`; None: their weighted mean. Put one
of your own in, and `FederatedLSHClassifier` takes its name."""


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
    how : one of AGGREGATIONS, or LOWER_MEDIAN

    Returns
    -------
    union : ndarray of int32
    change : ndarray (n_union, ...), float32
    contributors : ndarray (n_union,), int32
        Devices that had the row.

    Notes
    -----
    O(size of all changes + largest id). "mean" holds one row an id beside the
    changes; the others a copy of them.
    """
    union, places = union_of(ids)
    contributors = np.zeros(union.shape[0], dtype=np.int32)
    for place in places:
        contributors[place] += 1
    if how == "mean":
        change = np.zeros((union.shape[0], *rows[0].shape[1:]), dtype=np.float32)
        total = np.zeros(union.shape[0], dtype=np.float32)
        for place, part, weight in zip(places, rows, weights, strict=True):
            change[place] += np.float32(weight) * part
            total[place] += np.float32(weight)
        change /= total.reshape(-1, *[1] * (change.ndim - 1))
        return union, change, contributors
    combine = lower_median if how == LOWER_MEDIAN else AGGREGATIONS[how]
    return union, _robust(places, rows, contributors, combine), contributors


def _robust(places, rows, contributors, combine) -> np.ndarray:
    """What `combine` makes of each row's changes; rows with equally many of them together."""
    everything = np.concatenate(rows).astype(np.float32, copy=False)
    order = np.argsort(np.concatenate(places), kind="stable")
    starts = np.append(0, np.cumsum(contributors))
    change = np.empty((contributors.shape[0], *everything.shape[1:]), dtype=np.float32)
    for count in np.unique(contributors):
        group = np.flatnonzero(contributors == count)
        change[group] = combine(everything[order[starts[group][:, None] + np.arange(count)]])
    return change
