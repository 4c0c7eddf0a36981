"""Prediction by hash tables over the trained head."""

import numpy as np
import pytest

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.hashing import make_family
from sklsh.network.lsh import LSHCandidates
from sklsh.network.topk import exact_topk, lsh_topk
from tests.network.problems import random_network


def index_of(network, hidden, n_candidates, **params):
    index = LSHCandidates(make_family("simhash", **params), n_candidates, 10, seed=0)
    index.build(network, hidden)
    return index


def test_exact_answers_of_more_labels_than_a_block_some_out_of_play():
    rng = np.random.default_rng(0)
    network = random_network(rng, n_labels=9_000)
    network.see(np.sort(rng.permutation(9_000)[:7_000]), only=True)
    hidden = rng.random((3, network.n_hidden)).astype(np.float32)
    logits = hidden @ network.head_weights.T + network.head_bias
    order = [network.observed_ids[np.argsort(-row[network.observed_ids])[:9]] for row in logits]
    labels, scores = exact_topk(network, hidden, 9)
    np.testing.assert_array_equal(labels, order)
    np.testing.assert_allclose(scores, np.take_along_axis(logits, labels, axis=1), rtol=1e-4)


@pytest.mark.parametrize("partly_seen", [False, True])
def test_scores_are_exact_and_one_bit_tables_find_everything(partly_seen):
    rng = np.random.default_rng(0)
    network = random_network(rng, n_labels=60)
    if partly_seen:
        network.see(np.arange(0, 60, 2), only=True)
    hidden = rng.random((7, network.n_hidden)).astype(np.float32)
    # 30 tables of one bit: with every neuron a query shares at least one bucket.
    index = index_of(network, hidden, 60, n_tables=30, hash_length=1)
    expected = exact_topk(network, hidden, 4)
    found = lsh_topk(network, index, hidden, 4)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    for shared, alone in zip(lsh_topk(network, index, hidden, 4, 2), found, strict=True):
        np.testing.assert_array_equal(shared, alone)


def test_rows_with_too_few_candidates_are_answered_exactly():
    rng = np.random.default_rng(1)
    network = random_network(rng, n_labels=60)
    hidden = rng.random((5, network.n_hidden)).astype(np.float32)
    index = index_of(network, hidden, 2, n_tables=30, hash_length=1)
    for found, exact in zip(
        lsh_topk(network, index, hidden, 4), exact_topk(network, hidden, 4), strict=True
    ):
        np.testing.assert_array_equal(found, exact)
        assert found.dtype == exact.dtype
    labels, scores = lsh_topk(network, index, hidden, 70)
    assert (labels[:, 60:] == -1).all() and np.isneginf(scores[:, 60:]).all()


@pytest.fixture(scope="module")
def wide():
    X, Y = make_extreme_classification(1500, 2000, 2000, features_per_row=20, random_state=0)
    return X[:1200], Y[:1200], X[1200:], Y[1200:]


def fitted(wide, **params):
    model = SparseLSHMLPClassifier(
        (32,), random_state=0, max_iter=3, n_neighbors=0, linear=False, **params
    )
    return model.fit(wide[0], wide[1])


def test_lsh_prediction_is_reported_and_used(wide):
    exact, lsh = (
        fitted(wide, prediction="exact"),
        fitted(wide, prediction="lsh", n_tables=4, hash_length=10),
    )
    assert exact.table_stats_ == {} and exact.learner_.index is None
    stats = lsh.table_stats_
    assert 0.1 < stats["recall@5"] < 1 and stats["n_tables"] == 4
    truth, answer = (model.predict_topk(wide[2], 5)[0] for model in (exact, lsh))
    recall = np.mean([np.isin(t, a).mean() for t, a in zip(truth, answer, strict=True)])
    assert abs(recall - stats["recall@5"]) < 0.15
    assert not np.array_equal(truth, answer)
    # Dense scores stay exact; only the threshold was fitted on what the tables find.
    dense = [m.decision_function(wide[2]) + np.log(m.threshold_) for m in (exact, lsh)]
    np.testing.assert_allclose(*dense, rtol=1e-4, atol=1e-4)


def test_auto_keeps_tables_only_where_they_find_enough(wide, monkeypatch):
    assert fitted(wide).learner_.index is None  # narrow: exact is fast
    monkeypatch.setattr("sklsh.network.head_index.WIDE_HEAD", 100)
    monkeypatch.setattr("sklsh.network.head_index.KEPT", {1: 0.0, 5: 0.0})
    assert fitted(wide).learner_.index is not None
    monkeypatch.setattr("sklsh.network.head_index.KEPT", {1: 1.01, 5: 0.0})
    poor = fitted(wide)
    assert poor.learner_.index is None and 0 < poor.table_stats_["recall@1"] <= 1


def test_a_stream_drops_tables_that_its_steps_make_stale(wide):
    model = fitted(wide, prediction="lsh")
    model.partial_fit(wide[0][:50], wide[1][:50])
    assert model.learner_.index is None and model.table_stats_ == {}
