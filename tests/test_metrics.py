"""Metrics against their naive twins, in every container, and the scorers built on them."""

import copy
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklsh import SparseLSHMLPClassifier, metrics
from sklsh.metrics import (
    coverage_at_k,
    hit_rate_at_k,
    inverse_propensity,
    make_topk_scorer,
    mrr_at_k,
    ndcg_at_k,
    novelty_at_k,
    precision_at_1_scorer,
    precision_at_k,
    psp_at_k,
    recall_at_k,
)
from sklsh.metrics._scorers import ranked_or_scored
from tests import reference

CONTAINERS = [np.asarray, sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_matrix]


@st.composite
def problems(draw):
    """Relevant labels, ranked labels (with gaps), k and weights of labels."""
    n_samples, n_labels = draw(st.integers(1, 8)), draw(st.integers(1, 9))
    k = draw(st.integers(1, 11))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    Y = (rng.random((n_samples, n_labels)) < rng.random()).astype(np.int8)
    ranked = np.full((n_samples, max(k, 1)), -1)
    for row in ranked:
        labels = rng.permutation(n_labels)[: rng.integers(0, n_labels + 1)][:k]
        row[: labels.shape[0]] = labels
    return Y, ranked, k, rng.uniform(1, 9, n_labels)


def as_sets(Y):
    return [set(np.flatnonzero(row).tolist()) for row in Y]


def all_metrics(Y, y_score, k, worth):
    return {
        "precision": precision_at_k(Y, y_score, k),
        "recall": recall_at_k(Y, y_score, k),
        "ndcg": ndcg_at_k(Y, y_score, k),
        "psp": psp_at_k(Y, y_score, k, inverse_propensities=worth),
    }


@given(problems(), st.sampled_from(CONTAINERS))
def test_ranked_labels_against_naive(problem, container):
    Y, ranked, k, worth = problem
    rankings = [[label for label in row if label >= 0] for row in ranked.tolist()]
    expected = reference.topk_metrics(as_sets(Y), rankings, k, worth)
    assert all_metrics(container(Y), ranked, k, worth) == pytest.approx(expected, abs=1e-12)


@given(problems(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1))
def test_scores_against_naive(problem, dtype, seed):
    Y, _, k, worth = problem
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, Y.shape).astype(dtype)  # many ties
    scores[rng.random(Y.shape) < 0.2] = -np.inf
    expected = reference.topk_metrics(
        as_sets(Y), [reference.ranking_of_scores(row, k) for row in scores.tolist()], k, worth
    )
    assert all_metrics(Y, scores, k, worth) == pytest.approx(expected, abs=1e-12)


@given(problems(), st.sampled_from(CONTAINERS[1:]), st.integers(0, 2**32 - 1))
def test_sparse_scores_rank_stored_entries_only(problem, container, seed):
    Y, _, k, worth = problem
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 4, Y.shape) * (rng.random(Y.shape) < 0.5)
    rankings = [
        reference.ranking_of_scores([s if s else -np.inf for s in row], k) for row in scores
    ]
    expected = reference.topk_metrics(as_sets(Y), rankings, k, worth)
    assert all_metrics(Y, container(scores), k, worth) == pytest.approx(expected, abs=1e-12)


def test_dense_scores_are_ranked_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    Y, scores = rng.random((40, 30)) < 0.1, rng.standard_normal((40, 30))
    whole = precision_at_k(Y, scores, 3)
    monkeypatch.setattr("sklsh.metrics._hits.BLOCK_SCORES", 100)
    assert precision_at_k(Y, scores, 3) == whole > 0


@given(problems(), st.floats(0, 2), st.floats(0.1, 3), st.sampled_from(CONTAINERS))
def test_inverse_propensity_against_naive(problem, a, b, container):
    Y = np.vstack([problem[0]] * 3)
    expected = reference.jain_inverse_propensity(as_sets(Y), Y.shape[1], a, b)
    np.testing.assert_allclose(inverse_propensity(container(Y), a, b), expected, rtol=1e-12)


def test_one_label_a_row_is_an_indicator_with_one_entry():
    rng = np.random.default_rng(1)
    y, ranked = rng.integers(0, 6, 50), np.argsort(rng.random((50, 6)), axis=1)
    Y, worth = np.eye(6)[y], inverse_propensity(y, n_labels=6)
    np.testing.assert_array_equal(worth, inverse_propensity(Y))
    assert all_metrics(y, ranked, 3, worth) == all_metrics(Y, ranked, 3, worth)
    assert psp_at_k(y, ranked, 3, y_train=y) == psp_at_k(Y, ranked, 3, y_train=Y)
    scores = rng.standard_normal((50, 6))
    assert ndcg_at_k(y, scores, 2) == ndcg_at_k(Y, scores, 2)


def test_scores_of_any_sparse_type_rank_by_their_values():
    """Integers that wrap round when negated, and booleans, which cannot be."""
    for data, best in (
        (np.array([True, False, False]), 0),
        (np.array([0, 1, 200], dtype=np.uint8), 2),
        (np.array([-128, 5, -3], dtype=np.int8), 1),
        (np.array([2**63, 2**64 - 2**20, 0], dtype=np.uint64), 1),
        (np.array([0.5, 0.25, 2.0], dtype=np.float32), 2),
    ):
        scores = sp.csr_array((data, np.arange(3), [0, 3]), shape=(1, 3))
        found = [precision_at_k(np.array([label]), scores, 1) for label in range(3)]
        assert found == [float(label == best) for label in range(3)], data.dtype


def test_defaults_of_the_propensity_model():
    """A = 0.55 and B = 1.5, by hand: 3 of 4 rows have label 0, one has label 1."""
    C = (math.log(4) - 1) * 2.5**0.55
    by_hand = [1 + C * 4.5**-0.55, 1 + C * 2.5**-0.55]
    y_train = np.array([0, 0, 0, 1])
    assert inverse_propensity(y_train) == pytest.approx(by_hand, rel=1e-12)
    assert metrics.jain_weights(np.array([3, 1]), 4) == pytest.approx(by_hand, rel=1e-12)
    found = psp_at_k(np.array([0, 1]), np.array([[0], [0]]), 1, y_train=y_train)
    assert found == pytest.approx(by_hand[0] / sum(by_hand), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64])
def test_propensities_of_no_rows(dtype):
    with pytest.raises(ValueError, match="3 rows"):
        inverse_propensity(np.zeros(0, dtype=dtype))


def test_number_of_labels_of_propensities():
    y_train = np.array([0, 2, 2, 0])
    assert inverse_propensity(y_train).shape == (3,)
    assert inverse_propensity(y_train, n_labels=5).shape == (5,)
    assert inverse_propensity(np.zeros(3, dtype=int), n_labels=1).shape == (1,)
    assert inverse_propensity(np.ones((3, 1)), n_labels=1).shape == (1,)
    with pytest.raises(ValueError, match="n_labels must be at least 1, got 0"):
        inverse_propensity(y_train, n_labels=0)


def test_psp_is_a_share_whatever_the_unit_of_the_weights():
    y_true, ranked = np.array([0, 1]), np.array([[0], [0]])
    assert psp_at_k(y_true, ranked, 1, inverse_propensities=[0.125, 0.375]) == 0.25


def test_psp_of_rows_that_lack_the_last_classes():
    """How many labels there are is said by the weights, not by the rows and their rankings."""
    worth = np.array([1.0, 3.0, 9.0])
    ranked = np.array([[0], [0]])
    assert psp_at_k([0, 1], ranked, 1, inverse_propensities=worth) == 0.25
    y_train = np.eye(3)[[0, 0, 1, 2]]
    expected = psp_at_k(np.eye(3)[:2], ranked, 1, y_train=y_train)
    for container in CONTAINERS:
        assert psp_at_k([0, 1], ranked, 1, y_train=container(y_train)) == expected
    assert psp_at_k([0, 1], ranked, 1, y_train=[0, 0, 1, 2]) == expected
    with pytest.raises(ValueError, match=r"y_true must be in \[0, 3\), got 0 to 3"):
        psp_at_k([0, 3], ranked, 1, inverse_propensities=worth)
    with pytest.raises(ValueError, match=r"ranked labels, must be in \[0, 3\) or -1, got 3"):
        psp_at_k([0, 1], ranked + 3, 1, inverse_propensities=worth)
    scorer = make_topk_scorer(psp_at_k, k=1, inverse_propensities=worth)
    assert scorer(Ranker(ranked, [0, 1, 2]), None, [0, 1]) == 0.25


def test_psp_takes_training_labels_as_it_takes_others():
    y_true, ranked, y_train = np.array([0, 1]), np.array([[1], [1]]), [0, 0, 1, 2]
    expected = psp_at_k(y_true, ranked, 1, y_train=np.array(y_train))
    assert psp_at_k(y_true, ranked, 1, y_train=pd.Series(y_train)) == expected
    assert psp_at_k(y_true, ranked, 1, y_train=pd.DataFrame(np.eye(3)[y_train])) == expected
    # Of classes that the training rows do not have, and those that only they have.
    wide = np.array([[4], [1]])
    worth = inverse_propensity(y_train, n_labels=5)
    assert psp_at_k([4, 0], wide, 1, y_train=y_train) == worth[4] / (worth[4] + worth[0])
    with pytest.raises(TypeError, match="y_train, if 1-d, must hold label columns"):
        psp_at_k(y_true, ranked, 1, y_train=["a", "b", "c"])


def test_psp_weighs_rare_labels_more():
    y_train = np.repeat([0, 1], [90, 10])
    y_true = np.array([0, 1])
    frequent, rare = np.array([[0], [0]]), np.array([[1], [1]])
    assert precision_at_k(y_true, frequent, 1) == precision_at_k(y_true, rare, 1) == 0.5
    low = psp_at_k(y_true, frequent, 1, y_train=y_train)
    high = psp_at_k(y_true, rare, 1, y_train=y_train)
    assert low < 0.45 < 0.55 < high
    assert low + high == pytest.approx(1)
    assert psp_at_k(y_true, rare, 1, y_train=y_train, A=0.0) == pytest.approx(0.5)
    assert psp_at_k(y_true, rare, 1, y_train=y_train, B=100.0) == pytest.approx(0.5, abs=0.08)


def test_sample_weight_is_repetition():
    rng = np.random.default_rng(2)
    Y, ranked = rng.random((30, 8)) < 0.3, np.argsort(rng.random((30, 8)), axis=1)
    weights = rng.integers(0, 4, 30)
    rows = np.repeat(np.arange(30), weights)
    for metric in (precision_at_k, recall_at_k, ndcg_at_k):
        expected = metric(Y[rows], ranked[rows], 3)
        assert metric(Y, ranked, 3, sample_weight=weights) == pytest.approx(expected)
        assert metric(Y, ranked, 3) != pytest.approx(expected)
    expected = psp_at_k(Y[rows], ranked[rows], 3, y_train=Y)
    assert psp_at_k(Y, ranked, 3, y_train=Y, sample_weight=weights) == pytest.approx(expected)


def test_against_napkinxc():
    other = pytest.importorskip("napkinxc.metrics")
    rng = np.random.default_rng(3)
    Y = sp.random(300, 80, 0.05, "csr", rng=rng, data_rvs=np.ones)
    ranked = np.argsort(rng.random((300, 80)), axis=1)[:, :5]
    worth = other.Jain_et_al_inverse_propensity(Y)
    np.testing.assert_allclose(inverse_propensity(Y), worth)
    rankings = ranked.tolist()
    pairs = [
        (precision_at_k, other.precision_at_k(Y, rankings)),
        (recall_at_k, other.recall_at_k(Y, rankings)),
        (ndcg_at_k, other.ndcg_at_k(Y, rankings)),
    ]
    for k in range(1, 6):
        for metric, theirs in pairs:
            assert metric(Y, ranked, k) == pytest.approx(theirs[k - 1])
        theirs = other.psprecision_at_k(Y, rankings, worth)[k - 1]
        assert psp_at_k(Y, ranked, k, y_train=Y) == pytest.approx(theirs)


def test_wide_labels_need_no_dense_array():
    """25,000 rows of 70,000 labels would be 1.75 GB as bytes."""
    rng = np.random.default_rng(4)
    n_samples, n_labels = 25_000, 70_000
    labels = rng.integers(0, n_labels, (n_samples, 5))
    indptr = np.arange(0, 5 * n_samples + 1, 5)
    Y = sp.csr_matrix((np.ones(5 * n_samples), labels.ravel(), indptr), (n_samples, n_labels))
    ranked = labels.copy()
    ranked[::2] = -1
    expected = 0.5 * np.mean([len(set(row)) / 5 for row in labels[1::2].tolist()])
    ranked[[len(set(row)) < 5 for row in labels.tolist()]] = -1
    found = precision_at_k(Y, ranked)
    assert found == pytest.approx(expected, abs=1e-3)
    assert psp_at_k(Y, ranked, y_train=Y) == pytest.approx(found, abs=1e-2)


Y3 = np.array([[1, 0, 1], [0, 1, 0]])
R3 = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("y_true", "y_score", "k", "message"),
    [
        (Y3, R3, 0, "k must be at least 1, got 0"),
        (Y3, R3[:1], 1, "as many rows, got 2 and 1"),
        (Y3, R3 + 2, 2, r"must be in \[0, 3\) or -1, got 3"),
        (Y3, R3 - 2, 2, "columns or -1 for none, got -2"),
        (Y3, np.array([[0, 1], [2, 2]]), 2, "got label 2 twice in row 1"),
        (Y3, R3, 3, "k=3 needs as many ranked labels a row, got 2"),
        (Y3, R3.astype(float), 1, "a column for each of the 3 labels of y_true, got 2"),
        (Y3, np.full((2, 3), np.nan), 1, "no NaN"),
        (Y3, sp.csr_matrix(np.full((2, 3), np.nan)), 1, "no NaN"),
        (Y3, R3[0], 1, r"y_score must be 2-d .* got shape \(2,\)"),
        (-Y3, R3, 1, "y_true must be an indicator .* got the entry -1"),
        (Y3[None], R3, 1, r"y_true must be 1-d or 2-d, got shape \(1, 2, 3\)"),
        (np.array([0, -4]), R3, 1, r"y_true must be in \[0, .*got -4"),
        (np.array([0, 3]), np.eye(2, 3), 1, r"y_true must be in \[0, 3\), got 0 to 3"),
        (Y3[:0], R3[:0], 1, "at least one row, got none"),
    ],
)
def test_bad_values(y_true, y_score, k, message):
    with pytest.raises(ValueError, match=message):
        precision_at_k(y_true, y_score, k)


@pytest.mark.parametrize(
    ("y_true", "y_score", "k", "message"),
    [
        (Y3, R3, 1.0, "k must be an integer"),
        (Y3, R3 == 0, 1, r"ranked label columns \(integers\) or scores \(floats\), got dtype bool"),
        (np.array(["a", "b"]), R3, 1, "y_true, if 1-d, must hold label columns"),
        (np.array([[1, "b"]]), R3, 1, "y_true must be a numeric indicator"),
    ],
)
def test_bad_types(y_true, y_score, k, message):
    with pytest.raises(TypeError, match=message):
        ndcg_at_k(y_true, y_score, k)


def test_bad_arguments_of_propensities():
    with pytest.raises(ValueError, match="must be given, got none"):
        psp_at_k(Y3, R3, 1)
    with pytest.raises(ValueError, match="must be given, got both"):
        psp_at_k(Y3, R3, 1, inverse_propensities=np.ones(3), y_train=Y3)
    with pytest.raises(ValueError, match=r"must be 3, one a label, got shape \(2,\)"):
        psp_at_k(Y3, R3, 1, inverse_propensities=np.ones(2))
    with pytest.raises(ValueError, match=r"y_train's columns must be 3.*got shape \(4,\)"):
        psp_at_k(Y3, R3, 1, y_train=np.eye(4))
    with pytest.raises(ValueError, match=r"positive and finite, got 0.0 to 2.0"):
        psp_at_k(Y3, R3, 1, inverse_propensities=[0, 1, 2])
    with pytest.raises(ValueError, match=r"positive and finite, got 1.0 to inf"):
        psp_at_k(Y3, R3, 1, inverse_propensities=[1, np.inf, 2])
    with pytest.raises(ValueError, match="at least 3 rows, got 2"):
        inverse_propensity(Y3)
    with pytest.raises(ValueError, match=r"A must be in \[0, inf\), got -1"):
        inverse_propensity(np.eye(4), A=-1)
    with pytest.raises(TypeError, match="B must be a number, got 'x'"):
        inverse_propensity(np.eye(4), B="x")
    with pytest.raises(ValueError, match="n_labels must be y_train's 4 columns, got 5"):
        inverse_propensity(np.eye(4), n_labels=5)


@pytest.mark.parametrize("unit", [1e-320, 1e-300, 1e6, 1e300, 1e308])
def test_sample_weight_in_any_unit(unit):
    """Their sum may be beyond float64, and each below its smallest normal number."""
    rng = np.random.default_rng(3)
    y, ranked = rng.integers(0, 8, 30), np.argsort(rng.random((30, 8)), axis=1)
    weights = rng.integers(0, 2, 30)
    for metric in (precision_at_k, recall_at_k, ndcg_at_k, hit_rate_at_k, mrr_at_k):
        expected = metric(y, ranked, 3, sample_weight=weights)
        assert 0 < expected != metric(y, ranked, 3)
        assert metric(y, ranked, 3, sample_weight=weights * unit) == pytest.approx(expected)
    expected = psp_at_k(y, ranked, 3, y_train=y, sample_weight=weights)
    found = psp_at_k(y, ranked, 3, y_train=y, sample_weight=weights * unit)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "bool"])
def test_classes_of_any_integer_type(dtype):
    rng = np.random.default_rng(4)
    y, ranked = rng.integers(0, 2, 30), np.argsort(rng.random((30, 2)), axis=1)
    typed = ranked if dtype == "bool" else ranked.astype(dtype)
    for metric in (precision_at_k, recall_at_k, ndcg_at_k, hit_rate_at_k, mrr_at_k):
        assert metric(y.astype(dtype), typed, 1) == metric(y, ranked, 1)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, float, object, str])
def test_classes_in_a_column(kind):
    """As `fit` takes them; one column beside one label is an indicator."""
    rng = np.random.default_rng(5)
    y, ranked = rng.integers(0, 8, 30), np.argsort(rng.random((30, 8)), axis=1)
    expected = ndcg_at_k(y, ranked, 3)
    column, named = y.astype(kind)[:, None], ranked.astype(str) if kind is str else ranked
    assert ndcg_at_k(column, named, 3) == expected
    pd = pytest.importorskip("pandas")
    assert ndcg_at_k(pd.DataFrame(column, columns=["y"]), named, 3) == expected
    if kind is not str:
        scores = rng.random((30, 8))
        assert ndcg_at_k(column, scores, 3) == ndcg_at_k(y, scores, 3)
    assert precision_at_k([[1], [0]], [[0], [0]], 1) == 0.5


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], r"of shape \(2,\), got \(1,\)"),
        ([1, -1], "finite, at least 0"),
        ([0, 0], "not 0 altogether"),
        ([1, np.nan], "finite"),
    ],
)
def test_bad_sample_weight(weights, message):
    with pytest.raises(ValueError, match=message):
        precision_at_k(Y3, R3, 1, sample_weight=weights)


# Scorers ----------------------------------------------------------------------------------


class Ranker:
    """Answers with what it is given, as an estimator with `predict_topk` does."""

    def __init__(self, labels, classes):
        self.labels, self.classes_ = np.asarray(labels), np.asarray(classes)

    def predict_topk(self, X, k):
        return self.labels[:, :k], None


def test_scorer_understands_class_labels():
    model = Ranker([[20, 10], [-1, 20]], [-1, 10, 20])
    assert precision_at_1_scorer(model, None, [20, -1]) == 1.0
    assert precision_at_1_scorer(model, None, [20, 99]) == 0.5, "99 was never seen in training"
    padded = Ranker([[20, -1, -1], [-1, 20, -1]], [-1, 20])
    assert make_topk_scorer(recall_at_k, k=3)(padded, None, [-1, 20]) == 1.0
    words = Ranker([[1, 0], [0, 1]], ["a", "b"])
    assert precision_at_1_scorer(words, None, ["b", "b"]) == 0.5
    columns = Ranker([[1, 0], [0, 1]], [0, 1])
    assert precision_at_1_scorer(columns, None, sp.csr_array([[0, 1], [0, 1]])) == 0.5


def test_scorer_with_the_classifier_and_in_a_pipeline():
    X, Y = make_multilabel_classification(200, 20, n_classes=8, random_state=0)
    model = SparseLSHMLPClassifier(hidden_layer_sizes=(16,), max_iter=5, random_state=0)
    scoring = {"p": precision_at_1_scorer, "psp": make_topk_scorer(psp_at_k, k=3, y_train=Y)}
    grid = GridSearchCV(model, {"n_neighbors": [5]}, scoring=scoring, refit="p", cv=KFold(2))
    results = grid.fit(X, sp.csr_matrix(Y)).cv_results_
    ranked, _ = clone(model).set_params(n_neighbors=5).fit(X[:100], Y[:100]).predict_topk(X[100:])
    assert results["split1_test_p"] == precision_at_k(Y[100:], ranked, 1) > 0.3
    assert results["split1_test_psp"] == psp_at_k(Y[100:], ranked, 3, y_train=Y)
    pipe = make_pipeline(StandardScaler(), model).fit(X, Y)
    ranked, _ = model.predict_topk(pipe[:-1].transform(X), k=1)
    assert precision_at_1_scorer(pipe, X, Y) == precision_at_k(Y, ranked, 1)
    assert precision_at_1_scorer(make_pipeline(Ranker(ranked, range(8))), X, Y) == precision_at_k(
        Y, ranked, 1
    )


def test_scorer_falls_back_on_scores():
    X, Y = make_multilabel_classification(150, 20, n_classes=5, random_state=0)
    y = Y[:, 0]
    logistic = LogisticRegression().fit(X, y)
    assert precision_at_1_scorer(logistic, X, y) == pytest.approx(logistic.score(X, y))
    names = np.array(["no", "yes"])[y]
    svc = SVC().fit(X, names)
    assert precision_at_1_scorer(svc, X, names) == pytest.approx(svc.score(X, names))
    unseen = np.where(np.arange(150) < 75, names, "maybe")
    assert precision_at_1_scorer(svc, X, unseen) == pytest.approx((svc.predict(X) == unseen).mean())
    ridge, neighbors = RidgeClassifier().fit(X, Y), KNeighborsClassifier().fit(X, Y)
    assert precision_at_1_scorer(ridge, X, Y) == precision_at_k(Y, ridge.decision_function(X), 1)
    shares = np.column_stack([pair[:, 1] for pair in neighbors.predict_proba(X)])
    assert precision_at_1_scorer(neighbors, X, Y) == precision_at_k(Y, shares, 1)


def test_scorer_knows_which_chance_is_that_of_the_label():
    """A label that no training row has gets one column of chances, of its absence."""
    X, Y = make_multilabel_classification(60, 20, n_classes=3, random_state=0)
    Y[:, 1], Y[:, 2] = 0, 1
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    assert forest.predict_proba(X)[1].shape == (60, 1)
    scores = ranked_or_scored(forest, X, 3, True)
    np.testing.assert_array_equal(scores[:, 0], forest.predict_proba(X)[0][:, 1])
    assert scores[:, 1].tolist() == [0] * 60 and scores[:, 2].tolist() == [1] * 60
    assert precision_at_1_scorer(make_pipeline(forest), X, Y) == 1.0
    np.testing.assert_array_equal(ranked_or_scored(forest.fit(X, Y > 0), X, 3, True), scores)


def test_scorer_selects_a_model():
    X, Y = make_multilabel_classification(200, 20, n_classes=5, random_state=0)
    grid = GridSearchCV(
        RidgeClassifier(), {"alpha": [1.0, 1e9]}, scoring=make_topk_scorer(ndcg_at_k, k=3), cv=2
    ).fit(X, Y)
    assert grid.best_params_ == {"alpha": 1.0}


def test_ready_made_scorers():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 8, 40)
    ranked = np.argsort(rng.random((40, 8)), axis=1)
    model = Ranker(ranked, np.arange(8))
    for scorer, metric, k in (
        (precision_at_1_scorer, precision_at_k, 1),
        (metrics.precision_at_5_scorer, precision_at_k, 5),
        (metrics.ndcg_at_5_scorer, ndcg_at_k, 5), (metrics.recall_at_5_scorer, recall_at_k, 5),
    ):  # fmt: skip
        assert scorer(model, None, y) == pytest.approx(metric(y, ranked, k))
        assert metric(y, ranked, k) != metric(y, ranked, k + 1)
    for metric in (precision_at_k, ndcg_at_k, recall_at_k):
        assert metric(y, ranked) == metric(y, ranked, 5)
    assert psp_at_k(y, ranked, y_train=y) == psp_at_k(y, ranked, 5, y_train=y)
    worth = inverse_propensity(y, 0.55, 1.5)
    np.testing.assert_array_equal(inverse_propensity(y), worth)
    assert psp_at_k(y, ranked, y_train=y) == psp_at_k(y, ranked, inverse_propensities=worth)


def test_scorer_as_an_object():
    scorer = make_topk_scorer(psp_at_k, k=3, A=0.6)
    assert repr(scorer) == "make_topk_scorer(psp_at_k, k=3, A=0.6)"
    assert repr(pickle.loads(pickle.dumps(scorer))) == repr(scorer)
    with pytest.raises(TypeError, match="metric must be callable, got 'ndcg'"):
        make_topk_scorer("ndcg")
    with pytest.raises(TypeError, match=r"decision_function or predict_proba, got Stand"):
        precision_at_1_scorer(StandardScaler(), np.eye(2), np.eye(2))
    model = Ranker([[0], [0]], [0, 1])
    assert precision_at_1_scorer(model, None, [0, 1], sample_weight=[3, 1]) == 0.75


def test_public_names():
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__


@pytest.mark.parametrize("dtype", [str, object])
def test_names_are_compared_as_names(dtype):
    y = np.array(["b", "c", "a", "c"], dtype=dtype)
    ranked = np.array([["b", "a"], ["a", "b"], ["c", "a"], ["c", ""]], dtype=dtype)
    numbers = {"": -1, "a": 0, "b": 1, "c": 2}
    columns = np.array([[numbers[name] for name in row] for row in ranked])
    truth = np.array([numbers[name] for name in y])
    for metric in (precision_at_k, recall_at_k, ndcg_at_k):
        for k in (1, 2):
            assert metric(y, ranked, k=k) == metric(truth, columns, k=k)
    assert precision_at_k(y, ranked, k=1) == 0.5
    with pytest.raises(TypeError, match=r"dtype <U1|dtype object"):
        precision_at_k(truth, ranked, k=1)


@pytest.mark.parametrize("dtype", [str, object])
def test_a_classifier_of_names_answers_with_names(dtype):
    X, y = load_digits(return_X_y=True)
    names = np.array([f"class {i}" for i in range(10)], dtype=dtype)
    model = SparseLSHMLPClassifier((16,), max_iter=2, random_state=0)
    found, scores = model.fit(X, names[y]).predict_topk(X, k=12)
    assert (found[:, 0] == model.predict(X)).all() and (found[:, 10:] == "").all()
    assert np.isneginf(scores[:, 10:]).all()
    accuracy = model.score(X, names[y])
    assert precision_at_k(names[y], found, k=1) == pytest.approx(accuracy)
    assert make_topk_scorer(precision_at_k, k=1)(model, X, names[y]) == pytest.approx(accuracy)


def test_scorers_are_sent_weights_by_metadata_routing():
    X, y = load_digits(return_X_y=True)
    weights = np.where(np.arange(y.size) % 2, 1.0, 0.0)
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression(max_iter=50).set_fit_request(sample_weight=False)
        ours = make_topk_scorer(precision_at_k, k=1).set_score_request(sample_weight=True)
        theirs = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        found = cross_validate(
            model, X, y, scoring={"ours": ours, "theirs": theirs},
            params={"sample_weight": weights}, cv=3,
        )  # fmt: skip
        np.testing.assert_allclose(found["test_ours"], found["test_theirs"])
        search = GridSearchCV(model, {"C": [1.0]}, scoring=copy.deepcopy(ours), cv=3)
        search.fit(X, y, sample_weight=weights)
        assert search.best_score_ == pytest.approx(found["test_ours"].mean())
        unset = make_topk_scorer(precision_at_k, k=1)
        with pytest.raises(UnsetMetadataPassedError, match=r"TopKScorer|make_topk_scorer"):
            cross_validate(model, X, y, scoring=unset, params={"sample_weight": weights}, cv=3)
        plain = cross_validate(model, X, y, scoring=unset, cv=3)["test_score"]
        assert not np.allclose(plain, found["test_ours"])


def test_names_of_training_labels_are_held_against_those_of_test_rows():
    names = np.array(["a", "b", "c"])
    train = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 1, 0]])
    true = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    ranked = np.array([[0, 2], [0, 1], [2, 0], [1, 0]])

    def lists(Y):
        return [names[row == 1].tolist() for row in Y]

    def frame(Y):
        return pd.DataFrame(Y, columns=names)

    expected = psp_at_k(true, ranked, 2, y_train=train)
    for y_train in (frame(train), frame(train)[["c", "a", "b"]], lists(train)):
        for y_true in (frame(true), frame(true)[["b", "a", "c"]], lists(true)):
            assert psp_at_k(y_true, names[ranked], 2, y_train=y_train) == pytest.approx(expected)
        assert psp_at_k(frame(true), ranked, 2, y_train=y_train) == pytest.approx(expected)
        assert novelty_at_k(y_train, names[ranked], 2) == novelty_at_k(train, ranked, 2)
    np.testing.assert_array_equal(inverse_propensity(lists(train)), inverse_propensity(train))
    classes, columns = ["b", "a", "b", "c"], [1, 0, 1, 2]
    np.testing.assert_array_equal(inverse_propensity(classes), inverse_propensity(columns))
    assert coverage_at_k(names[ranked], 4, 2) == 0.75
    assert coverage_at_k(np.array([["a", ""]]), 4, 2) == 0.25
    # Labels that no training row has weigh most, whoever names them.
    found = psp_at_k([["z"], ["b"]], np.array([["z"], ["a"]]), 1, y_train=lists(train))
    worth = inverse_propensity(np.hstack([train, np.zeros((4, 1))]))
    assert found == pytest.approx(worth[3] / (worth[3] + worth[1]))
    with pytest.raises(ValueError, match="lists of labels have none of: give y_train"):
        psp_at_k(lists(true), names[ranked], 2, inverse_propensities=[1, 2, 3])
    scorer = make_topk_scorer(psp_at_k, k=2, inverse_propensities=inverse_propensity(train))
    model = Ranker(names[ranked], [0, 1, 2])
    model.label_names_ = names
    assert scorer(model, None, lists(true)) == pytest.approx(expected)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="of numpy 2")
def test_text_of_numpys_own_type():
    ranked = np.array([["a", "c"], ["b", "a"]])
    for y_true in (["a", "c"], [["a"], ["c"]]):
        found = precision_at_k(y_true, ranked.astype(np.dtypes.StringDType()), k=1)
        assert found == precision_at_k(y_true, ranked, k=1) == 0.5
