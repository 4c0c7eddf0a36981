"""Label trees against naive twins, a convex optimum and brute force."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh.kernels.splits import bisect_spans
from sklsh.kernels.tree_training import local_rows, prune_weights, rows_of_nodes, solve_children
from sklsh.network import label_order, label_tree, linear
from sklsh.network.label_order import Centroids, bisect, halves
from sklsh.network.label_tree import (
    BITS,
    LEAF,
    LabelTree,
    coded_level,
    pruned_level,
    smallest_kept,
    tree_depths,
)
from sklsh.network.linear import LinearView, unit_rows
from sklsh.network.rows import SparseRows
from tests import reference
from tests.network.problems import labels_of, random_labels, random_rows

seeds = st.integers(0, 2**32 - 1)
N_FEATURES = 9


def everything(X):
    return np.arange(X.n_rows, dtype=np.int32)


def dense(X):
    return X.to_matrix(N_FEATURES).toarray()


@given(st.integers(0, 3_000), st.integers(0, 6))
def test_halves_differ_by_one_at_most(n, depth):
    bounds = halves(n, depth)
    assert (bounds[0], bounds[-1], bounds.size) == (0, n, 2**depth + 1)
    assert np.ptp(np.diff(bounds)) <= 1


@given(st.integers(1, 10**7))
def test_leaves_and_nodes_have_bits_for_their_children(n_labels):
    depths = tree_depths(n_labels)
    assert depths[0] == 0 and (np.diff(depths) >= 1).all() and (np.diff(depths) <= BITS).all()
    assert np.diff(halves(n_labels, min(depths[-1], 12))).max() <= LEAF * 2 ** max(
        0, depths[-1] - 12
    )


@settings(max_examples=50)
@given(seeds, st.integers(1, 12))
def test_a_label_is_the_mean_of_its_rows(seed, width):
    rng = np.random.default_rng(seed)
    X, Y = random_rows(rng, 20, N_FEATURES, 0.3, positive=False), random_labels(rng, 20, 30)
    weights = rng.integers(0, 3, 20).astype(np.float32)
    labels = rng.permutation(np.unique(Y.indices))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_order, "WIDTH", width)
        points = Centroids.of_labels(X, Y, N_FEATURES, labels, weights, 2)
    indicators = Y.to_matrix(30).toarray()
    for label, features, values in zip(labels, *points[:2], strict=True):
        expected = reference.label_centroid(dense(X), indicators, label, weights, width)
        kept = features >= 0
        assert features[kept].tolist() == list(expected) and (values[~kept] == 0).all()
        np.testing.assert_allclose(values[kept], list(expected.values()), rtol=1e-5)


@settings(max_examples=50)
@given(seeds, st.integers(0, 25), st.integers(1, 4), st.integers(2, 30))
def test_a_span_is_halved_along_the_learnt_direction(seed, n, n_rounds, most):
    rng = np.random.default_rng(seed)
    X = unit_rows(random_rows(rng, n, N_FEATURES, 0.5, positive=False, least=3))
    features = np.full((n, N_FEATURES), -1, np.int32)
    values = np.zeros((n, N_FEATURES), np.float32)
    for i, (first, end) in enumerate(pairwise(X.indptr)):
        features[i, : end - first] = X.indices[first:end]
        values[i, : end - first] = X.data[first:end]
    order = rng.permutation(n).astype(np.int32)
    before, bounds = order.copy(), np.array([0, n // 3, n], dtype=np.int64)
    sums = np.zeros((N_FEATURES, 2), np.float32)
    bisect_spans(features, values, order, bounds, n_rounds, most, seed, sums, 0, 2)
    assert sorted(order) == list(range(n)) and not sums.any()
    for i in range(2):
        members, found = before[bounds[i] : bounds[i + 1]], order[bounds[i] : bounds[i + 1]]
        if len(members) < 2:
            assert found.tolist() == members.tolist()
            continue
        size = len(members[:: (len(members) - 1) // most + 1])
        one = reference.mix(seed, i, 0) // 2**32 * size // 2**32
        draw = reference.mix(seed, ~i % 2**64, 0) // 2**32 * (size - 1) // 2**32
        pick = one, draw + (draw >= one)
        points = dense(X).astype(float)
        assert found.tolist() == reference.halved(points, members.tolist(), pick, n_rounds, most)


@given(seeds, st.integers(2, 40))
def test_rows_and_children_of_nodes(seed, n_labels):
    rng = np.random.default_rng(seed)
    Y = random_labels(rng, 12, n_labels, most=4 if n_labels > 3 else 1)
    bounds, child_bounds = halves(n_labels, 1), halves(n_labels, min(3, n_labels.bit_length() - 1))
    first_child = np.searchsorted(child_bounds, bounds).astype(np.int32)
    node_of = np.repeat(np.arange(2, dtype=np.int32), np.diff(bounds))
    child_of = np.repeat(np.arange(first_child[-1], dtype=np.int32), np.diff(child_bounds))
    arrays = Y.indptr, Y.indices, node_of, child_of, first_child
    counts = np.zeros(3, dtype=np.int64)
    rows_of_nodes(*arrays, counts, np.empty(0, np.int32), np.empty(0, np.uint64))
    rows, masks = np.empty(counts[-1], np.int32), np.empty(counts[-1], np.uint64)
    again = np.zeros(3, dtype=np.int64)
    rows_of_nodes(*arrays, again, rows, masks)
    np.testing.assert_array_equal(again, counts)
    spans = [range(*pair) for pair in pairwise(child_bounds)]
    for node in range(2):
        children = spans[first_child[node] : first_child[node + 1]]
        labels = range(bounds[node], bounds[node + 1])
        expected = reference.rows_of_node(labels_of(Y), labels, children)
        part = slice(counts[node], counts[node + 1])
        bits = [[bool(int(m) >> b & 1) for b in range(len(children))] for m in masks[part]]
        assert list(zip(rows[part].tolist(), bits, strict=True)) == expected


def solved(X, rows, masks, n_children, weights, *, passes=3_000, tolerance=1e-6):
    features = np.empty(X.indices.shape[0], np.int32)
    local = np.empty(X.indices.shape[0], np.int32)
    starts, squares = np.empty(len(rows) + 1, np.int64), np.empty(len(rows), np.float32)
    slots = np.full(N_FEATURES, -1, np.int32)
    n_local = local_rows(*X, rows, slots, features, local, starts, squares)
    assert (slots == -1).all()
    w = np.zeros((n_local + 1, n_children), np.float32)
    made = solve_children(
        X.indptr, X.data, rows, weights, masks, local, starts, squares, np.float32(1.5), passes,
        np.float32(tolerance), 7, np.arange(len(rows)),
        np.zeros((len(rows), n_children), np.float32), w,
    )  # fmt: skip
    whole = np.zeros((N_FEATURES + 1, n_children))
    whole[features[:n_local]] = w[:n_local]
    whole[-1] = w[-1]
    return whole, made


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 11), st.booleans())
def test_children_are_the_optimum_of_their_convex_problems(seed, n_children, weighted):
    rng = np.random.default_rng(seed)
    X = unit_rows(random_rows(rng, 14, N_FEATURES, positive=False))
    rows = rng.permutation(14)[: rng.integers(1, 15)].astype(np.int32)
    masks = rng.integers(0, 2**n_children, len(rows)).astype(np.uint64)
    row_weights = np.ones(14, np.float32)
    if weighted:
        row_weights = rng.uniform(0.2, 3, 14).astype(np.float32)
    w, made = solved(X, rows, masks, n_children, row_weights)
    assert made < 3_000
    with_one = np.column_stack([dense(X)[rows], np.ones(len(rows))])
    for b in range(n_children):
        signs = [1 if int(mask) >> b & 1 else -1 for mask in masks]
        costs = 1.5 * row_weights[rows]
        gradient = reference.squared_hinge_gradient(w[:, b], with_one, signs, costs)
        # The objective's curvature is 1 at least: the optimum is no farther than this.
        assert np.abs(gradient).max() < 1e-3
        optimum = reference.squared_hinge(w[:, b], with_one, signs, costs)
        assert optimum <= reference.squared_hinge(np.zeros(N_FEATURES + 1), with_one, signs, costs)


def test_a_few_passes_suffice_for_a_loose_tolerance():
    rng = np.random.default_rng(0)
    X = unit_rows(random_rows(rng, 14, N_FEATURES))
    masks = rng.integers(0, 4, 14).astype(np.uint64)
    _, made = solved(X, everything(X), masks, 2, np.ones(14, np.float32), tolerance=0.1)
    assert made < 60


@given(seeds, st.floats(0, 1.5))
def test_pruned_weights_are_those_of_the_threshold_or_more(seed, threshold):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((6, 3)).astype(np.float32)
    order, threshold = rng.permutation(5), np.float32(threshold)
    none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)
    n_kept, n_entries = prune_weights(weights, order, threshold, *none, np.empty(0, np.float32))
    large = np.abs(weights) >= threshold
    assert (n_kept, n_entries) == (large[order].any(axis=1).sum(), large[order].sum())
    kept, indptr = np.empty(n_kept, np.int64), np.zeros(n_kept + 1, np.int64)
    children, values = np.empty(n_entries, np.uint8), np.empty(n_entries, np.float32)
    if n_kept:
        prune_weights(weights, order, threshold, kept, indptr, children, values)
    assert kept.tolist() == [j for j in order if large[j].any()]
    matrix = sp.csr_array((values, children, indptr), shape=(n_kept, 3)).toarray()
    np.testing.assert_array_equal(matrix, np.where(large, weights, 0)[kept])


def small_tree(seed, n_labels, monkeypatch, n_rows=60, n_threads=1):
    """Leaves of four labels and a beam of three: three levels of 30 labels."""
    monkeypatch.setattr(label_tree, "LEAF", 4)
    monkeypatch.setattr(label_tree, "BITS", 2)
    monkeypatch.setattr(label_tree, "BEAM", 3)
    rng = np.random.default_rng(seed)
    X = unit_rows(random_rows(rng, n_rows, N_FEATURES, least=1))
    Y = random_labels(rng, n_rows, n_labels, least=1)
    order = rng.permutation(n_labels).astype(np.int32)
    ones = np.ones(n_rows, np.float32)
    return X, Y, LabelTree.train(X, Y, N_FEATURES, order, ones, seed, n_threads)


def nodes_of(level):
    """Dense weights and intercepts of each node's children."""
    nodes = []
    for i, (first, last) in enumerate(pairwise(level.first_child)):
        W = np.zeros((last - first, N_FEATURES))
        for f in range(level.feature_indptr[i], level.feature_indptr[i + 1]):
            for e in range(level.entry_indptr[f], level.entry_indptr[f + 1]):
                W[level.children[e], level.features[f]] = level.values[e]
        nodes.append((W, level.intercepts[first:last]))
    return nodes


@pytest.mark.parametrize("n_labels", [1, 4, 9, 30])
@pytest.mark.parametrize("seed", range(3))
def test_search_is_a_beam_search(seed, n_labels, monkeypatch):
    _, _, tree = small_tree(seed, n_labels, monkeypatch)
    assert len(tree.levels) == {1: 1, 4: 1, 9: 2, 30: 3}[n_labels]
    rng = np.random.default_rng(seed)
    queries = random_rows(rng, 20, N_FEATURES)  # of any length, some without features
    rows = rng.permutation(20).astype(np.int32)
    places, shares = tree.search(queries, rows, 6)
    assert (places.dtype, shares.dtype) == (np.int32, np.float32)
    levels = [nodes_of(level) for level in tree.levels]
    unit = dense(unit_rows(queries))
    for i, row in enumerate(rows):
        expected = reference.beam_search(unit[row], levels, 3, 6)
        n = len(expected)
        np.testing.assert_allclose(shares[i, :n], [s for s, _ in expected], atol=1e-4)
        assert (places[i, n:] == -1).all() and (shares[i, n:] == -np.inf).all()
        gaps = np.diff([s for s, _ in expected])
        if n and (np.abs(gaps) > 1e-4).all():
            assert places[i, :n].tolist() == [place for _, place in expected]


def test_nodes_learn_from_rows_that_have_a_label_in_them(monkeypatch):
    """A label whose feature is its own comes first, through every level."""
    monkeypatch.setattr(label_tree, "LEAF", 2)
    X = SparseRows.from_matrix(sp.csr_array(np.eye(N_FEATURES, dtype=np.float32)))
    Y = SparseRows.from_classes(np.arange(N_FEATURES))
    order = np.random.default_rng(0).permutation(N_FEATURES).astype(np.int32)
    tree = LabelTree.train(X, Y, N_FEATURES, order, np.ones(N_FEATURES, np.float32), 0)
    places, _ = tree.search(X, everything(X), 3)
    np.testing.assert_array_equal(tree.order[places[:, 0]], np.arange(N_FEATURES))


def test_a_node_keeps_its_largest_weights(monkeypatch):
    _, _, whole = small_tree(3, 30, monkeypatch)
    monkeypatch.setattr(label_tree, "WEIGHTS", 2)
    _, _, pruned = small_tree(3, 30, monkeypatch)
    bounds = [halves(30, depth) for depth in tree_depths(30)]
    for before, after, labels in zip(whole.levels, pruned.levels, bounds, strict=True):
        for (W, _), (V, _), n_labels in zip(
            nodes_of(before), nodes_of(after), np.diff(labels), strict=True
        ):
            kept = np.count_nonzero(V)
            assert kept == min(2 * n_labels, np.count_nonzero(W))
            np.testing.assert_array_equal(V[V != 0], W[V != 0])
            assert not kept or np.abs(W[V == 0]).max(initial=0) <= np.abs(V[V != 0]).min()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_tree_to_carry_has_the_large_weights(monkeypatch, share):
    _, _, whole = small_tree(3, 30, monkeypatch)
    for before in whole.levels:
        after = pruned_level(before, smallest_kept(before.values, share))
        assert [a.dtype for a in after] == [a.dtype for a in before]
        assert (np.diff(after.entry_indptr) > 0).all()
        least = np.abs(after.values).min(initial=np.inf)
        for (W, intercepts), (V, others) in zip(nodes_of(before), nodes_of(after), strict=True):
            np.testing.assert_array_equal(V, np.where(np.abs(W) >= least, W, 0))
            np.testing.assert_array_equal(others, intercepts)
        # As many as may go: the next one's square would be more than the share.
        of_all, kept = (np.sum(np.square(a.values, dtype=float)) for a in (before, after))
        assert of_all - kept <= share * of_all + 1e-9
        if share < 1:
            of_least = (np.abs(after.values) == least).sum() * least.astype(float) ** 2
            assert of_all - kept + of_least > share * of_all


def test_a_tree_to_carry_has_weights_of_a_byte_within_their_ratio(monkeypatch):
    X, _, whole = small_tree(3, 30, monkeypatch)
    coded = whole.pruned(0.0)
    decoded = LabelTree(whole.order, [])
    for before, after in zip(whole.levels, coded.levels, strict=True):
        assert after.values.dtype == np.uint8
        values = after.book[after.values]
        sizes = np.abs(before.values)
        ratio = (sizes.max() / sizes.min()) ** (1 / 127)
        np.testing.assert_array_less(
            np.abs(np.log(values / before.values)), np.log(ratio) / 2 + 1e-5
        )
        decoded.levels.append(before._replace(values=values))
    rows = np.arange(X.n_rows, dtype=np.int32)
    for found, expected in zip(coded.search(X, rows, 5), decoded.search(X, rows, 5), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_levels_without_weights_are_carried_as_they_are(monkeypatch):
    _, _, tree = small_tree(3, 30, monkeypatch)
    empty = pruned_level(tree.levels[0], np.float32(np.inf))
    assert coded_level(empty) is empty


def test_threads_do_not_matter(monkeypatch):
    monkeypatch.setattr(label_tree, "TASK_STEPS", 20)
    X, _, one = small_tree(5, 30, monkeypatch, n_rows=200)
    _, _, two = small_tree(5, 30, monkeypatch, n_rows=200, n_threads=3)
    for ours, theirs in zip(one.levels, two.levels, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(
        one.search(X, everything(X), 5), one.search(X, everything(X), 5, 3), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_labels_that_are_alike_are_neighbours():
    """Words of two kinds, as often as you like: each a half of the order."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kinds = rng.permutation(np.repeat([0, 1], 9))
        lengths = rng.uniform(0.1, 9, 18).astype(np.float32)
        indices = np.column_stack([kinds, rng.integers(2, N_FEATURES, 18)])
        data = lengths[:, None] * np.array([1, 0.3], np.float32)
        X = SparseRows(np.arange(0, 37, 2), indices.ravel().astype(np.int32), data.ravel())
        Y = SparseRows.from_classes(np.arange(18))
        ones = np.ones(18, np.float32)
        points = Centroids.of_labels(X, Y, N_FEATURES, np.arange(18), ones)
        order = bisect(points, 1, seed)
        assert order.dtype == np.int32
        assert all(len(set(kinds[part])) == 1 for part in order.reshape(2, 9))


@given(seeds)
def test_unit_rows(seed):
    X = random_rows(np.random.default_rng(seed), 8, N_FEATURES, 0.2, positive=False)
    before = dense(X).copy()
    norms = np.linalg.norm(before, axis=1, keepdims=True)
    expected = np.divide(before, norms, where=norms > 0, out=np.zeros_like(before))
    np.testing.assert_allclose(dense(unit_rows(X)), expected, rtol=1e-6)
    np.testing.assert_array_equal(dense(X), before)


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_the_mean_of_the_trees(seed, monkeypatch):
    monkeypatch.setattr(label_tree, "LEAF", 4)
    rng = np.random.default_rng(seed)
    X, Y = random_rows(rng, 80, N_FEATURES), random_labels(rng, 80, 40)
    rows = np.sort(rng.permutation(80)[:70]).astype(np.int32)
    linear = LinearView.build(X, Y, rows, N_FEATURES, 40, 3, seed=seed)
    labels, shares = linear.shares(X, everything(X))
    assert len(linear.trees) == 3
    trained = set(Y.take(rows).indices.tolist())
    expected = np.zeros((80, 40))
    for tree in linear.trees:
        assert set(tree.order.tolist()) == trained
        for i, (places, found) in enumerate(zip(*tree.search(X, everything(X), 40), strict=True)):
            known = places >= 0
            expected[i, tree.order[places[known]]] += np.exp(found[known]) / 3
    for i in range(80):
        known = labels[i] >= 0
        assert (np.diff(shares[i]) <= 0).all() and (shares[i, ~known] == 0).all()
        np.testing.assert_allclose(shares[i, known], expected[i, labels[i, known]], atol=1e-6)
        assert np.sort(expected[i])[::-1][: known.sum()] == pytest.approx(shares[i, known])
    linear.weight = 3.0
    logits = np.zeros((80, 40), np.float32)
    linear.add_to(logits, X, everything(X))
    for i in range(80):
        known = labels[i] >= 0
        np.testing.assert_allclose(logits[i, labels[i, known]], 3 * shares[i, known] ** 0.5)
        assert np.count_nonzero(logits[i]) == np.count_nonzero(shares[i])
    assert linear.nbytes == sum(tree.nbytes for tree in linear.trees) > 0


def test_weights_of_rows_are_as_if_rows_came_again(monkeypatch):
    for name, value in ("PASSES", 3_000), ("TOLERANCE", np.float32(1e-6)):
        monkeypatch.setattr(label_tree, name, value)
    rng = np.random.default_rng(0)
    X, Y = random_rows(rng, 30, N_FEATURES, least=1), random_labels(rng, 30, 6, least=1)
    weights = rng.integers(1, 4, 30)
    several = np.repeat(np.arange(30, dtype=np.int32), weights)
    counted = LinearView.build(X, Y, everything(X), N_FEATURES, 6, 3, sample_weight=weights)
    again = LinearView.build(X, Y, several, N_FEATURES, 6, 3)
    ours, theirs = (view.shares(X, everything(X)) for view in (counted, again))
    np.testing.assert_array_equal(ours[0][:, 0], theirs[0][:, 0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-3)


def test_very_many_labels_have_one_tree(monkeypatch):
    rng = np.random.default_rng(0)
    X, Y = random_rows(rng, 60, N_FEATURES), random_labels(rng, 60, 90, least=1)
    monkeypatch.setattr(label_tree, "LEAF", 4)
    for many, n_trees in (91, 3), (20, 1):
        monkeypatch.setattr(linear, "MANY_LABELS", many)
        view = linear.LinearView.build(X, Y, everything(X), N_FEATURES, 90, 3)
        assert len(view.trees) == n_trees
