"""Nothing depends on units: of weights, of rows, of a stream's parts, of one stray row."""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh import FederatedLSHClassifier, LSHRecommender, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.metrics import precision_at_k
from sklsh.network.rows import SparseRows
from sklsh.network.units import RECENT, add_recent, moved_scale, relative_weights, typical_norm

N, PART = 1024, 64
X, Y = make_extreme_classification(N + 300, 300, 40, random_state=0)
X, TEST, Y, ANSWERS = sp.csr_array(X[:N]), X[N:], Y[:N], Y[N:]
WEIGHTS = np.random.default_rng(0).uniform(0.2, 3, N)
WEIGHTS[::7] = 0


def classifier(**params):
    return SparseLSHMLPClassifier((16,), random_state=0, **params)


def fitted(X=X, weights=None):
    return classifier(max_iter=4).fit(X, Y, sample_weight=weights)


def without_neighbors(X=X, weights=None):
    return classifier(n_neighbors=0, linear=False).fit(X, Y, sample_weight=weights)


def streamed(X=X, weights=None, part=PART, n=N):
    model = classifier()
    for start in range(0, n, part):
        span = slice(start, start + part)
        given = None if weights is None else weights[span]
        model.partial_fit(X[span], Y[span], sample_weight=given)
    return model


def federated(X=X):
    model = FederatedLSHClassifier(classifier(), n_rounds=4, random_state=0)
    return model.fit(X, Y, groups=np.arange(N) % 8)


def precision(model, unit=1.0):
    return precision_at_k(ANSWERS, model.predict_topk(TEST * unit, 1)[0], 1)


def weights_of(model):
    return [*model.network_.parameters(), getattr(model, "neighbor_weight_", 0.0)]


def assert_same(model, other):
    for array, wanted in zip(weights_of(model), weights_of(other), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-6)


class TestWeights:
    @pytest.mark.parametrize("train", [fitted, streamed])
    @pytest.mark.parametrize("unit", [1e-300, 1e-6, 1e6])
    def test_a_constant_factor_changes_nothing(self, train, unit):
        assert_same(train(weights=WEIGHTS * unit), train(weights=WEIGHTS))

    @pytest.mark.parametrize("train", [fitted, streamed])
    def test_equal_weights_are_none(self, train):
        assert_same(train(weights=np.full(N, 1 / N)), train())

    def test_a_stream_of_single_rows_heeds_their_weights(self):
        heavy = np.where(np.arange(N) % 2, 1.0, 1e-4)
        model, other = streamed(weights=heavy, part=1, n=50), streamed(part=1, n=50)
        assert abs(model.network_.head_weights - other.network_.head_weights).max() > 1e-3

    def test_parts_without_weights_count_as_their_mean(self):
        def stream(unit):
            model = classifier()
            for start in range(0, N, PART):
                span = slice(start, start + PART)
                given = WEIGHTS[span] * unit if start % (2 * PART) else None
                model.partial_fit(X[span], Y[span], sample_weight=given)
            return model

        assert_same(stream(1e-5), stream(1.0))

    @pytest.mark.parametrize("unit", [1e-200, 1e-6, 1e6])
    def test_of_classes(self, unit):
        def train(unit):
            weights = {label: unit * (1 + label % 3) for label in range(40)}
            return classifier(max_iter=4, class_weight=weights).fit(X, Y)

        assert_same(train(unit), train(1.0))

    def test_a_sum_beyond_float64_is_refused(self):
        with pytest.raises(ValueError, match="sample_weight must have a sum"):
            classifier().fit(X, Y, sample_weight=np.full(N, 1e308))

    @given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9), st.integers(-60, 60))
    def test_relative_weights(self, weights, exponent):
        weights = np.array(weights)
        relative, total, n_rows = relative_weights(weights, 3.0, 2.0)
        mean = (weights.sum() + 3) / (len(weights) + 2)
        np.testing.assert_allclose(relative, weights / mean, rtol=1e-6)
        assert total / n_rows == pytest.approx(mean)
        unit = 2.0**exponent
        assert np.array_equal(relative_weights(weights * unit, 3.0 * unit, 2.0)[0], relative)


class TestRows:
    @pytest.mark.parametrize("train", [fitted, streamed, federated])
    @pytest.mark.parametrize("exponent", [-90, 90])
    def test_a_power_of_two_changes_no_bit(self, train, exponent):
        model, other = train(X * 2.0**exponent), train(X)
        for array, wanted in zip(weights_of(model), weights_of(other), strict=True):
            assert np.array_equal(array, wanted)
        answers = (
            model.predict_topk(TEST * np.float32(2.0**exponent), 5),
            other.predict_topk(TEST, 5),
        )
        for found, wanted in zip(*answers, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4)

    def test_a_federation_takes_the_largest_rows_there_are(self):
        largest = X.astype(np.float64) * (3e38 / float(abs(X).max()))
        assert federated(largest).history_[-1]["n_used"] == 8

    @pytest.mark.parametrize("first", [0.0, 0.01, 100.0])
    def test_a_stream_follows_its_unit(self, first):
        units = np.where(np.arange(N) < PART, first, 50.0)
        model = streamed(sp.csr_array(sp.diags_array(units) @ X))
        assert precision(model, 50) > precision(streamed()) - 0.08

    @pytest.mark.parametrize(("part", "n"), [(1, 100), (PART, 2 * PART)])
    def test_its_scale_is_that_of_most_of_the_last_rows(self, part, n):
        units = np.where(np.arange(N) < n // 2, 1.0, 1000.0)
        model = streamed(sp.csr_array(sp.diags_array(units) @ X), part=part, n=n)
        typical = 1 / typical_norm(SparseRows.from_matrix(X[n // 2 : n] * 1000))
        assert 0.5 <= model.network_.input_scale / typical <= 2

    @settings(deadline=None)
    @given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12))
    def test_moved_scale(self, scale, typical):
        moved = moved_scale(scale, typical)
        assert 0.5 <= typical / moved <= 2
        assert moved == scale or np.frexp(moved / scale)[0] == 0.5

    @given(st.lists(st.integers(1, 200), min_size=1, max_size=6))
    def test_add_recent(self, sizes):
        rng, recent = np.random.default_rng(sum(sizes)), None
        before = np.empty(0, dtype=np.float32)
        for size in sizes:
            scales = rng.random(size).astype(np.float32)
            last = np.concatenate([before, scales])[-max(RECENT, size) :]
            recent, typical = add_recent(recent, scales)
            assert recent.shape[0] <= RECENT and np.isin(recent, np.append(before, scales)).all()
            assert typical == np.median(last)
            before = recent


def test_order_of_parts():
    """Whichever part comes first, and in whatever unit each is: a stream ends as well."""
    parts = [slice(start, start + PART) for start in range(0, N, PART)]
    units = 10.0 ** np.random.default_rng(1).integers(-3, 4, len(parts))
    units[-1] = 1.0

    def score(order, units):
        model = classifier()
        for i in [*order, *order]:
            model.partial_fit(X[parts[i]] * units[i], Y[parts[i]])
        # The unit of the last rows is that of the questions.
        return precision(model, units[order[-1]])

    ahead, back = np.arange(len(parts)), np.arange(len(parts))[::-1]
    scores = [score(order, of) for order in (ahead, back) for of in (np.ones(len(parts)), units)]
    assert max(scores) - min(scores) < 0.1, scores


@pytest.mark.parametrize("size", [100.0, 1e6])
@pytest.mark.parametrize("train", [fitted, without_neighbors, streamed, federated])
@pytest.mark.parametrize("one", ["row", "entry"])
def test_one_stray_row_does_not_outweigh_the_others(train, size, one):
    strange = X.copy()
    place = strange.indptr[200]  # in the third part of a stream; of one device
    strange.data[place : place + 1 if one == "entry" else strange.indptr[201]] *= size
    assert precision(train(strange)) > undisturbed(train) - 0.05


@cache
def undisturbed(train):
    return precision(train())


def test_one_device_in_another_unit_does_not_outweigh_the_others():
    units = np.where(np.arange(N) % 8 == 3, 1e6, 1.0)
    strange = sp.csr_array(sp.diags_array(units) @ X)
    assert precision(federated(strange)) > undisturbed(federated) - 0.1


def test_a_stream_that_begins_with_a_stray_row():
    strange = sp.csr_array(sp.diags_array(np.where(np.arange(N) == 0, 1e4, 1.0)) @ X)
    assert precision(streamed(strange, part=16)) > precision(streamed(part=16)) - 0.05


class TestRecommender:
    rng = np.random.default_rng(0)
    users = rng.poisson(np.kron(np.eye(4), np.full((30, 8), 1.5)) + 0.1).astype(float)

    def train(self, users):
        return LSHRecommender((8,), max_iter=2, random_state=0).fit(users).partial_fit(users)

    @pytest.mark.parametrize("unit", [1e-30, 1e-6, 1e6, 1e19, 1e36])
    def test_units_change_nothing(self, unit):
        each = unit ** np.linspace(-0.9, 1, len(self.users))[:, None]
        for users in (self.users * unit, self.users * each):
            model, other = self.train(users), self.train(self.users)
            assert_same(model, other)
            ids, scores = model.recommend(np.arange(9), users[:9], N=3)
            wanted, wanted_scores = other.recommend(np.arange(9), self.users[:9], N=3)
            assert np.array_equal(ids, wanted)
            np.testing.assert_allclose(scores, wanted_scores, rtol=1e-3)

    @pytest.mark.parametrize("unit", [1e-300, 1e-6, 1e6, 1e300])
    def test_units_of_item_weights(self, unit):
        weights = 1 + np.arange(32) % 3

        def train(unit):
            model = LSHRecommender((8,), max_iter=2, random_state=0, item_weight=weights * unit)
            return model.fit(self.users).recommend(np.arange(9), self.users[:9], N=3)[0]

        np.testing.assert_array_equal(train(unit), train(1.0))

    def test_order_of_parts(self):
        """What is counted does not depend on it, and answers hardly do."""
        parts = np.array_split(np.random.default_rng(0).permutation(len(self.users)), 4)

        def train(order):
            model = LSHRecommender((8,), random_state=0)
            for i in [*order, *order]:
                model.partial_fit(self.users[parts[i]])
            return model

        ahead, back = train([0, 1, 2, 3]), train([3, 2, 1, 0])
        np.testing.assert_array_equal(ahead.item_counts_, back.item_counts_)
        assert abs(ahead.score(self.users) - back.score(self.users)) < 0.05

    def test_entries_beyond_float32_are_refused(self):
        with pytest.raises(ValueError, match="within float32"):
            self.train(self.users * 1e39)
        with pytest.raises(ValueError, match="within float32"):
            self.train(self.users).recommend(0, self.users[:1] * 1e39)


@pytest.mark.parametrize("model", [
    classifier(max_iter=1),
    FederatedLSHClassifier(classifier(), n_rounds=1),
    FederatedLSHClassifier(LSHRecommender((8,)), n_rounds=1),
], ids=["classifier", "federation", "federation of a recommender"])  # fmt: skip
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict_topk"])
def test_entries_beyond_float32_are_refused(model, method):
    args = (Y,)
    if method == "predict_topk":
        model, args = model.fit(abs(X), Y), ()
    with pytest.raises(ValueError, match="X must have entries within float32"):
        getattr(model, method)(abs(X).astype(np.float64) * 1e39, *args)


@pytest.mark.parametrize("train", [fitted, streamed, federated])
@pytest.mark.parametrize("unit", [1e-40, 1e-300])
def test_rows_too_small_for_float32_are_refused(train, unit):
    with pytest.raises(ValueError, match="within float32, the largest at least"):
        train(X.astype(np.float64) * unit)


@pytest.mark.parametrize("train", [fitted, streamed, federated])
def test_small_entries_beside_others_are_not(train):
    """Nor are rows of zeros, nor units just above."""
    mixed = X.astype(np.float64)
    mixed.data[::9] *= 1e-60
    mixed.data[: mixed.indptr[PART]] = 0
    assert precision(train(mixed * 1e-37), 1e-37) > 0.3


def test_weights_are_numbers():
    X, y = np.eye(6), np.arange(6) % 3
    with pytest.raises(TypeError, match="sample_weight must be numbers, got text"):
        SparseLSHMLPClassifier((4,)).fit(X, y, sample_weight=["1"] * 6)
    with pytest.raises(TypeError, match="sample_weight must be numbers, got text"):
        precision_at_k(y, y[:, None], k=1, sample_weight=["1"] * 6)
