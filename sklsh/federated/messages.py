"""What travels between the server and a device: frozen messages that count and check themselves.

Nothing else is ever exchanged. A device's rows, hash functions, tables, seeds and settings
are in no message. Weights travel as float32 or float16, the optimizer's state (one float a
row) as float32, ids as int32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

HEADER = 16
"""Bytes counted for a message beside its arrays: kind, round, device, a number."""

REASONS = (
    "missing", "stale", "stranger", "duplicate", "type", "shape", "range", "nonfinite", "outsized",
)  # fmt: skip
"""Why the server may have gone on without a reply."""


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
    """

    n_features: int
    n_labels: int
    hidden_layer_sizes: tuple[int, ...]

    @property
    def n_hidden(self) -> int:
        return self.hidden_layer_sizes[-1]

    def dense_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of `BodyPart.dense`."""
        sizes = self.hidden_layer_sizes
        deep = list(pairwise(sizes))
        biases = [(n,) for n in sizes]
        return [*deep, *biases, *[(n_in,) for n_in, _ in deep], *biases]


def check_array(array, name: str, shape: tuple[int, ...]) -> None:
    """Real, finite numbers of the given shape, or `Rejected`."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise Rejected("type", f"{name} must be a floating-point array, got {type(array)}")
    if array.shape != shape:
        raise Rejected("shape", f"{name} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise Rejected("nonfinite", f"{name} must be finite")


def check_ids(ids, name: str, n: int) -> None:
    """Ascending different int32 ids in ``[0, n)``, or `Rejected`."""
    if not isinstance(ids, np.ndarray) or ids.dtype != np.int32:
        raise Rejected("type", f"{name} must be an int32 array, got {type(ids)}")
    if ids.ndim != 1:
        raise Rejected("shape", f"{name} must be 1-d, got shape {ids.shape}")
    if ids.size and (ids[0] < 0 or ids[-1] >= n or (np.diff(ids) <= 0).any()):
        raise Rejected("range", f"{name} must be ascending ids in [0, {n})")


def check_count(value, name: str) -> None:
    """A positive integer, or `Rejected`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise Rejected("range", f"{name} must be a positive integer, got {value!r}")


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
        Adagrad accumulators of weight rows and biases.
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
        check_array(self.state, "state", (n, 2))


@dataclass(frozen=True)
class BodyPart(Payload):
    """First-layer rows of some features and everything behind them, or their changes.

    Attributes
    ----------
    features : ndarray (n,), int32, ascending
    rows : ndarray (n, n_hidden_1)
    state : ndarray (n,), float32
        Adagrad accumulators of the rows.
    dense : tuple of ndarray
        Deeper weights, all biases, then the accumulators of both.
    """

    features: np.ndarray
    rows: np.ndarray
    state: np.ndarray
    dense: tuple[np.ndarray, ...]

    def validate(self, shape: ModelShape) -> None:
        check_ids(self.features, "features", shape.n_features)
        n = self.features.shape[0]
        check_array(self.rows, "rows", (n, shape.hidden_layer_sizes[0]))
        check_array(self.state, "state", (n,))
        shapes = shape.dense_shapes()
        if not isinstance(self.dense, tuple) or len(self.dense) != len(shapes):
            raise Rejected("shape", f"dense must be {len(shapes)} arrays")
        for array, expected in zip(self.dense, shapes, strict=True):
            check_array(array, "dense", expected)


# Server -> device -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Invite(Payload):
    """Asks a device to take part in a round.

    Attributes
    ----------
    round : int
    local_steps : int
        0: one pass over the device's rows.
    learning_rate : float
    """

    round: int
    local_steps: int
    learning_rate: float


@dataclass(frozen=True)
class Sketch(Payload):
    """The head, folded; the device draws the same fold from its seed.

    Attributes
    ----------
    round : int
    fold : str
    seed : int
    sketch_dim : int
    values : ndarray (n_labels, sketch_dim)
        ``B (w_j - mean)``.
    bias : ndarray (n_labels,)
    ids : ndarray (n,), int32, or None
        Rows of a delta sketch; None: `values` has them all.
    """

    round: int
    fold: str
    seed: int
    sketch_dim: int
    values: np.ndarray
    bias: np.ndarray
    ids: np.ndarray | None = None


@dataclass(frozen=True)
class SubModel(Payload):
    """The neurons that a device asked for."""

    round: int
    head: HeadPart


@dataclass(frozen=True)
class Centre(Payload):
    """Mean hidden vector of all devices: what prototypes are centred by."""

    centre: np.ndarray


# Device -> server -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply(Payload):
    """Base of what a device sends."""

    device: int
    round: int

    def validate(self, shape: ModelShape) -> None:
        """Raise `Rejected` unless the message fits a model of `shape`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Census(Reply):
    """Three numbers of a device, before the first round.

    Attributes
    ----------
    n_samples : int
    row_norm : float
        Root mean squared norm of its rows.
    labels_per_row : float
    """

    n_samples: int
    row_norm: float
    labels_per_row: float

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        numbers = (self.row_norm, self.labels_per_row)
        if not all(isinstance(v, float) and 0 <= v < np.inf for v in numbers):
            raise Rejected(
                "nonfinite", f"row_norm and labels_per_row must be finite, got {numbers}"
            )


@dataclass(frozen=True)
class Request(Reply):
    """What a device wants to be sent.

    Attributes
    ----------
    features : ndarray of int32, or None
        First-layer rows. None: all.
    ids : ndarray of int32, or None
        Neurons. None: it needs the sketch to say.
    """

    features: np.ndarray | None
    ids: np.ndarray | None

    def validate(self, shape):
        if self.features is not None:
            check_ids(self.features, "features", shape.n_features)
        if self.ids is not None:
            check_ids(self.ids, "ids", shape.n_labels)


@dataclass(frozen=True)
class Select(Reply):
    """The neurons that a device wants, picked with its own hash tables.

    Attributes
    ----------
    ids : ndarray of int32
    """

    ids: np.ndarray

    def validate(self, shape):
        check_ids(self.ids, "ids", shape.n_labels)


@dataclass(frozen=True)
class HiddenMean(Reply):
    """Mean hidden vector of a device's rows."""

    n_samples: int
    mean: np.ndarray

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        check_array(self.mean, "mean", (shape.n_hidden,))


@dataclass(frozen=True)
class Prototypes(Reply):
    """For each label of a device, the sum of its rows' centred, normalised hidden vectors."""

    n_samples: int
    ids: np.ndarray
    sums: np.ndarray

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        check_ids(self.ids, "ids", shape.n_labels)
        check_array(self.sums, "sums", (self.ids.shape[0], shape.n_hidden))
        # A row adds a vector of length 1.
        lengths = np.sqrt(np.square(self.sums, dtype=np.float64).sum(axis=1))
        if (lengths > 1.01 * self.n_samples + 0.01).any():
            raise Rejected("outsized", "a sum is longer than the number of its rows")


@dataclass(frozen=True)
class Update(Reply):
    """What local training changed.

    Attributes
    ----------
    n_samples : int
        Rows trained on, repeats counted: the weight of the update.
    loss : float
        Mean loss of these rows.
    head : HeadPart
    body : BodyPart
    """

    n_samples: int
    loss: float
    head: HeadPart
    body: BodyPart

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        if not isinstance(self.loss, float) or not np.isfinite(self.loss):
            raise Rejected("nonfinite", f"loss must be finite, got {self.loss!r}")
        if not isinstance(self.head, HeadPart):
            raise Rejected("type", f"head must be a HeadPart, got {type(self.head)}")
        if not isinstance(self.body, BodyPart):
            raise Rejected("type", f"body must be a BodyPart, got {type(self.body)}")
        self.head.validate(shape)
        self.body.validate(shape)
