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


def training_bytes(
    n_ids: int, n_features: int, n_hidden: int, batch_size: int, n_batch_active: int,
    payload_bytes: int = 4,
) -> int:  # fmt: skip
    """Peak while a model of one hidden layer is trained: parts received, own copy, a batch.

    Parameters
    ----------
    n_ids, n_features : int
        Neurons and first-layer rows sent.
    n_batch_active : int
        Neurons that a batch computes.
    """
    rows = n_ids + n_features
    received = rows * n_hidden * payload_bytes
    own = rows * (n_hidden + 2) * 4
    # Gathered head rows and their gradients; logits, twice; a part of dL/dH per 256 neurons.
    active = 2 * n_batch_active * n_hidden + 2 * batch_size * n_batch_active
    partials = -(-n_batch_active // 256) * batch_size * n_hidden
    batch = 4 * (active + partials + 2 * batch_size * n_hidden)
    changes = rows * n_hidden * 4
    return received + own + batch + changes
