"""Lazy optimizer kernels: row-wise Adagrad on the rows that a batch touched.

What has diverged divides by zero: the error model is numpy's, that the caller finds NaN in the
loss instead of an exception from a kernel.
"""

import numpy as np

from sklsh.kernels.flags import FAST, kernel

# Compiled in: flags f62ac5f0


@kernel(fastmath=FAST, error_model="numpy")
def adagrad_rows(weights, accumulators, ids, gradients, learning_rate, decay, start, stop):
    """Row-wise Adagrad: one accumulator a row, of the mean squared gradient of its entries.

    ``gradients[i]`` belongs to row ``ids[i]``; ids must not repeat. `decay` is the L2
    penalty, paid only when a row is touched.
    """
    n_columns = weights.shape[1]
    for i in range(start, stop):
        row = weights[ids[i]]
        gradient = gradients[i]
        total = np.float32(0.0)
        for column in range(n_columns):
            gradient[column] += decay * row[column]
            total += gradient[column] * gradient[column]
        accumulators[ids[i]] += total / np.float32(n_columns)
        rate = learning_rate / np.sqrt(accumulators[ids[i]])
        for column in range(n_columns):
            row[column] -= rate * gradient[column]


@kernel(fastmath=FAST, error_model="numpy")
def adagrad_vector(weights, accumulators, ids, gradients, learning_rate, start, stop):
    """Element-wise Adagrad on ``weights[ids]``: the biases."""
    for i in range(start, stop):
        accumulators[ids[i]] += gradients[i] * gradients[i]
        weights[ids[i]] -= learning_rate * gradients[i] / np.sqrt(accumulators[ids[i]])


@kernel
def transpose_batch(indptr, indices, data, rows, slots, features, starts, columns, values):
    """The CSR batch ``rows``, turned feature-major by counting sort; number of features met.

    `slots` (n_features,) must be -1 everywhere and is so again on return. Feature
    ``features[u]`` has the entries ``starts[u]:starts[u + 1]``: batch row in `columns`,
    value in `values`.
    """
    n_found = 0
    for i in range(rows.shape[0]):
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            feature = indices[position]
            slot = slots[feature]
            if slot < 0:
                slot = n_found
                slots[feature] = slot
                features[slot] = feature
                starts[slot + 1] = 0
                n_found += 1
            starts[slot + 1] += 1
    starts[0] = 0
    for slot in range(n_found):
        starts[slot + 1] += starts[slot]
    for i in range(rows.shape[0]):
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            slot = slots[indices[position]]
            columns[starts[slot]] = i
            values[starts[slot]] = data[position]
            starts[slot] += 1
    for slot in range(n_found, 0, -1):
        starts[slot] = starts[slot - 1]
    starts[0] = 0
    for slot in range(n_found):
        slots[features[slot]] = -1
    return n_found


@kernel(fastmath=FAST, error_model="numpy")
def adagrad_features(
    weights,
    accumulators,
    features,
    starts,
    columns,
    values,
    hidden_gradient,
    learning_rate,
    decay,
    scratch,
    start,
    stop,
):
    """Row-wise Adagrad on the first layer's rows, straight from a transposed batch.

    The gradient of feature `u` is the sum of ``value * hidden_gradient[row]`` over its
    entries; it exists only in `scratch` (n_hidden,).
    """
    n_columns = weights.shape[1]
    for u in range(start, stop):
        row = weights[features[u]]
        for column in range(n_columns):
            scratch[column] = decay * row[column]
        for position in range(starts[u], starts[u + 1]):
            value = values[position]
            source = hidden_gradient[columns[position]]
            for column in range(n_columns):
                scratch[column] += value * source[column]
        total = np.float32(0.0)
        for column in range(n_columns):
            total += scratch[column] * scratch[column]
        accumulators[features[u]] += total / np.float32(n_columns)
        rate = learning_rate / np.sqrt(accumulators[features[u]])
        for column in range(n_columns):
            row[column] -= rate * scratch[column]
