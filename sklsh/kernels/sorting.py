"""A stable sort of keys and what belongs to them: numpy's takes seconds to compile in a kernel."""

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0

RUN = 16
"""Length of the runs that are sorted by insertion."""


@kernel
def sort_pairs(keys, values, spare_keys, spare_values):
    """Sort float64 `keys` ascending, in place, and int32 `values` along; equal keys keep order.

    Merges runs of twice the length pass after pass, from runs of `RUN` sorted by insertion. The
    spare arrays, as long, are scratch. NaN ends up anywhere. O(n log n).
    """
    n = keys.shape[0]
    for first in range(0, n, RUN):
        for i in range(first + 1, min(first + RUN, n)):
            key, value, place = keys[i], values[i], i
            while place > first and keys[place - 1] > key:
                keys[place] = keys[place - 1]
                values[place] = values[place - 1]
                place -= 1
            keys[place] = key
            values[place] = value
    width = RUN
    while width < n:
        for i in range(n):
            spare_keys[i] = keys[i]
            spare_values[i] = values[i]
        for first in range(0, n, 2 * width):
            middle, end = min(first + width, n), min(first + 2 * width, n)
            left, right = first, middle
            for place in range(first, end):
                if right >= end or (left < middle and spare_keys[left] <= spare_keys[right]):
                    source = left
                    left += 1
                else:
                    source = right
                    right += 1
                keys[place] = spare_keys[source]
                values[place] = spare_values[source]
        width *= 2
