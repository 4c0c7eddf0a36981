"""Cross-validation with a sparse y: what scikit-learn says of the same y, dense."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn import model_selection as theirs
from sklearn.base import clone
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sklsh import SparseLSHMLPClassifier
from sklsh import model_selection as ours
from sklsh.datasets import make_extreme_classification
from sklsh.metrics import precision_at_1_scorer, precision_at_5_scorer

MODEL = SparseLSHMLPClassifier((8,), max_iter=2, random_state=0)
TIMES = ("fit_time", "score_time")


@pytest.fixture(scope="module")
def data():
    X, Y = make_extreme_classification(150, 80, 20, random_state=0)
    return X, Y, Y.toarray().astype(int)


def same(found, expected):
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for name in set(expected) - set(TIMES):
            same(found[name], expected[name])
        assert all(found[name].shape == expected[name].shape for name in TIMES)
    elif isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape and found.dtype == expected.dtype


@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csr_array, sp.coo_array, sp.csc_matrix])
@pytest.mark.parametrize("cv", [3, theirs.ShuffleSplit(2, random_state=0)])
def test_scores_are_those_of_the_dense_y(data, convert, cv):
    X, Y, dense = data
    how = {"cv": cv, "scoring": precision_at_1_scorer}
    same(
        ours.cross_val_score(MODEL, X, convert(Y), **how),
        theirs.cross_val_score(MODEL, X, dense, **how),
    )


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("cross_validate", {
            "scoring": {"1": precision_at_1_scorer, "5": precision_at_5_scorer},
            "return_train_score": True, "return_indices": False,
        }),
        ("learning_curve", {"scoring": precision_at_1_scorer, "train_sizes": [0.3, 1.0]}),
        ("validation_curve", {
            "scoring": precision_at_1_scorer, "param_name": "alpha", "param_range": [0, 0.1],
        }),
    ],
)  # fmt: skip
def test_curves_are_those_of_the_dense_y(data, name, params):
    X, Y, dense = data
    found = getattr(ours, name)(MODEL, X, Y, cv=2, **params)
    same(found, getattr(theirs, name)(MODEL, X, dense, cv=2, **params))


def test_predictions_are_sparse(data):
    X, Y, dense = data
    found = ours.cross_val_predict(MODEL, X, Y, cv=2)
    assert sp.issparse(found)
    same(found.toarray().astype(int), theirs.cross_val_predict(MODEL, X, dense, cv=2))


def test_any_estimator_and_pipelines(data):
    X, Y, dense = data
    for model in (OneVsRestClassifier(BernoulliNB()), make_pipeline(Normalizer(), MODEL)):
        how = {"cv": 2, "scoring": precision_at_1_scorer}
        same(
            ours.cross_val_score(model, X, Y, **how), theirs.cross_val_score(model, X, dense, **how)
        )


def test_other_targets_are_scikit_learns(data):
    y = np.arange(150) % 3
    how = {"cv": 2, "n_jobs": 1}
    same(ours.cross_val_score(MODEL, data[0], y, **how),
         theirs.cross_val_score(MODEL, data[0], y, **how))  # fmt: skip


def test_what_scikit_learn_refuses(data):
    X, Y, _ = data
    with pytest.raises(ValueError, match="'error_score' parameter of cross_validate"):
        ours.cross_validate(MODEL, X, Y, error_score="no")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ours.cross_val_score(MODEL, X, Y[:10])
    with pytest.raises(TypeError, match="unexpected keyword argument 'folds'"):
        ours.cross_val_score(MODEL, X, Y, folds=3)


@pytest.mark.parametrize("search", [theirs.GridSearchCV, theirs.RandomizedSearchCV])
def test_searches_take_it_as_they_are(data, search):
    X, Y, dense = data
    how = {"cv": 2, "scoring": precision_at_1_scorer}
    if search is theirs.RandomizedSearchCV:
        how |= {"n_iter": 2, "random_state": 0}
    sparse, plain = (search(MODEL, {"alpha": [0, 0.1]}, **how).fit(X, y) for y in (Y, dense))
    same(sparse.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
@pytest.mark.parametrize("convert", [sp.csr_array, sp.coo_matrix])
def test_probabilities_are_those_of_the_dense_y(data, method, convert):
    X, Y, dense = data
    expected = np.empty(dense.shape, dtype=np.float32)
    for train, test in theirs.KFold(3).split(X):
        expected[test] = getattr(clone(MODEL).fit(X[train], Y[train]), method)(X[test])
    found = ours.cross_val_predict(MODEL, X, convert(Y), cv=3, method=method)
    np.testing.assert_array_equal(found, expected)


def test_weights_are_sent_to_whom_they_are_for(data):
    X, Y, _ = data
    weights = np.linspace(0, 1, 150)
    how = {"cv": 3, "method": "predict_proba", "params": {"sample_weight": weights}}
    found = ours.cross_val_predict(MODEL, X, Y, **how)
    with config_context(enable_metadata_routing=True):
        asking = clone(MODEL).set_fit_request(sample_weight=True)
        np.testing.assert_array_equal(ours.cross_val_predict(asking, X, Y, **how), found)
    assert not np.array_equal(
        found, ours.cross_val_predict(MODEL, X, Y, cv=3, method="predict_proba")
    )


def test_lists_of_labels_are_split_by_rows(data):
    X, _, dense = data
    lists = [[f"label {j:02d}" for j in np.flatnonzero(row)] for row in dense]
    how = {"scoring": precision_at_1_scorer}
    expected = ours.cross_val_score(MODEL, X, lists, cv=theirs.KFold(3), **how)
    np.testing.assert_array_equal(ours.cross_val_score(MODEL, X, lists, cv=3, **how), expected)
    found = ours.cross_validate(MODEL, X, lists, cv=3, **how)["test_score"]
    np.testing.assert_array_equal(found, expected)
    answers = ours.cross_val_predict(MODEL, X, lists, cv=3)
    assert all(isinstance(answer, list) for answer in answers)
    with pytest.raises(ValueError, match="y must be an indicator for method='predict_proba'"):
        ours.cross_val_predict(MODEL, X, lists, cv=3, method="predict_proba")
