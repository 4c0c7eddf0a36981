"""What a round takes of a device's memory, by formula; tests hold it against tracemalloc."""

from __future__ import annotations

from sklsh.federated.selection import BLOCK


def selection_bytes(n_labels: int, sketch_dim: int, payload_bytes: int = 4) -> int:
    """Peak while neurons are picked: the sketch as sent, a neuron's bias and counter.

    The number of tables is not in it. Of the neurons that are hashed, one block is there.
    """
    block = 2 * min(n_labels, BLOCK) * (sketch_dim + 1) * 4
    return n_labels * ((sketch_dim + 1) * payload_bytes + 4 + 4) + block


def coded_selection_bytes(n_labels: int, bytes_per_code: float, coder_bytes: int) -> int:
    """Peak while codes are scored: these as sent, and what scores them."""
    return int(n_labels * bytes_per_code) + coder_bytes


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
    selection: int, n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4
) -> int:
    """Peak of a round beside the device's own rows and its cache.

    Parameters
    ----------
    selection : int
        `selection_bytes`, `coded_selection_bytes`, or 0 where ids are drawn.
    """
    # The body's rows are there already while neurons are picked.
    picked = selection and selection + n_features * n_hidden * payload_bytes
    return max(picked, training_bytes(n_ids, n_features, n_hidden, payload_bytes))
