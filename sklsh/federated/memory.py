"""What a round takes of a device's memory, by formula; tests hold it against tracemalloc."""

from __future__ import annotations

from sklsh.hashing.base import code_dtype


def selection_bytes(n_labels: int, sketch_dim: int, code_bits: int, payload_bytes: int = 4) -> int:
    """Peak while neurons are picked: sketch, its float32 form with the bias, one table, counts.

    The number of tables is not in it: one exists at a time.
    """
    received = n_labels * (sketch_dim + 1) * payload_bytes
    hashed = n_labels * (sketch_dim + 1) * 4
    table = n_labels * code_dtype(code_bits).itemsize
    # One counter a neuron, and what the table adds to it.
    return received + hashed + table + 2 * 4 * n_labels


def training_bytes(n_ids: int, n_features: int, n_hidden: int, payload_bytes: int = 4) -> int:
    """Peak while a model of one hidden layer is trained: parts as sent, trained, and changed.

    A batch's buffers come on top: they do not depend on the size of the model.

    Parameters
    ----------
    n_ids, n_features : int
        Neurons and first-layer rows sent.
    n_hidden : int
    payload_bytes : int
        Of a weight on the wire.
    """
    rows = n_ids + n_features
    return rows * (n_hidden * (2 * payload_bytes + 4) + 4 * 4)


def device_bytes(
    n_labels: int, sketch_dim: int | None, n_ids: int, n_features: int, n_hidden: int,
    payload_bytes: int = 4,
) -> int:  # fmt: skip
    """Peak of a round beside the device's own rows; 32-bit codes, for the server knows none."""
    picked = 0
    if sketch_dim is not None:
        picked = selection_bytes(n_labels, sketch_dim, 32, payload_bytes)
        # The body's rows are there already while neurons are picked, twice: as sent, in use.
        picked += n_features * n_hidden * (payload_bytes + 4)
    return max(picked, training_bytes(n_ids, n_features, n_hidden, payload_bytes))
