"""What a round, and the start, take of a device's memory, by formula.

Tests hold it against what a process of its own has taken. Left out are its own rows, its cache, and
what any Python program takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sklsh.federated.selection import BLOCK
from sklsh.network.trainer import NEURONS

ENTRY = 24
"""Bytes of an entry of the round's rows while it is renumbered: columns, values, places."""


@dataclass(frozen=True)
class Batch:
    """What a device computes at a time; a device's own business, as its batch size is.

    Attributes
    ----------
    n_rows, n_neurons : int
        Of a step: its labels' and those beside them.
    n_scored : int
        Scores from which a step picks neurons.
    n_entries : int
        Features and labels of the round's rows.
    n_needed : int
        First-layer rows that a block of rows needs whose hidden vectors are computed.
    """

    n_rows: int
    n_neurons: int
    n_scored: int = 0
    n_entries: int = 0
    n_needed: int = 0


def batch_bytes(batch: Batch, n_hidden: int) -> int:
    """A step's buffers: neurons and their gradients, logits and residuals, hidden layers."""
    neurons = batch.n_neurons * (2 * n_hidden + 3)
    logits = 2 * batch.n_rows * batch.n_neurons
    partials = -(-batch.n_neurons // NEURONS) * batch.n_rows * n_hidden
    layers = 2 * batch.n_rows * n_hidden
    return 4 * (neurons + logits + partials + layers + batch.n_scored) + ENTRY * batch.n_entries


def selection_bytes(n_labels: int, sketch_dim: int, payload_bytes: int = 4) -> int:
    """Peak while neurons are picked: the sketch as sent, a neuron's bias and counter.

    The number of tables is not in it. Of the neurons that are hashed, one block is there.
    """
    block = 2 * min(n_labels, BLOCK) * (sketch_dim + 1) * 4
    return n_labels * ((sketch_dim + 1) * payload_bytes + 4 + 4) + block


def coded_selection_bytes(n_labels: int, bytes_per_code: float, coder_bytes: int) -> int:
    """Peak while codes are scored: these as sent, and what scores them.

    Rows' lists, of 12 bytes an entry, come on top: the more rows agree, the longer they are.
    """
    return int(n_labels * bytes_per_code) + coder_bytes


def model_bytes(n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4) -> int:
    """Neurons and first-layer rows as sent: weights, and bias, accumulators and ids."""
    neurons = n_ids * (n_hidden * payload_bytes + 4 * 4)
    return neurons + n_features * (n_hidden * payload_bytes + 2 * 4)


def training_bytes(
    n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4, batch: Batch | None = None
) -> int:
    """Peak while a model of one hidden layer is trained: parts as sent, and as trained.

    What has changed is written over what was trained.

    Parameters
    ----------
    n_ids, n_features : int
        Neurons and first-layer rows sent.
    n_hidden : int
    payload_bytes : int
        Of a weight on the wire.
    batch : Batch, optional
        Without one, its buffers are left out.
    """
    sent = model_bytes(n_ids, n_features, n_hidden, payload_bytes)
    trained = 4 * (n_ids * (n_hidden + 3 + 1) + n_features * (n_hidden + 1 + 1))
    return sent + trained + (0 if batch is None else batch_bytes(batch, n_hidden))


def start_bytes(n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4) -> int:
    """Peak of the prototypes' round: the body as sent, sums of the device's labels, these as sent.

    Rows' hidden vectors are computed block by block.
    """
    sums = n_ids * (n_hidden * (4 + payload_bytes * (payload_bytes != 4)) + 4)
    return model_bytes(0, n_features, n_hidden, payload_bytes) + sums


def picking_bytes(
    selection: int, n_features: int, n_hidden: int, payload_bytes: int = 4,
    batch: Batch | None = None,
) -> int:  # fmt: skip
    """Peak while neurons are picked, beside the body's rows, which are there already.

    Parameters
    ----------
    selection : int
        `selection_bytes`, `coded_selection_bytes`, or 0 where ids are drawn.
    """
    if not selection:
        return 0
    block = 0 if batch is None else batch.n_needed * n_hidden * (payload_bytes + 4)
    return selection + block + model_bytes(0, n_features, n_hidden, payload_bytes)


def device_bytes(
    selection: int, n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4,
    batch: Batch | None = None,
) -> int:  # fmt: skip
    """Peak of a round beside the device's own rows and its cache; arguments as of its parts."""
    return max(
        picking_bytes(selection, n_features, n_hidden, payload_bytes, batch),
        training_bytes(n_ids, n_features, n_hidden, payload_bytes, batch),
    )
