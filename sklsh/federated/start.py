"""The start's messages together: what one device claims counts by what the others do.

Sizes, means, sums and counts are bounded like changes are (`sklsh.federated.defence`): no device
is worth more than a few medians of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sklsh.federated.limits import high
from sklsh.federated.messages import ClientStatistics, Counts, HiddenMean, Prototypes

LARGEST = 3.0
"""Median numbers of rows that a device may count for: honest ones differ more than their
changes do."""


def counted_rows(n_samples: Sequence[int]) -> np.ndarray:
    """Rows that each device counts for: what it claims, `LARGEST` medians at most. float64."""
    claimed = np.array([float(n) for n in n_samples])
    return np.minimum(claimed, max(1.0, LARGEST * float(np.median(claimed))))


STATISTICS = ("n_samples", "row_norm", "labels_per_row")
"""Of a device, before the first round: see `ClientStatistics`."""


def public_client_statistics(devices: Sequence[int], public: Mapping) -> dict:
    """What is known of devices' rows without asking: the same `STATISTICS` for each."""
    numbers = {name: float(public[name]) for name in STATISTICS[1:]}
    return {
        device: ClientStatistics(device, -1, int(public["n_samples"]), **numbers)
        for device in devices
    }


def total_rows(statistics: Sequence[ClientStatistics]) -> int:
    """Rows of all devices, none counted for more than a few medians."""
    return int(counted_rows([c.n_samples for c in statistics]).sum())


def typical_row_norm(statistics: Sequence[ClientStatistics]) -> float:
    """The median over the devices that have other rows than zeros; 0 if none has."""
    norms = [c.row_norm for c in statistics if c.row_norm > 0]
    return float(np.median(norms)) if norms else 0.0


def typical_labels(statistics: Sequence[ClientStatistics]) -> float:
    """Labels a row: the median of rows, each with its device's mean.

    A device counts for the median number of rows at most: at `LARGEST` of them, two liars of
    eight would have half of all.
    """
    labels = np.array([c.labels_per_row for c in statistics])
    order = np.argsort(labels, kind="stable")
    claimed = np.array([float(c.n_samples) for c in statistics])
    rows = np.cumsum(np.minimum(claimed, np.median(claimed))[order])
    return float(labels[order][np.searchsorted(rows, rows[-1] / 2)])


def common_centre(means: Sequence[HiddenMean]) -> np.ndarray:
    """The median of the devices' mean hidden vectors, number by number."""
    return np.median([mean.mean for mean in means], axis=0).astype(np.float32)


def summed_prototypes(replies: Sequence[Prototypes], n_labels: int, n_hidden: int) -> np.ndarray:
    """Sum of the devices' sums by label, (n_labels, n_hidden) float32.

    A device's sums are scaled down if they are, together, longer than `LARGEST` medians; a
    label's sum is cut to the median of those that name the label: only directions count in
    the end, and a liar's share of any is bounded by what others say of it.
    """
    out = np.zeros((n_labels, n_hidden), dtype=np.float32)
    if not replies:
        return out
    lengths = [np.sqrt(np.square(r.sums, dtype=np.float64).sum(axis=1)) for r in replies]
    totals = np.array([length.sum() for length in lengths])
    most = LARGEST * float(np.median(totals))
    lengths = [
        length * min(1.0, most / max(total, 1e-30))
        for length, total in zip(lengths, totals, strict=True)
    ]
    middle = _median_by_id([r.ids for r in replies], lengths, n_labels)
    for reply, length in zip(replies, lengths, strict=True):
        own = np.sqrt(np.square(reply.sums, dtype=np.float64).sum(axis=1))
        share = np.minimum(length, middle[reply.ids]) / np.where(own > 0, own, 1.0)
        out[reply.ids] += (reply.sums * share[:, None]).astype(np.float32)
    return out


def levelled(neurons: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Start neurons, none much more on every row's side than others are; (n_labels, n_hidden).

    The part along `centre` of the most so inclined is cut to that of the `HIGH` quantile: a neuron
    that has hardly another part would be up for half of all rows.
    """
    length = float(np.sqrt(centre @ centre))
    if not length:
        return neurons
    direction = centre / np.float32(length)
    along = neurons @ direction
    excess = np.maximum(along - max(0.0, high(along)), 0)
    over = np.flatnonzero(excess)
    neurons[over] -= excess[over, None].astype(np.float32) * direction
    return neurons


def _median_by_id(ids, values, n: int) -> np.ndarray:
    """For each id, the median (the lower of two) of the values that came with it; 0 if none."""
    every, numbers = np.concatenate(ids), np.concatenate(values)
    order = np.lexsort((numbers, every))
    counts = np.bincount(every, minlength=n)
    starts = np.cumsum(counts) - counts
    out = np.zeros(n)
    some = counts > 0
    out[some] = numbers[order][(starts + (counts - 1) // 2)[some]]
    return out


def bounded_counts(replies: Sequence[Counts]) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Of each reply ids, counts and rows: `LARGEST` medians of rows at most, and of items a row."""
    if not replies:
        return []
    rows = counted_rows([reply.n_samples for reply in replies])
    per_row = [reply.counts.sum(dtype=np.float64) / reply.n_samples for reply in replies]
    most = LARGEST * float(np.median(per_row))
    out = []
    for reply, n_rows, items in zip(replies, rows, per_row, strict=True):
        share = n_rows / reply.n_samples * min(1.0, most / max(items, 1e-30))
        counts = reply.counts
        if share < 1:
            counts = np.ceil(counts * share).astype(np.int64)
        out.append((reply.ids, counts, int(n_rows)))
    return out
