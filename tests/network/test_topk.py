"""Partial selection against sorting everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.heaps import push_heap, sort_heap
from sklsh.kernels.topk import beats, probe_topk_rows, push_topk, select_topk_rows
from sklsh.network.model import WideNetwork
from sklsh.network.topk import LABELS, ROWS, exact_topk, lsh_topk
from tests import reference
from tests.network.problems import random_network

seeds = st.integers(0, 2**32 - 1)
ks = st.integers(1, 9)


def empty_lists(n, k, label_type=np.int32):
    return np.full((n, k), -np.inf, np.float32), np.full((n, k), -1, label_type)


@given(seeds, st.integers(0, 30), ks)
def test_push_in_any_order(seed, n, k):
    """Few different scores: ties go to the smaller label, whenever it comes."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, n).astype(np.float32)
    scores, labels = empty_lists(1, k)
    for label in rng.permutation(n).tolist():
        worst = (-scores[0, -1], labels[0, -1])
        if (-values[label], label) < worst:
            push_topk(values[label], label, scores[0], labels[0])
    expected_labels, expected_scores = reference.top_k(values.tolist(), k)
    assert labels[0].tolist() == expected_labels
    assert scores[0].tolist() == expected_scores


@given(seeds, st.integers(1, 5), st.integers(1, 90), ks, st.integers(1, 70))
def test_select_topk_rows_in_blocks(seed, n_rows, n_labels, k, block):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, (n_rows, n_labels)).astype(np.float32)
    bias = rng.integers(0, 3, n_labels).astype(np.float32)
    scores, labels = empty_lists(n_rows, k)
    for first in range(0, n_labels, block):
        part = np.full((n_rows, block), 99, dtype=np.float32)
        n_columns = min(block, n_labels - first)
        part[:, :n_columns] = values[:, first : first + n_columns]
        ids = np.arange(first, first + n_columns, dtype=np.int32)
        select_topk_rows(part, bias[ids], ids, scores, labels, 0, n_rows)
    for i in range(n_rows):
        expected = reference.top_k((values[i] + bias).tolist(), k)
        assert (labels[i].tolist(), scores[i].tolist()) == expected


@given(seeds, st.integers(1, 4), st.integers(1, 20), ks)
def test_probe_topk_rows(seed, n_rows, n_labels, k):
    """Repeated candidates count once, active neurons not at all; ties to the smaller id."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-2, 3, (n_labels, 3)).astype(np.float32)
    bias = rng.integers(-2, 3, n_labels).astype(np.float32)
    hidden = rng.integers(0, 3, (n_rows, 3)).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, 15, n_rows))])
    candidates = rng.integers(0, n_labels, indptr[-1]).astype(np.int32)
    slots = np.where(rng.random(n_labels) < 0.3, 5, -1).astype(np.int32)
    scores, ids = empty_lists(n_rows, k, np.int32)
    probe_topk_rows(hidden, weights, bias, indptr, candidates, slots, scores, ids, 0, n_rows)
    for i in range(n_rows):
        logits = weights @ hidden[i] + bias
        allowed = sorted({j for j in candidates[indptr[i] : indptr[i + 1]] if slots[j] < 0})
        places, expected_scores = reference.top_k([float(logits[j]) for j in allowed], k)
        assert ids[i].tolist() == [allowed[p] if p >= 0 else -1 for p in places]
        assert scores[i].tolist() == expected_scores


@given(seeds, st.integers(0, 5), st.integers(1, 40), st.integers(1, 50))
def test_exact_topk(seed, n_rows, n_labels, k):
    rng = np.random.default_rng(seed)
    network = random_network(rng, n_labels=n_labels)
    # Whole numbers: sums are exact, ties many.
    network.head_weights[...] = rng.integers(-2, 3, network.head_weights.shape)
    network.head_bias[...] = rng.integers(-2, 3, n_labels)
    hidden = rng.integers(0, 3, (n_rows, network.n_hidden)).astype(np.float32)
    labels, scores = exact_topk(network, hidden, k)
    assert (labels.dtype, scores.dtype) == (np.int64, np.float32)
    assert labels.shape == scores.shape == (n_rows, k)
    for i in range(n_rows):
        logits = network.head_weights @ hidden[i] + network.head_bias
        assert (labels[i].tolist(), scores[i].tolist()) == reference.top_k(logits.tolist(), k)


@given(seeds, st.integers(1, 5), st.integers(2, 40), ks, st.sampled_from([3, LABELS]))
def test_only_neurons_in_play_are_predicted(seed, n_rows, n_labels, k, block):
    rng = np.random.default_rng(seed)
    network = random_network(rng, n_labels=n_labels)
    network.see(rng.integers(0, n_labels, 3), only=True)
    hidden = rng.random((n_rows, network.n_hidden)).astype(np.float32)
    seen = np.arange(n_labels) if network.observed_ids is None else network.observed_ids
    rest = WideNetwork([], [], network.head_weights[seen], network.head_bias[seen])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklsh.network.topk.LABELS", block)
        few_labels, few_scores = exact_topk(network, hidden, k)
        patch.setattr("sklsh.network.topk.FEW", 0)
        labels, scores = exact_topk(network, hidden, k)
        expected_labels, expected = exact_topk(rest, hidden, k)
    np.testing.assert_array_equal(scores, expected)
    named = np.where(expected_labels >= 0, seen[expected_labels], -1)
    np.testing.assert_array_equal(labels, named)
    # For few queries unobserved rows in between are multiplied too: it may round otherwise.
    np.testing.assert_allclose(few_scores, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(few_labels, named)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_blocks_and_threads_do_not_matter(n_threads):
    """More rows and labels than a block has; ties across the blocks' borders."""
    rng = np.random.default_rng(0)
    network = random_network(rng, n_labels=LABELS + 100)
    network.head_weights[LABELS:] = network.head_weights[:100]
    network.head_bias[LABELS:] = network.head_bias[:100]
    hidden = rng.random((ROWS + 10, network.n_hidden)).astype(np.float32)
    alone = exact_topk(network, hidden, 4)
    shared = exact_topk(network, hidden, 4, n_threads)
    for ours, theirs in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    logits = hidden.astype(float) @ network.head_weights.T + network.head_bias
    found = np.take_along_axis(logits, alone[0], axis=1)
    np.testing.assert_allclose(found, -np.sort(-logits, axis=1)[:, :4], rtol=1e-5)
    np.testing.assert_allclose(alone[1], found, rtol=1e-4, atol=1e-4)


class Lists:
    """An index that names the same labels for every row."""

    def __init__(self, *lists):
        self.lists = lists

    def query(self, hidden, n_threads=1):
        ids = [np.array(self.lists[i % len(self.lists)], np.int32) for i in range(len(hidden))]
        return np.append(0, np.cumsum([len(row) for row in ids])), np.concatenate(ids), None


def test_rows_with_too_few_candidates_are_answered_by_all_labels():
    """And those with just enough, the last of them label 0, are not."""
    rng = np.random.default_rng(0)
    network = random_network(rng, n_labels=30)
    network.head_bias[[0, 5]] = -500, -400
    hidden = rng.random((41, network.n_hidden)).astype(np.float32)
    found = lsh_topk(network, Lists([5, 0], [5], [0, 5, 5], []), hidden, 2, 2)
    exact = exact_topk(network, hidden, 2)
    for ours, theirs in zip(found, exact, strict=True):
        np.testing.assert_array_equal(ours[1::2], theirs[1::2])
        assert ours.dtype == theirs.dtype
    logits = hidden @ network.head_weights.T + network.head_bias
    assert found[0][::2].tolist() == [[5, 0]] * 21
    np.testing.assert_allclose(found[1][::2], logits[::2][:, [5, 0]], rtol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 40))
def test_a_heap_keeps_the_largest_and_sorts_them(seed, n, k):
    values = np.random.default_rng(seed).integers(1, 9, n).astype(np.float32)  # with ties
    scores, labels = np.zeros(k, np.float32), np.full(k, -1, np.int32)
    for label in np.random.default_rng(seed).permutation(n):
        if beats(values[label], label, scores[0], labels[0]):
            push_heap(values[label], np.int32(label), scores, labels, k)
    sort_heap(scores, labels)
    want = np.lexsort((np.arange(n), -values))[:k]
    padding = k - want.shape[0]
    np.testing.assert_array_equal(labels, np.append(want, np.full(padding, -1)))
    np.testing.assert_array_equal(scores, np.append(values[want], np.zeros(padding)))
