"""Interactions: drawn entries, co-occurrences and scores by them, against the naive twins."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh.kernels.candidates import rank_candidates
from sklsh.kernels.interactions import item_item_scores, offset_rows
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.growth import grown
from sklsh.network.interactions import (
    drawn_entries,
    item_weights,
    keep_entries,
    leave_some_out,
    network_rows,
    shortened,
)
from sklsh.network.learner import Learner
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.regression import ItemRegression
from sklsh.network.retrieval import popular_items
from sklsh.network.rows import SparseRows
from tests import reference
from tests.network.problems import random_network


@st.composite
def user_items(draw):
    shape = draw(st.integers(1, 12)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    values = rng.integers(1, 4, shape) if draw(st.booleans()) else np.ones(shape)
    return (values * (rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 1.0])))).astype(
        np.float32
    )


def rows_of(dense):
    return SparseRows.from_matrix(sp.csr_array(dense))


def dense_of(memory):
    n_items = memory.ids.shape[0]
    out = np.zeros((n_items, n_items))
    for item in range(n_items):
        known = memory.ids[item] >= 0
        out[item, memory.ids[item, known]] = memory.values[item, known]
    return out


@given(user_items(), st.integers(0, 2**40), st.floats(0, 1))
def test_drawn_entries_as_the_twin(users, seed, rate):
    R = rows_of(users)
    drawn = drawn_entries(R, rate, seed)
    assert drawn.tolist() == reference.drawn_entries(R.indptr, R.indices, seed, rate)


def test_drawn_share_is_the_rate_and_seeds_differ():
    R = rows_of(np.ones((200, 500), dtype=np.float32))
    drawn, others = drawn_entries(R, 0.2, 1), drawn_entries(R, 0.2, 2)
    # Standard error .0013; two independent draws agree on .68 of the entries.
    assert drawn.mean() == pytest.approx(0.2, abs=0.006)
    assert (drawn == others).mean() == pytest.approx(0.68, abs=0.01)


@given(user_items(), st.integers(0, 9))
def test_split_parts_add_up(users, seed):
    visible, hidden = leave_some_out(rows_of(users), 0.3, seed)
    n_items = users.shape[1]
    total = visible.to_matrix(n_items) + hidden.to_matrix(n_items)
    np.testing.assert_array_equal(total.toarray(), users)


@given(user_items())
def test_network_rows_are_weighted_and_of_unit_norm(users):
    weights = item_weights((users > 0).sum(axis=0), len(users))
    got = network_rows(rows_of(users), weights).to_matrix(users.shape[1]).toarray()
    want = users * (1 + np.log((1 + len(users)) / (1 + (users > 0).sum(axis=0))))
    norms = np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(got, want / np.where(norms > 0, norms, 1), rtol=1e-5)


@given(user_items(), st.integers(0, 12))
def test_cooccurrences_as_the_twin_in_one_go_and_in_two(users, cut):
    n_items = users.shape[1]
    whole, parts = (ItemMemory.empty(n_items, n_items - 1) for _ in range(2))
    whole.update(rows_of(users))
    parts.update(rows_of(users[:cut]))
    parts.update(rows_of(users[cut:]))
    want = reference.cooccurrences(users)
    np.testing.assert_allclose(dense_of(whole), want, rtol=1e-5)
    np.testing.assert_allclose(dense_of(parts), want, rtol=1e-5)
    np.testing.assert_allclose(whole.counts, users.sum(axis=0))


@given(user_items(), st.integers(1, 3))
def test_the_largest_damped_cooccurrences_stay(users, k):
    n_items = users.shape[1]
    memory = ItemMemory.empty(n_items, k)
    memory.update(rows_of(users))
    want = reference.cooccurrences(users) * (memory.counts.clip(1e-12) ** -0.15)
    kept = dense_of(memory) * (memory.counts.clip(1e-12) ** -0.15)
    np.testing.assert_allclose(
        -np.sort(-kept, axis=1)[:, :k],
        -np.sort(-want, axis=1)[:, :k] * np.ones((n_items, min(k, n_items))),
        rtol=1e-5,
    )


@given(user_items())
def test_item_item_scores_as_the_twin(users):
    n_items = users.shape[1]
    memory = ItemMemory.empty(n_items, n_items - 1)
    R = rows_of(users)
    memory.update(R)
    scales = memory.scales()
    sums = np.zeros(n_items, dtype=np.float32)
    scored = np.empty(n_items, dtype=np.int32)
    for user in range(R.n_rows):
        n_scored = item_item_scores(user, *R, memory.ids, memory.values, *scales, sums, scored)
        want = reference.item_item_scores(users[user], dense_of(memory), *scales)
        np.testing.assert_allclose(sums, want, rtol=1e-4, atol=1e-7)
        assert sorted(scored[:n_scored]) == np.flatnonzero(want).tolist()
        sums[:] = 0


@settings(max_examples=50)
@given(user_items(), st.booleans(), st.sampled_from([0.0, 2.5]), st.data())
def test_offsets_as_the_twin(users, exclude, weight, data):
    n_items = users.shape[1]
    pool = np.array(sorted(data.draw(st.sets(st.integers(0, n_items - 1), min_size=1))))
    memory = ItemMemory.empty(n_items, n_items - 1)
    R = rows_of(users)
    memory.update(R)
    position_of = np.full(n_items, -1, dtype=np.int32)
    position_of[pool] = np.arange(len(pool))
    sums = np.zeros(n_items, dtype=np.float32)
    out = np.full((R.n_rows, len(pool)), 7, dtype=np.float32)
    offset_rows(
        np.arange(R.n_rows, dtype=np.int32), *R, memory.ids, memory.values, *memory.scales(),
        np.float32(weight), np.float32(10), position_of, exclude, np.float32(-1e30),
        sums, np.empty(n_items, dtype=np.int32), out, 0, R.n_rows,
    )  # fmt: skip
    for user, row in enumerate(users):
        expected = reference.item_item_scores(row, dense_of(memory), *memory.scales())
        expected = weight * np.log1p(10 * expected)
        if exclude:
            expected[row > 0] = -1e30
        np.testing.assert_allclose(out[user], expected[pool], rtol=1e-4, atol=1e-6)
    assert not sums.any(), "scratch must be handed back as it came"


@settings(max_examples=60)
@given(user_items(), st.booleans(), st.sampled_from([0.0, 2.5]), st.integers(1, 4), st.data())
def test_ranked_candidates_as_the_twin(users, exclude, weight, n_best, data):
    n_items = users.shape[1]
    ids = st.integers(0, n_items - 1)
    named = data.draw(st.lists(ids, max_size=6))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n_items, max_size=n_items)))
    memory = ItemMemory.empty(n_items, n_items - 1)
    R = rows_of(users)
    memory.update(R)
    network = random_network(np.random.default_rng(n_items), n_features=3, n_labels=n_items)
    hidden = np.random.default_rng(1).random((R.n_rows, 8), dtype=np.float32)
    items = np.full((R.n_rows, 3), -1, dtype=np.int64)
    scores = np.full((R.n_rows, 3), -np.inf, dtype=np.float32)
    sums, linear = np.zeros((2, n_items), dtype=np.float32)
    users_of_factors = np.random.default_rng(2).random((R.n_rows, 2), dtype=np.float32)
    factors = np.random.default_rng(3).random((n_items, 2), dtype=np.float32)
    regression = ItemRegression.fit(R, memory.ids, choices=((3.0, 0.5),))
    rank_candidates(
        hidden, network.head_weights, network.head_bias, np.arange(R.n_rows, dtype=np.int32), *R,
        memory.ids, memory.values, *memory.scales(), np.float32(weight), np.float32(10),
        users_of_factors, factors, regression.indptr, regression.items, regression.values[0],
        np.float32(4), allowed, exclude, np.arange(R.n_rows + 1) * len(named),
        np.array(named * R.n_rows, dtype=np.int32), n_best, sums,
        np.empty(n_items, dtype=np.int32), linear, items, scores, 0, R.n_rows,
    )  # fmt: skip
    assert not sums.any() and not linear.any(), "scratch must be handed back as it came"
    logits = hidden @ network.head_weights.T + network.head_bias + users_of_factors @ factors.T
    linear_of = 4 * (users > 0) @ reference.neighbor_regression(users, None, 3.0)
    for user, row in enumerate(users):
        of_items = reference.item_item_scores(row, dense_of(memory), *memory.scales())
        may = allowed & ~((row > 0) & exclude)
        said = weight * np.log1p(10 * of_items) + linear_of[user]
        # Few items are regressed on all others: any item of a row has a coefficient for each.
        best = [j for j in np.argsort(-said, kind="stable") if may[j] and row.any()]
        if not named and len(best) < n_best:
            assert (items[user] == -1).all() and np.isneginf(scores[user]).all()
            continue
        candidates = {j for j in named if may[j]} | set(best[:n_best])
        # A tie within rounding at the border may fall either way.
        ties = set()
        if len(best) > n_best:
            ties = {j for j in best if np.isclose(said[j], said[best[n_best - 1]], 1e-4, 1e-5)}
            ties = ties if ties - set(best[:n_best]) else set()
        total = logits[user] + said
        best = sorted(total[sorted(candidates)], reverse=True)[:3]
        found = items[user][items[user] >= 0]
        np.testing.assert_allclose(scores[user][: len(found)], total[found], rtol=1e-4, atol=1e-5)
        assert len(set(found)) == len(found) == len(best)
        assert set(found) <= candidates | ties
        if not ties:
            np.testing.assert_allclose(scores[user][: len(best)], best, rtol=1e-4, atol=1e-5)


def test_kept_entries_of_nothing_and_everything():
    R = rows_of(np.eye(3, dtype=np.float32))
    assert keep_entries(R, np.zeros(3, dtype=bool)).counts().tolist() == [0, 0, 0]
    assert keep_entries(R, np.ones(3, dtype=bool)).indices.tolist() == [0, 1, 2]


def test_popular_items_of_a_pool():
    counts = np.array([5, 0, 9, 5, 1])
    items, scores = popular_items(counts, 4, np.array([0, 3, 4], dtype=np.int32))
    assert items.tolist() == [0, 3, 4, -1]
    np.testing.assert_allclose(scores[:3], np.log([0.25, 0.25, 0.05]), rtol=1e-5)
    assert np.isneginf(scores[3])


def test_growth_keeps_what_was_learnt():
    network = random_network(np.random.default_rng(0), n_features=6, sizes=(8,), n_labels=6)
    learner = Learner(network, RowwiseAdagrad.for_network(network), seed=3)
    before = [array.copy() for array in learner.network.parameters()]
    learner = grown(learner, 9)
    network, state = learner.network, learner.optimizer
    assert network.n_features == network.n_labels == 9
    assert state.head_weights.shape == state.head_bias.shape == state.body_weights[0].shape == (9,)
    np.testing.assert_array_equal(network.body_weights[0][:6], before[0])
    assert network.body_weights[0][6:].std() == pytest.approx(before[0].std(), rel=0.5)
    assert not network.head_weights[6:].any()
    assert network.observed_ids.max() < 6


@given(st.integers(0, 2**20), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_shortened(seed, limit):
    """Short rows stay, of long ones `limit` entries are left, with their values, in order."""
    rng = np.random.default_rng(seed)
    matrix = sp.random_array((8, 12), density=0.4, format="csr", rng=rng, dtype=np.float32)
    R = SparseRows.from_matrix(matrix)
    found = shortened(R, limit, seed)
    assert (found.counts() == np.minimum(R.counts(), limit)).all()
    for row in range(8):
        had = dict(zip(*(a[R.indptr[row] : R.indptr[row + 1]] for a in R[1:]), strict=True))
        left = found.indices[found.indptr[row] : found.indptr[row + 1]]
        assert (np.diff(left) > 0).all() and all(item in had for item in left)
        values = found.data[found.indptr[row] : found.indptr[row + 1]]
        assert values.tolist() == [had[item] for item in left]
    if (R.counts() <= limit).all():
        assert found is R


def test_shortened_draws_every_entry_alike():
    R = SparseRows.from_matrix(np.ones((400, 30), dtype=np.float32))
    drawn = np.bincount(shortened(R, 6, 1).indices, minlength=30) / 400
    assert abs(drawn - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 400)
