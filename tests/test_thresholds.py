"""Thresholds of probabilities: what is named at which, and where the best F1 is."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier, TextTagger
from sklsh.datasets import make_extreme_classification
from sklsh.estimators.thresholds import _best_threshold, _groups
from sklsh.model_selection import tune_thresholds

N_LABELS = 60


@pytest.fixture(scope="module")
def data():
    return make_extreme_classification(900, 300, N_LABELS, random_state=0)


@pytest.fixture(scope="module")
def model(data):
    X, Y = data
    return SparseLSHMLPClassifier((16,), random_state=0).fit(X[:600], Y[:600])


def named(model, X, thresholds):
    """By hand, from what `predict_topk_proba` says of the 50 best."""
    labels, probabilities = model.predict_topk_proba(X, 50)
    found = np.zeros((X.shape[0], N_LABELS), dtype=int)
    for row in range(X.shape[0]):
        for label, probability in zip(labels[row], probabilities[row]):
            found[row, label] = probability >= np.float32(
                np.broadcast_to(thresholds, N_LABELS)[label]
            )
    return found


@pytest.mark.parametrize("thresholds", [0.3, 0, np.linspace(0.05, 0.9, N_LABELS)])
def test_a_label_is_named_from_its_threshold(data, model, thresholds):
    X = data[0][600:]
    found = model.predict(X, thresholds=thresholds)
    assert sp.issparse(found)
    np.testing.assert_array_equal(found.toarray(), named(model, X, thresholds))
    compressed = model.compress()
    found = compressed.predict(X, thresholds=thresholds)
    np.testing.assert_array_equal(found.toarray(), named(compressed, X, thresholds))


def test_rare_labels_have_lower_thresholds(data, model):
    """And a better F1 of the mean label on other rows than with one threshold for all."""
    X, Y = data
    tuned = tune_thresholds(
        model, X[600:750], Y[600:750], frequencies=Y[:600].sum(axis=0), n_groups=3
    )
    order = np.argsort(np.asarray(Y[:600].sum(axis=0)).ravel(), kind="stable")
    assert tuned[order[0]] < tuned[order[-1]]
    true = Y[750:].toarray().astype(int)
    one = tune_thresholds(model, X[600:750], Y[600:750])
    of_groups, of_all = (
        f1_score(
            true, model.predict(X[750:], thresholds=t).toarray(), average="macro", zero_division=0
        )
        for t in (tuned, one)
    )
    assert of_groups > of_all


def test_costs_say_from_where(data, model):
    """To name what costs less on average than to leave it is to name above c / (c + m)."""
    X, Y = data[0][600:], data[1][600:].toarray() > 0
    wrongly, missed = 1.0, 3.0

    def cost(threshold):
        found = model.predict(X, thresholds=threshold).toarray() > 0
        return wrongly * (found & ~Y).sum() + missed * (Y & ~found).sum()

    best = cost(wrongly / (wrongly + missed))
    assert best < 0.97 * cost(0.5) and best < 0.97 * cost(0.1)


@pytest.mark.parametrize("n_groups", [1, 5])
def test_no_threshold_of_a_group_has_a_better_f1(data, model, n_groups):
    X, Y = data[0][600:], data[1][600:]
    frequencies = data[1][:600].sum(axis=0)
    thresholds = tune_thresholds(model, X, Y, frequencies=frequencies, n_groups=n_groups)
    groups = _groups(np.asarray(frequencies).ravel(), n_groups)
    assert thresholds.dtype == np.float32 and (len(set(thresholds)) > 1) == (n_groups > 1)
    _, probabilities = model.predict_topk_proba(X, 50)
    true = Y.toarray().astype(int)
    found = model.predict(X, thresholds=thresholds).toarray()
    for number in range(n_groups):
        group = groups == number
        best = f1_score(true[:, group].ravel(), found[:, group].ravel())
        for other in np.unique(probabilities)[::40]:
            tried = model.predict(X, thresholds=np.where(group, other, 1)).toarray()
            assert f1_score(true[:, group].ravel(), tried[:, group].ravel()) <= best + 1e-12


def test_groups_are_of_like_frequencies():
    frequencies = np.array([9, 1, 1, 0, 30, 2, 5, 12])
    groups = _groups(frequencies, 3)
    assert groups[3] == groups[1] == groups[2] == 0
    assert (np.diff(groups[np.argsort(frequencies)]) >= 0).all() and groups[4] == 2
    assert _groups(np.zeros(4, dtype=int), 2).tolist() == [0] * 4


def test_the_best_threshold():
    """As likely ones go together: F1 is 2/3 of the first, 4/5 of three, 2/3 of all."""
    probabilities = np.array([0.5, 0.8, 0.5, 0.2], dtype=np.float32)
    right = np.array([True, True, False, False])
    assert _best_threshold(probabilities, right, 2) == np.float32(0.5)
    right[3] = True
    assert _best_threshold(probabilities, right, 9) == np.float32(0.2)
    assert _best_threshold(probabilities, np.zeros(4, dtype=bool), 2) == 1.0


def test_names_and_containers(data, model):
    """Frames and lists have the thresholds of a matrix; unknown names in lists are missed."""
    X, Y = data
    groups = {"frequencies": Y[:600].sum(axis=0), "n_groups": 2}
    expected = tune_thresholds(model, X[600:], Y[600:], **groups)
    names = [f"label {i:03}" for i in range(N_LABELS)]
    frame = pd.DataFrame(Y.toarray().astype(int), columns=names)
    lists = [[names[i] for i in np.flatnonzero(row)] for row in Y.toarray()]
    lists[0] = sorted({*lists[0], *names})  # all names, in their order, are there at fit
    of_frame = SparseLSHMLPClassifier((16,), random_state=0).fit(X[:600], frame[:600])
    np.testing.assert_array_equal(
        tune_thresholds(of_frame, X[600:], frame[600:], **groups), expected
    )
    of_lists = SparseLSHMLPClassifier((16,), random_state=0).fit(X[:600], lists[:600])
    found = tune_thresholds(of_lists, X[600:], [*lists[600:-1], [*lists[-1], "another"]])
    assert found.shape == (N_LABELS,) and len(set(found)) == 1
    np.testing.assert_array_equal(found, tune_thresholds(of_lists, X[600:], lists[600:]))
    answer = of_lists.predict(X[600:605], thresholds=found)
    assert all(set(row) <= set(names) for row in answer)
    with pytest.raises(ValueError, match="y must have the columns of before"):
        tune_thresholds(of_frame, X[600:], frame[600:][names[::-1]])


def test_federation_and_texts(data):
    X, Y = data
    federation = FederatedLSHClassifier(
        SparseLSHMLPClassifier((8,)), n_rounds=1, random_state=0
    ).fit(X[:600], Y[:600], groups=np.arange(600) % 2)
    thresholds = tune_thresholds(federation, X[600:], Y[600:])
    np.testing.assert_array_equal(
        federation.predict(X[600:], thresholds=thresholds).toarray(),
        federation.estimator_.predict(X[600:], thresholds=thresholds).toarray(),
    )
    texts = ["red apple pie", "fast red car", "green pear pie", "slow car"] * 10
    tagger = TextTagger(random_state=0).fit(
        texts, [["fruit"], ["vehicle"], ["fruit"], ["vehicle"]] * 10
    )
    assert tagger.predict(texts[:2], thresholds=1.0) == [[], []]
    assert tagger.predict(texts[:1], thresholds=[0.0, 1.0]) == [["fruit"]]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        (1.5, r"thresholds must be in \[0, 1\], got 1.5"),
        ([np.nan] * N_LABELS, r"thresholds must be in \[0, 1\], got nan"),
        ([0.5, 0.5], "one for each of the 60 labels, got float64 of shape"),
        ("f1", "thresholds must be a number or one for each"),
    ],
)
def test_refused(data, model, thresholds, message):
    with pytest.raises(ValueError, match=message):
        model.predict(data[0][:2], thresholds=thresholds)


def test_refused_of_classes(data, model):
    X, Y = data
    classes = SparseLSHMLPClassifier((8,), max_iter=1).fit(X[:100], np.arange(100) % 3)
    with pytest.raises(ValueError, match="thresholds must be None for classes"):
        classes.predict(X[:2], thresholds=0.5)
    with pytest.raises(ValueError, match="must be fitted on a multilabel y"):
        tune_thresholds(classes, X[:9], np.arange(9) % 3)
    with pytest.raises(ValueError, match="y must have the model's 60 columns, got 59"):
        tune_thresholds(model, X[:9], Y[:9, :59])
    for wrong, message in (
        (np.ones(59), "frequencies must be 60 numbers, one for each label, got float64 of shape"),
        (np.full(60, -1.0), "frequencies must be finite and at least 0, got -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            tune_thresholds(model, X[:9], Y[:9], frequencies=wrong)
    with pytest.raises(ValueError, match="n_groups must be"):
        tune_thresholds(model, X[:9], Y[:9], n_groups=0)
    with pytest.raises(ValueError, match="X and y must have as many rows, got 9 and 8"):
        tune_thresholds(model, X[:9], Y[:8])
    with pytest.raises(NotFittedError):
        SparseLSHMLPClassifier().predict(X[:2], thresholds=0.5)
