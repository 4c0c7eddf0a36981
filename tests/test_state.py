"""What an estimator is after a fit that went on, went wrong, or began anew."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
)
from sklsh.datasets import make_extreme_classification
from sklsh.network.autoencoder import DEFAULTS
from sklsh.network.fitting import STREAM_HISTORY, History
from sklsh.network.settings import Settings
from sklsh.network.trainer import Trainer

X, Y = make_extreme_classification(120, 40, 8, random_state=0)
Y = Y.toarray()
USERS = (np.random.default_rng(0).random((60, 12)) < 0.4).astype(float)
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0}


def classifier(**params):
    return SparseLSHMLPClassifier(**{**SMALL, **params})


def recommender(**params):
    return LSHRecommender(**{**SMALL, **params})


class TestEarlyStopping:
    @pytest.mark.parametrize(("share", "n"), [(0.1, 12), (0.02, 2), (0.001, 1), ("auto", 12)])
    def test_as_many_rows_as_asked_for_are_held_out(self, share, n):
        model = classifier(early_stopping=True, validation_fraction=share, max_iter=2)
        assert model._settings(120, model.fit(X, Y).targets_).n_validation == n

    def test_scores_are_of_rows_that_were_not_trained_on(self):
        # Labels that nobody can guess: who watches training rows sees them learnt.
        noise = np.random.default_rng(1).integers(8, size=120)
        model = classifier(
            hidden_layer_sizes=(64,), early_stopping=True, validation_fraction=0.3,
            max_iter=40, n_iter_no_change=40, n_neighbors=0, dropout=0.0,
        )  # fmt: skip
        model.fit(np.eye(120), noise)
        assert max(model.validation_scores_) < 0.5

    def test_few_users_are_held_out_and_judged(self):
        board = np.kron(np.eye(2), np.ones((40, 10)))
        model = recommender(early_stopping=True, max_iter=6, n_iter_no_change=2).fit(board)
        assert max(model.validation_scores_) > 0.5

    @pytest.mark.parametrize("fit", [
        # One row; users of one item each, of which none is hidden.
        lambda **params: classifier(**params).fit([[1.0, 2.0]], [[0, 1]]),
        lambda **params: recommender(**params).fit(np.eye(3)[:1]),
    ])  # fmt: skip
    def test_where_nothing_can_be_held_out_it_says_so_and_goes_on(self, fit):
        with pytest.warns(UserWarning, match="early_stopping needs held-out"):
            model = fit(early_stopping=True, max_iter=9)
        assert model.n_iter_ == 9 and model.validation_scores_ is None

    def test_no_warning_without_early_stopping(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            classifier(max_iter=2).fit([[1.0, 2.0], [2.0, 1.0]], [0, 1])

    def test_automatic_settings_hold_few_rows_out_only_if_asked(self):
        params = classifier().get_params()
        assert Settings.resolve(params, 300, 8).n_validation == 0
        assert Settings.resolve(params | {"early_stopping": True}, 300, 8).n_validation == 30


class TestStreams:
    @pytest.mark.parametrize(("model", "part"), [
        (classifier(), (X[:1], Y[:1])),
        # Enough users that its window of latest rows is full by then.
        (recommender(n_neighbors=0, n_factors=0), (np.tile(USERS[:1], (20, 1)),)),
    ])  # fmt: skip
    def test_a_model_does_not_grow_with_its_parts(self, model, part):
        for _ in range(STREAM_HISTORY + 1):
            model.partial_fit(*part)
        size = len(pickle.dumps(model))
        for _ in range(50):
            model.partial_fit(*part)
        assert len(pickle.dumps(model)) <= size + 8  # an int may pass a power of 256
        assert model.n_iter_ == STREAM_HISTORY + 51
        assert len(model.loss_curve_) == STREAM_HISTORY

    def test_the_best_loss_is_of_all_parts(self):
        model = classifier().partial_fit(X, Y)
        model.learner_.history.add(-1.0)
        for _ in range(3):
            model.learner_.history.add(2.0, most=2)
        assert model.learner_.history.losses == [2.0, 2.0]
        assert model.partial_fit(X, Y).best_loss_ == -1.0

    def test_fitted_weights_stay_where_no_user_says_otherwise(self):
        model = recommender(max_iter=1).fit(USERS)
        model.autoencoder_.memory.weight = 0.0
        one_item = np.eye(USERS.shape[1])[:1]  # nothing of it is hidden, or all
        assert model.partial_fit(one_item).neighbor_weight_ == 0.0

    def test_a_stream_without_fit_begins_with_the_default_weight(self):
        model = recommender().partial_fit(USERS)
        assert model.neighbor_weight_ == DEFAULTS["item-item"][1]


def test_best_loss_is_never_nan():
    assert History.of([np.nan, 2.0, np.nan, 1.0]).best_loss == 1.0
    assert History.of([np.nan]).best_loss == np.inf


class TestRefit:
    def frame(self, n):
        pd = pytest.importorskip("pandas")
        return pd.DataFrame(USERS[:, :n], columns=[f"column {i}" for i in range(n)])

    @pytest.mark.parametrize("model", [
        classifier(max_iter=1), recommender(max_iter=1), CompressedLSHHasher(random_state=0),
        FederatedLSHClassifier(classifier(), n_rounds=1, random_state=0),
    ], ids=lambda model: type(model).__name__)  # fmt: skip
    def test_names_of_columns_are_forgotten(self, model):
        y = np.arange(60) % 3
        assert len(model.fit(self.frame(10), y).feature_names_in_) == 10
        assert not hasattr(model.fit(USERS, y), "feature_names_in_")

    def test_a_federation_of_a_recommender_has_no_classes(self):
        model = FederatedLSHClassifier(classifier(), n_rounds=1, random_state=0)
        model.fit(USERS, np.arange(60) % 3)
        model.set_params(estimator=recommender()).fit(USERS)
        assert not hasattr(model, "classes_")

    @pytest.mark.parametrize("broken", [{"sketch_dim": 1000}, {"hash_length": 63}])
    def test_a_hasher_that_refuses_keeps_its_state(self, broken):
        model = CompressedLSHHasher(random_state=0).fit(USERS)
        codes = model.codes(USERS)
        with pytest.raises(ValueError):
            model.set_params(**broken).fit(USERS[:, :5])
        assert np.array_equal(model.codes(USERS), codes)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_part_that_a_hasher_does_not_finish_is_not_in_the_index(error, monkeypatch):
    model = CompressedLSHHasher(random_state=0).fit(USERS)
    before = model.query(USERS), model.transform(USERS)

    def failing(*args):
        raise error

    monkeypatch.setattr("sklsh.estimators.hasher.Buckets.of", failing)
    with pytest.raises(error):
        model.partial_fit(USERS[:9])
    monkeypatch.undo()
    for found, expected in zip((model.query(USERS), model.transform(USERS)), before, strict=True):
        assert found.shape == expected.shape and (found != expected).nnz == 0
    again = model.partial_fit(USERS[:9])
    whole = CompressedLSHHasher(random_state=0).fit(np.concatenate([USERS, USERS[:9]]))
    assert again.tables_ == whole.tables_
    np.testing.assert_array_equal(again.bucket_codes_, whole.bucket_codes_)


@pytest.mark.parametrize("kept", [
    {"body_exchange": "local"}, {"body_exchange": "local", "local_optimizer": "kept"},
    {"local_optimizer": "kept"}, {"sketch_rounds": 9},
], ids=lambda kept: "-".join(kept))  # fmt: skip
def test_rounds_that_fail_leave_what_devices_keep(kept):
    """They go on with them as if nothing had happened."""

    def make():
        device = classifier(sampler="lsh", n_active=4, n_tables=2, hash_length=2)
        model = FederatedLSHClassifier(device, n_rounds=2, random_state=0, n_jobs=1, **kept)
        return model.fit(X, Y, groups=np.arange(120) % 2)

    def interrupt(network, entry):
        raise KeyboardInterrupt

    model, other = make(), make()
    model.set_params(callback=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, Y, groups=np.arange(120) % 2)
    model.set_params(callback=None)
    for one in (model, other):
        one.partial_fit(X, Y, groups=np.arange(120) % 2)
    np.testing.assert_array_equal(model.decision_function(X), other.decision_function(X))


def arrays_of(model):
    """Everything of a model that counts, as bytes: pickles, less the sampler and views."""
    autoencoder = getattr(model, "autoencoder_", None)
    learner = autoencoder.learner if autoencoder else model.learner_
    parts = [learner.network, learner.optimizer, learner.history]
    numbers = [learner.n_steps, learner.row_scales, learner.weight_sum, learner.n_weighted]
    if autoencoder:
        parts += [autoencoder.memory, autoencoder.counts, autoencoder.n_users, autoencoder.blend]
    return [pickle.dumps(part) for part in (*parts, *numbers)]


LARGE = {
    "classifier": (classifier(hidden_layer_sizes=(8, 6), batch_size=10), (X, Y)),
    "sampling": (classifier(sampler="lsh", batch_size=10), (X, Y)),
    "recommender": (recommender(batch_size=10), (USERS,)),
}


@pytest.mark.parametrize("kind", LARGE)
class TestFailingPart:
    """The second part names labels and items that the first has not."""

    def fitted(self, kind):
        model, data = LARGE[kind]
        labels = data[-1].copy()
        labels[:, -3:] = 0
        first = (*data[:-1], labels) if len(data) > 1 else (labels,)
        return clone(model).partial_fit(*first), data

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    def test_an_interrupted_part_leaves_the_model_as_it_was(self, kind, error, monkeypatch):
        model, data = self.fitted(kind)
        other, _ = self.fitted(kind)
        before, step, n_steps = arrays_of(model), Trainer.step, 0

        def failing(self, *args):
            nonlocal n_steps
            n_steps += 1
            if n_steps == 4:
                raise error
            return step(self, *args)

        monkeypatch.setattr(Trainer, "step", failing)
        with pytest.raises(error):
            model.partial_fit(*data)
        monkeypatch.undo()
        assert n_steps == 4 and arrays_of(model) == before
        assert arrays_of(model.partial_fit(*data)) == arrays_of(other.partial_fit(*data)) != before

    def test_a_diverging_part_leaves_the_model_as_it_was(self, kind):
        model, data = self.fitted(kind)
        before = arrays_of(model)
        model.set_params(learning_rate_init=3e38)
        with pytest.raises(ValueError, match="diverged"):
            model.partial_fit(*data)
        assert arrays_of(model) == before

    def test_the_last_update_is_looked_at_too(self, kind):
        # One step: its loss is that before the update, and finite.
        model, data = LARGE[kind]
        model = clone(model).set_params(learning_rate_init=3e38, batch_size=data[0].shape[0])
        with pytest.raises(ValueError, match="diverged"):
            model.partial_fit(*data)
        assert not hasattr(model, "n_features_in_")


def test_a_stream_ranks_by_the_biases_that_it_has_now():
    X, Y = make_extreme_classification(200, 60, 30, features_per_row=8, random_state=0)
    model = classifier().partial_fit(X, Y)
    model.learner_.adjustment = np.linspace(0, 1, Y.shape[1], dtype=np.float32)
    model.predict_topk(X)
    model.partial_fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    for mine, its in zip(model.predict_topk(X), again.predict_topk(X), strict=True):
        np.testing.assert_array_equal(mine, its)
