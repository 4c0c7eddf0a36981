"""Nearest training rows and their k-NN scores against brute force."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.neighbors import nearest_rows_csr
from sklsh.network.merging import merge_topk
from sklsh.network.nearest import DenseRows, InvertedRows
from sklsh.network.neighbors import QUERIES, SHARPNESS, NeighborMemory
from sklsh.network.predictor import UNSEEN, Predictor
from sklsh.network.rows import SparseRows
from sklsh.network.topk import exact_topk
from tests import reference
from tests.network.problems import labels_of, random_labels, random_network, random_rows

seeds = st.integers(0, 2**32 - 1)
N_FEATURES, N_LABELS = 12, 15


def problem(seed, n_train=20, n_queries=6, n_neighbors=4, *, positive=True, density=0.3):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_train, N_FEATURES, density, positive=positive)
    Y = random_labels(rng, n_train, N_LABELS)
    queries = random_rows(rng, n_queries, N_FEATURES, density, positive=positive)
    return X, Y, queries, NeighborMemory.build(X, Y, N_FEATURES, n_neighbors), rng


def everything(X):
    return np.arange(X.n_rows, dtype=np.int32)


def matrix(X):
    return reference.dense(reference.csr_rows(X), N_FEATURES)


@given(seeds, st.integers(1, 25), st.integers(1, 30), st.booleans(), st.sampled_from([0.1, 0.6]))
def test_nearest_is_the_brute_force_cosine(seed, n_train, n_neighbors, positive, density):
    X, _, queries, memory, rng = problem(
        seed, n_train, n_neighbors=n_neighbors, positive=positive, density=density
    )
    order = rng.permutation(queries.n_rows).astype(np.int32)
    ids, similarities = memory.nearest(queries, order)
    assert (ids.dtype, similarities.dtype) == (np.int32, np.float32)
    train = matrix(X)
    for i, row in enumerate(order):
        query = matrix(queries)[row]
        expected_ids, expected = reference.nearest_rows(train, query, n_neighbors)
        np.testing.assert_allclose(similarities[i], expected, rtol=1e-4, atol=1e-5)
        assert (
            len(set(ids[i].tolist()) - {-1}) == (ids[i] >= 0).sum() == (similarities[i] > 0).sum()
        )
        # Equal cosines may come in another order: each id has the cosine it is listed with.
        for j, similarity in zip(ids[i], similarities[i], strict=True):
            if j >= 0:
                cosine = train[j] @ query / np.linalg.norm(train[j]) / np.linalg.norm(query)
                assert similarity == pytest.approx(cosine, rel=1e-4, abs=1e-5)
        assert (ids[i] < 0).tolist() == [j < 0 for j in expected_ids] or min(
            abs(c) for c in expected if c
        ) < 1e-5


def test_power_raises_the_cosines_alone():
    _, _, queries, memory, _ = problem(5)
    ids, cosines = memory.nearest(queries, everything(queries))
    memory.power = 3.0
    again, raised = memory.nearest(queries, everything(queries))
    np.testing.assert_array_equal(again, ids)
    np.testing.assert_allclose(raised, cosines**3, rtol=1e-6)
    assert raised.dtype == np.float32


def test_equal_similarities_go_to_the_smaller_row():
    X = SparseRows.from_matrix(sp.csr_array(np.ones((9, 3), dtype=np.float32)))
    memory = NeighborMemory.build(X, SparseRows.from_classes(np.arange(9)), 3, 4)
    ids, _ = memory.nearest(X, everything(X))
    assert (ids == [0, 1, 2, 3]).all()


def test_terms_that_cancel_list_a_row_once():
    """A running sum that returns to 0 makes no row look new: it would outgrow the scratch."""
    X = SparseRows.from_matrix(sp.csr_array(np.ones((3, 200), dtype=np.float32)))
    query = np.tile(np.array([1, -1], dtype=np.float32), 100)
    query[-1] = 1
    Q = SparseRows.from_matrix(sp.csr_array(query[None]))
    index = InvertedRows.build(X, 200)
    guarded = np.full(1000, -7, dtype=np.int32)
    ids, similarities = np.empty((1, 3), np.int32), np.empty((1, 3), np.float32)
    nearest_rows_csr(
        *index.postings, *Q, everything(Q), np.full(1, -1, np.int32), 10**6, 10**6,
        np.zeros(3, np.float32), guarded[:3], ids, similarities, 0, 1,
    )  # fmt: skip
    assert (guarded[3:] == -7).all()
    assert ids.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(similarities, [[0.01] * 3], rtol=1e-4)
    # The scratch is as good as new for the query after.
    again = SparseRows.from_matrix(sp.csr_array(np.stack([query, -query, np.abs(query)])))
    ids, similarities = index.nearest(again, everything(again), np.full(3, -1), 3)
    assert ids.tolist() == [[0, 1, 2], [-1, -1, -1], [0, 1, 2]]
    np.testing.assert_allclose(similarities[2], 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("limit", "expected", "cosines"),
    [
        # Feature 0 finds rows 0 and 2; feature 2, in three rows, adds to row 0 alone.
        ("MAX_POSTINGS", [0, 2, -1, -1], [1, 0.5**0.5, 0, 0]),
        # It is not begun: row 2 is all in feature 0, of row 0 the rest counts for nothing.
        ("MAX_READ", [2, 0, -1, -1], [0.5**0.5, 0.5, 0, 0]),
    ],
)
def test_what_common_features_add(monkeypatch, limit, expected, cosines):
    monkeypatch.setattr(f"sklsh.network.nearest.{limit}", 2)
    rows = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [0, 1, 1]], dtype=np.float32)
    X = SparseRows.from_matrix(sp.csr_array(rows))
    query = SparseRows.from_matrix(sp.csr_array(np.array([[1, 0, 1]], dtype=np.float32)))
    nobody = np.full(1, -1, dtype=np.int32)
    ids, similarities = InvertedRows.build(X, 3).nearest(query, everything(query), nobody, 4)
    assert ids.tolist() == [expected]
    np.testing.assert_allclose(similarities[0], cosines, rtol=1e-6)


@given(seeds, st.sampled_from([0.1, 0.6]))
def test_an_excluded_row_is_no_neighbour(seed, density):
    X, Y, _, memory, rng = problem(seed, density=density)
    rows = rng.permutation(X.n_rows).astype(np.int32)
    ids, similarities = memory.nearest(X, rows, excluded=rows)
    for i, row in enumerate(rows):
        others = np.flatnonzero(np.arange(X.n_rows) != row)
        rest = NeighborMemory.build(X.take(others), Y.take(others), N_FEATURES, 4)
        expected_ids, expected = rest.nearest(X, rows[i : i + 1])
        np.testing.assert_allclose(similarities[i], expected[0], rtol=1e-5, atol=1e-6)
        renamed = np.where(expected_ids[0] >= 0, others[expected_ids[0]], -1)
        # Nearly equal cosines may come in another order.
        assert row not in ids[i] and (ids[i] >= 0).sum() == (renamed >= 0).sum()


@given(seeds, st.floats(0.05, 0.9))
def test_an_index_holds_unit_rows(seed, density):
    X, Y, _, memory, _ = problem(seed, density=density, positive=False)
    dense = matrix(X)
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    unit = np.divide(dense, norms, where=norms > 0, out=np.zeros_like(dense))
    postings = InvertedRows.build(X, N_FEATURES).postings
    inverted = postings.to_matrix(X.n_rows)
    np.testing.assert_allclose(inverted.toarray(), unit.T, rtol=1e-6)
    assert inverted.has_sorted_indices
    np.testing.assert_allclose(DenseRows.build(X, N_FEATURES).rows, unit, rtol=1e-6)
    dense_enough = X.indices.shape[0] >= X.n_rows * N_FEATURES / 4
    assert type(memory.index) is (DenseRows if dense_enough else InvertedRows)
    assert labels_of(memory.labels) == labels_of(Y)
    of_index = [memory.index.rows] if dense_enough else memory.index.postings
    assert memory.nbytes == sum(a.nbytes for a in (*of_index, *memory.labels))


def with_knn_scores(memory, network, hidden, neighbors):
    logits = hidden.astype(float) @ network.head_weights.T + network.head_bias
    of_rows = labels_of(memory.labels)
    return logits + [
        reference.knn_bonus(
            ids, similarities, of_rows, network.n_labels, memory.weight, float(SHARPNESS)
        )
        for ids, similarities in zip(*neighbors, strict=True)
    ]


@given(seeds, st.sampled_from([0.0, 0.1, 2.0]), st.integers(1, 20), st.integers(0, 6))
def test_merge_topk_and_add_to_are_the_dense_sum(seed, weight, k, n_extra):
    _, _, queries, memory, rng = problem(seed)
    memory.weight = weight
    network = random_network(rng, N_FEATURES, n_labels=N_LABELS)
    rows = everything(queries)
    hidden = network.hidden(queries, rows)
    neighbors = memory.nearest(queries, rows)
    expected = with_knn_scores(memory, network, hidden, neighbors)

    logits = hidden @ network.head_weights.T + network.head_bias
    memory.add_to(logits, neighbors)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)

    found = exact_topk(network, hidden, k)
    # The linear view's labels, fewer in some rows, and what they gain.
    extra = np.array([rng.permutation(N_LABELS)[:n_extra] for _ in rows], np.int32)
    gains = rng.random(extra.shape).astype(np.float32)
    for i, n_known in enumerate(rng.integers(0, n_extra + 1, len(rows))):
        extra[i, n_known:] = -1
        expected[i][extra[i, :n_known]] += gains[i, :n_known]
    labels, scores = merge_topk(network.head, hidden, found, k, memory, neighbors, (extra, gains))
    for i in range(len(rows)):
        best_labels, best = reference.top_k(expected[i].tolist(), k)
        np.testing.assert_allclose(scores[i], best, rtol=1e-4, atol=1e-4)
        n_real = min(k, N_LABELS)
        assert len(set(labels[i, :n_real].tolist())) == n_real
        assert (labels[i, n_real:] == -1).all() and best_labels[n_real:] == [-1] * (k - n_real)
        np.testing.assert_allclose(
            expected[i][labels[i, :n_real]], scores[i, :n_real], rtol=1e-4, atol=1e-4
        )


def test_gains_count_where_no_neighbor_has_the_label():
    rng = np.random.default_rng(0)
    network = random_network(rng, N_FEATURES, n_labels=N_LABELS)
    hidden = network.hidden(random_rows(rng, 4, N_FEATURES))
    found = exact_topk(network, hidden, 3)
    last = np.argsort(hidden @ network.head_weights.T + network.head_bias, axis=1)[:, :1]
    gains = np.full((4, 1), 100, np.float32)
    labels, scores = merge_topk(
        network.head, hidden, found, 3, gains=(last.astype(np.int32), gains)
    )
    np.testing.assert_array_equal(labels, np.hstack([last, found[0][:, :2]]))
    np.testing.assert_array_equal(scores[:, 1:], found[1][:, :2])


@given(seeds, st.integers(1, 20), st.lists(st.integers(0, 12), min_size=1, unique=True))
def test_try_topk_is_a_merge_for_each_trial(seed, k, n_neighbors):
    """Fewer neighbours are a prefix of the same search; 0 leaves the network alone. The powers
    are of one search, too."""
    _, _, queries, memory, rng = problem(seed, n_neighbors=12)
    network = random_network(rng, N_FEATURES, n_labels=N_LABELS)
    # More rows have labels than are asked about, in an order of their own.
    Y = random_labels(rng, 2 * queries.n_rows, N_LABELS)
    rows, asked = everything(queries), rng.permutation(Y.n_rows)[: queries.n_rows].astype(np.int32)
    hidden = network.hidden(queries, rows)
    neighbors = memory.nearest(queries, rows)
    found = exact_topk(network, hidden, k)
    powers, n_neighbors, weights = (1.0, 4.0), sorted(n_neighbors), (0.0, 0.3, 4.0)
    trials = powers, n_neighbors, weights
    right = memory.try_topk(network, hidden, neighbors, found, Y, asked, *trials)
    assert right.shape == (len(rows), *map(len, trials), k) and right.dtype == np.bool_
    true = labels_of(Y, asked)
    for place in np.ndindex(*map(len, trials)):
        power, n, memory.weight = (values[p] for values, p in zip(trials, place, strict=True))
        prefix = [
            np.ascontiguousarray(part[:, :n]) for part in (neighbors[0], neighbors[1] ** power)
        ]
        scores = with_knn_scores(memory, network, hidden, prefix)
        for i, of_row in enumerate(true):
            best, _ = reference.top_k(scores[i].tolist(), k)
            assert right[i, *place].tolist() == [label in of_row for label in best]


def test_knn_scores_that_underflow_are_counted_once():
    """A small cosine to the eighth power is 0 in float32: still counted, and once."""
    rng = np.random.default_rng(0)
    n_train, n_labels = 6, 2
    network = random_network(rng, 2, n_labels=n_labels)
    X = SparseRows.from_matrix(sp.csr_array(np.tile(np.float32([[0, 1]]), (n_train, 1))))
    labels = SparseRows.from_classes(np.arange(n_train) % n_labels)
    memory = NeighborMemory.build(X, labels, 2, n_train)
    memory.power, memory.weight = 8.0, 1.0
    query = SparseRows.from_matrix(sp.csr_array(np.float32([[1e6, 1]])))
    neighbors = memory.nearest(query, everything(query))
    assert (neighbors[0] >= 0).all() and not neighbors[1].any()
    hidden = network.hidden(query, everything(query))
    exact = exact_topk(network, hidden, 3)
    merged = merge_topk(network.head, hidden, exact, 3, memory, neighbors)
    np.testing.assert_array_equal(merged[0], exact[0])
    np.testing.assert_allclose(merged[1], exact[1], rtol=1e-5)
    right = memory.try_topk(
        network, hidden, neighbors, exact, labels, np.array([1], np.int32), [1.0], [n_train], [1.0]
    )
    assert right[0, 0, 0, 0].sum() == 1


def test_labels_are_a_copy():
    """The caller's y may be what the rows look at."""
    _, Y, _, memory, _ = problem(0)
    assert not np.shares_memory(memory.labels.indices, Y.indices)
    assert not np.shares_memory(memory.labels.indptr, Y.indptr)


def test_merged_ties_go_to_the_smaller_label():
    """Labels of one score, with neighbours and without: the smaller one, though seen later."""
    rng = np.random.default_rng(0)
    network = random_network(rng, 2, n_labels=4)
    network.head_weights[...] = 0
    X = SparseRows.from_matrix(sp.csr_array(np.eye(2, dtype=np.float32)))
    for near in (0, 3):
        memory = NeighborMemory.build(X, SparseRows.from_classes(np.full(2, near)), 2, 1)
        memory.weight = 1.0
        bonus = np.log1p(SHARPNESS)
        network.head_bias[...] = bonus
        network.head_bias[near] = 0
        hidden = network.hidden(X)
        neighbors = memory.nearest(X, everything(X))
        labels, scores = merge_topk(
            network.head, hidden, exact_topk(network, hidden, 2), 2, memory, neighbors
        )
        assert labels.tolist() == [[0, 1]] * 2
        np.testing.assert_array_equal(scores, bonus)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_do_not_matter(n_threads):
    _, _, queries, memory, rng = problem(1, n_train=300, n_queries=2 * QUERIES + 5)
    memory.weight = 0.7
    network = random_network(rng, N_FEATURES, n_labels=N_LABELS)
    alone = Predictor(network, memory, 1).topk(queries, 5)
    shared = Predictor(network, memory, n_threads).topk(queries, 5)
    for ours, theirs in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    some = rng.permutation(queries.n_rows)[:40].astype(np.int32)
    labels, scores = Predictor(network, memory, n_threads).topk(queries, 5, some)
    np.testing.assert_array_equal(labels, alone[0][some])
    np.testing.assert_allclose(scores, alone[1][some], rtol=1e-6)


def test_predictor_scores_are_its_logits():
    _, _, queries, memory, rng = problem(2)
    network = random_network(rng, N_FEATURES, (6, 5), n_labels=N_LABELS, activation="tanh")
    for weight in (0.0, 1.5):
        memory.weight = weight
        predictor = Predictor(network, memory)
        logits = predictor.logits(queries)
        labels, scores = predictor.topk(queries, N_LABELS + 2)
        np.testing.assert_allclose(scores[:, :N_LABELS], -np.sort(-logits), rtol=1e-4, atol=1e-5)
        assert (labels[:, N_LABELS:] == -1).all() and np.isneginf(scores[:, N_LABELS:]).all()
    without = Predictor(network, None).logits(queries)
    assert np.abs(without - logits).max() > 0.1


@pytest.mark.parametrize("weight", [0.0, 1.5])
def test_labels_not_in_play_have_knn_scores_only(weight):
    """Top k and dense logits agree on labels that the network does not know."""
    _, _, queries, memory, rng = problem(3)
    memory.weight = weight
    network = random_network(rng, N_FEATURES, n_labels=N_LABELS)
    network.see(np.array([1, 4, 5, 9, 13]), only=True)
    unseen = np.delete(np.arange(N_LABELS), network.observed_ids)
    network.head_weights[unseen] = 0
    network.head_bias[unseen] = 0
    predictor = Predictor(network, memory)
    logits = predictor.logits(queries)
    expected = with_knn_scores(
        memory, network, network.hidden(queries), memory.nearest(queries, everything(queries))
    )
    near = expected[:, unseen] > 0
    assert near.any() == (weight > 0) and not near.all()
    expected[:, unseen] = np.where(near, expected[:, unseen], UNSEEN)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    labels, scores = predictor.topk(queries, N_LABELS)
    for i in range(queries.n_rows):
        named = labels[i][labels[i] >= 0]
        assert sorted(named) == np.flatnonzero(expected[i] > UNSEEN).tolist()
        np.testing.assert_allclose(scores[i, : len(named)], logits[i, named], rtol=1e-4, atol=1e-4)
