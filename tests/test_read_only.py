"""Models whose arrays may not be written to: they answer, and train on copies."""

import joblib
import numpy as np
import pytest

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
)
from sklsh.datasets import make_extreme_classification
from sklsh.persistence import load_model, save_model

X, Y = make_extreme_classification(200, 30, 12, random_state=0)
ROWS = np.random.default_rng(0).standard_normal((60, 8))

SMALL = {"max_iter": 1, "random_state": 0, "n_jobs": 1}
MODELS = {
    "classifier": (lambda: SparseLSHMLPClassifier((4, 3), **SMALL), (X, Y), (X, Y)),
    "stream": (
        lambda: SparseLSHMLPClassifier((4,), sampler="uniform", n_active=4, **SMALL).partial_fit(
            X, Y
        ),
        None, (X, Y),
    ),
    "stream with tables": (
        lambda: SparseLSHMLPClassifier((4,), sampler="lsh", n_active=4, **SMALL).partial_fit(X, Y),
        None, (X, Y),
    ),
    "recommender": (lambda: LSHRecommender((4,), **SMALL), (Y,), (Y,)),
    "recommender that grows": (lambda: LSHRecommender((4,), **SMALL), (Y[:, :7],), (Y,)),
    "hasher": (lambda: CompressedLSHHasher(random_state=0, n_jobs=1), (ROWS,), (ROWS,)),
    "federation": (
        lambda: FederatedLSHClassifier(
            SparseLSHMLPClassifier((4,), random_state=0), n_rounds=1, random_state=0, n_jobs=1,
            local_optimizer="kept", server_optimizer="adam",
        ),
        (X, Y), (X, Y),
    ),
    "federation with local bodies": (
        lambda: FederatedLSHClassifier(
            SparseLSHMLPClassifier((4,), random_state=0), n_rounds=1, random_state=0, n_jobs=1,
            body_exchange="local", sketch_rounds=2,
        ),
        (X, Y), (X, Y),
    ),
    "federation of recommenders": (
        lambda: FederatedLSHClassifier(
            LSHRecommender((4,), random_state=0), n_rounds=1, random_state=0, n_jobs=1
        ),
        (Y,), (Y,),
    ),
}  # fmt: skip


def made(name):
    make, data, _ = MODELS[name]
    return make() if data is None else make().fit(*data)


def answer(model, data):
    if hasattr(model, "query"):
        return model.query(data[0]).toarray()
    return np.hstack(model.predict_topk(data[0], 3))


def mapped_by_joblib(model, folder):
    joblib.dump(model, folder / "model")
    return joblib.load(folder / "model", mmap_mode="r")


def mapped_by_load_model(model, folder):
    save_model(model, folder / "model", federation_state=True)  # what goes on, not the model alone
    return load_model(folder / "model", mmap_mode="r")


@pytest.mark.parametrize("mapped", [mapped_by_joblib, mapped_by_load_model])
@pytest.mark.parametrize("name", MODELS)
def test_a_mapped_model_answers_and_goes_on(name, mapped, tmp_path):
    model, data = made(name), MODELS[name][2]
    again = mapped(model, tmp_path)
    kept = [path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    if name != "recommender that grows":
        np.testing.assert_array_equal(answer(again, data), answer(model, data))
    np.testing.assert_array_equal(
        answer(again.partial_fit(*data), data), answer(model.partial_fit(*data), data)
    )
    assert kept == [path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("mapped", [mapped_by_joblib, mapped_by_load_model])
def test_warm_start_of_a_mapped_model(mapped, tmp_path):
    model = SparseLSHMLPClassifier((4,), warm_start=True, **SMALL).fit(X, Y)
    again = mapped(model, tmp_path)
    np.testing.assert_array_equal(answer(again.fit(X, Y), (X,)), answer(model.fit(X, Y), (X,)))


@pytest.mark.parametrize("name", ["recommender", "hasher"])
def test_of_mapped_rows(name, tmp_path):
    """Data that joblib has mapped, as a worker of `GridSearchCV` is given it."""
    make, data, _ = MODELS[name]
    joblib.dump(data, tmp_path / "data")
    mapped = joblib.load(tmp_path / "data", mmap_mode="r")
    expected = answer(make().fit(*data).partial_fit(*data), data)
    np.testing.assert_array_equal(
        answer(make().fit(*mapped).partial_fit(*mapped), mapped), expected
    )
