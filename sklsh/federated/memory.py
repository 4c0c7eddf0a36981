"""What a round takes of a device's memory, by formula; tests hold it against tracemalloc."""

from __future__ import annotations

from sklsh.federated.selection import BLOCK


def selection_bytes(n_labels: int, sketch_dim: int, payload_bytes: int = 4) -> int:
    """Peak while neurons are picked: the sketch as sent, a neuron's bias and counter.

    The number of tables is not in it. Of the neurons that are hashed, one block is there.
    """
    block = 2 * min(n_labels, BLOCK) * (sketch_dim + 1) * 4
    return n_labels * ((sketch_dim + 1) * payload_bytes + 4 + 4) + block


def training_bytes(n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4) -> int:
    """Peak while a model of one hidden layer is trained: parts as sent, and as trained.

    What has changed is written over what was trained. A batch's buffers come on top: they do
    not depend on the size of the model.

    Parameters
    ----------
    n_ids, n_features : int
        Neurons and first-layer rows sent.
    n_hidden : int
    payload_bytes : int
        Of a weight on the wire.
    """
    rows = n_ids + n_features
    return rows * (n_hidden * (payload_bytes + 4) + 4 * 4)


def device_bytes(
    n_labels: int, sketch_dim: int | None, n_ids: int, n_features: int, n_hidden: int,
    payload_bytes: int = 4,
) -> int:  # fmt: skip
    """Peak of a round beside the device's own rows and its cache."""
    picked = 0
    if sketch_dim is not None:
        picked = selection_bytes(n_labels, sketch_dim, payload_bytes)
        # The body's rows are there already while neurons are picked.
        picked += n_features * n_hidden * payload_bytes
    return max(picked, training_bytes(n_ids, n_features, n_hidden, payload_bytes))
