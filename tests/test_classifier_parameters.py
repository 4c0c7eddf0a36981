"""Every parameter that claims to change the result does; those that must not, do not."""

import numpy as np
import pytest

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from tests.test_classifier import assert_same_model

LSH = {"sampler": "lsh", "n_active": 16, "n_tables": 3, "hash_length": 4, "rehash_interval": 5}
ALONE = {"n_neighbors": 0, "linear": False}
STOP = {"early_stopping": True, "max_iter": 12}


@pytest.fixture(scope="module")
def problem():
    X, Y = make_extreme_classification(
        900, 600, 400, features_per_row=20, labels_per_row=2, random_state=1
    )
    return X[:700], Y[:700], X[700:]


def fit(problem, **params):
    params = {
        "hidden_layer_sizes": (12,), "max_iter": 2, "batch_size": 50, "random_state": 0, **params
    }  # fmt: skip
    return SparseLSHMLPClassifier(**params).fit(problem[0], problem[1])


# name: (values, the first being a base of its own; what else has to be set)
CHANGES = {
    "hidden_layer_sizes": ([(12,), (14,), (12, 12)], {}),
    "effort": (["best", "fast"], {"linear": "auto"}),
    "activation": (["relu", "identity", "tanh"], {}),
    "sampler": (["lsh", "codes", "random", "uniform", "labels", "exact", "all"], {"n_active": 32}),
    "n_active": ([16, 32, 64], {"sampler": "random"}),
    "family": (["pghash", "pghash_d", "simhash", "dwta"], {**LSH, "hash_length": 3}),
    "fold": (["signed", "periodic"], {**LSH, "sketch_dim": 4}),
    "n_tables": ([2, 3], LSH),
    "hash_length": ([3, 5], LSH),
    "sketch_dim": ([4, 8], LSH),
    "rehash_interval": ([5, 1000], LSH),
    "n_neighbors": ([0, 3, 30], {}),
    "linear": ([True, False], {}),
    "n_estimators": ([1, 2, 3], {}),
    "prediction": (["exact", "lsh"], {"n_tables": 6, "hash_length": 6, **ALONE}),
    "dropout": ([0.0, 0.2, 0.6], {}),
    "alpha": ([0.0, 0.01], {}),
    "batch_size": ([50, 70], {}),
    "learning_rate_init": ([0.02, 0.05], {}),
    "max_iter": ([2, 3], {}),
    "tol": ([0.0, 0.5], {**STOP, "n_iter_no_change": 1, "learning_rate_init": 0.05}),
    "n_iter_no_change": ([1, 3], {**STOP, "tol": 0.5, "learning_rate_init": 0.05}),
    "early_stopping": ([False, True], {"max_iter": 30, "learning_rate_init": 0.2}),
    "validation_fraction": ([0.1, 0.3], {}),
    "class_weight": ([None, "balanced", {0: 10.0}], {}),
    "shuffle": ([True, False, "lsh"], {}),
    "random_state": ([0, 1], {}),
}
UNCHANGING = {"n_jobs": [1, 2, -1], "verbose": [False, True]}
# Say what a second fit does: see below, and test_growing_classes.py.
OF_A_SECOND_FIT = {"warm_start", "new_classes"}
# Where and how often: see test_checkpoints.py.
OF_A_KILLED_FIT = {"checkpoint_dir", "checkpoint_interval"}


def test_no_parameter_is_left_out():
    named = {*CHANGES, *UNCHANGING, *OF_A_SECOND_FIT, *OF_A_KILLED_FIT}
    assert named == set(SparseLSHMLPClassifier().get_params())


@pytest.mark.parametrize("name", CHANGES)
def test_changes_the_result(problem, name):
    values, others = CHANGES[name]
    answers = [
        fit(problem, **{**others, name: value}).predict_topk(problem[2], 5) for value in values
    ]
    for i in range(len(values)):
        for j in range(i):
            labels_differ = (answers[i][0] != answers[j][0]).any()
            scores_differ = np.abs(answers[i][1] - answers[j][1]).max() > 1e-4
            assert labels_differ and scores_differ, (values[i], values[j])


@pytest.mark.parametrize("name", UNCHANGING)
@pytest.mark.parametrize("sampler", ["lsh", "random"])
def test_does_not_change_the_result(problem, name, sampler):
    models = [
        fit(problem, **{**LSH, "sampler": sampler, name: value}) for value in UNCHANGING[name]
    ]
    for model in models[1:]:
        assert_same_model(models[0], model)


def test_warm_start_changes_a_second_fit(problem):
    models = [fit(problem, warm_start=value) for value in (False, True)]
    assert_same_model(*models)
    for model in models:
        model.fit(problem[0], problem[1])
    assert np.abs(models[0].coefs_[0] - models[1].coefs_[0]).max() > 1e-3


def test_defaults_are_the_automatic_values(problem):
    """ "auto" is a value that one can also give."""
    model = SparseLSHMLPClassifier(random_state=0)
    settings = model._settings(700, type("Of400", (), {"classes": np.arange(400)}))
    names = ("sampler", "n_active", "batch_size", "learning_rate_init", "max_iter", "dropout")
    given = {name: getattr(settings, name) for name in names}
    given["n_neighbors"] = settings.n_neighbors
    given["validation_fraction"] = 70 / 700
    for fitted in (model, SparseLSHMLPClassifier(random_state=0, **given)):
        fitted.set_params(hidden_layer_sizes=(12,)).fit(problem[0], problem[1])
    assert_same_model(model, fitted)


def test_random_state_instances():
    """An instance is drawn from, as everywhere in scikit-learn; an int is not changed."""
    X, y = np.random.default_rng(0).random((40, 5)), np.arange(40) % 3
    params = {"hidden_layer_sizes": (8,), "max_iter": 1}
    state, legacy = np.random.RandomState(5), np.random.mtrand._rand
    one = SparseLSHMLPClassifier(random_state=state, **params).fit(X, y)
    two = SparseLSHMLPClassifier(random_state=np.random.RandomState(5), **params).fit(X, y)
    assert_same_model(one, two)
    before = legacy.get_state()[1].copy()
    SparseLSHMLPClassifier(random_state=3, **params).fit(X, y)
    np.testing.assert_array_equal(legacy.get_state()[1], before)
