"""Sparse rows times a dense matrix, on the package's own threads."""

from __future__ import annotations

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.layers import IDENTITY, gather_accumulate_csr
from sklsh.network.rows import SparseRows

TASK = 256
"""Rows of one task."""


def times_dense(R: SparseRows, matrix: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """``R @ matrix``, (n_rows, n_columns) float32; O(nnz * n_columns)."""
    out = np.empty((R.n_rows, matrix.shape[1]), dtype=np.float32)
    rows = np.arange(R.n_rows, dtype=np.int32)
    nothing = np.zeros(matrix.shape[1], dtype=np.float32)
    ones = np.ones(R.n_rows, dtype=np.float32)

    def task(start, stop):
        gather_accumulate_csr(*R, rows, ones, matrix, nothing, IDENTITY, out, start, stop)

    run_blocks(task, blocks(R.n_rows, TASK), n_threads)
    return out
