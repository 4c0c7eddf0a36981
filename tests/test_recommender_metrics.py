"""Hit rate, MRR, coverage and novelty against plain loops."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from sklsh.cli.baselines import nearest_neighbor_topk, popular_topk
from sklsh.metrics import (
    coverage_at_k,
    hit_rate_at_k,
    make_topk_scorer,
    mrr_at_k,
    novelty_at_k,
)


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


def test_sample_weight_is_repetition():
    rng = np.random.default_rng(0)
    y_true, ranked = rng.random((30, 8)) < 0.2, np.argsort(rng.random((30, 8)), axis=1)
    weights = rng.integers(0, 4, 30)
    rows = np.repeat(np.arange(30), weights)
    for metric in (hit_rate_at_k, mrr_at_k):
        expected = metric(y_true[rows], ranked[rows], 3)
        assert metric(y_true, ranked, 3, sample_weight=weights) == pytest.approx(expected)
        assert metric(y_true, ranked, 3) != pytest.approx(expected)
        with pytest.raises(ValueError, match=r"sample_weight must be of shape \(30,\)"):
            metric(y_true, ranked, 3, sample_weight=weights[1:])


def test_scorer_with_weights():
    scorer = make_topk_scorer(hit_rate_at_k, k=1)
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    assert scorer(model, [[0.0], [1.0]], [0, 0], sample_weight=[3, 1]) == 0.75


def test_no_rows_are_refused():
    for metric in (hit_rate_at_k, mrr_at_k):
        with pytest.raises(ValueError, match="at least one row, got none"):
            metric(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))


def test_neighbours_of_fewer_labels_than_asked_for():
    X, Y = sp.csr_array(np.eye(4)), sp.csr_array(np.eye(3)[[0, 1, 2, 1]])
    found = nearest_neighbor_topk(X, Y, X, k=5)
    assert found.tolist() == [[0, -1, -1], [1, -1, -1], [2, -1, -1], [1, -1, -1]]
    assert popular_topk(Y, 2, k=5).tolist() == [[1, 0, 2]] * 2


def test_refusals():
    with pytest.raises(ValueError, match=r"labels in \[0, 3\)"):
        coverage_at_k(np.array([[3]]), 3, 1)
    with pytest.raises(ValueError, match="k must be at least 1"):
        mrr_at_k(np.eye(2), np.array([[0], [1]]), 0)
