"""Borrowed arrays of zeros: each for one body alone, and never dirty."""

import numpy as np
import pytest

from sklsh._utils.scratch import N_KEPT, zeros


def _fail_half_way(array):
    array[0] = 1
    array.setflags(write=False)
    array[1] = 1


def test_an_array_is_used_again_unless_its_body_failed():
    with zeros(7) as first:
        pass
    with zeros(7) as again, zeros(7) as other:
        assert again is first
        assert other is not first
    with pytest.raises(ValueError, match="read-only"), zeros(7) as dirty:
        _fail_half_way(dirty)
    for _ in range(3):
        with zeros(7) as one, zeros(7) as two:
            assert not one.any()
            assert not two.any()


def test_size_and_dtype_are_as_asked_for():
    for size, dtype in ((3, np.float32), (3, np.int64), (4, np.float32)):
        with zeros(size, dtype) as array:
            assert (array.shape, array.dtype) == ((size,), dtype)


def test_few_are_kept():
    for size in range(10, 10 + 3 * N_KEPT):
        with zeros(size):
            pass
    from sklsh._utils.scratch import _kept

    assert len(_kept.arrays) == N_KEPT
