"""SparseLSHMLPClassifier as a user and as scikit-learn meet it."""

import inspect
import pickle
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification

# As for scikit-learn's own SGDClassifier and Perceptron: a row of weight 2 is one gradient of
# twice the size, a repeated row is two rows that fall into different batches. Both train to
# the same in distribution, not to the same bits. `test_sample_weight_*` holds what does hold.
NOT_EQUAL = "mini-batches: sample_weight is not equivalent to repeating rows, bit by bit"
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": NOT_EQUAL,
    "check_sample_weight_equivalence_on_sparse_data": NOT_EQUAL,
}


@parametrize_with_checks(
    [SparseLSHMLPClassifier()], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def multiclass(n_samples=600, names=(5, -3, 40, 7)):
    """Classes that own some features each, sparse rows, and some noise."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, len(names), n_samples)
    X = rng.random((n_samples, 24)) * (rng.random((n_samples, 24)) < 0.3)
    for i, code in enumerate(codes):
        X[i, 5 * code : 5 * code + 3] += 0.5
    return X.astype(np.float32), np.asarray(names)[codes]


def wide_problem():
    """A few hundred labels, 1,000 rows to learn from and 400 to judge by."""
    X, Y = make_extreme_classification(
        1400, 1500, 300, features_per_row=25, labels_per_row=2.5, random_state=0
    )
    return X[:1000], Y[:1000], X[1000:], Y[1000:]


@pytest.fixture(scope="module")
def wide():
    return wide_problem()


def small(**params):
    # Nothing that counts is left to "auto": these tests are not about the recipe.
    params = {
        "hidden_layer_sizes": (16,), "max_iter": 3, "batch_size": 60,
        "learning_rate_init": 0.03, "dropout": 0.1, "random_state": 0, **params,
    }  # fmt: skip
    return SparseLSHMLPClassifier(**params)


@pytest.fixture(scope="module")
def of_wide(wide):
    """A model of `wide`, which no test trains further."""
    return small().fit(*wide[:2])


def precision_at_1(model, X, Y):
    labels, _ = model.predict_topk(X, 1)
    return np.asarray(Y.tocsr()[np.arange(X.shape[0]), labels[:, 0]]).mean()


def assert_same_model(one, two):
    for a, b in zip(one.coefs_ + one.intercepts_, two.coefs_ + two.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.neighbor_weight_ == two.neighbor_weight_
    assert one.threshold_ == two.threshold_ and one.loss_curve_ == two.loss_curve_


# Containers -------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_any_container_of_x_gives_the_same_model(container):
    X, y = multiclass()
    dense, sparse = small().fit(X, y), small().fit(container(X), y)
    assert_same_model(dense, sparse)
    np.testing.assert_array_equal(dense.predict(X), sparse.predict(container(X)))
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(container(X)))
    assert_same_model(dense, small().fit(X.astype(np.float64), y))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool])
def test_y_in_any_container(wide, of_wide, container, dtype):
    """The same model of any; predictions come back in the container and type of y."""
    X, Y, X_test, _ = wide
    y = container(Y.toarray().astype(dtype))
    model = small().fit(X, y)
    assert_same_model(model, of_wide)
    answer = model.predict(X_test)
    assert answer.dtype == dtype and answer.shape == (400, 300)
    assert type(answer) is (sp.csr_matrix if sp.issparse(y) and y.format == "csc" else type(y))
    dense = answer.toarray() if sp.issparse(answer) else answer
    np.testing.assert_array_equal(dense, of_wide.predict(X_test).toarray())


def test_y_is_never_made_dense(wide, monkeypatch):
    X, Y, X_test, _ = wide

    def refuse(self, *args, **kwargs):
        raise AssertionError(f"a matrix of shape {self.shape} was made dense")

    for kind in (sp.csr_matrix, sp.csr_array):
        monkeypatch.setattr(kind, "toarray", refuse)
        monkeypatch.setattr(kind, "todense", refuse)
    model = small().fit(X, Y)
    model.predict(X_test)
    model.predict_topk(X_test)
    small().partial_fit(X, Y).predict(X_test)


# Predictions ------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(5, -3, 40, 7), ("d", "b", "ä", "a"), (0, 1, 2, 3), (1, 0)])
def test_classes_of_any_kind(names):
    X, y = multiclass(names=names)
    model = small().fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.unique(names))
    assert model.predict(X).dtype == y.dtype and model.score(X, y) > 0.95
    labels, _ = model.predict_topk(X, 2)
    best = labels[:, 0] if y.dtype.kind in "iU" else model.classes_[labels[:, 0]]
    np.testing.assert_array_equal(best, model.predict(X))
    scores = model.decision_function(X)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    if len(names) == 2:
        assert scores.shape == (600,)
        np.testing.assert_array_equal(model.classes_[(scores > 0).astype(int)], model.predict(X))
    else:
        np.testing.assert_array_equal(scores.argmax(axis=1), probabilities.argmax(axis=1))


def test_topk_agrees_with_the_dense_answers(wide):
    X, Y, X_test, Y_test = wide
    model = small(max_iter=6).fit(X, Y)
    labels, scores = model.predict_topk(X_test, 310)
    assert (labels.dtype, scores.dtype) == (np.int64, np.float32)
    assert labels.shape == scores.shape == (400, 310)
    decisions = model.decision_function(X_test)
    predicted = model.predict(X_test).toarray().astype(bool)
    assert decisions.shape == (400, 300) and np.isfinite(decisions).all()
    trained = np.diff(Y.tocsc().indptr) > 0
    assert 250 < trained.sum() < 300
    for i in range(400):
        n_named = np.count_nonzero(labels[i] >= 0)
        named = labels[i, :n_named]
        assert (labels[i, n_named:] == -1).all() and np.isneginf(scores[i, n_named:]).all()
        # Each label once; none that no row has; at most those of a few held-out rows missing.
        assert len(np.unique(named)) == n_named > trained.sum() - 15 and trained[named].all()
        assert (np.diff(scores[i, :n_named]) <= 0).all()
        # Decisions are the scores by the temperature, less one number a row; other labels
        # are far below.
        shift = decisions[i, named] - scores[i, :n_named] / model.learner_.temperature
        np.testing.assert_allclose(shift, shift[0], atol=1e-3)
        assert np.delete(decisions[i], named).max() < decisions[i, named].min() - 100
    few, few_scores = model.predict_topk(X_test, 5)
    np.testing.assert_array_equal(few, labels[:, :5])
    np.testing.assert_allclose(few_scores, scores[:, :5], rtol=1e-5)
    # A label is predicted where its decision is positive.
    clear = np.abs(decisions) > 1e-4
    np.testing.assert_array_equal((decisions > 0)[clear], predicted[clear])
    rising = np.argsort(decisions, axis=None)
    assert (np.diff(model.predict_proba(X_test).ravel()[rising]) >= 0).all()
    assert precision_at_1(model, X_test, Y_test) > 3 * Y.mean(axis=0).max()


def test_threshold_beats_naming_one_or_all(wide):
    X, Y, X_test, Y_test = wide
    model = small(max_iter=6).fit(X, Y)
    truth = Y_test.toarray()

    def f1(threshold):
        model.threshold_ = threshold
        return f1_score(truth, model.predict(X_test).toarray(), average="samples", zero_division=0)

    fitted = model.threshold_
    assert 0 < fitted < 1
    assert f1(fitted) > max(f1(0.9), f1(0.001)) + 0.02


def test_rows_and_labels_without_entries(wide):
    X, Y, X_test, _ = wide
    X, Y = X.tolil(), Y.tolil()
    X[:5] = 0
    Y[3:9] = 0
    Y[:, 17] = 0
    model = small().fit(X.tocsr(), Y.tocsr())
    answers = [*model.predict_topk(X_test), model.decision_function(X_test)]
    answers += list(model.predict_topk(sp.csr_matrix((3, 1500)), 4))
    assert all(np.isfinite(a).all() for a in answers)
    assert np.isfinite(model.loss_curve_).all()


# Fitted state -----------------------------------------------------------------------------


def test_fitted_attributes(wide):
    X, Y, *_ = wide
    model = small(hidden_layer_sizes=(16, 12), early_stopping=True).fit(X, Y)
    assert [w.shape for w in model.coefs_] == [(1500, 16), (16, 12), (12, 300)]
    assert [b.shape for b in model.intercepts_] == [(16,), (12,), (300,)]
    assert all(a.dtype == np.float32 for a in model.coefs_ + model.intercepts_)
    assert np.shares_memory(model.coefs_[-1], model.network_.head_weights)
    assert model.n_features_in_ == 1500 and model.classes_.tolist() == list(range(300))
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_scores_) == 3
    assert model.best_loss_ == min(model.loss_curve_)
    assert small().fit(X, Y).validation_scores_ is None


def test_documented_attributes_exist(wide):
    """Every name under "Attributes", on a fit that makes them all."""
    doc = inspect.getdoc(SparseLSHMLPClassifier).split("Attributes\n")[1].split("Notes\n")[0]
    lines = [line for line in doc.splitlines() if re.match(r"\w+_\b.*$", line)]
    names = {name for line in lines for name in re.findall(r"\w+_\b", line.split(" : ")[0])}
    assert len(names) > 12
    X = pd.DataFrame(wide[0].toarray()).rename(columns=str)
    model = small(early_stopping=True).fit(X, wide[1])
    assert [name for name in sorted(names) if not hasattr(model, name)] == []


def test_feature_names():
    X, y = multiclass()
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(24)])
    model = small().fit(frame, y)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert_same_model(model, small().fit(X, y))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])


@pytest.mark.parametrize("sampler", ["lsh", "codes", "random", "uniform", "labels", "exact", "all"])
def test_two_fits_and_any_number_of_threads_give_the_same_bits(wide, sampler):
    X, Y, X_test, _ = wide
    first = small(sampler=sampler, n_active=32, n_jobs=1).fit(X, Y)
    expected = first.predict_topk(X_test, 7)
    assert precision_at_1(first, *wide[2:]) > 0.2
    for n_jobs in (1, 3):
        other = small(sampler=sampler, n_active=32, n_jobs=n_jobs).fit(X, Y)
        assert_same_model(first, other)
        for ours, theirs in zip(expected, other.predict_topk(X_test, 7), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_pickle_clone_joblib(wide, tmp_path):
    X, Y, X_test, _ = wide
    model = small(sampler="lsh", n_active=16).fit(X, Y)
    expected = model.predict_topk(X_test)
    joblib.dump(model, tmp_path / "model.joblib")
    copies = [pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")]
    for copy in copies:
        for ours, theirs in zip(expected, copy.predict_topk(X_test), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # Copies go on learning as the original would.
    model.partial_fit(X[:50], Y[:50])
    for copy in copies:
        assert_same_model(copy.partial_fit(X[:50], Y[:50]), model)
    again = clone(model)
    assert not hasattr(again, "learner_") and again.get_params() == model.get_params()
    assert_same_model(again.fit(X, Y), small(sampler="lsh", n_active=16).fit(X, Y))


def test_memory_mapped_read_only_input(wide, of_wide):
    X, Y = wide[0].copy(), wide[1]
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    model = small().fit(X, Y)
    assert_same_model(model, of_wide)
