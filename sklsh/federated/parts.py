"""What messages are made of: payloads that count their bytes, parts of a model, checks.

Weights travel as float32 or float16, the optimizer's state (one float a row) as float32,
ids as int32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

HEADER = 16
"""Bytes counted for a message beside its arrays: kind, round, device, a number."""

BROKEN = "broken"
"""A reply that raised what nobody has foreseen when it was read or looked at."""

UNDONE = "undone"
"""Not a reply but a round: the model was not finite after it, and is as it was before."""

REASONS = (
    "missing", "stale", "unknown device", "duplicate", "type", "shape", "range", "nonfinite",
    "norm bound exceeded", BROKEN, UNDONE,
)  # fmt: skip
"""Why the server may have gone on without a reply."""

MOST_ROWS = 2**31 - 1
"""Rows that a device may truthfully have."""


class Rejected(ValueError):
    """A message that the server does not use.

    Attributes
    ----------
    reason : str
        One of `REASONS`.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class ModelShape:
    """Sizes that both sides know: what an array of a message must fit.

    Attributes
    ----------
    n_features, n_labels : int
    hidden_layer_sizes : tuple of int
    with_body : bool
        Whether updates have a body: not so where it never leaves a device.
    with_state : bool
        Whether Adagrad accumulators travel with the rows.
    """

    n_features: int
    n_labels: int
    hidden_layer_sizes: tuple[int, ...]
    with_body: bool = True
    with_state: bool = True

    @property
    def n_hidden(self) -> int:
        return self.hidden_layer_sizes[-1]

    def dense_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of `BodyPart.dense`."""
        sizes = self.hidden_layer_sizes
        deep = list(pairwise(sizes))
        return [*deep, *[(n,) for n in sizes]]

    def dense_state_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of `BodyPart.dense_state`: one float a row."""
        return [shape[:1] for shape in self.dense_shapes()] if self.with_state else []


FLOATS = ("float16", "float32")


def check_array(
    array, name: str, shape: tuple[int | None, ...], dtypes: tuple[str, ...] = FLOATS
) -> None:
    """Finite numbers of one of these types and of the given shape, or `Rejected`.

    None in a shape: any number.
    """
    if type(array) is not np.ndarray or array.dtype not in dtypes:
        raise Rejected("type", f"{name} must be a {' or '.join(dtypes)} array, got {type(array)}")
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise Rejected("shape", f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Rejected("nonfinite", f"{name} must be finite")


def check_ids(ids, name: str, n: int) -> None:
    """Ascending different int32 ids in ``[0, n)``, or `Rejected`."""
    check_array(ids, name, (None,), ("int32",))
    if ids.size and (ids[0] < 0 or ids[-1] >= n or (np.diff(ids) <= 0).any()):
        raise Rejected("range", f"{name} must be ascending ids in [0, {n})")


def check_count(value, name: str) -> None:
    """A positive number of rows, or `Rejected`."""
    if type(value) is not int or not 1 <= value <= MOST_ROWS:
        raise Rejected("range", f"{name} must be an int in [1, {MOST_ROWS}]")


@dataclass(frozen=True)
class Payload:
    """Base of everything with arrays."""

    def arrays(self) -> Iterator[np.ndarray]:
        """Every array, nested parts included."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                yield value
            elif isinstance(value, tuple):
                yield from value
            elif isinstance(value, Payload):
                yield from value.arrays()

    @property
    def array_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays())

    @property
    def nbytes(self) -> int:
        """Bytes on the wire: the arrays and `HEADER`."""
        return HEADER + self.array_bytes


@dataclass(frozen=True)
class HeadPart(Payload):
    """Rows of the head, or their changes.

    Attributes
    ----------
    ids : ndarray (n,), int32, ascending
    weights : ndarray (n, n_hidden)
    bias : ndarray (n,)
    state : ndarray (n, 2), float32
        Adagrad accumulators of weight rows and biases; (0, 2) where they do not travel.
    """

    ids: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    state: np.ndarray

    def validate(self, shape: ModelShape) -> None:
        check_ids(self.ids, "ids", shape.n_labels)
        n = self.ids.shape[0]
        check_array(self.weights, "weights", (n, shape.n_hidden))
        check_array(self.bias, "bias", (n,))
        check_array(self.state, "state", (n if shape.with_state else 0, 2))

    def in_float32(self) -> HeadPart:
        """Weights and biases that came as float16, in float32."""
        return replace(self, weights=_float32(self.weights), bias=_float32(self.bias))

    def moved_rows(self) -> np.ndarray:
        """Of changes, which rows training has touched; (n,) bool."""
        moved = np.asarray(self.weights.any(axis=1) | (self.bias != 0))
        return moved | self.state.any(axis=1) if self.state.size else moved

    def moved(self) -> HeadPart:
        """Of changes, those of rows that training has touched."""
        kept = self.moved_rows()
        if kept.all():
            return self
        state = self.state[kept] if self.state.size else self.state
        return HeadPart(self.ids[kept], self.weights[kept], self.bias[kept], state)


def neuron_bytes(n_hidden: int, payload: str, with_state: bool) -> int:
    """Of a neuron in a round: the id that asks, its row in a `HeadPart`, that of its change."""
    size = np.dtype(payload).itemsize
    biases = 4 + size  # float32 on its way to the device
    return 4 + 2 * (4 + n_hidden * size + 8 * with_state) + biases


@dataclass(frozen=True)
class BodyPart(Payload):
    """First-layer rows of some features and everything behind them, or their changes.

    Attributes
    ----------
    features : ndarray (n,), int32, ascending
    rows : ndarray (n, n_hidden_1)
    state : ndarray (n,), float32
        Adagrad accumulators of the rows; empty where they do not travel.
    dense : tuple of ndarray
        Deeper weights, then all biases.
    dense_state : tuple of ndarray
        Their accumulators; empty where they do not travel.
    input_scale : float
        What all entries are multiplied by. 1 in updates.
    weights : ndarray (n,), float32, or None
        What entries of these features are multiplied by before a row is scaled to norm 1;
        None: rows are read as they are. In no update.
    """

    features: np.ndarray
    rows: np.ndarray
    state: np.ndarray
    dense: tuple[np.ndarray, ...]
    dense_state: tuple[np.ndarray, ...] = ()
    input_scale: float = 1.0
    weights: np.ndarray | None = None

    @property
    def deep_weights(self) -> tuple[np.ndarray, ...]:
        """Weights of the layers behind the first."""
        return self.dense[: len(self.dense) // 2]

    @property
    def biases(self) -> tuple[np.ndarray, ...]:
        """Of all hidden layers."""
        return self.dense[len(self.dense) // 2 :]

    def validate(self, shape: ModelShape) -> None:
        if self.weights is not None:
            raise Rejected("type", "weights must be None in an update")
        if type(self.input_scale) not in (int, float) or self.input_scale != 1:
            raise Rejected("range", "input_scale must be 1 in an update")
        check_ids(self.features, "features", shape.n_features)
        n = self.features.shape[0]
        check_array(self.rows, "rows", (n, shape.hidden_layer_sizes[0]))
        check_array(self.state, "state", (n if shape.with_state else 0,))
        _check_arrays(self.dense, "dense", shape.dense_shapes())
        _check_arrays(self.dense_state, "dense_state", shape.dense_state_shapes())

    def in_float32(self) -> BodyPart:
        """Weights and biases that came as float16, in float32."""
        dense = tuple(_float32(array) for array in self.dense)
        return replace(self, rows=_float32(self.rows), dense=dense)

    def moved_rows(self) -> np.ndarray:
        """Of changes, which first-layer rows training has touched; (n,) bool."""
        moved = np.asarray(self.rows.any(axis=1))
        return moved | (self.state != 0) if self.state.size else moved

    def moved(self) -> BodyPart:
        """Of changes, those of rows that training has touched; the dense rest is kept."""
        kept = self.moved_rows()
        if kept.all():
            return self
        state = self.state[kept] if self.state.size else self.state
        return replace(self, features=self.features[kept], rows=self.rows[kept], state=state)


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)


def _check_arrays(arrays, name: str, shapes) -> None:
    if type(arrays) is not tuple or len(arrays) != len(shapes):
        raise Rejected("shape", f"{name} must be {len(shapes)} arrays")
    for array, expected in zip(arrays, shapes, strict=True):
        check_array(array, name, expected)
