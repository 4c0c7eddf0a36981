"""How long changes may be, beside those of the other devices: rows, and what they add up to.

Row-wise Adagrad makes changes of equal steps about equally long: over iid and Dirichlet .3
splits of four data sets the longest change of an honest device was 1.4 medians, its longest
row 1.7 medians of the devices' longest rows.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sklsh.federated.messages import Update

LONGEST = 2.0
"""Medians of the devices' lengths that a change may have; more is cut off."""

HIGH = 0.99
"""Quantile of a device's rows that stands for its long ones. Not the longest: what two devices push
up, all others push back, and their longest rows would make room for more."""


def row_lengths(array: np.ndarray) -> np.ndarray:
    """Euclidean length of each row, float64, summed in the array's type: float32 holds the squares
    of what `sklsh.federated.norm_bound` lets in, at a third of the time of float64."""
    if array.ndim == 1:
        return np.abs(array.astype(np.float64))
    return np.sqrt(np.einsum("ij,ij->i", array, array).astype(np.float64))


def high(values: np.ndarray) -> float:
    """What a device's long rows are like; 0 of no rows."""
    if not values.size:
        return 0.0
    # As np.quantile has it, in a fifth of its time for the few thousand rows of a device.
    place = HIGH * (values.size - 1)
    below, above = math.floor(place), math.ceil(place)
    shorter, longer = np.partition(values, (below, above))[[below, above]].astype(np.float64)
    return float(shorter + (place - below) * (longer - shorter))


def share(kept, lengths):
    """``kept / lengths``, 1 where there is nothing to cut."""
    return np.where(lengths > kept, kept / np.where(lengths > 0, lengths, 1.0), 1.0)


def scaled(update: Update, factors: dict[str, np.ndarray]) -> Update:
    """The update with the rows of its arrays multiplied, by the names of changes and growth."""
    if all((factor == 1).all() for factor in factors.values()):
        return update

    def times(name, array):
        factor = factors[name]
        if (factor == 1).all():
            return array
        out, cut = array.astype(np.float32), np.flatnonzero(factor != 1)
        out[cut] = array[cut] * factor[cut].reshape(-1, *[1] * (array.ndim - 1))
        return out

    head, body = update.head, update.body
    state = np.stack(
        [times("state_head", head.state[:, 0]), times("state_bias", head.state[:, 1])], axis=1
    )
    head = replace(
        head, weights=times("head", head.weights), bias=times("bias", head.bias), state=state
    )
    if body is not None:
        body = replace(
            body, rows=times("body", body.rows), state=times("state_body", body.state),
            dense=tuple(times(f"dense_{i}", a) for i, a in enumerate(body.dense)),
            dense_state=tuple(
                times(f"state_dense_{i}", a) for i, a in enumerate(body.dense_state)
            ),
        )  # fmt: skip
    return replace(update, head=head, body=body)


def rises(update: Update, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far an update lifts neurons for rows of any kind: along `direction`, and their biases."""
    return update.head.weights @ direction, update.head.bias


def lowered(
    update: Update, direction: np.ndarray, found: tuple[np.ndarray, np.ndarray], limits
) -> Update:
    """The update, its `rises` cut to two limits."""
    excess = [np.maximum(rise - limit, 0) for rise, limit in zip(found, limits, strict=True)]
    if not any(part.any() for part in excess):
        return update
    head = update.head
    weights = head.weights.astype(np.float32)
    over = np.flatnonzero(excess[0])
    weights[over] -= excess[0][over, None].astype(np.float32) * direction
    bias = (head.bias - excess[1]).astype(np.float32)
    return replace(update, head=replace(head, weights=weights, bias=bias))
