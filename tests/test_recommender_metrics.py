"""Hit rate, MRR, coverage and novelty against plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.metrics import coverage_at_k, hit_rate_at_k, mrr_at_k, novelty_at_k


@st.composite
def rankings(draw):
    n_rows, n_labels, k = draw(st.integers(1, 6)), draw(st.integers(2, 8)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    y_true = (rng.random((n_rows, n_labels)) < 0.3).astype(int)
    ranked = np.array([rng.permutation(max(n_labels, k))[:k] for _ in range(n_rows)])
    return y_true, np.where(ranked < n_labels, ranked, -1), k


@given(rankings())
def test_as_plain_loops(problem):
    y_true, ranked, k = problem
    firsts = []
    for truth, row in zip(y_true, ranked, strict=True):
        places = [place for place, j in enumerate(row, 1) if j >= 0 and truth[j]]
        firsts.append(min(places) if places else math.inf)
    assert hit_rate_at_k(y_true, ranked, k) == pytest.approx(np.mean(np.isfinite(firsts)))
    assert mrr_at_k(y_true, ranked, k) == pytest.approx(np.mean([1 / f for f in firsts]))
    named = [j for row in ranked for j in row if j >= 0]
    n_rows, n_labels = y_true.shape
    assert coverage_at_k(ranked, n_labels, k) == pytest.approx(len(set(named)) / n_labels)
    bits = [-math.log2(max(1, y_true[:, j].sum()) / n_rows) for j in named]
    assert novelty_at_k(y_true, ranked, k) == pytest.approx(np.mean(bits) if bits else 0)


def test_refusals():
    with pytest.raises(ValueError, match=r"labels in \[0, 3\)"):
        coverage_at_k(np.array([[3]]), 3, 1)
    with pytest.raises(ValueError, match="k must be at least 1"):
        mrr_at_k(np.eye(2), np.array([[0], [1]]), 0)
