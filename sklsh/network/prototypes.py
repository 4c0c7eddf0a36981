"""Prototype initialisation: a neuron starts as the mean hidden vector of its label's rows."""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.prototypes import normalise_prototypes, scatter_rows
from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows

ROWS, COLUMNS, NEURONS = 4096, 64, 4096
CENTRE_ROWS = 4 * ROWS
"""Rows whose mean is taken for the mean of all."""


def set_prototypes(
    network: WideNetwork,
    X: SparseRows,
    Y: SparseRows,
    rows: np.ndarray,
    fresh: np.ndarray,
    scale: float,
    sample_weight: np.ndarray | None = None,
    n_threads: int = 1,
) -> None:
    """Head rows = `scale` x the normalised mean of the centred, normalised hidden vectors.

    The bias makes the logit that of the centred hidden vector.

    Parameters
    ----------
    rows : ndarray of int32
        Rows of `X` and `Y` to learn from.
    fresh : ndarray (n_labels,) of bool
        Neurons to set. Their head rows must be zero; those without a row stay so.

    Notes
    -----
    O(nnz(Y) * n_hidden) time. Sums are made in the head itself, hidden vectors 4,096 rows
    at a time: no second head, no n_samples x n_hidden array. Threads take columns, so that
    sums do not depend on their number.
    """
    n_hidden = network.n_hidden
    centre = np.zeros(n_hidden, dtype=np.float64)
    sample = rows[:: max(1, rows.shape[0] // CENTRE_ROWS)]
    for start, stop in blocks(sample.shape[0], ROWS):
        centre += network.hidden(X, sample[start:stop], n_threads).sum(axis=0, dtype=np.float64)
    centre = (centre / max(1, sample.shape[0])).astype(np.float32)

    for first, last in blocks(rows.shape[0], ROWS):
        part = rows[first:last]
        hidden = network.hidden(X, part, n_threads)
        hidden -= centre
        norms = np.sqrt(np.einsum("ij,ij->i", hidden, hidden))
        share = 1.0 if sample_weight is None else sample_weight[part]
        hidden *= (share / np.where(norms > 0, norms, 1.0))[:, None]

        def scatter(start, stop, part=part, hidden=hidden):
            scatter_rows(
                Y.indptr, Y.indices, part, hidden, fresh, network.head_weights, start, stop
            )

        run_blocks(scatter, blocks(n_hidden, COLUMNS), n_threads)

    def normalise(start, stop):
        normalise_prototypes(
            network.head_weights, network.head_bias, fresh, np.float32(scale), centre,
            start, stop,
        )  # fmt: skip

    run_blocks(normalise, blocks(network.n_labels, NEURONS), n_threads)
