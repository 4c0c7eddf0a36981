"""`LSHRecommender`: right answers, filters, streams, growth, containers, bad input."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklsh import LSHRecommender
from sklsh.estimators import recommender
from sklsh.metrics import inverse_propensity, novelty_at_k
from sklsh.network import autoencoder, item_scorer
from sklsh.network.autoencoder import Autoencoder
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.interactions import hide_entries
from sklsh.network.rows import SparseRows
from sklsh.network.trainer import Trainer
from tests import reference

N_ITEMS = 10
SMALL = {"hidden_layer_sizes": (16,), "random_state": 0}


def checkerboard(n_users=60):
    """User u has the items of u's parity; each lacks one, which is the right answer."""
    user_items = np.zeros((n_users, N_ITEMS), dtype=np.float32)
    missing = np.empty(n_users, dtype=int)
    for user in range(n_users):
        user_items[user, user % 2 :: 2] = 1
        missing[user] = user % 2 + 2 * (user // 2 % 5)
        user_items[user, missing[user]] = 0
    return user_items, missing


PARTS = {
    "both": {},
    "network alone": {"n_neighbors": 0, "n_factors": 0},
    "network and low pass": {"n_neighbors": 0},
    "uniform sampler": {"sampler": "uniform", "n_active": 4},
    "two layers": {"hidden_layer_sizes": (16, 8), "n_neighbors": 0, "n_factors": 0},
}


@pytest.fixture(scope="module")
def board():
    return checkerboard()


@pytest.fixture(scope="module")
def fitted(board):
    return LSHRecommender(**SMALL).fit(board[0])


class TestRightAnswer:
    @pytest.mark.parametrize("params", PARTS.values(), ids=PARTS.keys())
    def test_missing_item_comes_first(self, board, params):
        user_items, missing = board
        model = LSHRecommender(**{**SMALL, **params}).fit(user_items)
        ids, scores = model.recommend(np.arange(60), user_items, N=1)
        assert (ids[:, 0] == missing).all()
        assert scores.dtype == np.float32

    def test_item_item_scores_count_and_their_weight_is_fitted(self, board, fitted):
        alone = LSHRecommender(**SMALL, n_neighbors=0).fit(board[0])
        assert fitted.neighbor_weight_ > 0 and alone.neighbor_weight_ == 0
        assert not np.allclose(
            fitted.predict_topk(board[0], 1)[1], alone.predict_topk(board[0], 1)[1]
        )

    def test_judges_look_for_items_that_training_has_not_seen(self):
        R = SparseRows.from_matrix(np.ones((40, 30), dtype=np.float32))
        validation_rows = np.array([3, 30, 7])
        seen, visible, hidden = hide_entries(R, validation_rows, 0.4, seed=1)
        whole, others = seen.to_matrix(30).toarray(), np.delete(np.arange(40), validation_rows)
        assert (whole[others] == 1).all()
        np.testing.assert_array_equal(whole[validation_rows], visible.to_matrix(30).toarray())
        np.testing.assert_array_equal(whole[validation_rows] + hidden.to_matrix(30).toarray(), 1)
        assert 20 <= hidden.indices.size <= 52  # 36 are expected, 4.6 the deviation

    def test_new_user_is_answered_as_the_same_row_of_fit(self, board, fitted):
        ids, scores = fitted.recommend(10**6, board[0][7:8], N=4)
        same, same_scores = fitted.recommend(7, sp.csr_array(board[0][7:8]), N=4)
        assert (ids == same).all()
        np.testing.assert_array_equal(scores, same_scores)

    def test_similar_items_share_parity_and_begin_with_the_item(self, fitted):
        ids, scores = fitted.similar_items(3, N=5)
        assert ids[0] == 3 and scores[0] == pytest.approx(1, abs=1e-5)
        assert (ids % 2 == 1).all()
        assert (np.diff(scores) <= 0).all()
        many, many_scores = fitted.similar_items([3, 4], N=5)
        assert (many[0] == ids).all() and (many[1] % 2 == 0).all()
        np.testing.assert_allclose(many_scores[0], scores, rtol=1e-5)

    def test_order_and_scores_are_those_of_the_sum(self, board, fitted):
        network, memory = fitted.network_, fitted.autoencoder_.memory
        logits = fitted.transform(board[0]) @ network.head_weights.T + network.head_bias
        source, target = memory.scales()
        walk = np.zeros((N_ITEMS, N_ITEMS))
        for item in range(N_ITEMS):
            known = memory.ids[item] >= 0
            walk[item, memory.ids[item, known]] = memory.values[item, known]
        item_item = (board[0] * source) @ walk * target
        item_item /= item_item.max(axis=1, keepdims=True)
        regression = fitted.autoencoder_.regression
        linear = reference.neighbor_regression(board[0], None, *regression.choices[0])
        (_, *kind), *others = fitted.autoencoder_.low_pass.filters
        assert not others and kind[0] > 0  # items are few: a soft one
        low_pass = np.array([reference.low_pass(board[0], row, N_ITEMS, *kind) for row in board[0]])
        want = logits + memory.weight * np.log1p(100 * item_item)
        want += (
            regression.weight * (board[0] @ linear) + fitted.autoencoder_.low_pass.weight * low_pass
        )
        want[board[0] > 0] = -np.inf
        ids, scores = fitted.recommend(np.arange(60), board[0], N=6)
        order = np.argsort(-want, axis=1)[:, :6]
        assert (ids == order)[scores > -np.inf].all()
        np.testing.assert_allclose(scores, np.take_along_axis(want, order, 1), rtol=1e-4)


class TestFilters:
    def test_batch_is_single(self, board, fitted):
        ids, scores = fitted.recommend(np.arange(60), board[0], N=3)
        for user in (0, 1, 31):
            one, one_scores = fitted.recommend(user, board[0][user : user + 1], N=3)
            assert (one == ids[user]).all()
            np.testing.assert_allclose(one_scores, scores[user], rtol=1e-5)

    def test_liked_items_come_back_when_not_filtered(self, board, fitted):
        ids, _ = fitted.recommend(0, board[0][:1], N=N_ITEMS, filter_already_liked_items=False)
        assert sorted(ids) == list(range(N_ITEMS))
        ids, scores = fitted.recommend(0, board[0][:1], N=N_ITEMS)
        assert set(ids[:6]) == set(np.flatnonzero(board[0][0] == 0))
        assert (ids[6:] == -1).all() and np.isneginf(scores[6:]).all()

    def test_filter_items_and_items_are_complements(self, board, fitted):
        without, scores = fitted.recommend(np.arange(60), board[0], N=4, filter_items=[1, 2, 3])
        only, same = fitted.recommend(np.arange(60), board[0], N=4, items=[9, 8, 7, 6, 5, 4, 0, 0])
        assert not np.isin(without, [1, 2, 3]).any()
        assert (without == only).all()
        np.testing.assert_array_equal(scores, same)

    def test_no_items_no_answers(self, board, fitted):
        ids, scores = fitted.recommend(0, board[0][:1], N=2, items=[])
        assert (ids == -1).all() and np.isneginf(scores).all()

    def test_empty_user_gets_popular_items(self):
        user_items, _ = checkerboard()
        user_items[:, 6] = 1
        model = LSHRecommender(**SMALL).fit(user_items)
        ids, scores = model.recommend([0, 1], np.vstack([user_items[0], np.zeros(N_ITEMS)]), N=3)
        assert ids[1, 0] == 6
        assert scores[1, 0] == pytest.approx(np.log(60 / user_items.sum()), rel=1e-5)
        ids, _ = model.recommend(5, np.zeros((1, N_ITEMS)), N=3, filter_items=[6])
        assert 6 not in ids

    def test_item_that_nobody_has_is_never_named(self):
        user_items, _ = checkerboard()
        user_items[:, 4] = 0
        model = LSHRecommender(**SMALL).fit(user_items)
        ids, _ = model.recommend(np.arange(60), user_items, N=N_ITEMS)
        assert not (ids == 4).any()
        assert (model.recommend(0, np.zeros((1, N_ITEMS)), N=N_ITEMS)[0] != 4).all()
        ids, scores = model.similar_items(4)
        assert (ids == -1).all() and np.isneginf(scores).all()
        assert (model.recommend(0, user_items[:1], items=[4])[0] == -1).all()


@pytest.fixture(scope="module")
def wide():
    """2,000 users of 6,000 items in 60 tastes; tables are asked beyond 4,000 items."""
    rng = np.random.default_rng(0)
    items = rng.integers(0, 60, 2000)[:, None] + 60 * rng.integers(0, 100, (2000, 20))
    rows = np.repeat(np.arange(2000), 20)
    users = sp.csr_array((np.ones(40_000), (rows, items.ravel())), shape=(2000, 6000))
    users.data[:] = 1
    return users


class TestCandidatesByVotes:
    def test_they_hold_what_is_best_and_exact_asks_all(self, wide, monkeypatch):
        asked = []
        likely = item_scorer.likely_items

        def watched(*args, **how):
            asked.append(args[4].n_rows)
            return likely(*args, **how)

        monkeypatch.setattr(item_scorer, "likely_items", watched)
        model = LSHRecommender(**SMALL, max_iter=1).fit(wide)
        asked.clear()
        few = model.predict_topk(wide[:400], 10)
        assert not asked  # 6,000 items are looked at all
        monkeypatch.setattr(item_scorer, "MANY_ITEMS", 5_000)
        found, scores = model.predict_topk(wide[:400], 10)
        assert asked == [400]
        assert np.mean([np.isin(a, b).mean() for a, b in zip(found, few[0], strict=True)]) > 0.99
        assert (scores <= few[1] + 1e-4).all()
        # A user alone is answered as among others; a list of items, and a long answer, by all.
        np.testing.assert_array_equal(model.predict_topk(wide[[7]], 10)[0], found[[7]])
        asked.clear()
        model.recommend(0, wide[[0]], N=4, items=range(100))
        model.predict_topk(wide[:2], 101)
        assert not asked
        exact = model.set_params(prediction="exact").predict_topk(wide[:400], 10)
        assert not asked
        np.testing.assert_array_equal(exact[0], few[0])


class TestTables:
    def test_tables_find_nearly_what_is_exact(self, wide):
        exact, tables = (
            LSHRecommender(**SMALL, max_iter=2, n_neighbors=0, n_factors=0, prediction=p).fit(wide)
            for p in ("exact", "lsh")
        )
        (best, scores), (found, same) = (m.predict_topk(wide, 10) for m in (exact, tables))
        share = np.mean([np.isin(a, b).mean() for a, b in zip(found, best, strict=True)])
        assert 0.8 < share < 1
        assert (same <= scores + 1e-4).all()
        mine = wide[:3]
        ids, _ = tables.recommend(np.arange(3), mine, N=5, filter_items=best[:3, :2].ravel())
        assert not np.isin(ids, best[:3, :2]).any()
        few = best[0, :4]
        np.testing.assert_array_equal(
            np.sort(tables.recommend(0, mine[:1], N=4, items=few)[0]), np.sort(few)
        )
        # More than there are candidates: the rest is found exactly.
        assert (tables.recommend(0, mine[:1], N=1400)[0] >= 0).all()

    def test_stream_goes_back_to_exact(self, wide):
        models = [LSHRecommender(**SMALL, max_iter=1, prediction=p) for p in ("exact", "lsh")]
        few = wide[:500]
        found = [m.fit(few).partial_fit(few[:100]).predict_topk(few[:50], 5) for m in models]
        np.testing.assert_array_equal(found[0][0], found[1][0])


class TestStream:
    def test_partial_fit_alone_finds_the_right_items(self, board):
        user_items, missing = board
        model = LSHRecommender(**SMALL)
        for part in np.array_split(np.arange(60), 4):
            model.partial_fit(user_items[part])
        assert (model.recommend(np.arange(60), user_items, N=1)[0][:, 0] == missing).all()

    def test_items_may_grow_and_old_knowledge_stays(self, board):
        user_items, missing = board
        model = LSHRecommender(**SMALL).fit(user_items)
        head = model.network_.head_weights.copy()
        wider = np.hstack([np.zeros((30, N_ITEMS)), np.ones((30, 3))])
        wider[np.arange(30), N_ITEMS + np.arange(30) % 3] = 0
        model.partial_fit(wider)
        assert model.n_features_in_ == N_ITEMS + 3
        old = np.hstack([user_items, np.zeros((60, 3))])
        assert (model.recommend(np.arange(60), old, N=1)[0][:, 0] == missing).all()
        ids, _ = model.recommend(np.arange(30), wider, N=1)
        assert (ids[:, 0] == N_ITEMS + np.arange(30) % 3).all()
        assert np.abs(model.network_.head_weights[:N_ITEMS] - head).max() < np.abs(head).max()
        with pytest.raises(ValueError, match=r"13 features"):
            model.recommend(0, user_items[:1])

    def test_growth_that_fails_leaves_the_narrow_model(self, board, monkeypatch):
        user_items, _ = board
        model = LSHRecommender(**SMALL).fit(user_items)
        ids, scores = model.recommend(np.arange(60), user_items, N=3)
        counts = model.item_counts_.copy()
        wider = np.hstack([user_items, np.ones((60, 3))])

        def fails(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "step", fails)
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(wider)
        again = model.recommend(np.arange(60), user_items, N=3)
        np.testing.assert_array_equal(again[0], ids)
        np.testing.assert_allclose(again[1], scores, rtol=1e-6)
        np.testing.assert_array_equal(model.item_counts_, counts)

    def test_narrow_start_does_not_keep_items_from_neighbours(self, board):
        stream = LSHRecommender(**SMALL).partial_fit(board[0][:, :2]).partial_fit(board[0])
        late = stream.autoencoder_.memory.ids[[7, 9]]
        assert ((late >= 0).sum(axis=1) == 4).all()

    def test_streams_learn_how_much_to_discount_popularity(self, monkeypatch):
        # Beside the other sources, which may say the same, the discount decides little.
        monkeypatch.setattr(Autoencoder, "sources", lambda self: {"item-item": self.memory})
        rng = np.random.default_rng(0)

        def part(popular):
            """Rows that follow popularity alone, or tastes whose items are equally rare."""
            rows = np.zeros((60, 60), dtype=np.float32)
            for row in rows:
                if popular:
                    chances = 1 / np.arange(1, 61) ** 1.2
                    row[rng.choice(60, 8, replace=False, p=chances / chances.sum())] = 1
                else:
                    row[:6] = rng.random(6) < 0.4
                    row[6 + 9 * rng.integers(6) + rng.choice(9, 7, replace=False)] = 1
            return rows

        discounts = []
        for popular in (True, False):
            model = LSHRecommender(**SMALL)
            model.partial_fit(part(popular))
            assert not model.autoencoder_.blend.sums, "nothing is known before the first part"
            for _ in range(6):
                model.partial_fit(part(popular))
            discounts.append(sum(model.autoencoder_.memory.powers))
        assert discounts[0] < discounts[1]

    def test_few_users_are_fitted_anew_when_half_as_many_came(self, board):
        params = {**SMALL, "validation_fraction": 0.2}
        rows = board[0] * np.arange(1, N_ITEMS + 1)  # amounts count
        stream = LSHRecommender(**params).partial_fit(rows[:20])
        assert stream.partial_fit(rows[20:25]).n_iter_ == 2, "too few for another fit"
        stream.partial_fit(rows[25:])
        whole = LSHRecommender(**params).fit(rows)
        for one, other in zip(
            stream.predict_topk(rows, 3), whole.predict_topk(rows, 3), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(stream.item_counts_, whole.item_counts_)
        assert stream.neighbor_weight_ == whole.neighbor_weight_
        assert stream.n_iter_ == len(stream.loss_curve_) == 3

    @pytest.mark.parametrize("why", ["too much came", "none validates", "a fit came before"])
    def test_others_are_not_fitted_anew(self, board, why, monkeypatch):
        def refuses(*_, **__):
            raise AssertionError

        monkeypatch.setattr(Autoencoder, "_fit_anew", refuses)
        model = LSHRecommender(**SMALL, validation_fraction=0.2)
        if why == "too much came":
            monkeypatch.setattr(recommender, "MAX_ANEW", 9)
        elif why == "none validates":
            model.set_params(validation_fraction="auto")
        else:
            model.fit(board[0])
        model.partial_fit(board[0][:20]).partial_fit(board[0])
        assert (model.predict_topk(board[0], 1)[0][:, 0] == board[1]).all()

    def test_another_fit_that_is_interrupted_leaves_the_model(self, board, monkeypatch):
        model = LSHRecommender(**SMALL, validation_fraction=0.2).partial_fit(board[0][:20])
        before = model.predict_topk(board[0], 3)
        counts, n_epochs = model.item_counts_.copy(), model.n_iter_

        def fails(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", fails)
            with pytest.warns(UserWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
                model.partial_fit(np.hstack([board[0], np.ones((60, 2))]))
        for one, other in zip(before, model.predict_topk(board[0], 3), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(model.item_counts_, counts)
        assert model.n_iter_ == n_epochs == 1

    def test_new_items_start_as_long_as_those_of_a_fit(self, board):
        model = LSHRecommender(**SMALL, learning_rate_init=1e-9).fit(board[0])
        model.partial_fit(np.hstack([board[0], np.ones((60, 2))]))
        lengths = np.linalg.norm(model.network_.head_weights, axis=1)
        np.testing.assert_allclose(lengths, autoencoder.PROTOTYPE_SCALE, rtol=1e-3)

    def test_part_without_interactions_teaches_nothing(self, board):
        model = LSHRecommender(**SMALL).fit(board[0])
        head = model.network_.head_weights.copy()
        model.partial_fit(np.zeros((3, N_ITEMS)))
        np.testing.assert_array_equal(model.network_.head_weights, head)

    def test_neighbours_of_a_stream_are_those_of_all_rows(self, board):
        whole = LSHRecommender(**SMALL).fit(board[0]).autoencoder_.memory
        stream = LSHRecommender(**SMALL)
        for part in np.array_split(np.arange(60), 7):
            stream.partial_fit(board[0][part])
        streamed = stream.autoencoder_.memory
        for one, other in zip(_dense(whole), _dense(streamed), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
        np.testing.assert_array_equal(whole.counts, streamed.counts)


def _dense(memory):
    n_items = memory.ids.shape[0]
    out = np.zeros((n_items, n_items))
    for item in range(n_items):
        known = memory.ids[item] >= 0
        out[item, memory.ids[item, known]] = memory.values[item, known]
    return out


class TestItemWeight:
    def test_weights_are_factors_of_the_odds(self, board, fitted):
        weights = np.arange(1.0, N_ITEMS + 1)
        model = LSHRecommender(**SMALL, item_weight=weights).fit(board[0])
        every = {"N": N_ITEMS, "filter_already_liked_items": False}
        users = np.arange(60)
        ids, scores = model.recommend(users, board[0], **every)
        plain_ids, plain = fitted.recommend(users, board[0], **every)
        by_item = np.take_along_axis(plain, np.argsort(plain_ids, axis=1), 1)
        want = by_item + np.log(weights)
        assert (ids == np.argsort(-want, axis=1)).all() and (ids != plain_ids).any()
        np.testing.assert_allclose(scores, -np.sort(-want, axis=1), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(model.item_weight_, weights)

    def test_empty_rows_too(self, board):
        weights = np.where(np.arange(N_ITEMS) == 3, 50.0, 1.0)
        model = LSHRecommender(**SMALL, item_weight=weights).fit(board[0])
        ids, scores = model.recommend(0, np.zeros((1, N_ITEMS)), N=1)
        assert ids[0] == 3
        assert scores[0] == pytest.approx(np.log(50 * 24 / board[0].sum()), rel=1e-4)

    @pytest.mark.parametrize("prediction", ["exact", "lsh"])
    def test_propensities_bring_up_rare_items(self, wide, prediction):
        users = wide[:, np.argsort(np.arange(6000) % 3 == 0, kind="stable")].tolil()
        users[:1500, 4500] = 1
        users = sp.csr_array(users)
        params = {**SMALL, "max_iter": 1, "n_factors": 0, "prediction": prediction}
        plain = LSHRecommender(**params).fit(users)
        model = LSHRecommender(**params, item_weight="propensity").fit(users)
        np.testing.assert_allclose(model.item_weight_, inverse_propensity(users), rtol=1e-6)
        found = [m.predict_topk(users[1500:], 5)[0] for m in (plain, model)]
        assert novelty_at_k(users, found[1], 5) > novelty_at_k(users, found[0], 5)

    def test_propensities_follow_a_stream(self, board):
        model = LSHRecommender(**SMALL, item_weight="propensity").partial_fit(board[0][:20])
        before = model.item_weight_
        model.partial_fit(np.hstack([board[0][20:], np.ones((40, 2))]))
        assert model.item_weight_.shape == (N_ITEMS + 2,)
        assert (model.item_weight_[:N_ITEMS] != before).all()
        assert model.recommend(0, np.ones((1, N_ITEMS + 2)))[0][0] == -1

    @pytest.mark.parametrize(
        ("weight", "match"),
        [
            (np.ones(3), "one for each of the 10 items, got shape"),
            (np.arange(10), "positive and finite, got 0.0 for item 0"),
            (np.full(10, np.inf), "positive and finite, got inf"),
            ("rare", "item_weight"),
        ],
    )
    def test_refusals(self, board, weight, match):
        with pytest.raises(ValueError, match=match):
            LSHRecommender(**SMALL, item_weight=weight).fit(board[0])

    def test_propensities_need_users(self, board):
        model = LSHRecommender(**SMALL, item_weight="propensity")
        with pytest.raises(ValueError, match="at least 3 users, got 2"):
            model.fit(board[0][:2])


class TestContainers:
    @pytest.mark.parametrize(
        "kind", [sp.csr_matrix, sp.csr_array, sp.coo_array, sp.csc_matrix, list]
    )
    def test_any_container_gives_the_same_model(self, board, fitted, kind):
        data = board[0].tolist() if kind is list else kind(board[0])
        model = LSHRecommender(**SMALL).fit(data)
        got = model.recommend(np.arange(60), data, N=3)
        want = fitted.recommend(np.arange(60), board[0], N=3)
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])

    def test_stored_zeros_are_no_interactions(self, board, fitted):
        stored = sp.csr_array(board[0])
        dense = sp.csr_array(
            (board[0].ravel(), np.tile(np.arange(N_ITEMS), 60), np.arange(61) * N_ITEMS)
        )
        assert dense.nnz > stored.nnz
        got = LSHRecommender(**SMALL).fit(dense).recommend(np.arange(60), dense, N=3)
        np.testing.assert_array_equal(got[1], fitted.recommend(np.arange(60), stored, N=3)[1])
        assert dense.nnz == 60 * N_ITEMS, "the caller's matrix must be left alone"

    def test_weights_matter(self, board, fitted):
        row = board[0][:1].copy()
        heavier = row.copy()
        heavier[0, np.flatnonzero(row)[0]] = 5.5
        assert not np.allclose(fitted.recommend(0, row)[1][:3], fitted.recommend(0, heavier)[1][:3])

    @pytest.mark.parametrize("names", [np.arange(N_ITEMS) * 7 + 100, list("jihgfedcba")])
    def test_items_keep_their_names(self, board, fitted, names):
        user_items, missing = board
        model = LSHRecommender(**SMALL).fit(user_items, item_ids=names)
        names = np.asarray(names)
        ids, _ = model.recommend(np.arange(60), user_items, N=N_ITEMS)
        assert (ids[:, 0] == names[missing]).all()
        assert ids[0, -1] == ("" if names.dtype.kind == "U" else -1)
        only, _ = model.recommend(0, user_items[:1], N=1, items=names[[1, 3]])
        assert only[0] in names[[1, 3]]
        assert model.similar_items(names[4], N=1)[0][0] == names[4]

    def test_names_of_new_items_are_needed(self, board):
        names = [f"item {i}" for i in range(N_ITEMS)]
        model = LSHRecommender(**SMALL).fit(board[0], item_ids=names)
        wider = np.ones((3, N_ITEMS + 1))
        with pytest.raises(ValueError, match="item_ids must name the 1 new items"):
            model.partial_fit(wider)
        with pytest.raises(ValueError, match="must begin with the 10 known"):
            model.partial_fit(wider, item_ids=[*names[::-1], "new"])
        assert model.n_features_in_ == N_ITEMS
        model.partial_fit(wider, item_ids=[*names, "new"])
        assert model.similar_items("new", N=1)[0][0] == "new"

    def test_float32_vectors_clone_and_pickle(self, board, fitted):
        vectors = fitted.transform(board[0])
        assert vectors.shape == (60, 16) and vectors.dtype == np.float32
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.transform(board[0]), vectors)
        again.partial_fit(board[0])
        np.testing.assert_array_equal(fitted.transform(board[0]), vectors)
        refitted = clone(fitted).fit(board[0])
        np.testing.assert_array_equal(refitted.transform(board[0]), vectors)

    def test_threads_change_nothing(self, board):
        users = np.random.default_rng(0).random((600, 40)) < 0.2
        one, two = (LSHRecommender(**SMALL, max_iter=2, n_jobs=n).fit(users) for n in (1, 2))
        for a, b in zip(one.predict_topk(users, 7), two.predict_topk(users, 7), strict=True):
            np.testing.assert_array_equal(a, b)


class TestModelSelection:
    def test_score_tells_structure_from_noise(self, board):
        noise = np.random.default_rng(0).permuted(board[0], axis=1)
        model = LSHRecommender(**SMALL)
        structured = model.fit(board[0]).score(board[0])
        assert model.score(np.zeros((2, N_ITEMS))) == 0
        # Any order of ten items finds most: chance is near .5.
        assert structured > model.fit(noise[:30]).score(noise[30:]) + 0.2

    def test_grid_search_and_pipeline(self, board):
        search = GridSearchCV(
            LSHRecommender(**SMALL, max_iter=5), {"n_neighbors": [0, 4]}, cv=2
        ).fit(sp.csr_matrix(board[0]))
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.best_estimator_.score(board[0]) > 0.5
        pipe = make_pipeline(Normalizer(norm="max"), LSHRecommender(**SMALL))
        assert pipe.fit_transform(board[0]).shape == (60, 16)

    def test_early_stopping_keeps_scores(self):
        users = np.random.default_rng(0).random((800, 30)) < 0.2
        model = LSHRecommender(**SMALL, early_stopping=True, max_iter=6, n_iter_no_change=2)
        model.fit(users)
        assert len(model.validation_scores_) == model.n_iter_ <= 6


PARAMETERS = {
    "input_dropout": (0.0, 0.8),
    "dropout": (0.0, 0.6),
    "n_neighbors": (1, 8),
    "max_iter": (1, 4),
    "alpha": (0.0, 0.1),
    "activation": ("relu", "tanh"),
    "batch_size": (10, 60),
    "learning_rate_init": (0.01, 0.1),
    "shuffle": (True, False),
    "random_state": (1, 2),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_changes_what_is_computed(board, name):
    scores = [
        LSHRecommender(**{**SMALL, "max_iter": 3, "batch_size": 16, name: value})
        .fit(board[0])
        .predict_topk(board[0], 3)[1]
        for value in PARAMETERS[name]
    ]
    assert not np.allclose(*scores)


HASHING = {
    "sampler": ("lsh", "uniform"),
    "n_active": (64, 256),
    "family": ("pghash", "dwta"),
    "fold": ("signed", "periodic"),
    "n_tables": (2, 8),
    "hash_length": (3, 7),
    "sketch_dim": (4, 8),
    "rehash_interval": (5, 50),
}


@pytest.mark.parametrize("name", HASHING)
def test_hashing_parameter_changes_what_is_computed(wide, name):
    params = {
        **SMALL, "max_iter": 1, "sampler": "lsh", "sketch_dim": 4, "n_tables": 4,
        "n_neighbors": 0, "n_factors": 0,
    }  # fmt: skip
    scores = [
        LSHRecommender(**{**params, name: value}).fit(wide).predict_topk(wide[:20], 3)[1]
        for value in HASHING[name]
    ]
    assert not np.allclose(*scores, rtol=1e-6)


BAD_ROWS = {
    "negative": (np.array([[1.0, -1.0]]), ValueError, "Negative values"),
    "nan": (np.array([[1.0, np.nan]]), ValueError, "NaN"),
    "text": (np.array([["a", "b"]]), ValueError, "numeric"),
    "too large": (np.array([[1.0, 1e300]]), ValueError, "float32"),
    "no interactions": (np.zeros((4, 3)), ValueError, "at least one positive entry"),
    "no users": (np.empty((0, 3)), ValueError, "0 sample"),
}


@pytest.mark.parametrize(("rows", "error", "match"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_bad_rows_are_refused(rows, error, match):
    with pytest.raises(error, match=match):
        LSHRecommender().fit(rows)
    with pytest.raises(error, match=match):
        LSHRecommender().partial_fit(rows)


BAD_CALLS = {
    "rows": ({"userid": [0, 1]}, ValueError, "one row for each of the 2 userid"),
    "float users": ({"userid": 0.5}, TypeError, "userid must be"),
    "users 2-d": ({"userid": [[0]]}, ValueError, "scalar or 1-d"),
    "both": ({"items": [1], "filter_items": [2]}, ValueError, "only one of"),
    "item": ({"items": [1, 10]}, ValueError, r"items must be ids of items in \[0, 10\), got .*10"),
    "negative item": ({"filter_items": [-1]}, ValueError, "filter_items must be ids"),
    "text": ({"filter_items": ["a"]}, TypeError, "integers"),
    "N": ({"N": 0}, ValueError, "N must be at least 1"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_are_refused(board, fitted, call, error, match):
    with pytest.raises(error, match=match):
        fitted.recommend(**{"userid": 0, "user_items": board[0][:1], **call})


def test_other_refusals(board, fitted):
    with pytest.raises(NotFittedError):
        LSHRecommender().recommend(0, board[0][:1])
    with pytest.raises(ValueError, match="itemid must be ids"):
        fitted.similar_items(10)
    with pytest.raises(ValueError, match="item_ids must differ"):
        LSHRecommender().fit(board[0], item_ids=[0] * 10)
    with pytest.raises(ValueError, match="item_ids must be 1-d"):
        LSHRecommender().fit(board[0], item_ids=[0, 1])
    with pytest.raises(TypeError, match="integers or text"):
        LSHRecommender().fit(board[0], item_ids=np.arange(10) / 2)
    broken = sp.csr_array(board[0])
    broken.indices[0] = 99
    with pytest.raises(ValueError, match="indices"):
        fitted.recommend(np.arange(60), broken)


@parametrize_with_checks([LSHRecommender(hidden_layer_sizes=(8,), max_iter=2)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_user_with_nearly_all_items_costs_a_bounded_number_of_pairs(streamed, monkeypatch):
    """Of a long row `MAX_ROW` items are learnt from; all are counted, and none comes back."""
    monkeypatch.setattr(autoencoder, "MAX_ROW", 20)
    pairs = []

    def update(memory, R, n_threads=1):
        pairs.append(int((R.counts() ** 2).sum()))
        return original(memory, R, n_threads)

    original = ItemMemory.update
    monkeypatch.setattr(ItemMemory, "update", update)
    rows = np.zeros((30, 300), dtype=np.float32)
    rows[np.arange(29), np.arange(29)] = rows[np.arange(29), np.arange(29) + 1] = 1
    rows[29, :295] = 1
    model = LSHRecommender((4,), max_iter=1, random_state=0, n_jobs=1)
    (model.partial_fit if streamed else model.fit)(rows)
    assert pairs and max(pairs) <= 29 * 4 + 20**2
    np.testing.assert_array_equal(model.item_counts_, rows.sum(axis=0))
    assert set(model.recommend(0, rows[29], N=8)[0].tolist()) == {-1}
    assert (model.recommend(0, rows[0], N=8)[0] >= 0).all()
