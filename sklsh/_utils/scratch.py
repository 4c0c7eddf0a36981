"""Arrays of zeros that kernels need and leave as zeros, kept from call to call.

One number for each of a million labels costs a millisecond to clear: more than all else that a
single row's answer takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

import numpy as np

N_KEPT = 8
"""Arrays that a thread keeps, at most."""


class _Kept(local):
    def __init__(self):
        self.arrays: list[np.ndarray] = []


_kept = _Kept()


@contextmanager
def zeros(size: int, dtype=np.float32) -> Iterator[np.ndarray]:
    """An array (size,) of zeros for the body alone, which must leave it so.

    After an exception it is not used again. Bodies may nest: each has an array of its own.
    """
    arrays = _kept.arrays
    for i, array in enumerate(arrays):
        if array.shape[0] == size and array.dtype == dtype:
            del arrays[i]
            break
    else:
        array = np.zeros(size, dtype=dtype)
    yield array
    arrays.append(array)
    del arrays[:-N_KEPT]
