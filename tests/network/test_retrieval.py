"""The best items of users and rows alike: against sorting every item's score."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh.network import retrieval
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.lowpass import LowPass
from sklsh.network.regression import ItemRegression
from sklsh.network.retrieval import (
    _all_or_some,
    _users,
    best_items,
    popular_items,
    similar_rows,
)
from sklsh.network.rows import SparseRows
from tests.network.problems import random_network


def users_of(n_users, n_items, density=0.05, seed=0):
    """Users' items, the rows that a network reads, the network and the item-item scores."""
    rng = np.random.default_rng(seed)
    R = sp.random_array((n_users, n_items), density=density, rng=rng, format="csr")
    R.data[:] = rng.integers(1, 4, R.nnz)
    network = random_network(rng, n_features=n_items, sizes=(6,), n_labels=n_items)
    rows, memory = SparseRows.from_matrix(R), ItemMemory.empty(n_items, 8)
    memory.update(rows)
    memory.weight = 2.5
    return R.toarray(), rows, network, memory


def likely_items(network, memory, name_items, R, inputs, k, pool, **how):
    """As `best_items` is asked: with the columns that are allowed, not a flag for each."""
    allowed = np.isin(np.arange(network.n_labels), pool)
    return retrieval.likely_items(network, memory, name_items, R, inputs, k, allowed, **how)


def scores_of(dense, rows, network, memory, bias, exclude):
    """Every item's score for every user, by the formula."""
    logits = network.hidden(rows).astype(float) @ network.head_weights.T + bias
    if memory is not None:
        items, places = np.nonzero(memory.ids >= 0)
        values, near = memory.values[items, places], memory.ids[items, places]
        walk = sp.csr_array((values, (items, near)), shape=(dense.shape[1],) * 2)
        source, target = memory.scales()
        item_item = ((sp.csr_array(dense) * source) @ walk).toarray() * target
        item_item /= np.maximum(item_item.max(axis=1, keepdims=True), 1e-30)
        logits += memory.weight * np.log1p(100 * item_item)
    if exclude:
        logits[dense > 0] = -np.inf
    return logits


def assert_best(found, scores, pool, k):
    """`found` are the `k` best of `pool` by `scores`, padded; near-ties may fall either way."""
    items, values = found
    assert items.dtype == np.int64 and values.dtype == np.float32
    for i, row in enumerate(scores):
        allowed = pool[np.isfinite(row[pool])]
        order = allowed[np.argsort(-row[allowed], kind="stable")][:k]
        n = len(order)
        np.testing.assert_allclose(values[i, :n], row[order], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(row[items[i, :n]], row[order], rtol=1e-4, atol=1e-4)
        assert len(set(items[i, :n])) == n and np.isin(items[i, :n], allowed).all()
        assert (items[i, n:] == -1).all() and np.isneginf(values[i, n:]).all()


@pytest.mark.parametrize("item_item", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("n_items", [40, 3_000])
def test_best_items_by_every_score(item_item, exclude, n_items, monkeypatch):
    monkeypatch.setattr("sklsh.network.retrieval.ITEMS", 100)  # many blocks
    dense, rows, network, memory = users_of(70, n_items)
    memory = memory if item_item else None
    bias = network.head_bias + np.linspace(0, 1, n_items, dtype=np.float32)
    scores = scores_of(dense, rows, network, memory, bias, exclude)
    for pool in (np.arange(n_items), np.arange(3, n_items, 7)):
        pool = pool.astype(np.int32)
        k = 10
        found = best_items(network, memory, rows, rows, k, pool, bias=bias, exclude=exclude)
        assert_best(found, scores, pool, k)
        shared = best_items(
            network, memory, rows, rows, k, pool, bias=bias, exclude=exclude, n_threads=2
        )
        np.testing.assert_array_equal(shared[0], found[0])
        np.testing.assert_array_equal(shared[1], found[1])


@pytest.mark.parametrize("search", [best_items, likely_items])
def test_no_items_to_choose_from(search):
    _, rows, network, memory = users_of(3, 40)

    def name_items(begin, end, _hidden):
        return np.zeros(end - begin + 1, dtype=np.int64), np.empty(0, dtype=np.int32)

    named = () if search is best_items else (name_items,)
    items, scores = search(
        network, memory, *named, rows, rows, 4, np.empty(0, dtype=np.int32),
        bias=network.head_bias, exclude=False,
    )  # fmt: skip
    assert (items == -1).all() and np.isneginf(scores).all() and items.shape == (3, 4)


@pytest.mark.parametrize("search", ["best", "likely"])
def test_more_users_than_are_held_at_once(search, monkeypatch):
    for name, value in {"USERS": 128, "ROWS": (16, 48), "QUERIES": 48}.items():
        monkeypatch.setattr(f"sklsh.network.retrieval.{name}", value)
    dense, rows, network, memory = users_of(300, 30)
    pool = np.arange(30, dtype=np.int32)
    asked = []

    def every(begin, end, hidden):
        asked.append((begin, end))
        np.testing.assert_array_equal(hidden, network.hidden(rows.take(np.arange(begin, end))))
        n = end - begin
        return np.arange(n + 1) * 30, np.tile(pool, n)

    if search == "best":
        found = best_items(
            network, memory, rows, rows, 5, pool, bias=network.head_bias, exclude=True
        )
    else:
        found = likely_items(
            network, memory, every, rows, rows, 5, pool, bias=network.head_bias, exclude=True
        )
        assert [a for a, _ in asked] == [0, *[b for _, b in asked[:-1]]] and asked[-1][1] == 300
        assert len(asked) > 1
    scores = scores_of(dense, rows, network, memory, network.head_bias, True)
    assert_best(found, scores, pool, 5)


@pytest.mark.parametrize("item_item", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
def test_likely_items_are_the_best_of_those_named_and_scored_by_the_users_items(item_item, exclude):
    n_items, k, rng = 300, 5, np.random.default_rng(1)
    dense, rows, network, memory = users_of(90, n_items)
    memory = memory if item_item else None
    pool = np.arange(0, n_items, 2, dtype=np.int32)
    lists = [np.sort(rng.permutation(n_items)[:60]).astype(np.int32) for _ in range(90)]

    def name_items(begin, end, _hidden):
        return np.arange(end - begin + 1) * 60, np.concatenate(lists[begin:end])

    scores = scores_of(dense, rows, network, memory, network.head_bias, exclude)
    if item_item:
        # What the network says without item-item scores has none of an item that has none.
        alone = scores_of(dense, rows, network, None, network.head_bias, exclude)
    for i, named in enumerate(lists):
        others = np.setdiff1d(np.arange(n_items), named)
        if item_item:
            others = others[scores[i, others] <= alone[i, others] + 1e-9]
        scores[i, others] = -np.inf
    how = {"bias": network.head_bias, "exclude": exclude}
    found = likely_items(network, memory, name_items, rows, rows, k, pool, **how)
    assert_best(found, scores, pool, k)
    shared = likely_items(network, memory, name_items, rows, rows, k, pool, n_threads=2, **how)
    np.testing.assert_array_equal(shared[0], found[0])


def test_without_names_the_best_of_most_item_item_scores_or_of_all_where_these_are_few(monkeypatch):
    monkeypatch.setattr("sklsh.network.retrieval.N_SCORED", 5)
    monkeypatch.setattr("sklsh.network.retrieval.A_PLACE", 6)
    n_items, k = 300, 2
    dense, rows, network, memory = users_of(90, n_items, density=0.02)
    pool, bias = np.arange(0, n_items, 2, dtype=np.int32), network.head_bias
    regression = ItemRegression.fit(rows, memory.ids)
    regression.choose(1, 3.0)
    monkeypatch.setattr("sklsh.network.regression.MAX_DENSE", 0)
    sparse = ItemRegression.fit(rows, memory.ids)
    sparse.choose(1, 3.0)
    for source in (None, regression, sparse):
        how = {"bias": bias, "exclude": True, "regression": source}
        scores = scores_of(dense, rows, network, memory, bias, True)
        alone, both = (scores_of(dense, rows, network, of, bias, False) for of in (None, memory))
        said = both - alone
        touched = said > 1e-9
        if source is not None:
            links = np.zeros((n_items, n_items))
            for item in range(n_items):
                own = slice(source.indptr[item], source.indptr[item + 1])
                links[item, source.items[own]] += source.values[1, own]
                touched |= np.outer(dense[:, item] > 0, np.isin(range(n_items), source.items[own]))
            linear = 3 * (dense > 0) @ links
            scores, said = scores + linear, said + linear
        n_of_scores = 0
        for i in range(90):
            scored = pool[touched[i, pool] & (dense[i, pool] == 0)]
            if len(scored) >= 12:
                least = np.sort(said[i, scored])[-12]
                scores[i, said[i] < least - 1e-6] = -np.inf
                scores[i, ~touched[i]] = -np.inf
                n_of_scores += 1
        assert n_of_scores > 5 and (source is regression or n_of_scores < 85)
        found = likely_items(network, memory, None, rows, rows, k, pool, **how)
        asked = np.flatnonzero(dense.any(axis=1))
        assert_best((found[0][asked], found[1][asked]), scores[asked], pool, k)


@pytest.mark.parametrize("search", ["best", "likely"])
@pytest.mark.parametrize("parts", [{"regression"}, {"low_pass"}, {"regression", "low_pass"}])
def test_regression_and_low_pass_are_added_with_their_weights(search, parts):
    n_items, k = 60, 4
    dense, rows, network, memory = users_of(50, n_items, density=0.2)
    pool, further = np.arange(n_items, dtype=np.int32), {}
    scores = scores_of(dense, rows, network, memory, network.head_bias, True)
    if "regression" in parts:
        regression = ItemRegression.fit(rows, memory.ids)
        regression.choose(2, 7.0)
        coefficients = sp.csr_array((regression.values[2], regression.items, regression.indptr))
        scores += 7 * ((dense > 0) @ coefficients.toarray())
        further["regression"] = regression
    if "low_pass" in parts:
        low_pass = LowPass.fit(rows, n_items, 8, seed=0, filters=((1, 0.0, 0.5), (4, 0.0, 0.5)))
        low_pass.choose(1, 5.0)  # a quarter of the factors
        factors = low_pass.factors[0, :, :2].astype(float)
        scores += 5 * ((dense > 0) * low_pass.scales[0]) @ factors @ factors.T
        further["low_pass"] = low_pass

    def every(begin, end, _hidden):
        return np.arange(end - begin + 1) * n_items, np.tile(pool, end - begin)

    how = {"bias": network.head_bias, "exclude": True, **further}
    for some in (pool, pool[::3]):
        if search == "best":
            found = best_items(network, memory, rows, rows, k, some, **how)
        else:
            found = likely_items(network, memory, every, rows, rows, k, some, **how)
        assert_best(found, scores, some, k)


def test_items_are_scored_whole_where_a_good_part_of_them_is_asked_for():
    """What is copied costs more than what is masked; a small part is not scored with the rest."""
    bias = np.arange(10, dtype=np.float32)
    few = np.array([1, 2, 8], dtype=np.int32)
    for pool in (few, np.arange(10, dtype=np.int32)):
        assert all(a is b for a, b in zip(_all_or_some(pool, bias, 10), (pool, bias), strict=True))
    pool, masked = _all_or_some(np.arange(3, 10, dtype=np.int32), bias, 10)
    assert pool.tolist() == list(range(10)) and pool.dtype == np.int32
    assert (masked[:3] < -1e29).all() and np.isfinite(masked).all()
    assert masked[3:].tolist() == bias[3:].tolist() and masked.dtype == np.float32


def test_without_a_low_pass_users_have_no_coordinates():
    _, rows, _, _ = users_of(9, 40)
    assert _users(None, rows, 2, 7, 1).shape == (5, 0)


def test_users_with_too_few_candidates_are_answered_by_all_items():
    n_items = 60
    dense, rows, network, _ = users_of(8, n_items, density=0.2)
    pool = np.arange(n_items, dtype=np.int32)
    sizes = np.array([0, 1, 4, 5, 6, 0, 5, 2])

    def name_items(begin, end, _hidden):
        ids = [np.flatnonzero(dense[i] == 0)[:n] for i, n in enumerate(sizes)]
        return np.append(0, np.cumsum(sizes)), np.concatenate(ids).astype(np.int32)

    how = {"bias": network.head_bias, "exclude": True}
    found = likely_items(network, None, name_items, rows, rows, 5, pool, **how)
    exact = best_items(network, None, rows, rows, 5, pool, **how)
    few = sizes < 5
    np.testing.assert_array_equal(found[0][few], exact[0][few])
    np.testing.assert_array_equal(found[1][few], exact[1][few])
    assert (found[0] >= 0).all()
    assert not (found[0][~few] == exact[0][~few]).all()


def test_users_of_one_item_with_too_few_candidates_are_answered_by_all_items():
    network = random_network(np.random.default_rng(0), n_features=40, sizes=(6,), n_labels=40)
    rows, pool = (
        SparseRows.from_classes(np.arange(3, dtype=np.int32)),
        np.arange(40, dtype=np.int32),
    )
    how = {"bias": network.head_bias, "exclude": False}
    exact = best_items(network, None, rows, rows, 4, pool, **how)
    found = likely_items(network, None, None, rows, rows, 4, pool, **how)
    for ours, theirs in zip(found, exact, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_users_without_items_are_not_searched_for():
    """They are answered by popularity, elsewhere."""
    _, rows, network, _ = users_of(6, 40, density=0.0)
    pool = np.arange(40, dtype=np.int32)

    def name_items(begin, end, _hidden):
        return np.arange(end - begin + 1), np.zeros(end - begin, dtype=np.int32)

    items, _ = likely_items(
        network, None, name_items, rows, rows, 3, pool, bias=network.head_bias, exclude=True
    )
    assert (items[:, 0] == 0).all() and (items[:, 1:] == -1).all()


def test_an_answer_that_ends_with_item_0_is_a_whole_one():
    _, rows, network, _ = users_of(4, 40, density=0.2)
    network.head_bias[[0, 5]] = -500, -400
    pool = np.arange(40, dtype=np.int32)

    def name_items(begin, end, _hidden):
        return 2 * np.arange(end - begin + 1), np.tile(np.array([0, 5], np.int32), end - begin)

    items, _ = likely_items(
        network, None, name_items, rows, rows, 2, pool, bias=network.head_bias, exclude=False
    )
    assert items.tolist() == [[5, 0]] * 4


def test_popular_items_by_users_and_bonus():
    counts = np.array([5, 0, 9, 5, 1])
    pool = np.array([0, 1, 3, 4], dtype=np.int32)
    items, scores = popular_items(counts, 3, pool)
    assert items.dtype == np.int64 and scores.dtype == np.float32
    assert items.tolist() == [0, 3, 4]
    np.testing.assert_allclose(scores, np.log([0.25, 0.25, 0.05]), rtol=1e-5)
    bonus = np.array([0, 0, 0, 0.5, 3], dtype=np.float32)
    items, scores = popular_items(counts, 6, pool, bonus)
    assert items.tolist() == [4, 3, 0, 1, -1, -1]
    np.testing.assert_allclose(
        scores[:3], np.log([0.05 * np.e**3, 0.25 * np.e**0.5, 0.25]), rtol=1e-5
    )
    assert np.isfinite(scores[3]) and scores[3] < -100 and np.isneginf(scores[4:]).all()
    assert popular_items(np.array([1]), 1, np.array([0]))[1][0] == 0
    # Before anybody has had anything there is nothing to divide by.
    assert np.isfinite(popular_items(np.zeros(2), 2, np.arange(2))[1]).all()


@pytest.mark.parametrize("k", [1, 7, 60, 299])
def test_popular_items_of_many_are_those_of_sorting_all(k):
    rng = np.random.default_rng(k)
    counts, bonus = rng.integers(0, 12, 400), rng.normal(size=400).astype(np.float32)
    pool = np.sort(rng.permutation(400)[:300]).astype(np.int32)
    for added in (None, bonus):
        values = np.log(np.maximum(counts, 1e-300) / counts.sum()) + (0 if added is None else added)
        order = pool[np.lexsort((pool, -values[pool]))][:k]
        items, scores = popular_items(counts, k, pool, added)
        np.testing.assert_array_equal(items, order)
        np.testing.assert_allclose(scores, values[order], rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_similar_rows_by_every_cosine():
    network = random_network(np.random.default_rng(0), n_labels=500)
    network.head_weights[[4, 20]] = 0
    pool = np.setdiff1d(np.arange(500), np.arange(0, 500, 9)).astype(np.int32)
    items = np.concatenate([np.arange(300), [7, 20, 7]])
    norms = np.linalg.norm(network.head_weights, axis=1)
    found, scores = similar_rows(network, items, 6, pool, norms)
    assert found.shape == scores.shape == (303, 6)
    units = network.head_weights.astype(float)
    units /= np.where((n := np.linalg.norm(units, axis=1)) > 0, n, 1)[:, None]
    cosines = units[items] @ units.T
    cosines[:, [4, 20]] = -np.inf
    cosines[np.isin(items, [4, 20])] = -np.inf
    assert_best((found, scores), cosines, pool, 6)
    few = np.array([4, 7, 9, 11])
    all_of_three, padded = similar_rows(network, np.array([7]), 6, few, norms)
    assert all_of_three[0, 0] == 7 and padded[0, 0] == pytest.approx(1, abs=1e-5)
    assert sorted(all_of_three[0, :3]) == [7, 9, 11] and (all_of_three[0, 3:] == -1).all()
    assert np.isneginf(padded[0, 3:]).all()
