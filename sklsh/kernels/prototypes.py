"""Kernels of the prototype initialisation."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel

# Compiled in: flags f62ac5f0


@kernel
def scatter_rows(indptr, indices, rows, hidden, fresh, sums, first, last):
    """Add columns ``first:last`` of ``hidden[i]`` to ``sums[label]`` for each fresh label."""
    for i in range(rows.shape[0]):
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            label = indices[position]
            if fresh[label]:
                target = sums[label]
                for column in range(first, last):
                    target[column] += hidden[i, column]


@kernel(fastmath=FAST)
def normalise_prototypes(weights, bias, fresh, scale, centre, start, stop):
    """Scale each fresh, non-zero row to length `scale`; its bias to ``-weights[j] @ centre``."""
    for j in range(start, stop):
        if not fresh[j]:
            continue
        square = np.float32(0.0)
        for column in range(weights.shape[1]):
            square += weights[j, column] * weights[j, column]
        if square == np.float32(0.0):
            continue
        factor = scale / np.sqrt(square)
        shift = np.float32(0.0)
        for column in range(weights.shape[1]):
            weights[j, column] *= factor
            shift += weights[j, column] * centre[column]
        bias[j] = -shift
