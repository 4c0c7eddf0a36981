"""An update as integers modulo 2^32 whose sum is that of all updates, and back.

A number is cut to its clip, which stands for 2^30 / devices, and rounded. Changes are cut to
`CLIP` learning rates of the round; of a sum of eight devices, what rounding adds to the mean is
4e-6 learning rates at most, and of 4,096 .002. Growth of accumulators goes as its binary logarithm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sklsh.federated.messages import Update
from sklsh.federated.parts import BodyPart, HeadPart, ModelShape, Rejected

CLIP = 1024.0
"""Learning rates that a parameter may change in a round. Of twenty steps honest ones were 33 at
most."""

RANGE = 2**30
"""Of a sum, to either side."""

MOST_DEVICES = 2**12
"""Of a round: more would leave too little of the range to each."""

LARGEST_LOSS, EXPONENTS = 64.0, 64.0
LOWEST, HIGHEST = -60.0, 40.0
"""Binary logarithms of an accumulator's growth; 2^-60 is none."""


@dataclass(frozen=True)
class Mean:
    """The mean of a round's updates.

    Attributes
    ----------
    n_devices : int
    head : HeadPart
        Of each row that any device has moved, the mean over these devices.
    head_contributors : ndarray (n,), int32
        How many they are.
    body : BodyPart or None
    body_contributors : ndarray or None
    loss : float
    threshold : float or None
    """

    n_devices: int
    head: HeadPart
    head_contributors: np.ndarray
    body: BodyPart | None
    body_contributors: np.ndarray | None
    loss: float
    threshold: float | None


def layout(shape: ModelShape, n_ids: int, rate: float) -> Iterator[tuple[str, tuple, float]]:
    """Name, shape and clip of each array, in their order."""
    change = CLIP * rate
    yield "head", (n_ids, shape.n_hidden), change
    yield "bias", (n_ids,), change
    yield "head_moved", (n_ids,), 1.0
    if shape.with_state:
        yield "head_state", (n_ids, 2), EXPONENTS
    if shape.with_body:
        n = shape.n_features
        yield "body", (n, shape.hidden_layer_sizes[0]), change
        yield "body_moved", (n,), 1.0
        if shape.with_state:
            yield "body_state", (n,), EXPONENTS
        for i, dense in enumerate(shape.dense_shapes()):
            yield f"dense_{i}", dense, change
        for i, dense in enumerate(shape.dense_state_shapes()):
            yield f"dense_state_{i}", dense, EXPONENTS
    yield "loss", (1,), LARGEST_LOSS
    yield "threshold", (2,), 1.0


def size(shape: ModelShape, n_ids: int) -> int:
    """Numbers of an update."""
    return sum(int(np.prod(of)) for _, of, _ in layout(shape, n_ids, 1.0))


def packed(update: Update, n_devices: int, shape: ModelShape, rate: float) -> np.ndarray:
    """An update of all rows of the round as uint32 numbers, for a sum of at most `n_devices`.

    Raises
    ------
    ValueError
        It lacks features: which it has must not show.
    """
    head, body = update.head, update.body
    said = update.threshold is not None
    arrays = update.changes() | {
        "loss": np.array([update.loss]), "head_moved": head.moved_rows(),
        "threshold": np.array([update.threshold if said else 0.0, float(said)]),
    }  # fmt: skip
    if shape.with_state:
        arrays["head_state"] = _exponents(head.state) * head.moved_rows()[:, None]
    if body is not None:
        if body.features.shape[0] != shape.n_features:
            raise ValueError("a masked update must have all features")
        arrays["body_moved"] = body.moved_rows()
        if shape.with_state:
            arrays["body_state"] = _exponents(body.state) * body.moved_rows()
        arrays |= {f"dense_state_{i}": _exponents(a) for i, a in enumerate(body.dense_state)}
    out = np.empty(size(shape, head.ids.shape[0]), dtype=np.int32)
    start = 0
    for name, of, clip in layout(shape, head.ids.shape[0], rate):
        stop = start + int(np.prod(of))
        numbers = np.clip(arrays[name].reshape(-1) / np.float64(clip), -1.0, 1.0)
        out[start:stop] = np.rint(numbers * (RANGE // n_devices))
        start = stop
    return out.view(np.uint32)


def unpacked(
    total: np.ndarray, n_devices: int, n_most: int, ids: np.ndarray, shape: ModelShape, rate: float
) -> Mean:
    """The mean of `n_devices` updates, from their sum; packed they were for `n_most`.

    Raises
    ------
    Rejected
        No sum of updates: what is left of masks that did not cancel.
    """
    found, start, signed = {}, 0, total.view(np.int32)
    for name, of, clip in layout(shape, ids.shape[0], rate):
        stop = start + int(np.prod(of))
        found[name] = signed[start:stop].reshape(of) * np.float64(clip) / (RANGE // n_most)
        start = stop
    for name in ("head_moved", "body_moved"):
        counts = found.get(name, np.empty(0))
        if not (np.isin(counts, np.arange(n_devices + 1))).all():
            raise Rejected(
                "norm bound exceeded", "the masks did not cancel: some device's numbers are wrong"
            )
    rows, contributors = _rows(found, "head", ids)
    bias = _mean(found["bias"], found["head_moved"])
    head = HeadPart(rows["ids"], rows["head"], bias, rows["state"])
    body, body_contributors = None, None
    if shape.with_body:
        rows, body_contributors = _rows(found, "body", np.arange(shape.n_features, dtype=np.int32))
        n_dense = len(shape.dense_shapes())
        dense = [(found[f"dense_{i}"] / n_devices).astype(np.float32) for i in range(n_dense)]
        states = [
            _growth(found[f"dense_state_{i}"] / n_devices)
            for i in range(len(shape.dense_state_shapes()))
        ]
        body = BodyPart(rows["ids"], rows["body"], rows["state"], tuple(dense), tuple(states))
    value, said = found["threshold"]
    return Mean(
        n_devices, head, contributors, body, body_contributors, float(found["loss"][0] / n_devices),
        float(value / said) if said >= 1 else None,
    )  # fmt: skip


def _rows(found: dict, name: str, ids: np.ndarray) -> tuple[dict, np.ndarray]:
    """Ids, mean changes and growth of the rows that any device has moved, and by how many."""
    counts = found[f"{name}_moved"]
    out = {"ids": ids[counts > 0], name: _mean(found[name], counts)}
    state = found.get(f"{name}_state")
    if state is None:
        out["state"] = np.empty((0, 2) if name == "head" else 0, np.float32)
    else:
        out["state"] = _growth(_mean(state, counts))
    return out, counts[counts > 0].astype(np.int32)


def _mean(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over the devices that have moved a row."""
    some = counts > 0
    each = counts[some].reshape(-1, *[1] * (total.ndim - 1))
    return (total[some] / each).astype(np.float32)


def _exponents(growth: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.clip(np.log2(growth.astype(np.float64)), LOWEST, HIGHEST)


def _growth(exponents: np.ndarray) -> np.ndarray:
    """The geometric mean: one device's large number weighs as little as it can in a sum."""
    return np.where(exponents > LOWEST, np.exp2(exponents), 0).astype(np.float32)
