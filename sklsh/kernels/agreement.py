"""Sums of devices' changes, and products with them, row by row: without copies of either."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel

# Compiled in: flags f62ac5f0


@kernel(fastmath=FAST)
def add_rows(places, rows, scale, total):
    """``total[places] += scale * rows``; places must not repeat."""
    for i in range(rows.shape[0]):
        to = total[places[i]]
        for column in range(rows.shape[1]):
            to[column] += scale * rows[i, column]


@kernel(fastmath=FAST)
def products_of_rows(places, rows, total):
    """Sum of ``total[places] * rows`` and of ``total[places] ** 2``: of float32 by row, then of
    float64."""
    along, square = np.float64(0.0), np.float64(0.0)
    for i in range(rows.shape[0]):
        here = total[places[i]]
        product, length = np.float32(0.0), np.float32(0.0)
        for column in range(rows.shape[1]):
            product += here[column] * rows[i, column]
            length += here[column] * here[column]
        along += product
        square += length
    return along, square
