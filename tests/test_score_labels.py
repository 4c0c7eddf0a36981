"""Scores of chosen labels alone are those that every other way of asking gives them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification


@pytest.fixture(scope="module")
def data():
    return make_extreme_classification(1_500, 400, 120, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    X, Y = data
    return SparseLSHMLPClassifier((32,), max_iter=4, random_state=0).fit(X[:1_200], Y[:1_200])


def test_they_are_the_best_labels_own(data, fitted):
    assert fitted.neighbor_weight_ > 0 and fitted.linear_weight_ > 0
    labels, scores = fitted.predict_topk(data[0][1_200:], 30)
    shuffled = np.random.default_rng(0).permuted(np.arange(30)[None].repeat(300, 0), axis=1)
    labels, scores = (np.take_along_axis(a, shuffled, axis=1) for a in (labels, scores))
    chosen = fitted.score_labels(data[0][1_200:], labels)
    np.testing.assert_allclose(chosen, scores, rtol=1e-4, atol=1e-4)


def test_one_list_for_all_rows(data, fitted):
    X, wanted = data[0][1_200:], [7, 3, 99]
    whole = fitted.learner_.predictor().logits(_rows(X))
    chosen = fitted.score_labels(X, wanted)
    np.testing.assert_allclose(chosen, whole[:, wanted], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(chosen, fitted.score_labels(X, [wanted] * 300))


def _rows(X):
    from sklsh.network.rows import SparseRows

    return SparseRows.from_matrix(X)


def test_padding_scores_minus_infinity(data, fitted):
    X = data[0][1_200:1_203]
    chosen = fitted.score_labels(X, [[5, -1], [-1, -1], [-1, 6]])
    assert (np.isneginf(chosen) == [[False, True], [True, True], [True, False]]).all()
    assert fitted.score_labels(X, np.empty((3, 0), dtype=int)).shape == (3, 0)
    assert fitted.score_labels(X, [-1, -1]).shape == (3, 2)


@pytest.mark.parametrize("linear", [False, True])
def test_of_a_compressed_model(data, fitted, linear):
    X, small = data[0][1_200:], fitted.compress(64, linear=linear)
    labels, scores = small.predict_topk(X, 10)
    np.testing.assert_allclose(small.score_labels(X, labels), scores, rtol=1e-3, atol=1e-3)


def test_labels_that_training_has_not_seen(data):
    X, Y = data
    Y = sp.csr_array((Y.data, Y.indices, Y.indptr), shape=(Y.shape[0], 125))
    model = SparseLSHMLPClassifier((16,), max_iter=1, random_state=0).fit(X, Y)
    assert (model.score_labels(X[:5], [123]) == -1e9).all()


@pytest.mark.parametrize(
    "names", [np.array(["b", "a", "c"]), np.array([30, 10, 20]), np.array([2.0, 5.0, 1.0])]
)
def test_classes_by_name(names):
    X, y = np.eye(3, dtype=np.float32).repeat(30, axis=0), names.repeat(30)
    model = SparseLSHMLPClassifier((8,), random_state=0).fit(X, y)
    labels, scores = model.predict_topk(X, 3)
    np.testing.assert_allclose(model.score_labels(X, labels), scores, rtol=1e-4, atol=1e-4)
    best = np.array(model.score_labels(X, names)).argmax(axis=1)
    assert (names[best] == y).all()


def test_columns_by_name(data):
    X, Y = data
    frame = pd.DataFrame(Y.toarray(), columns=[f"tag {i}" for i in range(120)])
    model = SparseLSHMLPClassifier((8,), max_iter=1, random_state=0).fit(X, frame)
    by_name = model.score_labels(X[:4], ["tag 3", ""])
    assert np.isfinite(by_name[:, 0]).all() and np.isneginf(by_name[:, 1]).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([120], r"among those of y, got \[120\]"),
        ([0.5], r"among those of y, got \[0.5\]"),
        (["x"], "must be numbers as those of y"),
        ([[1, 2]] * 3, r"each of the 2 of X, got shape \(3, 2\)"),
        (3, r"got shape \(\)"),
    ],
)
def test_others_are_refused(data, fitted, labels, message):
    with pytest.raises(ValueError, match=message):
        fitted.score_labels(data[0][:2], labels)


def test_a_set_has_no_order(data, fitted):
    with pytest.raises(TypeError, match="got a set"):
        fitted.score_labels(data[0][:2], {1, 2})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1], [1, 2]], "labels must be lists of one length"),
        (np.array([True] + [False] * 119), "labels must be those of y, got booleans"),
        ([None, 1], "labels must be numbers as those of y, got dtype object"),
        (sp.csr_array([[1, 2], [3, 4]]), "labels must be ids, got a sparse matrix"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(data, fitted, labels, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.score_labels(data[0][:2], labels)
