"""Every parameter of every estimator changes a result, or warns that it does not."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
    TextTagger,
)
from sklsh.datasets import make_extreme_classification

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
PLACES = {
    "n_jobs": "threads, never a result",
    "verbose": "what is said",
    "checkpoint_dir": "a place",
    "cache_dir": "a place",
    "callback": "is called",
    "transport": "where devices are",
    "warm_start": "of a second fit",
    "sparse_output": "a container, never a number",
    "new_classes": "of a second fit, or a stream",
    "estimator": "what is trained",
    "classifier": "what is trained",
}
"""Parameters that change no result of one fit, and need not warn."""

TRAINING = {
    "hidden_layer_sizes": (12,), "activation": "tanh", "sampler": "uniform", "n_active": 30,
    "family": "simhash", "fold": "periodic", "n_tables": 4, "hash_length": 3, "sketch_dim": 4,
    "rehash_interval": 3, "n_neighbors": 0, "prediction": "lsh", "dropout": 0.5, "alpha": 0.1,
    "batch_size": 20, "learning_rate_init": 0.2, "max_iter": 3, "tol": 0.5, "n_iter_no_change": 1,
    "early_stopping": True, "validation_fraction": 0.3, "shuffle": False, "random_state": 1,
    "checkpoint_interval": 2,
}  # fmt: skip
STATISTICS = {"n_samples": 20, "row_norm": 0.5, "labels_per_row": 1.0}
VALUES = {
    SparseLSHMLPClassifier: {
        **TRAINING, "linear": True, "n_neighbors": 3, "class_weight": "balanced",
        "effort": "fast", "n_estimators": 2,
    },
    LSHRecommender: {
        **TRAINING, "n_factors": 2, "input_dropout": 0.8, "item_weight": "propensity",
        "dropout": 0.2,
    },
    CompressedLSHHasher: {
        "family": "simhash", "n_tables": 3, "hash_length": 4, "sketch_dim": 3, "fold": "periodic",
        "encode": "ordinal", "random_state": 1,
    },
    TextTagger: {"ngram_range": (1, 2), "min_df": 9, "max_features": 3, "random_state": 1},
    FederatedLSHClassifier: {
        "n_rounds": 3, "local_steps": 1, "device_params": {"batch_size": 10},
        "aggregation": "median", "include_labels": False, "n_decoys": 2.0, "public_rows": 0.5,
        "secure_aggregation": True,
        "body_exchange": "local", "payload": "float32", "sketch_rounds": 2,
        "sketch_tolerance": 0.1, "server_optimizer": "adam", "local_optimizer": "fresh",
        "prototypes": False, "fraction": 0.5, "server_learning_rate": 0.5,
        "contributor_power": (0.0, 0.0), "holder_power": (0.0, 0.0), "clip_norm": 0.01,
        "delta": 1e-3, "random_state": 1,
        "noise_multiplier": 1.0, "public_statistics": STATISTICS,
    },
}  # fmt: skip
BASE = {
    SparseLSHMLPClassifier: SMALL,
    LSHRecommender: SMALL,
    CompressedLSHHasher: {"random_state": 0},
    TextTagger: {"random_state": 0},
    FederatedLSHClassifier: {"n_rounds": 2, "random_state": 0, "fraction": 0.75},
}
INNER = SparseLSHMLPClassifier((16,), sampler="lsh", n_active=10, sketch_dim=4)
TOGETHER = {
    "noise_multiplier": {"clip_norm": 1.0, "public_statistics": STATISTICS},
    "sketch_rounds": {"include_labels": False},
    "secure_aggregation": {"public_rows": 0.5, "estimator": SparseLSHMLPClassifier((16,))},
}
"""What must be said with a parameter: both models get it."""


TEXTS = ["red apple pie", "red apple", "fast red car", "slow car", "green pear pie"] * 8
TAGS = [["fruit", "sweet"], ["fruit"], ["vehicle"], ["vehicle"], ["fruit", "sweet"]] * 8


@pytest.fixture(scope="module")
def data():
    return make_extreme_classification(300, 200, 60, features_per_row=15, random_state=0)


def answer(model, X, Y):
    """What a fitted model says, and what the fit warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(model, CompressedLSHHasher):
            found = model.fit(X).transform(X)
            found = (found.toarray() if sp.issparse(found) else found,)
        elif isinstance(model, TextTagger):
            names, scores = model.fit(TEXTS, TAGS).predict_topk(TEXTS, 3)
            found = names, scores, model.transform(TEXTS).toarray()
        elif isinstance(model, LSHRecommender):
            found = model.fit(Y).predict_topk(Y, 5)
        elif isinstance(model, FederatedLSHClassifier):
            found = model.fit(X, Y, groups=np.arange(300) % 4).predict_topk(X, 5)
        else:
            found = model.fit(X, Y).predict_topk(X, 5)
    return found, " ".join(str(w.message) for w in caught if "not in use" in str(w.message))


def differ(one, two):
    return any(np.shape(a) != np.shape(b) or (a != b).any() for a, b in zip(one, two, strict=True))


_first = {}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in VALUES for name in kind().get_params(deep=False)]
)
def test_changes_the_result_or_warns(data, kind, name, monkeypatch):
    if name in PLACES:
        assert name not in VALUES[kind]
        return
    if name == "noise_multiplier":
        pytest.importorskip("dp_accounting")
    if name == "secure_aggregation":
        pytest.importorskip("cryptography")
    base = BASE[kind] | TOGETHER.get(name, {})
    if kind is FederatedLSHClassifier:
        base = {"estimator": INNER} | base
    key = (kind, name if name in TOGETHER else "")
    if key not in _first:
        _first[key] = answer(kind(**base), *data)
        assert not _first[key][1]
    changed, said = answer(kind(**base | {name: VALUES[kind][name]}), *data)
    assert f"{name} (used with" in said or differ(_first[key][0], changed)


def test_a_federation_says_what_its_estimator_has_in_vain(data):
    inner = {
        name: value
        for name, value in VALUES[SparseLSHMLPClassifier].items()
        if name not in ("checkpoint_interval", "random_state")
    }

    def fit(**params):
        estimator = SparseLSHMLPClassifier(**{"hidden_layer_sizes": (8,), **params})
        return answer(FederatedLSHClassifier(estimator, n_rounds=2, random_state=0), *data)

    before, _ = fit()
    for name, value in inner.items():
        found, said = fit(**{name: value})
        assert f"{name} (used with" in said or differ(before, found), name


def test_the_warning_names_what_would_use_it(data):
    X, Y = data
    with pytest.warns(UserWarning, match=r'hash_length \(used with sampler="lsh" or prediction='):
        SparseLSHMLPClassifier(hash_length=4, **SMALL).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseLSHMLPClassifier(hash_length=4, sampler="lsh", **SMALL).fit(X, Y)
        SparseLSHMLPClassifier(hash_length=4, prediction="lsh", **SMALL).fit(X, Y)
        CompressedLSHHasher(hash_length=4, sketch_dim=4).fit(X)
