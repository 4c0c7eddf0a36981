"""The ledger's formulas against what numpy has allocated."""

import tracemalloc

import numpy as np
import pytest

from sklsh.federated.memory import selection_bytes
from sklsh.federated.messages import Sketch
from sklsh.federated.selection import best_by_collisions
from sklsh.hashing import make_family

N_LABELS, N_HIDDEN, SKETCH_DIM = 40_000, 64, 16


def peak(n_tables):
    rng = np.random.default_rng(0)
    family = make_family("pghash", n_tables=n_tables, hash_length=8, sketch_dim=SKETCH_DIM)
    hidden = rng.standard_normal((32, N_HIDDEN)).astype(np.float32)
    tracemalloc.start()
    sketch = Sketch(
        0, "signed", 1, SKETCH_DIM,
        np.ones((N_LABELS, SKETCH_DIM), dtype=np.float32), np.zeros(N_LABELS, dtype=np.float32),
    )  # fmt: skip
    best_by_collisions(family, 5, sketch, hidden, 100, taken=np.arange(3))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_selection_takes_what_the_formula_says():
    peak(1)
    assert peak(4) == pytest.approx(selection_bytes(N_LABELS, SKETCH_DIM, 8), rel=0.3)


def test_more_tables_take_no_more_memory():
    peak(1)
    assert peak(32) < 1.02 * peak(2)
