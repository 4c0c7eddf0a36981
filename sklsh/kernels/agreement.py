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


@kernel(fastmath=FAST)
def product_of_common(ids, rows, other_ids, others, shared, other_shared):
    """Of the rows of both, how many there are and the sum of their products; ids ascend.

    Sets `shared` and `other_shared`, bool, for them.
    """
    i = j = n_common = 0
    product = np.float64(0.0)
    while i < ids.shape[0] and j < other_ids.shape[0]:
        if ids[i] == other_ids[j]:
            one = np.float32(0.0)
            for column in range(rows.shape[1]):
                one += rows[i, column] * others[j, column]
            product += one
            shared[i] = other_shared[j] = True
            n_common += 1
        step, other_step = ids[i] <= other_ids[j], ids[i] >= other_ids[j]
        i += step
        j += other_step
    return n_common, product
