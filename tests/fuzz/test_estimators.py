"""Every entry of the estimators with strange input: documented exceptions, or a sound answer."""

import contextlib

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
)
from tests.fuzz.strange import MODEST, SCALARS, fuzzed, matrices, only_documented, targets

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 6))
Y = sp.csr_array((RNG.random((60, 5)) < 0.4).astype(np.float32))
ITEMS = sp.csr_array((RNG.random((60, 6)) < 0.4).astype(np.float32))
QUICK = {"max_iter": 1, "random_state": 0}


@pytest.fixture(autouse=True, scope="module")
def elsewhere(tmp_path_factory):
    """A parameter that names a folder has it made here."""
    with contextlib.chdir(tmp_path_factory.mktemp("fuzz")):
        yield


@pytest.fixture(scope="module")
def classifier():
    return SparseLSHMLPClassifier((4,), **QUICK).fit(X, Y)


@pytest.fixture(scope="module")
def recommender():
    return LSHRecommender((4,), **QUICK).fit(ITEMS)


@pytest.fixture(scope="module")
def hasher():
    return CompressedLSHHasher(n_tables=3, hash_length=3, random_state=0).fit(X)


@fuzzed
@given(matrices(), targets(), st.one_of(st.none(), SCALARS, targets()))
def test_fit_classifier(X, y, weights):
    with only_documented():
        model = SparseLSHMLPClassifier((4,), **QUICK).fit(X, y, sample_weight=weights)
        assert all(np.isfinite(array).all() for array in model.network_.parameters())
        labels, scores = model.predict_topk(X, k=2)
        assert labels.shape == scores.shape == (model.decision_function(X).shape[0], 2)
        model.predict(X)


@fuzzed
@given(matrices(), targets(), st.one_of(st.none(), SCALARS, targets()))
def test_partial_fit_classifier(X, y, classes):
    model = SparseLSHMLPClassifier((4,), **QUICK)
    with only_documented():
        model.partial_fit(X, y, classes=classes)
        model.partial_fit(X, y)
        assert all(np.isfinite(array).all() for array in model.network_.parameters())


@fuzzed
@given(matrices(), SCALARS)
def test_ask_classifier(classifier, X, k):
    for call in (
        lambda: classifier.predict_topk(X, k),
        lambda: classifier.predict(X),
        lambda: classifier.predict_proba(X),
        lambda: classifier.partial_fit(X, Y),
    ):
        with only_documented():
            call()
    assert np.isfinite(classifier.decision_function(np.zeros((1, 6)))).all()


PARAMETERS = sorted(SparseLSHMLPClassifier().get_params())


@fuzzed
@given(st.sampled_from(PARAMETERS), MODEST)
def test_parameters_of_the_classifier(name, value):
    with only_documented():
        params = {"hidden_layer_sizes": (4,), **QUICK, name: value}
        SparseLSHMLPClassifier(**params).fit(X[:30], Y[:30])


@fuzzed
@given(matrices(), st.sampled_from(["pghash", "pghash_d", "simhash", "dwta"]))
def test_fit_hasher(X, family):
    with only_documented():
        hasher = CompressedLSHHasher(family, n_tables=3, hash_length=2, random_state=0).fit(X)
        codes = hasher.codes(X)
        assert codes.min() >= 0
        assert codes.max() < 2**hasher.functions_.code_bits
        assert hasher.transform(X).sum() == 3 * codes.shape[0]


@fuzzed
@given(st.sampled_from(sorted(CompressedLSHHasher().get_params())), SCALARS)
def test_parameters_of_the_hasher(name, value):
    with only_documented():
        CompressedLSHHasher(**{name: value}).fit_transform(X)


@fuzzed
@given(matrices(), SCALARS, SCALARS)
def test_ask_hasher(hasher, X, n_candidates, n_probes):
    for call in (
        lambda: hasher.query(X, n_candidates, n_probes=n_probes),
        lambda: hasher.query(X, n_probes=2),
        lambda: hasher.transform(X),
        lambda: hasher.sketch(X),
    ):
        with only_documented():
            call()


@fuzzed
@given(matrices(), st.one_of(st.none(), SCALARS, targets(6)))
def test_fit_recommender(user_items, item_ids):
    with only_documented():
        model = LSHRecommender((4,), **QUICK).fit(user_items, item_ids=item_ids)
        assert all(np.isfinite(array).all() for array in model.network_.parameters())
        model.predict_topk(user_items, k=2)
        model.partial_fit(user_items)


@fuzzed
@given(matrices(2), SCALARS, SCALARS, SCALARS, SCALARS)
def test_ask_recommender(recommender, user_items, userid, number, some, others):
    for call in (
        lambda: recommender.recommend(userid, user_items, N=number),
        lambda: recommender.recommend([0, 1], user_items, filter_items=some, items=others),
        lambda: recommender.recommend([0, 1], user_items, items=others),
        lambda: recommender.recommend(userid, ITEMS[[0]], number, True, some),
        lambda: recommender.similar_items(userid, N=number),
        lambda: recommender.similar_items(some, N=3),
        lambda: recommender.score(user_items),
        lambda: recommender.transform(user_items),
    ):
        with only_documented():
            call()


@fuzzed
@given(
    st.one_of(st.just(X), matrices(60)),
    st.one_of(st.just(Y), targets(60)),
    st.one_of(SCALARS, targets(60)),
)
def test_fit_federation(X, y, groups):
    estimator = SparseLSHMLPClassifier((4,), random_state=0)
    with only_documented():
        model = FederatedLSHClassifier(estimator, n_rounds=1, random_state=0)
        model.fit(X, y, groups=groups)
        assert all(np.isfinite(array).all() for array in model.network_.parameters())


@fuzzed
@given(st.sampled_from(sorted(FederatedLSHClassifier().get_params(deep=False))), MODEST)
def test_parameters_of_the_federation(name, value):
    settings = {"estimator": SparseLSHMLPClassifier((4,)), "n_rounds": 1, "random_state": 0}
    with only_documented():
        FederatedLSHClassifier(**{**settings, name: value}).fit(X, Y, groups=np.arange(60) % 3)
