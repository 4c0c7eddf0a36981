"""Probabilities of ranked labels come true as often as they say, and the tools that show it."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklsh import SparseLSHMLPClassifier
from sklsh.metrics import expected_calibration_error
from sklsh.metrics._calibration import reliability
from sklsh.network import calibration
from tests import reference
from tests.test_classifier import multiclass, small


def chancy(n_samples, seed):
    """Forty labels with a feature each: a row has a label as often as its feature says."""
    rng = np.random.default_rng(seed)
    shown = rng.random((n_samples, 40)) < 0.1
    values = rng.choice([0.2, 0.5, 0.9], shown.shape)
    Y = shown & (rng.random(shown.shape) < values)
    return sp.csr_matrix((shown * values).astype(np.float32)), sp.csr_matrix(Y.astype(np.int8))


@pytest.fixture(scope="module")
def fitted():
    X, Y = chancy(6000, 0)
    params = {"validation_fraction": 0.25, "random_state": 0}
    return SparseLSHMLPClassifier((64,), **params).fit(X, Y)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_error_is_the_mean_over_bins(seed, n_bins):
    rng = np.random.default_rng(seed)
    Y = rng.random((9, 6)) < 0.3
    labels = np.argsort(rng.random((9, 6)), axis=1)[:, :4]
    labels[rng.random(labels.shape) < 0.2] = -1
    labels = -np.sort(-labels, axis=1)
    chances = rng.choice([0.0, 0.25, 0.5, 0.99, 1.0], labels.shape)
    found = expected_calibration_error(sp.csr_matrix(Y), labels, chances, n_bins=n_bins)
    assert found == pytest.approx(reference.calibration_error(Y, labels, chances, n_bins))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"one for each of labels, got shapes \(1, 2\) and \(1, 1"):
        expected_calibration_error([0], [[0]], [[0.5, 0.5]])
    for chance in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\]"):
            expected_calibration_error([0], [[0]], [[chance]])
    with pytest.raises(ValueError, match="n_bins"):
        expected_calibration_error([0], [[0]], [[0.5]], n_bins=0)


def test_probabilities_come_true(fitted):
    """Six thousand fresh rows: decisions say much less of it."""
    X, Y = chancy(6000, 1)
    labels, chances = fitted.predict_topk_proba(X, 5)
    assert expected_calibration_error(Y, labels, chances) < 0.03
    assert expected_calibration_error(Y, labels[:, :1], chances[:, :1]) < 0.04
    decisions = np.take_along_axis(fitted.decision_function(X), labels, axis=1)
    assert expected_calibration_error(Y, labels, expit(decisions)) > 0.1


def test_best_labels_have_the_probabilities_of_the_dense_answer(fitted):
    X, _ = chancy(50, 2)
    labels, chances = fitted.predict_topk_proba(X, 40)
    topk, _ = fitted.predict_topk(X, 40)
    np.testing.assert_array_equal(labels, topk)
    assert chances.dtype == np.float32 and (np.diff(chances) <= 0).all()
    dense = fitted.predict_proba(X)
    known = labels >= 0
    rows = np.nonzero(known)[0]
    np.testing.assert_allclose(chances[known], dense[rows, labels[known]], atol=1e-4)
    assert (chances[~known] == 0).all()


def test_the_best_label_has_a_curve_of_its_own():
    """It is as likely as labels of its rank came true, and the others are no likelier."""
    chances = np.array([[-3, -1], [0.1, 0.9], [-2, -1], [0.2, 0.6]], dtype=np.float32)
    shares = np.array([[-2, -1, -3], [-1.5, -2, -np.inf]], dtype=np.float32)
    found = calibration.chances_of(shares, chances)
    np.testing.assert_allclose(found, [[0.5, 0.6, 0.1], [0.4, 0.4, 0.1]], rtol=1e-5)
    one_curve = calibration.chances_of(shares, chances[:2])
    np.testing.assert_allclose(one_curve, [[0.5, 0.9, 0.1], [0.7, 0.5, 0.1]], rtol=1e-5)


@pytest.mark.parametrize(("n_rows", "expected"), [(600, [0.2, 0.2]), (100, [0.5, 0.5])])
def test_best_labels_that_are_right_less_often(n_rows, expected):
    """One in five best labels, four in five of the others, at one share; few rows are one curve."""
    labels = np.tile([3, 5], (n_rows, 1))
    right = (np.arange(n_rows) % 5 == 0)[:, None] ^ np.array([False, True])
    rivals = calibration.Rivals(labels, np.zeros((n_rows, 2), np.float32), right, right.sum(axis=1))
    chances = calibration.fit_chances(rivals)
    found = calibration.chances_of(rivals.log_shares(1.0)[:1], chances)
    np.testing.assert_allclose(found, [expected], atol=1e-6)


def test_multiclass():
    X, y = multiclass()
    model = small().fit(X, y)
    labels, chances = model.predict_topk_proba(X, 3)
    np.testing.assert_array_equal(labels, model.predict_topk(X, 3)[0])
    dense = -np.sort(-model.predict_proba(X), axis=1)
    np.testing.assert_allclose(chances, dense[:, :3], atol=1e-5)


@pytest.mark.parametrize("streamed", [True, False])
def test_without_held_out_rows_it_is_the_logistic_function(streamed):
    X, Y = chancy(40, 0)
    model = SparseLSHMLPClassifier((8,), random_state=0)
    model = model.partial_fit(X, Y) if streamed else model.fit(X, Y)
    assert model.learner_.chances is None
    decisions = model.decision_function(X)
    np.testing.assert_allclose(model.predict_proba(X), expit(decisions), rtol=1e-4)


def test_a_model_to_carry_says_the_same(fitted):
    X, Y = chancy(2000, 1)
    labels, chances = fitted.compress(64, linear=True).predict_topk_proba(X, 5)
    assert expected_calibration_error(Y, labels, chances) < 0.035
    assert expected_calibration_error(Y, labels[:, :1], chances[:, :1]) < 0.03


def test_rows_count_as_they_weigh():
    """Held-out rows of weight 9 without labels, and of weight 1 with: rarely true."""
    X, Y = chancy(4000, 0)
    weights = np.where(np.diff(Y.indptr) > 0, 1.0, 9.0)
    params = {"validation_fraction": 0.25, "random_state": 0, "n_neighbors": 0}
    usual, weighted = (
        SparseLSHMLPClassifier((64,), **params).fit(X, Y, sample_weight=w) for w in (None, weights)
    )
    best = [model.predict_topk_proba(X, 1)[1].mean() for model in (usual, weighted)]
    assert best[1] < 0.7 * best[0]


def test_reliability_display(fitted):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from sklsh.plotting import ReliabilityDisplay

    X, Y = chancy(500, 1)
    display = ReliabilityDisplay.from_estimator(fitted, X, Y, k=3, n_bins=10)
    chances, shares, counts = reliability(Y, *fitted.predict_topk_proba(X, 3), 10)
    assert counts.sum() == 1500 and display.ax_.get_xlabel() == "probability"
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), chances)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), shares)
    other = ReliabilityDisplay.from_estimator(fitted, X, Y, name="b", ax=display.ax_)
    texts = [text.get_text() for text in other.ax_.get_legend().get_texts()]
    assert texts == ["calibrated", "SparseLSHMLPClassifier", "b"]
    matplotlib.pyplot.close("all")


def test_reliability_display_of_pipelines_and_classes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from sklsh.plotting import ReliabilityDisplay

    which = np.random.default_rng(0).integers(0, 3, 200)
    X = np.eye(3)[which] + 0.5
    model = SparseLSHMLPClassifier((8,), max_iter=1, random_state=0)
    expected = reliability(which, *model.fit(X, which).predict_topk_proba(X, 3), 15)
    for classes in (np.array([-1, 0, 1]), np.array([10, 20, 30]), np.array(["a", "b", "c"])):
        for estimator in (model, make_pipeline(FunctionTransformer(), model)):
            fitted = estimator.fit(X, classes[which])
            display = ReliabilityDisplay.from_estimator(fitted, X, classes[which], k=3)
            np.testing.assert_array_equal(display.shares, expected[1])
    with pytest.raises(TypeError, match="must have predict_topk_proba, got FunctionTransformer"):
        ReliabilityDisplay.from_estimator(make_pipeline(FunctionTransformer()), X, which)
    matplotlib.pyplot.close("all")
