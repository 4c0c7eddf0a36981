"""Kernels may reorder sums, and must not assume that there is no NaN and no inf."""

import importlib
import pkgutil

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

import sklsh.kernels
from sklsh.kernels.flags import FAST, FUSED
from sklsh.kernels.layers import softmax_residual

KERNELS = {
    kernel.py_func: kernel
    for module in pkgutil.iter_modules(sklsh.kernels.__path__)
    for kernel in vars(importlib.import_module(f"sklsh.kernels.{module.name}")).values()
    if isinstance(kernel, CPUDispatcher)
}


def test_no_kernel_assumes_finite_numbers():
    assert len(KERNELS) > 30 and not (FAST | FUSED) & {"fast", "nnan", "ninf"}
    used = {
        name.__name__: kernel.targetoptions.get("fastmath", False)
        for name, kernel in KERNELS.items()
    }
    assert {name: flags for name, flags in used.items() if flags not in (False, FAST, FUSED)} == {}
    assert FAST in used.values()


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 9, 39])
def test_a_logit_that_is_not_finite_shows_in_the_loss(strange, where):
    # Of -inf the loss is right: no share at all, unless it is the target's.
    logits = np.random.default_rng(0).standard_normal((1, 40)).astype(np.float32)
    logits[0, where] = strange
    bits = np.empty((1, 40), dtype=np.int32)
    losses, one = np.empty(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    softmax_residual(
        logits, np.zeros(40, dtype=np.float32), 40, np.array([0, 1]), np.zeros(1, dtype=np.int32),
        np.zeros(1, dtype=np.int32), np.arange(40, dtype=np.int32), one,
        bits, bits.view(np.float32), losses, 0, 1,
    )  # fmt: skip
    assert np.isfinite(losses[0]) == (strange == -np.inf and where > 0)
