"""Local bodies, caches on disk and recommenders, as a user meets them."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone

from sklsh import FederatedLSHClassifier, LSHRecommender, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated import resolve_device
from sklsh.metrics import precision_at_k, recall_at_k


@pytest.fixture(scope="module")
def wide():
    X, Y = make_extreme_classification(
        n_samples=1200, n_features=300, n_labels=1100, random_state=0
    )
    return X, Y, split_devices(Y, 3, random_state=0)


ESTIMATOR = SparseLSHMLPClassifier((16,), sampler="lsh", n_active=100)


def same(a, b):
    for ours, theirs in zip(a.network_.parameters(), b.network_.parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "params",
    [
        {"body_exchange": "local"},
        {"sketch_rounds": 3},
        {"local_optimizer": "kept", "payload": "float16"},
    ],
)
def test_memory_disk_and_processes_are_one(wide, params, tmp_path):
    X, Y, groups = wide
    model = FederatedLSHClassifier(ESTIMATOR, n_rounds=3, random_state=0, **params)
    here = clone(model).fit(X, Y, groups=groups)
    disk = clone(model).set_params(cache_dir=tmp_path).fit(X, Y, groups=groups)
    same(here, disk)
    assert here.ledger_ == disk.ledger_
    assert len(list(tmp_path.glob("*/*.npz"))) == 3
    with parallel_config(backend="loky", n_jobs=2):
        same(here, clone(model).fit(X, Y, groups=groups))
    # Refitting does not go on from what the folder holds.
    same(here, clone(model).set_params(cache_dir=tmp_path).fit(X, Y, groups=groups))
    # More rounds do.
    if "body_exchange" in params:
        disk.partial_fit(X, Y, groups=groups)
        assert [entry["whole_bodies"] for entry in disk.history_] == [3, 0, 0, 0, 0, 0]


def test_cache_dir_must_be_writable(wide, tmp_path):
    X, Y, groups = wide
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cache_dir must be a folder"):
        FederatedLSHClassifier(cache_dir=tmp_path / "file").fit(X, Y, groups=groups)


def test_a_device_may_keep_nothing(wide):
    X, Y, groups = wide
    model = FederatedLSHClassifier(
        ESTIMATOR, n_rounds=3, body_exchange="local", device_params={1: {"cache_bytes": 0}},
        random_state=0,
    ).fit(X, Y, groups=groups)  # fmt: skip
    # It begins anew each round, and after choosing its neurons asks for nothing again.
    assert [entry["whole_bodies"] for entry in model.history_] == [3, 1, 1]
    with pytest.raises(ValueError, match="the cache of device 1 has no body"):
        model.device_estimator(1)


def test_a_devices_model_knows_its_rows_better_than_the_servers(wide):
    X, Y, groups = wide
    model = FederatedLSHClassifier(
        ESTIMATOR, n_rounds=8, body_exchange="local", random_state=0
    ).fit(X, Y, groups=groups)  # fmt: skip
    for device in range(3):
        mine = np.flatnonzero(groups == device)
        own = model.device_estimator(device)
        score = precision_at_k(Y[mine], own.predict_topk(X[mine], 1)[0], k=1)
        shared = precision_at_k(Y[mine], model.predict_topk(X[mine], 1)[0], k=1)
        assert score > shared + 0.02
    np.testing.assert_array_equal(own.network_.head_weights, model.network_.head_weights)
    with pytest.raises(ValueError, match="a device trained on, got 7"):
        model.device_estimator(7)


def test_one_model_for_all_has_no_device_estimator(wide):
    X, Y, groups = wide
    model = FederatedLSHClassifier(ESTIMATOR, n_rounds=1).fit(X, Y, groups=groups)
    with pytest.raises(ValueError, match='needs body_exchange="local"'):
        model.device_estimator(0)


@pytest.fixture(scope="module")
def tastes():
    """Users of four tastes, items of one each, a fifth of the items hidden."""
    rng = np.random.default_rng(0)
    likes = np.kron(np.eye(4), np.ones((60, 25))) * (rng.random((240, 100)) < 0.4)
    hidden = (rng.random(likes.shape) < 0.2) & (likes > 0)
    users = rng.permutation(240)
    return likes[users] - hidden[users], hidden[users].astype(float), np.arange(240) % 8


@pytest.mark.parametrize("how", [{}, {"payload": "float16", "local_optimizer": "kept"}])
def test_a_recommender_learns_tastes_on_devices(tastes, how):
    train, test, groups = tastes
    estimator = LSHRecommender((16,), random_state=0)
    model = FederatedLSHClassifier(estimator, n_rounds=15, random_state=0, **how)
    model.fit(train, groups=groups)
    items, _ = model.predict_topk(train, k=20)
    asked = test.any(axis=1)
    found = recall_at_k(test[asked], items[asked], k=20)
    central = LSHRecommender((16,), n_neighbors=0, random_state=0).fit(train)
    best = recall_at_k(test[asked], central.predict_topk(train[asked], 20)[0], k=20)
    assert found > 0.9 * best > 0.5
    ids, _ = model.recommend(3, train[3:4], N=5)
    np.testing.assert_array_equal(ids, items[3, :5])
    np.testing.assert_array_equal(model.estimator_.item_counts_, (train > 0).sum(axis=0))
    assert model.transform(train).shape == (240, 16) and model.score(train) > 0.2
    assert model.similar_items(0)[0][0] == 0
    assert not hasattr(model, "predict_proba")
    assert model.ledger_.total(kind="counts") > 0
    model.set_params(n_rounds=2).partial_fit(train, groups=groups)
    assert model.n_rounds_ == 17


def test_a_recommenders_body_may_be_local(tastes):
    train, test, groups = tastes
    model = FederatedLSHClassifier(
        LSHRecommender((16,)), n_rounds=15, body_exchange="local", random_state=0
    ).fit(train, groups=groups)  # fmt: skip
    mine = np.flatnonzero((groups == 2) & test.any(axis=1))
    items, _ = model.device_estimator(2).predict_topk(train[mine], k=20)
    assert recall_at_k(test[mine], items, k=20) > 0.5


def test_item_dropout_is_each_devices_own(tastes):
    train, _, groups = tastes
    model = FederatedLSHClassifier(LSHRecommender((8,)), n_rounds=2, random_state=0)
    plain = clone(model).fit(train, groups=groups)
    other = clone(model).set_params(device_params={3: {"input_dropout": 0.0}})
    other.fit(train, groups=groups)
    assert (plain.network_.head_weights != other.network_.head_weights).any()


def test_new_devices_bring_new_items(tastes):
    """Rows of all devices of a call count, as in the recommender's own `partial_fit`."""
    train, _, groups = tastes
    first, then = groups < 4, groups >= 2
    early = train * (np.arange(100) < 80)
    model = FederatedLSHClassifier(LSHRecommender((8,)), n_rounds=3, random_state=0)
    model.fit(early[first], groups=groups[first])
    assert set(model.predict_topk(train, k=100)[0].ravel()) <= {-1, *range(80)}
    before = model.server_.label_counts.copy()
    model.partial_fit(train[then], groups=groups[then])
    expected = (early[first] > 0).sum(axis=0) + (train[then] > 0).sum(axis=0)
    np.testing.assert_array_equal(model.estimator_.item_counts_, expected)
    np.testing.assert_array_equal(before, (early[first] > 0).sum(axis=0))
    assert (
        model.server_.n_counted == model.estimator_.autoencoder_.n_users == first.sum() + then.sum()
    )
    assert set(range(100)) <= set(model.predict_topk(train, k=100)[0].ravel())
    # What the estimator counts by itself is its own business.
    model.estimator_.partial_fit(train)
    np.testing.assert_array_equal(model.server_.label_counts, expected)


def test_a_recommender_takes_interactions():
    model = FederatedLSHClassifier(LSHRecommender())
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(-np.eye(4))
    with pytest.raises(ValueError, match="at least one positive entry"):
        model.fit(np.zeros((4, 4)))


def test_negatives_of_a_sub_model():
    """The best of what was picked; of items, which may be what a user would take, random ones."""

    def chosen(estimator, **own):
        params = estimator.get_params()
        return resolve_device(params, own, 100, 5_000, {}).local_sampler

    classifier = SparseLSHMLPClassifier()
    assert chosen(classifier) == chosen(classifier, sampler="random") == "exact"
    assert chosen(LSHRecommender()) == "random"
    assert chosen(classifier, sampler="labels") == "labels"
    assert chosen(classifier, local_sampler="uniform") == "uniform"
