"""Folders whose arrays point out of range are refused when read: kernels would follow them."""

import pickle

import numpy as np
import pytest

from sklsh import CompressedLSHHasher, LSHRecommender, SparseLSHMLPClassifier, persistence
from sklsh.datasets import make_extreme_classification
from sklsh.persistence import load_model, save_model

LSH = {"prediction": "lsh", "sampler": "lsh", "n_active": 8, "n_tables": 3, "hash_length": 3}


@pytest.fixture(scope="module")
def problem():
    return make_extreme_classification(700, 2000, 40, random_state=0)


def classifier(X, Y, **params):
    model = SparseLSHMLPClassifier((8,), max_iter=1, random_state=0, **params)
    return model.fit(X, Y)


def with_trees(X, Y):
    """With labels enough for two levels, of which some are never seen."""
    X, Y = make_extreme_classification(400, 250, 200, random_state=0)
    Y = Y.tolil()
    Y[:, [3, 40]] = 0
    return classifier(X, Y.tocsr(), linear=True)


MAKE = {
    "classifier": lambda X, Y: classifier(
        X, Y, linear=False
    ),  # so that neighbours have a say, as below
    "dense": lambda X, Y: classifier(X.toarray(), Y, n_neighbors=5),
    "lsh": lambda X, Y: classifier(X, Y, **LSH).partial_fit(X, Y),
    "codes": lambda X, Y: classifier(X, Y, sampler="codes", n_active=8).partial_fit(X, Y),
    "trees": with_trees,
    "compressed": lambda X, Y: with_trees(X, Y).compress(8),
    "recommender": lambda X, Y: LSHRecommender((8,), max_iter=1, random_state=0, **LSH).fit(Y),
    "stream": lambda X, Y: LSHRecommender((8,), random_state=0).partial_fit(Y),
    "signs": lambda X, Y: CompressedLSHHasher(n_tables=2, hash_length=3, random_state=0).fit(X),
    "winners": lambda X, Y: CompressedLSHHasher("dwta", n_tables=2, random_state=0).fit(X),
}


@pytest.fixture(scope="module")
def models(problem):
    return {name: make(*problem) for name, make in MAKE.items()}


PLACES = {
    "labels of training rows": ("classifier", lambda m: m.learner_.memory.labels.indices),
    "rows of labels": ("classifier", lambda m: m.learner_.memory.labels.indptr),
    "postings": ("classifier", lambda m: m.learner_.memory.index.postings.indices),
    "rows of postings": ("classifier", lambda m: m.learner_.memory.index.postings.indptr),
    "labels of dense rows": ("dense", lambda m: m.learner_.memory.labels.indices),
    "ids of prediction": ("lsh", lambda m: m.learner_.sampler.candidates.tables.buckets),
    "starts of sampling": ("lsh", lambda m: m.learner_.sampler.candidates.tables.starts),
    "neurons to code": ("codes", lambda m: m.learner_.sampler.candidates.changed),
    "labels in leaves": ("trees", lambda m: m.linear_.trees[1].order),
    "children of nodes": ("trees", lambda m: m.linear_.trees[0].levels[0].first_child),
    "features of nodes": ("trees", lambda m: m.linear_.trees[0].levels[0].feature_indptr),
    "rows of weights": ("trees", lambda m: m.linear_.trees[0].levels[1].entry_indptr),
    "children in weights": ("trees", lambda m: m.linear_.trees[0].levels[1].children),
    "seen of codes": ("compressed", lambda m: m.network_.observed_ids),
    "edges of blocks": ("compressed", lambda m: m.network_.head.coder.edges),
    "coded rows": ("compressed", lambda m: m.network_.first.codes.packed),
    "coded neurons": ("compressed", lambda m: m.network_.head.codes.packed),
    "neighbours of items": ("recommender", lambda m: m.autoencoder_.memory.ids),
    "ids of the recommender's index": (
        "recommender",
        lambda m: m.autoencoder_.index.tables.buckets,
    ),
    "items of a regression": ("recommender", lambda m: m.autoencoder_.regression.items),
    "rows of a regression": ("recommender", lambda m: m.autoencoder_.regression.indptr),
    "latest rows": ("stream", lambda m: m.autoencoder_.window.indices),
    "buckets": ("signs", lambda m: m.tables_.buckets),
    "starts": ("signs", lambda m: m.tables_.starts),
    "codes": ("signs", lambda m: m.tables_.codes),
    "bins of a fold": ("signs", lambda m: m.functions_.projection.bins),
    "columns of one-hot codes": ("signs", lambda m: m.bucket_starts_),
    "coordinates of winners": ("winners", lambda m: m.functions_.coordinates),
}


@pytest.mark.parametrize(("kind", "find"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("value", ["large", "negative"])
def test_an_index_out_of_range(models, tmp_path, kind, find, value, monkeypatch):
    monkeypatch.setattr(persistence, "_table_stats", lambda model: {})  # they would fail to save
    save_model(models[kind], tmp_path / "good")
    model = load_model(tmp_path / "good", None)
    array = find(model)
    if value == "negative" and array.dtype.kind == "u":
        pytest.skip("it cannot be")
    array.flat[array.size // 2] = np.iinfo(array.dtype).max if value == "large" else -7
    save_model(model, tmp_path / "bad")  # its checksums are right
    for mmap_mode in ("c", None):
        for verify in (True, False):
            with pytest.raises(ValueError, match=r"bad .*damaged: .* must"):
                load_model(tmp_path / "bad", mmap_mode, verify=verify)


SHAPES = {
    "head": ("classifier", lambda m: vars(m.network_), "head_bias", lambda a: a[:-1]),
    "layer": ("classifier", lambda m: m.network_.body_biases, 0, lambda a: a[:-1]),
    "accumulators": ("classifier", lambda m: vars(m.learner_.optimizer), "head_weights",
                     lambda a: a[1:]),
    "classes": ("classifier", vars, "classes_", lambda a: a[1:]),
    "seen": ("lsh", lambda m: vars(m.network_), "observed_ids", lambda a: np.array([3, 40])),
    "ids": ("lsh", lambda m: vars(m.learner_.sampler.candidates), "_ids",
            lambda a: np.array([3, 40], dtype=np.int32)),
    "sampler's codes": ("codes", lambda m: vars(m.learner_.sampler.candidates), "packed",
                        lambda a: a[1:]),
    "sampler's bias": ("codes", lambda m: vars(m.learner_.sampler.candidates), "bias",
                       lambda a: a[1:]),
    "sampler's directions": ("codes", lambda m: vars(m.learner_.sampler.candidates.coder),
                             "directions", lambda a: a[1:]),
    "names": ("recommender", lambda m: m.ids_.__dict__, "names", lambda a: a[1:]),
    "values": ("recommender", lambda m: vars(m.autoencoder_.memory), "values", lambda a: a[1:]),
    "coefficients": ("recommender", lambda m: vars(m.autoencoder_.regression), "values",
                     lambda a: a[:, 1:]),
    "factors": ("recommender", lambda m: vars(m.autoencoder_.low_pass), "factors",
                lambda a: a[:, 1:]),
    "filters": ("stream", lambda m: vars(m.autoencoder_.low_pass), "filters", lambda a: a[:1]),
    "regression": ("stream", lambda m: vars(m.autoencoder_.regression), "chosen", lambda a: 99),
    "planes": ("signs", lambda m: m.functions_.__dict__, "planes", lambda a: a[:, :, 1:]),
    "features": ("signs", vars, "n_features_in_", lambda n: n + 1),
    "an index of floats": ("recommender", lambda m: vars(m.autoencoder_.memory), "ids",
                           lambda a: a.astype(np.float32)),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "find", "name", "change"), SHAPES.values(), ids=SHAPES)
def test_arrays_that_do_not_fit_each_other(models, tmp_path, kind, find, name, change):
    model = pickle.loads(pickle.dumps(models[kind]))
    holder = find(model)
    holder[name] = change(holder[name])
    save_model(model, tmp_path / "bad")
    with pytest.raises(ValueError, match=r"bad .*damaged: "):
        load_model(tmp_path / "bad")


@pytest.mark.parametrize("kind", MAKE)
def test_what_is_whole_passes(models, problem, tmp_path, kind):
    save_model(models[kind], tmp_path / "good")
    again = load_model(tmp_path / "good")
    X = problem[1] if kind in ("recommender", "stream") else problem[0]
    X = X.toarray() if kind == "dense" else X[:, : models[kind].n_features_in_]
    ask = "codes" if kind in ("signs", "winners") else "predict_topk"
    for got, want in zip(*(np.atleast_2d(getattr(m, ask)(X)) for m in (again, models[kind]))):
        np.testing.assert_array_equal(got, want)
