"""Estimators through skops: what must be trusted is the package's own, and nothing changes."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import CompressedLSHHasher, LSHRecommender, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification

skops_io = pytest.importorskip("skops.io")


def through_skops(model):
    data = skops_io.dumps(model)
    foreign = skops_io.get_untrusted_types(data=data)
    assert [name for name in foreign if not name.startswith("sklsh.")] == []
    return skops_io.loads(data, trusted=foreign)


@pytest.fixture(scope="module")
def labelled():
    return make_extreme_classification(300, 80, 60, random_state=0)


@pytest.mark.parametrize("params", [{}, {"prediction": "lsh", "sampler": "lsh"}])
def test_classifier(labelled, params):
    X, Y = labelled
    model = SparseLSHMLPClassifier((8,), random_state=0, max_iter=2, **params).fit(X, Y)
    again = through_skops(model)
    for got, want in zip(again.predict_topk(X, 3), model.predict_topk(X, 3)):
        np.testing.assert_array_equal(got, want)
    model.partial_fit(X, Y)
    again.partial_fit(X, Y)
    np.testing.assert_array_equal(again.coefs_[-1], model.coefs_[-1])


def test_multiclass_classifier():
    X, y = np.random.default_rng(0).random((60, 5)), np.repeat(["a", "b", "c"], 20)
    model = SparseLSHMLPClassifier((8,), random_state=0, max_iter=2).fit(X, y)
    assert (through_skops(model).predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("family", ["pghash", "pghash_d", "simhash", "dwta"])
def test_hasher(labelled, family):
    X = labelled[0]
    model = CompressedLSHHasher(family, n_tables=4, hash_length=3, random_state=0).fit(X)
    again = through_skops(model)
    assert (again.transform(X) != model.transform(X)).nnz == 0
    assert (again.query(X[:9], 5) != model.query(X[:9], 5)).nnz == 0
    again.partial_fit(X[:3])


@pytest.mark.parametrize("params", [{}, {"prediction": "lsh"}, {"item_weight": "propensity"}])
@pytest.mark.parametrize("names", [None, "text"])
def test_recommender(params, names):
    users = sp.csr_array((np.random.default_rng(0).random((200, 40)) < 0.2).astype(np.float32))
    names = None if names is None else [f"item {i}" for i in range(40)]
    model = LSHRecommender((8,), random_state=0, max_iter=2, **params)
    model.fit(users, item_ids=names)
    again = through_skops(model)
    for got, want in zip(
        again.recommend(np.arange(200), users, N=4), model.recommend(np.arange(200), users, N=4)
    ):
        np.testing.assert_array_equal(got, want)
    for one in (model, again):
        one.partial_fit(users[:50])
    np.testing.assert_array_equal(again.predict_topk(users, 4)[1], model.predict_topk(users, 4)[1])
