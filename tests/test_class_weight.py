"""Weights of classes are weights of rows."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_sample_weight

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification


def small(**params):
    return SparseLSHMLPClassifier(**{"hidden_layer_sizes": (16,), "random_state": 0} | params)


@pytest.fixture(scope="module")
def rare():
    X, y = make_classification(
        1600, 20, n_informative=6, n_classes=3, weights=[0.88, 0.09, 0.03], class_sep=0.6,
        random_state=1,
    )  # fmt: skip
    return X[:800], np.array(["often", "rare", "seldom"])[y[:800]], X[800:], y[800:]


@pytest.mark.parametrize("class_weight", ["balanced", {"rare": 7, "seldom": 0.5}])
@pytest.mark.parametrize("own", [False, True])
def test_as_weights_of_rows(rare, class_weight, own):
    X, y, X_test, _ = rare
    own = np.random.default_rng(0).random(y.size) if own else np.ones(y.size)
    ours = small(class_weight=class_weight).fit(X, y, sample_weight=own)
    weights = compute_sample_weight(class_weight, y)
    theirs = small().fit(X, y, sample_weight=own * weights)
    np.testing.assert_allclose(
        ours.decision_function(X_test), theirs.decision_function(X_test), rtol=1e-4, atol=1e-4
    )


def test_rare_classes_are_found_more_often():
    """Also where neighbours are added, and held-out rows weigh what all parts of a score count."""
    X, y = make_classification(
        6000, 20, n_informative=6, n_classes=4, weights=[0.85, 0.08, 0.05, 0.02], class_sep=0.6,
        random_state=0,
    )  # fmt: skip
    scores = []
    for weight in (None, "balanced"):
        model = small(hidden_layer_sizes=(64,), class_weight=weight).fit(X[:3000], y[:3000])
        scores.append(balanced_accuracy_score(y[3000:], model.predict(X[3000:])))
    assert scores[1] > scores[0] + 0.1


def test_a_row_of_several_labels_weighs_their_mean():
    X, Y = make_extreme_classification(300, 200, 40, random_state=0)
    Y = sp.csr_array(Y)
    of_label = np.where(np.arange(40) == 3, 5.0, 1.0)
    n_labels = np.maximum(Y.sum(axis=1), 1)
    weights = np.where(Y.sum(axis=1) > 0, Y @ of_label / n_labels, 1)
    ours = small(class_weight={3: 5.0}).fit(X, Y)
    theirs = small().fit(X, Y, sample_weight=weights)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_in_a_stream(rare):
    X, y, *_ = rare
    classes, weights = np.unique(y), {"rare": 5.0}
    ours = small(class_weight=weights).partial_fit(X, y, classes=classes)
    theirs = small().partial_fit(
        X, y, classes=classes, sample_weight=compute_sample_weight(weights, y)
    )
    np.testing.assert_allclose(ours.coefs_[1], theirs.coefs_[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="balanced"):
        small(class_weight="balanced").partial_fit(X, y, classes=classes)
    growing = small(class_weight={"new": 2.0}, new_classes="grow").partial_fit(X, y)
    assert growing.partial_fit(X, np.where(y == "rare", "new", y)).classes_.tolist() == [
        "new", "often", "rare", "seldom",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("class_weight", "said"),
    [
        ({"none": 2}, "must name classes of y, got 'none'"),
        ({"rare": -1}, "at least 0, got -1 for 'rare'"),
        ({"rare": np.nan}, "finite and at least 0, got nan"),
        ({"rare": "x"}, "finite and at least 0, got 'x'"),
        ({"rare": 0, "often": 0, "seldom": 0}, "must leave a row"),
        ("even", "must be"),
    ],
)
def test_refused(rare, class_weight, said):
    with pytest.raises(ValueError, match=said):
        small(class_weight=class_weight).fit(*rare[:2])


def test_by_name():
    X, Y = make_extreme_classification(300, 60, 12, random_state=0)
    names = np.array([f"label {i:02d}" for i in range(12)])
    dense = Y.toarray().astype(int)
    lists = [names[row == 1].tolist() for row in dense]
    numbers = [set((10 * np.flatnonzero(row)).tolist()) for row in dense]
    expected = small(class_weight={1: 5.0}).fit(X, dense).predict_topk(X)[1]
    for y, key in (
        (pd.DataFrame(dense, columns=names), "label 01"),
        (pd.DataFrame(dense, columns=names), 1),
        (lists, "label 01"),
        (numbers, 10),
    ):
        model = small(class_weight={key: 5.0}).fit(X, y)
        np.testing.assert_array_equal(model.predict_topk(X)[1], expected)
    # Numbers that are names are no columns.
    with pytest.raises(ValueError, match="must name classes of y, got 1;"):
        small(class_weight={1: 5.0}).fit(X, numbers)


def test_rows_of_weight_0_are_not_counted(rare):
    X, y, X_test, _ = rare
    there = np.arange(800) % 4 > 0
    mixed = np.where(there, y, "often")  # what is left out may be anything
    model = small(class_weight="balanced").fit(X, mixed, sample_weight=there.astype(float))
    expected = small(class_weight="balanced").fit(X[there], y[there])
    np.testing.assert_array_equal(*(m.predict_topk(X_test)[1] for m in (model, expected)))


def test_classes_to_come_in_a_warm_start(rare):
    X, y, *_ = rare
    growing = small(class_weight={"new": 2.0}, new_classes="grow", warm_start=True).fit(X, y)
    assert "new" in growing.fit(X, np.where(y == "rare", "new", y)).classes_
