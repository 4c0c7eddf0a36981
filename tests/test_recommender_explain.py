"""`LSHRecommender.explain`: scores with and without each of a user's items."""

import numpy as np
import pytest

from sklsh import LSHRecommender
from sklsh.estimators import recommender_prediction
from tests.test_recommender import SMALL, checkerboard


@pytest.fixture(scope="module")
def board():
    return checkerboard()[0]


@pytest.fixture(scope="module")
def fitted(board):
    return LSHRecommender(**SMALL).fit(board)


def score_of(model, row, item):
    ids, scores = model.recommend(0, row, N=1, filter_already_liked_items=False, items=[item])
    assert ids[0] == item
    return scores[0]


@pytest.mark.parametrize("item", [0, 2, 3])
def test_contributions_are_what_the_score_loses_without_the_item(board, fitted, item):
    row = board[0]
    score, ids, contributions = fitted.explain(7, row, item, N=3)
    whole = score_of(fitted, row, item)
    assert score == pytest.approx(whole, rel=1e-5)
    assert contributions.dtype == np.float32
    lost = {}
    for own in np.flatnonzero(row):
        less = row.copy()
        less[own] = 0
        lost[own] = whole - score_of(fitted, less, item)
    best = sorted(lost, key=lambda own: -lost[own])[:3]
    np.testing.assert_allclose(contributions, [lost[own] for own in best], atol=1e-4)
    np.testing.assert_allclose([lost[own] for own in ids], contributions, atol=1e-4)


def test_items_of_the_same_taste_speak_for_each_other(board, fitted):
    row = board[0].copy()
    row[1] = 1  # of the other parity
    _, ids, contributions = fitted.explain(0, row, 0, N=10)
    assert set(ids[:4] % 2) == {0} and ids[4] == 1
    assert (np.diff(contributions[:5]) <= 0).all()
    assert (ids[5:] == -1).all() and np.isneginf(contributions[5:]).all()


def test_several_items_are_explained_at_once(board, fitted, monkeypatch):
    row, items = board[0], [3, 0, 7]
    monkeypatch.setattr(recommender_prediction, "SCORED", 2)
    several = fitted.explain(7, row, items, N=6)
    for i, item in enumerate(items):
        score, ids, contributions = fitted.explain(7, row, item, N=6)
        assert several[0][i] == pytest.approx(score, rel=1e-6)
        np.testing.assert_array_equal(several[1][i], ids)
        np.testing.assert_allclose(several[2][i], contributions, atol=1e-5)
    assert [part.shape for part in fitted.explain(7, row, [], N=2)] == [(0,), (0, 2), (0, 2)]


def test_names_come_back(board, fitted):
    names = np.array([f"item {i}" for i in range(10)])
    named = LSHRecommender(**SMALL).fit(board, item_ids=names)
    score, ids, contributions = named.explain(0, board[:1], "item 0", N=6)
    plain = fitted.explain(0, board[:1], 0, N=6)
    assert score == plain[0] and (contributions == plain[2]).all()
    assert list(ids) == [f"item {i}" if i >= 0 else "" for i in plain[1]]


def test_refusals(board, fitted, monkeypatch):
    with pytest.raises(ValueError, match="one userid and its row of user_items, got 2"):
        fitted.explain(0, board[:2], 0)
    with pytest.raises(ValueError, match="one userid"):
        fitted.explain([0], board[:1], 0)
    with pytest.raises(ValueError, match="itemid must be ids"):
        fitted.explain(0, board[:1], 10)
    with pytest.raises(ValueError, match="itemid must differ, got 4 twice"):
        fitted.explain(0, board[:1], [4, 0, 4])
    with pytest.raises(TypeError, match="itemid must be in the order"):
        fitted.explain(0, board[:1], {4, 0})
    with pytest.raises(ValueError, match="must have 2 to 2000 items, got 1"):
        fitted.explain(0, np.eye(10)[0], 1)
    monkeypatch.setattr(recommender_prediction, "MAX_EXPLAINED", 3)
    with pytest.raises(ValueError, match="must have 2 to 3 items, got 4"):
        fitted.explain(0, board[:1], 1)
    users = np.zeros((60, 11))
    users[:, :10] = board
    unseen = LSHRecommender(**SMALL).fit(users)
    with pytest.raises(ValueError, match="somebody has had, got 10"):
        unseen.explain(0, users[:1], 10)
