"""A stateless random source: the same (seed, row, draw) gives the same bits, on any thread."""

import numpy as np

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0


@kernel(inline="always")
def mix(seed, row, draw):
    """64 well-mixed bits of three integers (splitmix64's finaliser over a Weyl sequence)."""
    z = np.uint64(seed) + np.uint64(row) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(draw) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel(inline="always")
def draw_integer(seed, row, draw, upper):
    """An integer uniform on ``[0, upper)``."""
    # The high 32 bits times `upper`: no modulo, bias below upper / 2^32.
    bits = mix(seed, row, draw) >> np.uint64(32)
    return np.int64((bits * np.uint64(upper)) >> np.uint64(32))


@kernel
def draw_integers(seed, row, upper, out):
    """Fill `out` with integers uniform on ``[0, upper)``, for the stream ``(seed, row)``."""
    for i in range(out.shape[0]):
        out[i] = draw_integer(seed, row, i, upper)


@kernel
def dropout_rows(seed, keys, rate, values, start, stop):
    """Zero each of ``values[start:stop]`` with probability `rate`, scale what stays (inverted).

    `keys[i]` names row `i`'s stream. 16 bits an element: `rate` is met to within 2^-16.
    """
    threshold = np.uint64(rate * 65536.0)
    keep = np.float32(1.0 / (1.0 - rate))
    n_columns = values.shape[1]
    for i in range(start, stop):
        for first in range(0, n_columns, 4):
            bits = mix(seed, keys[i], first)
            for column in range(first, min(first + 4, n_columns)):
                if (bits & np.uint64(0xFFFF)) < threshold:
                    values[i, column] = np.float32(0.0)
                else:
                    values[i, column] *= keep
                bits >>= np.uint64(16)
