"""Forward and backward kernels of the wide network: gather, activate, softmax, scatter."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel

# Compiled in: flags f62ac5f0

RELU, IDENTITY, TANH = 0, 1, 2
"""Codes of the activations; the kernels switch on them."""


@kernel(fastmath=FAST, inline="always")
def activate(values, activation):
    """Apply an activation in place to a 1-d array."""
    if activation == RELU:
        for i in range(values.shape[0]):
            values[i] = max(values[i], np.float32(0.0))
    elif activation == TANH:
        for i in range(values.shape[0]):
            values[i] = np.tanh(values[i])


@kernel(fastmath=FAST)
def scale_rows_csr(indptr, data, rows, scale, longest, out, start, stop):
    """``out[i]``: `scale`, or what makes row ``rows[i]`` as long as `longest` if it were longer."""
    for i in range(start, stop):
        square = 0.0
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            value = np.float64(scale) * np.float64(data[position])
            square += value * value
        out[i] = scale
        if square > longest * longest:
            out[i] = np.float32(np.float64(scale) * longest / np.sqrt(square))


@kernel(fastmath=FAST)
def gather_accumulate_csr(
    indptr, indices, data, rows, scales, weights, bias, activation, out, start, stop
):
    """``out[i] = activation(bias + scales[i] * sum of data * weights[feature])`` of ``rows[i]``."""
    n_columns = weights.shape[1]
    for i in range(start, stop):
        target = out[i]
        for column in range(n_columns):
            target[column] = bias[column]
        row = rows[i]
        for position in range(indptr[row], indptr[row + 1]):
            value = scales[i] * data[position]
            source = weights[indices[position]]
            for column in range(n_columns):
                target[column] += value * source[column]
        activate(target, activation)


@kernel(fastmath=FAST)
def activate_rows(values, bias, activation, start, stop):
    """``values[i] = activation(values[i] + bias)`` in place, for dense layers."""
    for i in range(start, stop):
        target = values[i]
        for column in range(values.shape[1]):
            target[column] += bias[column]
        activate(target, activation)


@kernel(fastmath=FAST)
def activation_gradient(partials, output, scale, activation, out, start, stop):
    """``out[i] = (sum over p of partials[p, i]) * activation'(.)``, from the layer's output.

    `output` may have gone through inverted dropout: a dropped unit is 0, a kept one is
    multiplied by `scale` (1 / keep probability), and the gradient is treated alike. With
    RELU a dropped unit and a dead one are both 0 and both pass nothing on; with IDENTITY
    and TANH a value of exactly 0 is taken for a dropped one.
    """
    for i in range(start, stop):
        for column in range(output.shape[1]):
            total = np.float32(0.0)
            for p in range(partials.shape[0]):
                total += partials[p, i, column]
            y = output[i, column]
            if y == np.float32(0.0) and (activation == RELU or scale != np.float32(1.0)):
                total = np.float32(0.0)
            elif activation == TANH:
                y /= scale
                total *= np.float32(1.0) - y * y
            out[i, column] = total * scale


@kernel
def exp_in_place(values, bits, powers):
    """``exp`` of a 1-d float32 array in place, relative error below 5e-7 on [-87, 0].

    2^x = 2^integer * 2^fraction: the integer goes into the exponent bits, the fraction
    through a polynomial. LLVM vectorises both, which it does not do for a call of libm.
    `bits` is int32 scratch of the same length, `powers` its memory as float32.
    Arguments below -87 give about 0.
    """
    log2e = np.float32(1.4426950408889634)
    # ln 2 in two parts, the first short enough for an exact product: x * log2(e) alone
    # would lose the fraction's last bits to a large integer part. No reassociation here,
    # it would add the parts up again.
    ln2_high, ln2_low = np.float32(0.693359375), np.float32(-2.12194440e-4)
    for i in range(values.shape[0]):
        x = max(values[i], np.float32(-87.0))
        whole = np.floor(x * log2e + np.float32(0.5))
        f = ((x - whole * ln2_high) - whole * ln2_low) * log2e
        p = np.float32(1.5403530e-4)
        p = p * f + np.float32(1.3333558e-3)
        p = p * f + np.float32(9.6181291e-3)
        p = p * f + np.float32(5.5504109e-2)
        p = p * f + np.float32(2.4022651e-1)
        p = p * f + np.float32(6.9314718e-1)
        values[i] = p * f + np.float32(1.0)
        bits[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)
    for i in range(values.shape[0]):
        values[i] *= powers[i]


@kernel(fastmath=FAST, error_model="numpy")
def softmax_residual(
    logits,
    offsets,
    n_active,
    indptr,
    indices,
    rows,
    slots,
    row_weights,
    bits,
    powers,
    losses,
    start,
    stop,
):
    """Turn logits into d loss / d logit in place; the loss of each row into `losses`.

    Row `i` has the targets ``indices[indptr[r]:indptr[r + 1]]``, ``r = rows[i]``, of equal
    weight, at the columns `slots` gives them. `offsets` holds bias and log-Q correction of
    each active neuron. ``bits`` (n_rows, >= n_active) is int32
    scratch, `powers` its memory as float32. A row without
    targets has gradient and loss 0.
    """
    for i in range(start, stop):
        row = rows[i]
        z = logits[i, :n_active]
        first, last = indptr[row], indptr[row + 1]
        if first == last:
            for a in range(n_active):
                z[a] = np.float32(0.0)
            losses[i] = np.float32(0.0)
            continue
        largest = np.float32(-np.inf)
        for a in range(n_active):
            z[a] += offsets[a]
            largest = max(largest, z[a])
        share = np.float32(1.0) / np.float32(last - first)
        target_logit = np.float32(0.0)
        for position in range(first, last):
            target_logit += z[slots[indices[position]]] * share
        for a in range(n_active):
            z[a] -= largest
        exp_in_place(z, bits[i, :n_active], powers[i, :n_active])
        total = np.float32(0.0)
        for a in range(n_active):
            total += z[a]
        losses[i] = (np.log(total) + largest - target_logit) * row_weights[i]
        scale = row_weights[i] / total
        for a in range(n_active):
            z[a] *= scale
        for position in range(first, last):
            z[slots[indices[position]]] -= share * row_weights[i]
