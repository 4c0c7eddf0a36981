"""Prediction among the labels that neighbours and the linear view name."""

import tempfile

import numpy as np
import pytest

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet
from sklsh.network import head_index
from sklsh.network.predictor import LEAST_NAMED
from sklsh.network.rows import SparseRows
from sklsh.persistence import load_model, save_model


@pytest.fixture(scope="module")
def words():
    data = load_wordnet()
    return data.X_train[:1500], data.Y_train[:1500], data.X_test[:80]


def fitted(words, **params):
    model = SparseLSHMLPClassifier((32,), random_state=0, max_iter=3, n_jobs=2, **params)
    return model.fit(words[0], words[1])


@pytest.fixture(scope="module")
def named(words):
    return fitted(words, prediction="candidates")


def named_labels(model, X):
    """Of each row, one by one: labels of its neighbours, and those of the linear view."""
    rows, predictor = SparseRows.from_matrix(X), model.learner_.predictor()
    every = np.arange(X.shape[0], dtype=np.int32)
    ids, _ = predictor.neighbors(rows, every)
    by_view, _ = predictor.gains(rows, every)
    labels = predictor.memory.labels.to_matrix(model.classes_.shape[0])
    for mine, others in zip(ids, by_view, strict=True):
        of_neighbors = [labels[[i]].indices for i in mine[mine >= 0]]
        yield np.unique(np.concatenate([*of_neighbors, others[others >= 0]]))


def of_row(model, scores, names, k):
    """The best k of `names` by dense scores, ties by label; of all if these are fewer."""
    if names.shape[0] < max(k, LEAST_NAMED):
        names = np.arange(scores.shape[0])
    return names[np.lexsort((names, -scores[names]))[:k]]


@pytest.mark.parametrize("k", [1, 5, 300])
def test_the_best_of_those_named_and_of_all_where_these_are_too_few(words, named, k):
    X = words[2]
    assert named.memory_ is not None and named.linear_ is not None
    candidates = list(named_labels(named, X))
    if k == 300:
        few = [names.shape[0] < k for names in candidates]
        assert any(few) and not all(few)
    labels, scores = named.predict_topk(X, k)
    dense = named.learner_.predictor().logits(SparseRows.from_matrix(X))
    for i, names in enumerate(candidates):
        expected = dense[i, of_row(named, dense[i], names, k)]
        np.testing.assert_allclose(scores[i], expected, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(dense[i, labels[i]], expected, rtol=2e-4, atol=2e-4)


def test_threads_and_blocks_do_not_matter(words, named, monkeypatch):
    X = words[2]
    alone = [named.predict_topk(X[[i]], 40) for i in range(5)]
    monkeypatch.setattr("sklsh.network.predictor.Predictor.n_rows_at_once", 2)
    named = load_like(named).set_params(n_jobs=1)
    for i, part in enumerate(named.predict_topk(X[:5], 40)):
        np.testing.assert_array_equal(part, np.concatenate([answer[i] for answer in alone]))


def load_like(model):
    """As it comes back from its folder."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder + "/m")
        return load_model(folder + "/m")


def test_auto_takes_candidates_only_where_they_find_enough(words, monkeypatch):
    monkeypatch.setattr(head_index, "NARROW_HEAD", 20_000)
    assert not fitted(words).learner_.named_only  # exact is fast
    monkeypatch.setattr(head_index, "NARROW_HEAD", 100)
    enough = fitted(words)
    assert enough.learner_.named_only and enough.learner_.index is None
    stats = enough.table_stats_
    assert 0.9 < stats["recall@5"] <= 1
    for k, share in head_index.KEPT_NAMED.items():
        assert stats[f"found_P@{k}"] >= share * stats[f"exact_P@{k}"] > 0
    monkeypatch.setitem(head_index.KEPT_NAMED, 5, 1.01)
    assert not fitted(words).learner_.named_only
    # Nobody names labels.
    assert not fitted(words, n_neighbors=0, linear=False).learner_.named_only
    assert fitted(words, prediction="exact").table_stats_ == {}


def test_probabilities_are_fitted_to_the_candidates_scores(words, named):
    """Of the same labels that prediction has: shares of the 50 best add up to 1."""
    labels, scores = named.predict_topk(words[2], 50)
    shares = np.exp(scores / named.learner_.temperature)
    shares /= shares.sum(axis=1, keepdims=True)
    chosen = shares > named.threshold_
    indicator = named.predict(words[2])
    for i in range(words[2].shape[0]):
        np.testing.assert_array_equal(indicator[[i]].indices, np.sort(labels[i][chosen[i]]))


def test_a_stream_looks_at_all_again(words, named):
    model = load_like(named)
    model.partial_fit(words[0][:50], words[1][:50])
    assert not model.learner_.named_only and model.table_stats_ == {}


@pytest.mark.parametrize("left_out", [None, "neighbors", "linear"])
def test_a_compressed_model_looks_where_its_model_does_if_all_is_there(words, named, left_out):
    small = named.compress(36, **({left_out: False} if left_out else {}))
    assert small.learner_.named_only == (left_out is None)
    same = small.predict_topk(words[2], 1)[0] == named.predict_topk(words[2], 1)[0]
    assert np.mean(same) > (0.6 if left_out is None else 0.2)


def test_the_best_are_the_same_however_many_are_asked_for(words):
    """Neighbours alone name few labels of some rows."""
    model = fitted(words, prediction="candidates", linear=False)
    X = words[2].tolil()
    X[:5] = 0
    X = X.tocsr()
    few = model.predict_topk(X, 5)
    for k in (1, 7, LEAST_NAMED):
        n = min(k, 5)
        for one, other in zip(few, model.predict_topk(X, k), strict=True):
            np.testing.assert_array_equal(one[:, :n], other[:, :n])
    np.testing.assert_array_equal(model.predict_topk_proba(X, 5)[0], few[0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_classes(words, n_classes):
    y = np.arange(words[0].shape[0]) % n_classes
    model = SparseLSHMLPClassifier((8,), prediction="candidates", max_iter=2, random_state=0)
    labels, _ = model.fit(words[0], y).predict_topk(words[2], n_classes)
    assert (np.sort(labels, axis=1) == np.arange(n_classes)).all()
