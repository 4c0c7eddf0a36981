"""Bad input: an error that names the argument, and an estimator that is as it was before."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from sklsh.network.trainer import Trainer
from tests.test_classifier import assert_same_model, small

RNG = np.random.default_rng(0)
X = (RNG.random((60, 6)) * (RNG.random((60, 6)) < 0.7)).astype(np.float32)
Y1 = np.arange(60) % 3
Y2 = np.eye(4, dtype=int)[np.arange(60) % 4]


def changed(array, value, at=(0, 0), dtype=float):
    array = np.array(array, dtype=dtype)
    array[at] = value
    return array


def corrupt(matrix=X, **arrays):
    """A CSR matrix, one of whose arrays is changed behind scipy's back."""
    matrix = sp.csr_matrix(matrix)
    for name, change in arrays.items():
        values = getattr(matrix, name).astype(np.int64)
        setattr(matrix, name, change(values))
    return matrix


def at(place, value):
    def change(values):
        values[place] = value
        return values

    return change


BAD_X = {
    "nan": (changed(X, np.nan), "Input X contains NaN"),
    "inf": (changed(X, np.inf), "Input X contains infinity"),
    "sparse nan": (sp.csr_matrix(changed(X, np.nan)), "Input X contains NaN"),
    "too large for float32": (changed(X, 1e39), r"X must have entries within float32.*1e\+39"),
    "text": (X.astype(str), "X must be numeric, got an array of text"),
    "a string": (changed(X, "a", dtype=object), "could not convert string to float"),
    "complex": (X * 1j, "Complex data not supported"),
    "negative index": (corrupt(indices=at(3, -1)), r"X\.indices must be in \[0, 6\)"),
    "large index": (corrupt(indices=at(3, 6)), r"X\.indices must be in \[0, 6\)"),
    "beyond int32": (corrupt(indices=at(3, 2**33)), r"X\.indices must be in \[0, 6\)"),
    "indptr falls": (corrupt(indptr=at(5, 0)), r"X\.indptr must .* never decrease"),
    "indptr past the end": (corrupt(indptr=at(-1, 10**6)), r"X\.indptr must"),
    "no rows": (np.empty((0, 6)), "0 sample"),
    "no rows, sparse": (sp.csr_matrix((0, 6)), "0 sample"),
    "no columns": (np.empty((60, 0)), "0 feature"),
    "1-d": (X[0], "Expected 2D array"),
    "3-d": (X[None], "Found array with dim 3"),
}
BAD_Y = {
    "too short": (Y1[:-1], "y must have one entry for each of the 60 rows of X, got 59"),
    "too long": (np.append(Y1, 0), "y must have one entry for each of the 60 rows of X, got 61"),
    "indicator of other length": (Y2[:-1], "y must have one entry for each of the 60 rows"),
    "continuous": (RNG.random(60), "y must be classes"),
    "nan": (changed(Y1, np.nan, 0), "Input y contains NaN"),
    "one class": (0 * Y1, "y must have at least 2 classes, got 1 class"),
    "none": (None, "y should be a 1d array|y cannot be None"),
    "mixed": (np.array(["a", 1] * 30, dtype=object), "y must be classes"),
    "ragged": ([[0], [1, 2]] * 30, "y must be 1-d classes, a 2-d indicator, or lists"),
    "values": (2 * Y2, "y must be an indicator of 0 and 1, got the value 2"),
    "sparse values": (sp.csr_matrix(3 * Y2), "y must be an indicator of 0 and 1, got the value 3"),
    "indicator nan": (changed(Y2, np.nan), "Input y contains NaN"),
    "no positives": (0 * Y2, "y must have at least one positive entry"),
    "one column": (sp.csr_matrix(Y2[:, :1]), "y must have at least 2 columns, got 1"),
    "corrupted": (corrupt(Y2, indices=at(3, 9)), r"y\.indices must be in \[0, 4\)"),
    "text indicator": (Y2.astype(str), "y must be a numeric 0/1 indicator"),
}
BAD_WEIGHT = {
    "too short": (np.ones(59), r"sample_weight.shape == \(59,\), expected \(60,\)"),
    "2-d": (np.ones((60, 1)), "[Ss]ample.weights? must be 1D"),
    "nan": (changed(np.ones(60), np.nan, 0), "Input sample_weight contains NaN"),
    "negative": (changed(np.ones(60), -1, 0), "Negative values in data passed to `sample_weight`"),
    "all 0": (np.zeros(60), "sample_weight must have a positive entry"),
}
BAD_PARAMETER = [
    ("hidden_layer_sizes", (), "hidden_layer_sizes must name at least one layer, got none"),
    ("hidden_layer_sizes", (8, 0), "hidden_layer_sizes must be at least 1, got 0"),
    ("hidden_layer_sizes", (8.5,), "hidden_layer_sizes must be an integer, got 8.5"),
    ("hidden_layer_sizes", "ab", "'hidden_layer_sizes' parameter.* Got 'ab'"),
    ("hash_length", 0, r"'hash_length' parameter.*\[1, 62\]. Got 0"),
    ("hash_length", -3, r"'hash_length' parameter.*\[1, 62\]. Got -3"),
    ("hash_length", 63, r"'hash_length' parameter.*\[1, 62\]. Got 63"),
    ("sketch_dim", 9, r"sketch_dim must be in \[1, 8\] \(the last hidden layer's width\), got 9"),
    ("sketch_dim", 0, "'sketch_dim' parameter.* Got 0"),
    ("n_tables", 0, "'n_tables' parameter.* Got 0"),
    ("n_active", 0, "'n_active' parameter.* Got 0"),
    ("n_jobs", 0, "'n_jobs' parameter.* Got 0"),
    ("dropout", 1.0, r"'dropout' parameter.*\[0.0, 1.0\). Got 1.0"),
    ("dropout", -0.1, "'dropout' parameter.* Got -0.1"),
    ("validation_fraction", 1.0, "'validation_fraction' parameter.* Got 1.0"),
    ("batch_size", 0, "'batch_size' parameter.* Got 0"),
    ("learning_rate_init", 0.0, "'learning_rate_init' parameter.* Got 0.0"),
    ("max_iter", 0, "'max_iter' parameter.* Got 0"),
    ("n_neighbors", -1, "'n_neighbors' parameter.* Got -1"),
    ("rehash_interval", 0, "'rehash_interval' parameter.* Got 0"),
    ("sampler", "best", "'sampler' parameter.* Got 'best'"),
    ("family", "minhash", "family.*minhash"),
    ("fold", "none", "'fold' parameter.* Got 'none'"),
    ("activation", "gelu", "'activation' parameter.* Got 'gelu'"),
    ("random_state", "a", "'random_state' parameter.* Got 'a'"),
]


def state_of(model):
    """Names of all attributes, and of the arrays among them copies."""
    return {
        name: [a.copy() for a in value] if name.startswith("coefs") else value
        for name, value in vars(model).items()
    }


def assert_refused(message, call, *models):
    """`call(model)` raises, and leaves a fresh model bare and a fitted one as it was."""
    for model in models:
        before = state_of(model)
        fitted = hasattr(model, "learner_")
        answers = model.predict_proba(X) if fitted else None
        with pytest.raises((ValueError, TypeError), match=message):
            call(model)
        after = state_of(model)
        assert after.keys() == before.keys()
        assert all(after[name] is before[name] for name in before)
        if fitted:
            np.testing.assert_array_equal(model.predict_proba(X), answers)


def bare_and_fitted(**params):
    params = {"hidden_layer_sizes": (8,), "max_iter": 1, **params}
    return small(**params), small(**params).fit(X, Y1), small(**params).fit(X, Y2)


@pytest.mark.parametrize("case", BAD_X)
def test_bad_x(case):
    bad, message = BAD_X[case]
    assert_refused(message, lambda model: model.fit(bad, Y1), *bare_and_fitted())
    options = {"classes": [0, 1, 2]}
    bare, fitted, _ = bare_and_fitted()
    assert_refused(message, lambda model: model.partial_fit(bad, Y1, **options), bare, fitted)
    for method in ("predict", "predict_topk", "predict_proba", "decision_function"):
        assert_refused(message, lambda model, m=method: getattr(model, m)(bad), fitted)


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_y(case):
    bad, message = BAD_Y[case]
    assert_refused(message, lambda model: model.fit(X, bad), *bare_and_fitted())
    if case not in ("one class", "no positives", "one column", "none"):
        # In a stream a part may have one class only, or no label at all.
        bare, fitted, multilabel = bare_and_fitted()
        model = multilabel if case in ("values", "sparse values", "corrupted") else fitted
        changed_kind = "as before|" + message
        assert_refused(changed_kind, lambda model: model.partial_fit(X, bad), model)
        assert_refused(
            f"classes must be passed|{message}", lambda model: model.partial_fit(X, bad), bare
        )


@pytest.mark.parametrize("case", BAD_WEIGHT)
def test_bad_sample_weight(case):
    bad, message = BAD_WEIGHT[case]
    models = bare_and_fitted()
    assert_refused(message, lambda model: model.fit(X, Y1, sample_weight=bad), *models)
    assert_refused(
        message,
        lambda model: model.partial_fit(X, Y1, classes=[0, 1, 2], sample_weight=bad),
        *models[:2],
    )


@pytest.mark.parametrize(("name", "value", "message"), BAD_PARAMETER)
def test_bad_parameter(name, value, message):
    models = bare_and_fitted(sampler="lsh")
    for model in models:
        model.set_params(**{name: value})
    assert_refused(message, lambda model: model.fit(X, Y1), *models[:1])
    assert_refused(message, lambda model: model.partial_fit(X, Y1, classes=[0, 1, 2]), *models[:1])
    if name != "n_jobs":  # A fitted model reads it when it predicts.
        assert_refused(message, lambda model: model.fit(X, Y1), *models[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "dwta", "hash_length": 40}, r"hash_length must be in \[1, 9\].*got 40"),
        (
            {"family": "pghash_d", "sketch_dim": 4, "hash_length": 5},
            r"hash_length must be in \[1, 4\].*got 5",
        ),
    ],
)
def test_more_bins_than_coordinates(options, message):
    bare, fitted, _ = bare_and_fitted(sampler="lsh")
    for model in (bare, fitted):
        model.set_params(**options)
    assert_refused(message, lambda model: model.fit(X, Y1), bare, fitted)


def test_classes_of_a_stream():
    bare, fitted, multilabel = bare_and_fitted()
    for call, message, model in [
        (lambda m: m.partial_fit(X, Y1), "classes must be passed on the first call", bare),
        (lambda m: m.partial_fit(X, Y1, classes=[0, 1]), "not in classes: .2.", bare),
        (lambda m: m.partial_fit(X, Y1 + 1), "y has values that are not in classes: .3.", fitted),
        (lambda m: m.partial_fit(X, Y1, classes=[0, 1]), "not the same as on last call", fitted),
        (lambda m: m.partial_fit(X, Y2), "y must be 1-d classes as before", fitted),
        (lambda m: m.partial_fit(X, Y1), "y must be a multilabel indicator as before", multilabel),
        (lambda m: m.partial_fit(X, Y2[:, :3]), "y must have 4 columns as before", multilabel),
        (lambda m: m.partial_fit(X, Y2, classes=[0, 1]), "not the same as on last", multilabel),
        (lambda m: m.partial_fit(X[:, :3], Y1), "X has 3 features, but .* 6", fitted),
    ]:
        assert_refused(message, call, model)
    # The same classes in another order are the same.
    fitted.partial_fit(X, Y1, classes=[2, 0, 1])
    multilabel.partial_fit(X, Y2, classes=["a", "b", "c", "d"])


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "decision_function", "predict_topk"]
)
def test_predict_before_fit_and_other_features(method):
    bare, fitted, multilabel = bare_and_fitted()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(bare, method)(X)
    for model in (fitted, multilabel):
        assert_refused(
            "X has 5 features, but .* is expecting 6", lambda m: getattr(m, method)(X[:, :5]), model
        )


@pytest.mark.parametrize(
    ("k", "message"),
    [(0, "k must be at least 1, got 0"), (-1, "got -1"), (1.5, "k must be an integer, got 1.5"),
     ("5", "k must be an integer, got '5'"), (None, "k must be an integer")],
)  # fmt: skip
def test_bad_k(k, message):
    assert_refused(message, lambda model: model.predict_topk(X, k), bare_and_fitted()[1])


def test_training_that_diverges():
    message = "training has diverged: loss and weights must be finite, got (nan|-?inf)"
    warm = small(warm_start=True).fit(X, Y1)
    models = [model.set_params(learning_rate_init=3e38) for model in (*bare_and_fitted(), warm)]
    assert_refused(message, lambda model: model.fit(X, Y1), *models)
    stream = small().partial_fit(X, Y1, classes=[0, 1, 2]).set_params(learning_rate_init=3e38)
    assert_refused(message, lambda model: model.partial_fit(X, Y1), stream)


def test_weights_of_any_size_do_not_diverge():
    weights = np.full(60, 1e30)
    for model in bare_and_fitted():
        model.fit(X, Y1, sample_weight=weights).partial_fit(X, Y1, sample_weight=weights)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"prediction": "lsh", "family": "dwta", "hash_length": 62}, "hash_length must be"),
        ({"prediction": "lsh", "sketch_dim": 17}, "sketch_dim must be .*the last hidden layer"),
        ({"sampler": "lsh", "family": "simhash", "hash_length": 63}, "hash_length"),
        ({"family": "md5"}, "family must be one of"),
    ],
)
def test_hash_functions_that_cannot_be_drawn(params, message, monkeypatch):
    monkeypatch.setattr(Trainer, "step", None)  # nothing is trained before
    assert_refused(message, lambda model: model.fit(X, Y1), small(**params))


def test_one_sample():
    with pytest.raises(ValueError, match="y must have at least 2 classes, got 1 class"):
        small().fit(X[:1], Y1[:1])
    assert small().fit(X[:1], Y2[:1]).predict(X[:1]).tolist() == Y2[:1].tolist()
    assert small().fit(X[:2], Y1[:2]).predict(X[:2]).tolist() == Y1[:2].tolist()


def test_unsorted_and_repeated_indices_are_the_canonical_matrix():
    canonical = sp.csr_matrix(X)
    indptr, indices, data = [], [], []
    for row in range(60):
        span = slice(canonical.indptr[row], canonical.indptr[row + 1])
        # Backwards, and each entry as two halves.
        indptr.append(2 * canonical.indptr[row])
        indices += np.repeat(canonical.indices[span][::-1], 2).tolist()
        data += np.repeat(canonical.data[span][::-1] / 2, 2).tolist()
    indptr.append(2 * canonical.nnz)
    messy = sp.csr_matrix((np.array(data, np.float32), indices, indptr), shape=X.shape)
    before = [a.copy() for a in (messy.data, messy.indices, messy.indptr)]
    models = [small(max_iter=1).fit(matrix, Y1) for matrix in (canonical, messy)]
    assert_same_model(*models)
    np.testing.assert_array_equal(models[0].predict_proba(messy), models[1].predict_proba(X))
    for old, now in zip(before, (messy.data, messy.indices, messy.indptr), strict=True):
        np.testing.assert_array_equal(old, now)


def test_int64_indices():
    matrix = corrupt(indices=lambda v: v, indptr=lambda v: v)
    assert matrix.indices.dtype == np.int64
    assert_same_model(small().fit(matrix, Y1), small().fit(X, Y1))


def test_rows_of_zeros_only():
    model = small(max_iter=1).fit(np.zeros((20, 3)), np.arange(20) % 2)
    assert np.isfinite(model.predict_proba(np.zeros((2, 3)))).all()
    empty = sp.csr_matrix((20, 3))
    assert np.isfinite(small(max_iter=1).fit(empty, Y2[:20]).predict_proba(empty)).all()
