"""Asking for a thousand million labels is refused, or costs no more than there are labels."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import LSHRecommender, SparseLSHMLPClassifier, metrics
from sklsh.datasets import make_extreme_classification

HUGE = 10**9
X, Y = make_extreme_classification(60, 30, 8, random_state=0)


@pytest.fixture(scope="module")
def classifier():
    return SparseLSHMLPClassifier((4,), max_iter=1, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def recommender():
    return LSHRecommender((4,), max_iter=1, random_state=0).fit(Y)


def test_answers_are_padded_up_to_a_thousand(classifier, recommender):
    labels, scores = classifier.predict_topk(X[:2], k=1000)
    assert labels.shape == scores.shape == (2, 1000)
    assert (labels[:, 8:] == -1).all()
    assert np.isneginf(scores[:, 8:]).all()
    ids, scores = recommender.similar_items([0, 1], N=1000)
    assert ids.shape == scores.shape == (2, 1000)
    assert (ids[:, 8:] == -1).all()


def test_more_is_refused(classifier, recommender):
    message = r"{} must be at most 1000 \(more could only be padding\), got {}"
    for call, name in (
        (lambda n: classifier.predict_topk(X, n), "k"),
        (lambda n: recommender.predict_topk(Y, n), "k"),
        (lambda n: recommender.recommend(0, Y[[0]], n), "N"),
        (lambda n: recommender.similar_items(0, n), "N"),
    ):
        for n in (1001, HUGE):
            with pytest.raises(ValueError, match=message.format(name, n)):
                call(n)


def test_a_wide_head_may_be_asked_for_all_its_labels():
    Y = sp.csr_array((np.ones(60), (np.arange(60), 20 * np.arange(60))), shape=(60, 1200))
    model = SparseLSHMLPClassifier((4,), max_iter=1, sampler="labels", random_state=0).fit(X, Y)
    assert model.predict_topk(X[:1], k=1200)[0].shape == (1, 1200)
    with pytest.raises(ValueError, match="k must be at most 1200"):
        model.predict_topk(X[:1], k=1201)


@pytest.mark.parametrize("scores", [np.eye(2, 5), sp.csr_array(np.eye(2, 5)), np.array([[1, 0]])])
def test_metrics_rank_no_more_than_there_are_labels(scores):
    truth = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 0, 0]])
    if scores.shape[1] == 2:
        truth = truth[:1, :2]
    for name in ("recall_at_k", "ndcg_at_k", "hit_rate_at_k", "mrr_at_k"):
        value = getattr(metrics, name)
        assert value(truth, scores, HUGE) == value(truth, scores, scores.shape[1]) > 0
    hits = truth.sum() if not sp.issparse(scores) else 2
    assert metrics.precision_at_k(truth, scores, HUGE) == pytest.approx(hits / HUGE / len(truth))
