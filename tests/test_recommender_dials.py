"""Dials of `recommend`: diversity and popularity; scores of chosen items."""

import numpy as np
import pytest

from sklsh import LSHRecommender
from tests import reference
from tests.test_recommender import SMALL, checkerboard


@pytest.fixture(scope="module")
def board():
    return checkerboard()[0]


@pytest.fixture(scope="module")
def fitted(board):
    return LSHRecommender(**SMALL).fit(board)


@pytest.mark.parametrize("diversity", [0.2, 0.6, 1.0])
def test_a_list_is_that_of_maximal_marginal_relevance(board, fitted, diversity):
    every, scores = fitted.recommend(np.arange(9), board[:9], N=10)
    ids, values = fitted.recommend(np.arange(9), board[:9], N=2, diversity=diversity)
    for row in range(9):
        own = every[row][every[row] >= 0]
        vectors = fitted.network_.head_weights[own].astype(float)
        want = reference.maximal_marginal_relevance(
            scores[row, : len(own)].astype(float), vectors, 2, diversity
        )
        assert ids[row].tolist() == own[want].tolist()
        np.testing.assert_allclose(values[row], scores[row, want], rtol=1e-5)


def test_lists_of_diversity_are_less_alike(board, fitted):
    def likeness(ids):
        head = fitted.network_.head_weights[ids]
        head = head / np.linalg.norm(head, axis=2, keepdims=True)
        return (head @ head.transpose(0, 2, 1)).mean()

    users = np.arange(60)
    plain, _ = fitted.recommend(users, board, N=2, filter_already_liked_items=False)
    other, _ = fitted.recommend(users, board, N=2, filter_already_liked_items=False, diversity=0.9)
    assert likeness(other) < likeness(plain) - 0.1
    assert (other[:, 0] == plain[:, 0]).all()


def test_popularity_adds_its_share_of_the_logarithm(board, fitted):
    items = np.arange(10)
    how = {"N": 10, "filter_already_liked_items": False}
    plain = fitted.score_items(board[:5], items)
    for popularity in (-2.0, 0.5):
        ids, scores = fitted.recommend(np.arange(5), board[:5], popularity=popularity, **how)
        want = plain + popularity * np.log(fitted.item_counts_)
        np.testing.assert_allclose(scores, -np.sort(-want, axis=1), rtol=1e-4)
        np.testing.assert_allclose(scores, np.take_along_axis(want, ids, 1), rtol=1e-4)


def test_who_has_nothing_hears_of_the_rarest_with_popularity_below_minus_one(board):
    users = np.hstack([board, np.zeros((60, 1))])
    users[:3, 10] = 1
    model = LSHRecommender(**SMALL).fit(users)
    nothing = np.zeros((1, 11))
    assert model.recommend(0, nothing, N=1, popularity=-2)[0][0] == 10
    assert model.recommend(0, nothing, N=1)[0][0] == model.item_counts_.argmax()


def test_scores_of_chosen_items_are_those_of_recommend(board, monkeypatch):
    names = np.array([f"item {i}" for i in range(10)])
    model = LSHRecommender(**SMALL).fit(board, item_ids=names)
    ids, scores = model.recommend(np.arange(60), board, N=10, filter_already_liked_items=False)
    wanted = names[[7, 0, 3]]
    for size in (256, 2):
        monkeypatch.setattr("sklsh.estimators.recommender_prediction.SCORED", size)
        found = model.score_items(board, wanted)
        assert found.shape == (60, 3) and found.dtype == np.float32
        for row in range(60):
            of = dict(zip(ids[row], scores[row], strict=True))
            np.testing.assert_allclose(found[row], [of[name] for name in wanted], rtol=1e-4)


def test_an_item_that_nobody_has_had_has_no_score(board):
    model = LSHRecommender(**SMALL).fit(np.hstack([board, np.zeros((60, 1))]))
    found = model.score_items(np.hstack([board, np.zeros((60, 1))])[:2], [10, 4])
    assert np.isneginf(found[:, 0]).all() and np.isfinite(found[:, 1]).all()


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"diversity": 1.5}, r"diversity must be in \[0, 1\], got 1.5"),
        ({"diversity": -0.1}, "diversity must be in"),
        ({"diversity": float("nan")}, "diversity must be in"),
        ({"popularity": float("inf")}, "popularity must be in"),
        ({"popularity": -1e38}, "popularity must be in"),  # nothing would be left to rank by
    ],
)
def test_refused(board, fitted, wrong, match):
    with pytest.raises(ValueError, match=match):
        fitted.recommend(0, board[0], **wrong)


def test_refused_kinds(board, fitted):
    with pytest.raises(TypeError, match="diversity must be a number"):
        fitted.recommend(0, board[0], diversity="much")
    with pytest.raises(TypeError, match="filter_already_liked_items must be True or False"):
        fitted.recommend(0, board[0], filter_already_liked_items="no")
    with pytest.raises(TypeError, match="in the order of their scores, got a set"):
        fitted.score_items(board, {1, 2})
    with pytest.raises(ValueError, match="items must differ, got 2 twice"):
        fitted.score_items(board, [2, 1, 2])
    with pytest.raises(ValueError, match="items must be ids of items"):
        fitted.score_items(board, [10])
