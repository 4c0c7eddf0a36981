"""Classes that come late: in streams, warm starts, folders; and how many labels are named."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.estimators.warm_start import widened
from sklsh.metrics import precision_at_k
from sklsh.network.learner import Learner
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.rows import SparseRows
from sklsh.persistence import load_model, save_model

SMALL = {"hidden_layer_sizes": (32,), "random_state": 0, "new_classes": "grow"}


def small(**params):
    return SparseLSHMLPClassifier(**SMALL | params)


def blobs(classes, n_each=40, seed=0):
    """Rows of features of their own, one class each."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(classes)), n_each)
    X = np.zeros((y.size, 4 * len(classes)), dtype=np.float32)
    for i in range(4):
        X[np.arange(y.size), 4 * y + i] = rng.random(y.size) + 0.5
    order = rng.permutation(y.size)
    return X[order], np.asarray(classes)[y[order]]


@pytest.fixture(scope="module")
def wide():
    X, Y = make_extreme_classification(2500, 1500, 300, random_state=0)
    return X[:2000], sp.csr_array(Y)[:2000], X[2000:], sp.csr_array(Y)[2000:]


@pytest.mark.parametrize(
    "classes", [[30, 10, 40, 20], ["b", "dd", "ccc", "a"], [2.0, 4.0, 1.0, 3.0]]
)
@pytest.mark.parametrize("start", ["stream", "fit"])
def test_new_classes_come_in_a_stream(classes, start):
    X, y = blobs(classes)
    early = np.isin(y, classes[:2])
    model = small(n_neighbors=3 if start == "fit" else 0)
    if start == "fit":
        model.set_params(validation_fraction=0.2).fit(X[early], y[early])
    else:
        model.partial_fit(X[early], y[early])
    before = model.predict(X[early])
    assert (before == y[early]).all()
    for _ in range(3):
        model.partial_fit(X[~early], y[~early])
    assert model.classes_.tolist() == sorted(classes)
    assert (model.predict(X) == y).mean() > 0.95
    assert model.predict_proba(X).shape == (160, 4)


def test_what_was_learnt_of_the_others_stays():
    """Votes, trees, accumulators and biases move with their class and change in no other way."""
    X, Y = make_extreme_classification(400, 300, 60, labels_per_row=1.0, random_state=0)
    y = 2 * np.asarray(sp.csr_array(Y).argmax(axis=1)).ravel() + 1
    model = small(linear=True, n_neighbors=0).fit(X, y)  # no rows are held out: a fixed weight
    rows = SparseRows.from_matrix(X)
    memory = NeighborMemory.build(rows, model.targets_.encode(y), X.shape[1], 5)
    memory.weight = 1.5
    model.learner_.memory = memory
    model.learner_.adjustment = np.arange(model.classes_.size, dtype=np.float32)
    old_classes, scores = model.classes_, model.decision_function(X[:50])
    accumulators = model.learner_.optimizer.head_weights
    wider = model.targets_.joined(classes=[0, 50, 1000])
    grown = widened(model.learner_, model.targets_, wider)
    at = np.searchsorted(wider.classes, old_classes)
    model.learner_, model.targets_, model.classes_ = grown, wider, wider.classes
    found = model.decision_function(X[:50])
    np.testing.assert_allclose(found[:, at], scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(grown.optimizer.head_weights[at], accumulators)
    new = np.setdiff1d(np.arange(wider.classes.size), at)
    assert grown.optimizer.untouched_neurons()[new].all() and (found[:, new] < -1e8).all()


def test_new_columns_of_an_indicator(wide):
    X, Y, X_test, Y_test = wide
    model = small()
    for begin, width in zip(range(0, 2000, 500), (200, 250, 300, 300), strict=True):
        model.partial_fit(X[begin : begin + 500], Y[begin : begin + 500, :width])
        assert model.classes_.shape == (width,)
    whole = SparseLSHMLPClassifier(hidden_layer_sizes=(32,), random_state=0)
    for begin in range(0, 2000, 500):
        whole.partial_fit(X[begin : begin + 500], Y[begin : begin + 500])
    ours, all_along = (
        precision_at_k(Y_test, m.predict_topk(X_test, 1)[0], k=1) for m in (model, whole)
    )
    assert ours > all_along - 0.05
    late = np.flatnonzero(Y[1000:, 250:].sum(axis=0)) + 250
    assert np.isin(model.predict_topk(X_test, 5)[0], late).any()
    assert model.predict(X_test).shape == (500, 300)
    with pytest.raises(ValueError, match="300 columns as before, got 299"):
        model.partial_fit(X[:10], Y[:10, :299])


@pytest.mark.parametrize("mmap_mode", [None, "r", "c"])
def test_growth_is_the_same_from_a_folder(wide, tmp_path, mmap_mode):
    X, Y, X_test, _ = wide
    model = small().partial_fit(X[:500], Y[:500, :200])
    save_model(model, tmp_path / "model")
    read = load_model(tmp_path / "model", mmap_mode)
    for part in (model, read):
        part.partial_fit(X[500:1000], Y[500:1000])
    for ours, theirs in zip(
        model.predict_topk(X_test, 5), read.predict_topk(X_test, 5), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    save_model(read, tmp_path / "again")
    again = load_model(tmp_path / "again")
    assert again.threshold_ == model.threshold_
    assert again.partial_fit(X[:10], Y[:10]).classes_.shape == (300,)


def test_growth_that_fails_leaves_the_narrow_model(monkeypatch):
    X, y = blobs([1, 2, 3])
    model = small().partial_fit(X[y < 3], y[y < 3])
    before, weights = model.predict_topk(X, 2), model.coefs_[0].copy()

    learn = Learner._learn

    def fails(*args):
        learn(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "_learn", fails)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, y)
    assert model.classes_.tolist() == [1, 2]
    np.testing.assert_array_equal(model.coefs_[0], weights)
    for ours, theirs in zip(model.predict_topk(X, 2), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_warm_start_takes_new_classes():
    X, y = blobs([5, 1, 9])
    model = small(warm_start=True).fit(X[y < 9], y[y < 9])
    assert model.fit(X, y).classes_.tolist() == [1, 5, 9]
    assert (model.predict(X) == y).mean() > 0.95
    # Of a class that does not come again, what was learnt stays.
    assert model.fit(X[y > 1], y[y > 1]).classes_.tolist() == [1, 5, 9]


def test_refused():
    X, y = blobs([1, 2, 3])
    early = y < 3
    strict = small(new_classes="error").partial_fit(X[early], y[early], classes=[1, 2])
    with pytest.raises(ValueError, match='unless new_classes="grow"'):
        strict.partial_fit(X, y)
    with pytest.raises(ValueError, match="not the same as on last call"):
        strict.partial_fit(X[early], y[early], classes=[1, 2, 3])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small(new_classes="error").partial_fit(X, y)
    model = small().partial_fit(X[early], y[early])
    with pytest.raises(TypeError, match="new classes must be numbers as those before, got text"):
        model.partial_fit(X, np.where(y == 3, "three", "one"))
    with pytest.raises(ValueError, match="at least 2 classes"):
        small().partial_fit(X[y == 1], y[y == 1])
    assert model.partial_fit(X, y.astype(float)).classes_.dtype.kind == "i"


@pytest.mark.parametrize("part", [16, 250])
def test_a_stream_names_as_many_labels_as_rows_have(wide, part):
    X, Y, X_test, Y_test = wide
    model = small(new_classes="error")
    for begin in range(0, 2000, part):
        model.partial_fit(X[begin : begin + part], Y[begin : begin + part])
    assert model.predict(X_test).nnz == pytest.approx(Y_test.nnz, rel=0.2)


def test_integers_of_several_types_stay_integers():
    X, y = blobs([5, 1, 9])
    model = small().partial_fit(X, y.astype(np.uint64)).partial_fit(X[:2], [-1, 5])
    assert model.classes_.dtype == np.int64 and model.classes_.tolist() == [-1, 1, 5, 9]
    huge = small().partial_fit(X, y.astype(np.uint64) + np.uint64(2**63))
    with pytest.raises(ValueError, match="integers of one type"):
        huge.partial_fit(X[:2], [-1, -2])
    # Beyond 2**53 floats would take neighbours for the same.
    shifted = y.astype(np.uint64) + np.uint64(2**60)
    strict = small(new_classes="error").partial_fit(X, shifted, classes=np.unique(shifted))
    with pytest.raises(ValueError, match=f"not in classes: .{2**60 + 2}"):
        strict.partial_fit(X[:1], np.array([2**60 + 2]))
    assert strict.partial_fit(X[:1], np.array([2**60 + 5])).n_iter_ == 2


def test_the_first_classes_need_not_be_all(wide):
    X, y = blobs([5, 1, 9])
    assert small().partial_fit(X, y, classes=[1, 3]).classes_.tolist() == [1, 3, 5, 9]
    labels = [["a"] if i % 2 else ["b", "c"] for i in range(X.shape[0])]
    model = small().partial_fit(X, labels, classes=["z"])
    assert model.label_names_.tolist() == ["a", "b", "c", "z"]
    part = small().partial_fit(wide[0], wide[1])
    with pytest.raises(ValueError, match=r"must name the 300 columns .* got 301"):
        part.partial_fit(wide[0], wide[1], classes=range(301))
    with pytest.raises(ValueError, match="y must be classes: integers"):
        small().partial_fit(X, y).partial_fit(X[:2], [2.5, 1])
