"""Regression between items, low pass, and the weights of all sources, against the twins."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh.kernels.blending import blend_gains
from sklsh.network import regression as regression_module
from sklsh.network import window
from sklsh.network.blending import WEIGHTS, Blend, Candidates, find_candidates
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.interactions import leave_some_out
from sklsh.network.lowpass import (
    FILTERS,
    SOFT_FILTERS,
    LowPass,
    automatic_factors,
    automatic_filters,
)
from sklsh.network.regression import ItemRegression
from sklsh.network.retrieval import best_items
from sklsh.network.rows import SparseRows
from sklsh.network.window import RecentRows
from tests import reference
from tests.network.problems import random_network
from tests.network.test_interactions import rows_of, user_items


def neighbors_of(users, k):
    memory = ItemMemory.empty(users.shape[1], k)
    memory.update(rows_of(users))
    return memory


def scores_of(source, choice, users, n_items, weight=1.0, pool=None):
    """What a source adds for every row, by column of the pool."""
    R = rows_of(users)
    position_of = np.full(n_items, -1, dtype=np.int32)
    pool = np.arange(n_items) if pool is None else pool
    position_of[pool] = np.arange(len(pool))
    out = np.zeros((R.n_rows, len(pool)), dtype=np.float32)
    source.add(
        choice, weight, R, np.arange(R.n_rows, dtype=np.int32), position_of, out, 0, R.n_rows
    )
    return out


POWERS = st.sampled_from([0.0, 0.5])


class TestRegression:
    @settings(max_examples=60)
    @given(user_items(), st.integers(1, 8), st.sampled_from([0.5, 30.0]), POWERS)
    def test_coefficients_are_those_of_ridge_on_the_neighbours(self, users, k, penalty, power):
        n_items = users.shape[1]
        ids = neighbors_of(users, min(k, n_items - 1)).ids
        with mock.patch.object(regression_module, "MAX_DENSE", 0):
            regression = ItemRegression.fit(rows_of(users), ids, ((7.0, 0.5), (penalty, power)))
        got = scores_of(regression, 1, np.eye(n_items, dtype=np.float32), n_items)
        want = reference.neighbor_regression(users, ids, penalty, power)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)

    @settings(max_examples=40)
    @given(user_items(), st.sampled_from([0.5, 30.0]), POWERS)
    def test_few_items_are_regressed_on_all_in_closed_form(self, users, penalty, power):
        n_items = users.shape[1]
        ids = neighbors_of(users, 1).ids
        regression = ItemRegression.fit(rows_of(users), ids, ((7.0, 0.5), (penalty, power)))
        got = scores_of(regression, 1, np.eye(n_items, dtype=np.float32), n_items)
        want = reference.neighbor_regression(users, None, penalty, power)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)

    def test_few_items_keep_the_largest_coefficients(self):
        users = (np.random.default_rng(4).random((90, 20)) < 0.3).astype(np.float32)
        with mock.patch.object(regression_module, "DENSE_KEPT", 5):
            regression = ItemRegression.fit(
                rows_of(users), neighbors_of(users, 1).ids, ((9.0, 0.5),)
            )
        got = scores_of(regression, 0, np.eye(20, dtype=np.float32), 20)
        want = reference.neighbor_regression(users, None, 9.0)
        assert ((got != 0).sum(axis=0) == 5).all()
        want[np.abs(want) < -np.sort(-np.abs(want), axis=0)[4] * (1 - 1e-9)] = 0
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)

    def test_threads_and_parts_of_a_pool_change_nothing(self):
        rng = np.random.default_rng(1)
        users = (rng.random((90, 70)) < 0.2).astype(np.float32)
        ids = neighbors_of(users, 20).ids
        with mock.patch.object(regression_module, "MAX_DENSE", 0):
            one, two = (ItemRegression.fit(rows_of(users), ids, n_threads=n) for n in (1, 2))
        np.testing.assert_array_equal(one.values, two.values)
        pool = np.array([3, 8, 60])
        whole = scores_of(one, 2, users, 70, weight=2.0)
        np.testing.assert_array_equal(scores_of(two, 2, users, 70, 2.0, pool), whole[:, pool])

    def test_equal_columns_do_not_break_it(self):
        users = np.ones((5_000, 6), dtype=np.float32)
        regression = ItemRegression.fit(rows_of(users), neighbors_of(users, 5).ids, ((1e-3, 0.5),))
        assert np.isfinite(regression.values).all()
        np.testing.assert_allclose(scores_of(regression, 0, users[:1], 6), 1, rtol=1e-2)

    def test_new_items_have_no_scores_and_the_chosen_penalty_stays(self):
        users = (np.random.default_rng(2).random((40, 9)) < 0.4).astype(np.float32)
        regression = ItemRegression.fit(rows_of(users), neighbors_of(users, 4).ids)
        regression.choose(5, 3.0)
        wider = regression.settle().grow(11)
        row = np.ones((1, 11), dtype=np.float32)
        assert wider.n_choices == 1 and wider.weight == 3.0 and wider.choices == ((1000.0, 0.0),)
        got = scores_of(wider, 0, row, 11)[0]
        np.testing.assert_allclose(got[:9], scores_of(regression, 5, row[:, :9], 9)[0], rtol=1e-6)
        assert (got[9:] == 0).all()


class TestLowPass:
    @settings(max_examples=40)
    @given(user_items(), st.integers(1, 9), st.sampled_from([(0.0, 0.5), (0.3, 0.35)]))
    def test_scores_are_those_of_the_singular_vectors(self, users, n_factors, kind):
        n_items, has = users.shape[1], users > 0
        if not has.any():
            return
        of_users, of_items = np.maximum(has.sum(axis=1), 1), np.maximum(has.sum(axis=0), 1)
        values = np.linalg.svd(
            has / np.sqrt(of_users)[:, None] / np.sqrt(of_items), compute_uv=False
        )
        n_factors = min(n_factors, len(values))
        rest = values[n_factors] if n_factors < len(values) else 0
        if values[n_factors - 1] < 1e-3 or values[n_factors - 1] - rest < 0.05:
            return  # which vectors are the first is not determined
        filters = ((2, 0.0, 0.5), (1, *kind))
        low_pass = LowPass.fit(rows_of(users), n_items, n_factors, 0, filters=filters)
        want = [reference.low_pass(users, row, n_factors, *kind) for row in users]
        np.testing.assert_allclose(scores_of(low_pass, 1, users, n_items), want, atol=2e-3)

    @pytest.mark.parametrize(("choice", "width"), [(0, 2), (1, 8), (2, 8)])
    def test_a_choice_s_factors_and_what_they_project(self, choice, width):
        users = (np.random.default_rng(0).random((60, 30)) < 0.3).astype(np.float32)
        low_pass = LowPass.fit(rows_of(users), 30, 8, seed=1)
        low_pass.choose(choice, 2.0)
        settled = low_pass.settle()
        assert settled.factors.shape == (1, 30, width) and settled.weight == 2.0
        assert settled.filters == ((1, *low_pass.filters[choice][1:]),)
        projected = settled.project(rows_of(users)) @ settled.active().T
        np.testing.assert_allclose(projected, scores_of(low_pass, choice, users, 30), atol=1e-5)
        wider = settled.grow(32)
        assert (scores_of(wider, 0, np.ones((1, 32), dtype=np.float32), 32)[0, 30:] == 0).all()

    def test_few_items_have_soft_filters_and_more_factors(self):
        for n_items, filters, n_factors in ((4096, SOFT_FILTERS, 512), (4097, FILTERS, 256)):
            assert automatic_filters(n_items) == filters
            assert automatic_factors(n_items) == n_factors

    def test_a_basis_of_less_rank_than_columns(self):
        users = np.zeros((40, 9), dtype=np.float32)
        users[:20, :3] = users[20:, 3:5] = 1
        low_pass = LowPass.fit(rows_of(users), 9, 6, seed=1, filters=((1, 0.0, 0.5), (3, 0.0, 0.5)))
        assert np.isfinite(low_pass.factors).all()
        want = [reference.low_pass(users, row, 2) for row in users]
        np.testing.assert_allclose(scores_of(low_pass, 1, users, 9), want, atol=1e-3)

    def test_users_in_blocks_and_threads_change_little(self, monkeypatch):
        users = (np.random.default_rng(3).random((300, 40)) < 0.2).astype(np.float32)
        whole = LowPass.fit(rows_of(users), 40, 4, seed=1, n_threads=2)
        monkeypatch.setattr("sklsh.network.lowpass.USERS", 64)
        parts = LowPass.fit(rows_of(users), 40, 4, seed=1)
        got, want = (scores_of(each, 1, users[:9], 40) for each in (parts, whole))
        np.testing.assert_allclose(got, want, atol=1e-4)


class TestBlend:
    @settings(max_examples=60)
    @given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 6))
    def test_gains_as_the_twin(self, seed, n_candidates, depth):
        rng = np.random.default_rng(seed)
        base = rng.integers(0, 4, (3, n_candidates)).astype(np.float32)
        added = rng.integers(0, 4, (2, 3, n_candidates)).astype(np.float32)
        ids = np.tile(np.arange(n_candidates, dtype=np.int32), (3, 1))
        ids[0, n_candidates // 2 :] = -1
        hidden = rng.random((3, n_candidates)) < 0.4
        weights = np.array([0, 0.5, 2], dtype=np.float32)
        discounts = (1 / np.log2(np.arange(2, depth + 2))).astype(np.float32)
        gains = np.empty((3, 2, 3), dtype=np.float32)
        blend_gains(base, added, weights, ids, hidden, discounts, gains, 0, 3)
        for i in range(3):
            n = (ids[i] >= 0).sum()
            for v in range(2):
                for w, weight in enumerate(weights):
                    scores = base[i, :n] + weight * added[v, i, :n]
                    want = reference.ranking_gain(scores, hidden[i, :n], discounts)
                    assert gains[i, v, w] == pytest.approx(want, rel=1e-5)

    def test_a_source_that_knows_is_taken_and_one_that_does_not_is_left(self):
        rng = np.random.default_rng(0)
        hidden = rng.random((200, 40)) < 0.1
        candidates = Candidates(
            np.tile(np.arange(40, dtype=np.int32), (200, 1)),
            rng.standard_normal((200, 40), dtype=np.float32),
            {
                "regression": np.stack([-1.0 * hidden, 1.0 * hidden]).astype(np.float32),
                "item-item": -hidden[None].astype(np.float32),
            },
            hidden, np.ones(200, dtype=np.float32),
        )  # fmt: skip
        sources = {"item-item": Chosen(1), "regression": Chosen(2)}
        blend = Blend().joined(sources, candidates)
        assert sources["item-item"].weight == 0
        assert sources["regression"].chosen == 1 and sources["regression"].weight >= 4
        assert blend.sums["regression"].shape == (2, len(WEIGHTS["regression"]))
        # What was said before counts, and is not changed.
        before = blend.sums["regression"].copy()
        later = blend.joined(sources, candidates, 1, 0.5)
        np.testing.assert_allclose(
            later.sums["regression"],
            before * 0.5 + candidates.ndcg("regression", WEIGHTS["regression"], {}), rtol=1e-6,
        )  # fmt: skip
        np.testing.assert_array_equal(blend.sums["regression"], before)

    def test_weights_are_drawn_to_the_defaults_as_far_as_it_costs_little(self):
        rng = np.random.default_rng(1)
        hidden = rng.random((300, 40)) < 0.1
        network = rng.standard_normal((300, 40), dtype=np.float32)
        noisy = (hidden + 0.4 * rng.standard_normal((300, 40)))[None].astype(np.float32)
        candidates = Candidates(
            np.tile(np.arange(40, dtype=np.int32), (300, 1)), network,
            {"regression": noisy, "item-item": -noisy}, hidden, np.ones(300, dtype=np.float32),
        )  # fmt: skip
        sources = {"regression": Chosen(1)}

        def gain(weight):
            return candidates.ndcg("regression", [weight], {})[0, 0]

        Blend().joined(sources, candidates)
        best = sources["regression"].weight
        assert best > 2
        Blend().joined(sources, candidates, defaults={"regression": 0.5})
        drawn = sources["regression"].weight
        assert 0.5 < drawn < best
        assert gain(drawn) >= 0.99 * gain(best) and gain(0.5) < 0.99 * gain(best)
        step = (best / 0.5) ** (1 / 8)
        assert gain(drawn / step) < 0.99 * gain(best), "one step nearer would cost too much"

        # One that ranks badly is drawn from next to nothing, the other with it.
        both = {"item-item": Chosen(1), "regression": Chosen(1)}
        Blend().joined(both, candidates, defaults={"item-item": 1.0, "regression": 0.5})
        assert 0 < both["item-item"].weight < 1 and both["regression"].weight >= drawn
        point = {name: (0, source.weight) for name, source in both.items()}
        assert candidates.ndcg("item-item", [both["item-item"].weight], point)[0, 0] >= 0.99 * gain(
            best
        )

    def test_a_source_that_few_users_found_no_use_for_has_the_default_weight_where_it_may(self):
        ids = np.tile(np.arange(4, dtype=np.int32), (30, 1))
        hidden = np.tile([True, True, False, False], (30, 1))
        network = np.tile(np.array([9, 8, 1, 0], dtype=np.float32), (30, 1))
        says = np.tile(np.array([0, 0, 0.1, 0], dtype=np.float32), (1, 30, 1))
        candidates = Candidates(
            ids, network, {"item-item": says}, hidden, np.ones(30, dtype=np.float32)
        )
        sources = {"item-item": Chosen(1)}
        Blend().joined(sources, candidates)
        assert sources["item-item"].weight == 0
        Blend().joined(sources, candidates, defaults={"item-item": 2.0})
        assert sources["item-item"].weight == 2

    def test_candidates_have_the_best_of_each_source_and_its_scores(self):
        rng = np.random.default_rng(0)
        users = (rng.random((50, 300)) < 0.1).astype(np.float32)
        R = rows_of(users)
        network = random_network(rng, n_features=300, sizes=(6,), n_labels=300)
        visible, hidden = leave_some_out(R, 0.3, 1)
        memory = neighbors_of(users, 8)
        regression = ItemRegression.fit(R, memory.ids)
        pool = np.arange(0, 300, 2, dtype=np.int32)
        found = find_candidates(
            network, R, {"regression": regression}, visible, hidden, pool, network.head_bias
        )
        asked = np.flatnonzero(hidden.counts())
        assert len(found.ids) == len(asked)
        alone = best_items(
            network, None, visible.take(asked), R.take(asked), 20, pool,
            bias=network.head_bias, exclude=True,
        )  # fmt: skip
        linear = scores_of(regression, 1, visible.to_matrix(300).toarray(), 300)
        wanted = hidden.to_matrix(300).toarray() > 0
        for i, row in enumerate(asked):
            ids = pool[found.ids[i][found.ids[i] >= 0]]
            assert np.isin(alone[0][i], ids).all()
            said = found.added["regression"][1, i, : len(ids)]
            np.testing.assert_allclose(said, linear[row, ids], rtol=1e-5, atol=1e-6)
            assert (found.hidden[i, : len(ids)] == wanted[row, ids]).all()


class Chosen:
    """A source that only keeps what was chosen."""

    weight, chosen = 0.0, 0

    def __init__(self, n_choices):
        self.n_choices = n_choices

    def choose(self, choice, weight):
        self.chosen, self.weight = choice, weight


class TestWindow:
    def test_the_latest_rows_stay(self, monkeypatch):
        monkeypatch.setattr(window, "MIN_ENTRIES", 10)
        rows = [SparseRows.from_matrix(sp.csr_array(np.eye(4)[[i, i]] + 1)) for i in range(3)]
        one = RecentRows().joined(rows[0], 3)
        assert one.rows().n_rows == 2 and one.is_due()
        two = one.joined(rows[1], 3).joined(rows[2], 3)
        assert one.rows().n_rows == 2, "this one stays as it is"
        assert two.rows().indices.tolist() == [0, 1, 2, 3] * 2 and two.n_entries == 24

    def test_amounts_stay_with_their_rows(self, monkeypatch):
        monkeypatch.setattr(window, "MIN_ENTRIES", 5)
        amounts = sp.csr_array(np.array([[1, 0, 2], [3, 4, 0], [0, 5, 6], [7, 0, 8]]))
        rows = SparseRows.from_matrix(amounts)
        seen = RecentRows().joined(rows, 2)
        np.testing.assert_array_equal(seen.rows().to_matrix(3).toarray(), amounts.toarray()[2:])
        # A folder of before they were kept has none.
        old = replace(seen, data=np.empty(0, dtype=np.float32))
        assert old.rows().data.tolist() == [1, 1, 1, 1]
        assert old.joined(rows.take(np.arange(1)), 3).rows().data.tolist() == [1, 1, 1, 1, 1, 2]

    def test_few_items_need_few_rows(self):
        part, seen = rows_of(np.ones((10, 10), dtype=np.float32)), RecentRows()
        for _ in range(100):
            seen = seen.joined(part, 10)
        assert seen.indices.shape[0] == window.MIN_ENTRIES and seen.n_entries == 10_000
        assert seen.joined(part, 40).joined(part, 40).indices.shape[0] == 1_200
        assert seen.joined(part, 1 << 20).most == window.MAX_ENTRIES

    def test_it_is_due_at_growing_intervals(self):
        part, seen, times = rows_of(np.ones((1, 10), dtype=np.float32)), RecentRows(), []
        for number in range(40):
            seen = seen.joined(part, 1_000)
            if seen.is_due():
                times.append(number)
        assert times == [0, 1, 2, 4, 7, 11, 17, 26]
