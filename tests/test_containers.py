"""What users hold their data in: the answer is that of the same numbers in a plain array."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sklsh import FederatedLSHClassifier, LSHRecommender, SparseLSHMLPClassifier
from sklsh._utils.containers import plain
from sklsh.datasets import make_extreme_classification, split_devices, split_interactions
from sklsh.metrics import make_topk_scorer, precision_at_k, psp_at_k

X, Y = make_extreme_classification(80, 30, 8, random_state=0)
DENSE = Y.toarray().astype(np.int64)
SMALL = {"max_iter": 1, "random_state": 0, "n_jobs": 1}

INDICATORS = {
    "sparse frame": pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(Y).astype(np.int8)),
    "sparse frame of booleans": pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(Y).astype(bool)),
    "frame": pd.DataFrame(DENSE),
    "Int64": pd.DataFrame(DENSE).astype("Int64"),
    "boolean": pd.DataFrame(DENSE).astype("boolean"),
    "frame of several types": pd.DataFrame(DENSE).astype(
        {0: "boolean", 1: "Int64", 2: "float32", 3: bool}
    ),
    "half floats": DENSE.astype(np.float16),
    "tuples": tuple(map(tuple, DENSE.tolist())),
    "objects": DENSE.astype(object),
    "lists": DENSE.tolist(),
}
CODES = np.asarray(Y.argmax(axis=1)).ravel()
CLASSES = {
    "Int64": pd.Series(10 * CODES, dtype="Int64"),
    "UInt8": pd.Series(10 * CODES, dtype="UInt8"),
    "category": pd.Series(10 * CODES).astype("category"),
    "objects": (10 * CODES).astype(object),
    "floats among objects": (10 * CODES).astype(float).astype(object),
    "list": (10 * CODES).tolist(),
    "sparse": pd.Series(pd.arrays.SparseArray(10 * CODES, fill_value=0)),
}


def small():
    return SparseLSHMLPClassifier((4,), **SMALL)


def federation():
    return FederatedLSHClassifier(small(), n_rounds=1, random_state=0, n_jobs=1)


@pytest.mark.parametrize("make", [small, federation])
@pytest.mark.parametrize("name", INDICATORS)
def test_indicators(make, name):
    y = INDICATORS[name]
    expected, model = make().fit(X, DENSE), make().fit(X, y)
    np.testing.assert_array_equal(model.decision_function(X), expected.decision_function(X))
    assert model.score(X, y) == expected.score(X, DENSE)
    streamed = make().partial_fit(X, y).partial_fit(X, y)
    again = make().partial_fit(X, DENSE).partial_fit(X, DENSE)
    np.testing.assert_array_equal(streamed.decision_function(X), again.decision_function(X))
    answer = model.predict(X)
    if "sparse" in name:
        assert isinstance(answer, sp.csr_matrix)
        answer = answer.toarray()
    np.testing.assert_array_equal(answer, expected.predict(X))


@pytest.mark.parametrize("make", [small, federation])
@pytest.mark.parametrize("name", CLASSES)
def test_classes(make, name):
    y, expected = CLASSES[name], make().fit(X, 10 * CODES)
    model = make().fit(X, y)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    if name != "floats among objects":
        np.testing.assert_array_equal(model.predict_topk(X, 3)[0], expected.predict_topk(X, 3)[0])
    assert model.score(X, y) == expected.score(X, 10 * CODES)
    classes = y if isinstance(y, list) else y[np.sort(np.unique(CODES, return_index=True)[1])]
    model = make().partial_fit(X, y, classes=classes).partial_fit(X, y, classes=classes)
    expected = make().partial_fit(X, 10 * CODES, classes=10 * np.unique(CODES))
    expected.partial_fit(X, 10 * CODES)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    assert make_topk_scorer(precision_at_k, 1)(model, X, y) == model.score(X, y)


@pytest.mark.parametrize("dtype", ["boolean", "string", "str"])
def test_classes_that_are_no_numbers(dtype):
    values = CODES > 3 if dtype == "boolean" else np.array([f"class {c}" for c in CODES])
    y = pd.Series(values).astype(dtype)
    model, expected = small().fit(X, y), small().fit(X, values)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    assert model.score(X, y) == expected.score(X, values)
    again = small().partial_fit(X, y, classes=set(values))
    assert list(again.classes_) == sorted(set(values))


def test_weights_and_devices():
    weights = np.arange(80) % 3 + 0.5
    nullable = pd.Series(weights).astype("Float64")
    expected = small().fit(X, DENSE, sample_weight=weights).decision_function(X)
    found = small().fit(X, DENSE, sample_weight=nullable).decision_function(X)
    np.testing.assert_array_equal(found, expected)
    groups = np.arange(80) % 3
    expected = federation().fit(X, DENSE, groups=groups)
    for given in (pd.Series(groups, dtype="Int64"), groups.astype(object), groups.tolist()):
        model = federation().fit(X, DENSE, groups=given)
        assert model.device_ids_.dtype == groups.dtype
        np.testing.assert_array_equal(model.predict_topk(X)[0], expected.predict_topk(X)[0])


@pytest.mark.parametrize("name", INDICATORS)
def test_metrics_and_splits(name):
    y, ranked = INDICATORS[name], small().fit(X, DENSE).predict_topk(X, 3)[0]
    frame = pd.DataFrame(ranked).astype("Int64")
    weights = pd.Series(np.arange(80) + 1.0).astype("Float64")
    assert precision_at_k(y, frame, 2, sample_weight=weights) == precision_at_k(
        DENSE, ranked, 2, sample_weight=np.arange(80) + 1.0
    )
    assert psp_at_k(y, frame, 2, y_train=y) == psp_at_k(DENSE, ranked, 2, y_train=DENSE)
    np.testing.assert_array_equal(
        split_devices(y, 4, random_state=0), split_devices(DENSE, 4, random_state=0)
    )
    for part, wanted in zip(
        split_interactions(y, random_state=0), split_interactions(DENSE, random_state=0),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(part.toarray(), wanted.toarray())


def test_classes_in_metrics():
    ranked = small().fit(X, CODES).predict_topk(X, 2)[0]
    expected = precision_at_k(CODES, ranked, 1)
    for y in (pd.Series(CODES, dtype="Int64"), CODES.astype(object), CODES.tolist()):
        assert precision_at_k(y, ranked, 1) == expected


def test_sparse_columns_of_something_else_than_zeros():
    frame = pd.DataFrame(
        {f"{j}": pd.arrays.SparseArray(DENSE[:, j], fill_value=1) for j in range(8)}
    )
    model, expected = (small().fit(given, CODES) for given in (frame, pd.DataFrame(DENSE)))
    np.testing.assert_array_equal(model.decision_function(frame), expected.decision_function(DENSE))
    assert model.feature_names_in_[0] == "0"
    ids = RECOMMENDER.recommend(np.arange(80), frame, N=3)[0]
    np.testing.assert_array_equal(ids, RECOMMENDER.recommend(np.arange(80), DENSE, N=3)[0])


def test_missing_values_are_named():
    y = pd.Series(CODES, dtype="Int64")
    y[3] = pd.NA
    for call in (
        lambda: small().fit(X, y),
        lambda: small().partial_fit(X, y, classes=CODES),
        lambda: federation().fit(X, DENSE, groups=y),
        lambda: precision_at_k(y, CODES[:, None], 1),
        lambda: LSHRecommender((4,), **SMALL).fit(Y, item_ids=y[:8]),
    ):
        with pytest.raises(ValueError, match="must have no missing values, got NaN or NA"):
            call()


def test_objects_stay_objects_where_no_type_has_them():
    for values in (["a", 1], [2**70, 1], [True, 1], [None, 1]):
        given = np.array(values, dtype=object)
        assert plain(given, "y") is given
    assert plain(np.array([1, 2.5], dtype=object), "y").dtype == np.float64


IDS = np.arange(100, 108)
RECOMMENDER = LSHRecommender((4,), **SMALL).fit(Y, item_ids=IDS)
OF_IDS = [
    list, tuple, np.array, pd.Series, pd.Index, iter, set, frozenset,
    lambda ids: np.array(ids, dtype=object),
    lambda ids: np.array(ids, dtype=float),
    lambda ids: np.array(ids, dtype=float).astype(object),
    lambda ids: pd.Series(ids, dtype="Int64"),
    lambda ids: pd.Series(ids).astype("category"),
    lambda ids: dict.fromkeys(ids).keys(),
    lambda ids: dict(enumerate(ids)).values(),
]  # fmt: skip


@pytest.mark.parametrize("convert", OF_IDS)
def test_item_ids(convert):
    three = [101, 102, 105]
    for argument in ("items", "filter_items"):
        found = RECOMMENDER.recommend(0, Y[:1], N=4, **{argument: convert(three)})[0]
        expected = RECOMMENDER.recommend(0, Y[:1], N=4, **{argument: np.array(three)})[0]
        np.testing.assert_array_equal(found, expected)
    found, expected = (RECOMMENDER.similar_items(x, 2)[0] for x in (convert(three), three))
    np.testing.assert_array_equal(found, expected)


def test_items_are_named_in_the_order_of_the_columns():
    for ids in (
        IDS.astype(object),
        IDS.astype(float),
        pd.Series(IDS, dtype="Int64"),
        range(100, 108),
    ):
        model = LSHRecommender((4,), **SMALL).fit(Y, item_ids=ids)
        assert model.item_ids_.tolist() == IDS.tolist()
    names = pd.Series([f"item {i}" for i in IDS], dtype="string")
    model = LSHRecommender((4,), **SMALL).fit(Y, item_ids=names)
    assert model.item_ids_.tolist() == names.tolist()
    with pytest.raises(TypeError, match="item_ids must be in the order of the columns, got a set"):
        LSHRecommender((4,), **SMALL).fit(Y, item_ids=set(IDS.tolist()))
    with pytest.raises(TypeError, match="filter_items must be item ids"):
        RECOMMENDER.recommend(0, Y[:1], filter_items=[100.5])
    with pytest.raises(TypeError, match="items must be ids of one kind, got a set of several"):
        RECOMMENDER.recommend(0, Y[:1], items={100, "a"})


ONE = Y[[3]].toarray()[0]


@pytest.mark.parametrize(
    "row",
    [ONE, ONE.tolist(), tuple(ONE), sp.csr_array(Y)[3], sp.csr_matrix(Y)[3], sp.coo_array(ONE),
     pd.Series(ONE), pd.Series(pd.arrays.SparseArray(ONE)), pd.Series(ONE).astype("Int64"),
     pd.DataFrame(ONE[None])],
)  # fmt: skip
@pytest.mark.parametrize("userid", [7, np.int64(7), np.array(7, dtype=object)])
def test_one_row_of_one_user(row, userid):
    ids, scores = RECOMMENDER.recommend(userid, row, N=3)
    expected = RECOMMENDER.recommend(3, Y[[3]], N=3)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


def test_users_in_any_container():
    expected = RECOMMENDER.recommend(np.arange(2), Y[:2], N=3)[0]
    frame = pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(Y[:2]))
    for users in (
        [0, 1],
        pd.Series([0, 1], dtype="Int64"),
        np.array([0, 1], dtype=object),
        range(2),
    ):
        for rows in (frame, Y[:2].toarray().tolist(), pd.DataFrame(DENSE[:2]).astype("Int64")):
            np.testing.assert_array_equal(RECOMMENDER.recommend(users, rows, N=3)[0], expected)
    with pytest.raises(ValueError, match="Expected 2D array"):
        RECOMMENDER.recommend([0], ONE)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="of numpy 2")
def test_classes_that_are_text_of_numpys_own_type():
    text = np.array([f"c{code}" for code in CODES])
    y = text.astype(np.dtypes.StringDType())
    model, expected = small().fit(X, y), small().fit(X, text)
    np.testing.assert_array_equal(model.predict_topk(X, 3)[0], expected.predict_topk(X, 3)[0])
    assert model.score(X, y) == expected.score(X, text)
    np.testing.assert_array_equal(*(m.score_labels(X, y[:2]) for m in (model, expected)))


@pytest.mark.parametrize(
    "y",
    [
        ["a", None] * 40,
        ["a", float("nan")] * 40,  # which numpy would call "nan"
        np.array(["a", np.nan] * 40, dtype=object),
    ],
)
def test_missing_classes_are_named(y):
    with pytest.raises(ValueError, match="y must have no missing values, got None or NaN"):
        small().fit(X, y)
    stream = small().partial_fit(X, ["a", "b"] * 40, classes=["a", "b"])
    with pytest.raises(ValueError, match="y must have no missing values, got None or NaN"):
        stream.partial_fit(X, y)


@pytest.mark.parametrize(
    ("weight", "said"),
    [({0: 1.0}, "got dict"), ({1.0, 2.0}, "got set"), (np.array(["1"] * 8), "got text")],
)
def test_weights_of_items_have_an_order(weight, said):
    model = LSHRecommender((4,), item_weight=weight, **SMALL)
    with pytest.raises((TypeError, ValueError), match=f"item_weight .*{said}|'item_weight'"):
        model.fit(Y)


def test_classes_of_several_kinds_are_refused():
    """A 1 in a list beside text is no "1"."""
    for y in ([1, "a"] * 40, np.array([1, "a"] * 40, dtype=object)):
        with pytest.raises((TypeError, ValueError), match="y must be classes: integers, booleans"):
            small().fit(X, y)
