"""What travels between the server and a device: frozen messages that count and check themselves.

Nothing else is ever exchanged. A device's rows, hash functions, tables, seeds and settings
are in no message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sklsh.federated.parts import (
    BodyPart,
    HeadPart,
    ModelShape,
    Payload,
    Rejected,
    check_array,
    check_count,
    check_ids,
)

LARGEST = float(np.finfo(np.float32).max)
"""What a number of a reply may be: more is not finite as float32."""

CODE_FAMILIES = ("signs", "products", "svd")
CODE_BYTES = (4, 8, 16, 32, 64)
"""Of a neuron's code. What a device may ask for is a short list: the server codes the head for
each pair that any device wants."""

# Server -> device -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Invite(Payload):
    """Asks a device to take part in a round.

    Attributes
    ----------
    round : int
    local_steps : int or float
        Batches; a float is a share of the device's rows, each once.
    learning_rate : float
    run : int
        Names the training run: what a device has kept from another is of no use.
    """

    round: int
    local_steps: int | float
    learning_rate: float
    run: int = 0


@dataclass(frozen=True)
class Sketch(Payload):
    """The head, folded, or what has changed of it; the device draws the same fold by its seed.

    Attributes
    ----------
    round : int
    fold : str
    seed : int
    sketch_dim : int
    values : ndarray (n, sketch_dim)
        ``B w_j``.
    bias : ndarray (n,)
        ``b_j + w_j @ hidden_centre``.
    centre : ndarray (sketch_dim,), float32
        Mean of all rows of the sketch: neurons are hashed less what they share.
    ids : ndarray (n,), int32, or None
        Neurons of these rows; None: all of them.
    since : int
        The round whose sketch the rows `ids` bring up to date.
    hidden_centre : ndarray (n_hidden,), float32, or None
        A hidden vector near all; None: zeros. Biases and what the neurons make of it are
        large and cancel: a sketch of the one would drown the sum.
    keep : bool
        Whether a later round has the same fold, so that this one is worth keeping.
    """

    round: int
    fold: str
    seed: int
    sketch_dim: int
    values: np.ndarray
    bias: np.ndarray
    centre: np.ndarray
    ids: np.ndarray | None = None
    since: int = -1
    keep: bool = False
    hidden_centre: np.ndarray | None = None


@dataclass(frozen=True)
class CodedHead(Payload):
    """The head as codes that a device scores, or what has changed of them.

    Attributes
    ----------
    round : int
    family : {"signs", "products", "svd"}
    n_bytes : int
        Of a code.
    seed : int
        Directions of signs are drawn by it.
    packed : ndarray (n, n_bytes), uint8; of "svd" int8
    scale : ndarray (n,), float16; (0,) where the family needs none
    bias : ndarray (n,), float16
        ``b_j`` and what the neuron makes of the mean hidden vector. `scale` and `bias` are float32
        where they are beyond float16.
    means : ndarray (2, n_hidden), float32, or None
        What neurons and hidden vectors are centred by; None with `ids`: as in the codes at hand.
    learnt : tuple of ndarray
        Codebooks or directions; empty with `ids`, and where all is drawn.
    ids : ndarray (n,), int32, or None
        Neurons of these codes; None: all of them.
    since : int
        The round whose codes those of `ids` bring up to date.
    keep : bool
        Whether a later round has the same coder, so that this one is worth keeping.
    """

    round: int
    family: str
    n_bytes: int
    seed: int
    packed: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    means: np.ndarray | None = None
    learnt: tuple[np.ndarray, ...] = ()
    ids: np.ndarray | None = None
    since: int = -1
    keep: bool = False


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
class ClientStatistics(Reply):
    """Three numbers of a device, before the first round.

    Attributes
    ----------
    n_samples : int
    row_norm : float
        Median norm of its rows; rows of zeros are left out, 0 if all are.
    labels_per_row : float
    """

    n_samples: int
    row_norm: float
    labels_per_row: float

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        numbers = (self.row_norm, self.labels_per_row)
        if not all(type(v) is float and 0 <= v <= LARGEST for v in numbers):
            raise Rejected(
                "nonfinite", f"row_norm and labels_per_row must be floats in [0, {LARGEST:g}]"
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
    has_body : bool
        It has a body of its own and wants none.
    sketch_round : int
        Round of the sketch, or of such codes, that it has kept, -1 if it has none.
    codes : str
        Family of the codes that it wants in the sketch's stead; "" for the sketch.
    code_bytes : int
        Of a neuron's code; 0 for the sketch.
    """

    features: np.ndarray | None
    ids: np.ndarray | None
    has_body: bool = False
    sketch_round: int = -1
    codes: str = ""
    code_bytes: int = 0

    def validate(self, shape):
        if self.features is not None:
            check_ids(self.features, "features", shape.n_features)
        if self.ids is not None:
            check_ids(self.ids, "ids", shape.n_labels)
        if type(self.sketch_round) is not int or type(self.has_body) is not bool:
            raise Rejected("type", "sketch_round must be an int and has_body a bool")
        wanted = (self.codes, self.code_bytes)
        if type(self.codes) is not str or type(self.code_bytes) is not int:
            raise Rejected("type", "codes must be a str and code_bytes an int")
        if wanted != ("", 0) and not (
            self.codes in CODE_FAMILIES and self.code_bytes in CODE_BYTES
        ):
            raise Rejected("range", f"codes must be of {CODE_FAMILIES} and {CODE_BYTES} bytes")


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
class Counts(Reply):
    """In how many of a device's rows each of its labels is."""

    n_samples: int
    ids: np.ndarray
    counts: np.ndarray

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        check_ids(self.ids, "ids", shape.n_labels)
        check_array(self.counts, "counts", self.ids.shape, ("int32",))
        if self.counts.size and (self.counts.min() < 1 or self.counts.max() > self.n_samples):
            raise Rejected("range", "counts must be between 1 and n_samples")


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
            raise Rejected("norm bound exceeded", "a sum is longer than the number of its rows")


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
    body : BodyPart or None
        None where the body never leaves the device.
    threshold : float or None
        Share above which the model, before this training, names as many labels as rows have: see
        `sklsh.federated.cardinality`. None where rows are read as interactions.
    """

    n_samples: int
    loss: float
    head: HeadPart
    body: BodyPart | None
    threshold: float | None = None

    def validate(self, shape):
        check_count(self.n_samples, "n_samples")
        if type(self.loss) is not float or not 0 <= self.loss <= LARGEST:
            raise Rejected("nonfinite", f"loss must be a float in [0, {LARGEST:g}]")
        if self.threshold is not None and (
            type(self.threshold) is not float or not 0 < self.threshold <= 1
        ):
            raise Rejected("range", "threshold must be None or a float in (0, 1]")
        if type(self.head) is not HeadPart:
            raise Rejected("type", f"head must be a HeadPart, got {type(self.head)}")
        if type(self.body) is not (BodyPart if shape.with_body else type(None)):
            wanted = "a BodyPart" if shape.with_body else "None"
            raise Rejected("type", f"body must be {wanted}, got {type(self.body)}")
        self.head.validate(shape)
        if self.body is not None:
            self.body.validate(shape)

    def changes(self) -> dict[str, np.ndarray]:
        """What moves parameters, by the name of an array, a row for each of its rows."""
        out = {"head": self.head.weights, "bias": self.head.bias}
        if self.body is not None:
            out |= {"body": self.body.rows}
            out |= {f"dense_{i}": array for i, array in enumerate(self.body.dense)}
        return out

    def growth(self) -> dict[str, np.ndarray]:
        """That of the accumulators, where they travel; names as of `changes`, a number a row."""
        out = {"state_head": self.head.state[:, 0], "state_bias": self.head.state[:, 1]}
        if self.body is not None:
            out |= {"state_body": self.body.state}
            out |= {f"state_dense_{i}": array for i, array in enumerate(self.body.dense_state)}
        return out

    def in_float32(self) -> Update:
        """With changes in float32: each piece of arithmetic on float16 converts them anew."""
        body = None if self.body is None else self.body.in_float32()
        return replace(self, head=self.head.in_float32(), body=body)

    def moved(self) -> Update:
        """Without rows that training has not touched: to send all ids contributes nothing."""
        head, body = self.head.moved(), None if self.body is None else self.body.moved()
        if head is self.head and body is self.body:
            return self
        return replace(self, head=head, body=body)


def bodies_of(updates: Sequence[Update]) -> list[BodyPart]:
    """Of a round's updates the bodies: all have one, or none where it never leaves a device."""
    return [update.body for update in updates if update.body is not None]
