"""What is kept between a recommender's answers: the same as computed anew, and never stale."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import LSHRecommender
from sklsh.network.interactions import item_weights


def users(seed, n_items=60):
    X = sp.random_array((80, n_items), density=0.1, rng=np.random.default_rng(seed), format="csr")
    X.data[:] = 1
    return X


@pytest.fixture(scope="module")
def model():
    names = np.array([f"i{i}" for i in np.random.default_rng(0).permutation(60)])
    return LSHRecommender((8,), max_iter=1, random_state=0).fit(users(0), item_ids=names)


def test_filters_leave_the_others_in_their_order(model):
    """Few items are gathered, many masked: both name the best of all that are allowed."""
    X, names = users(1), model.item_ids_
    everything, scores = model.recommend(np.arange(80), X, N=60)
    rng = np.random.default_rng(0)
    for n in (1, 5, 29, 30, 31, 59):
        some = rng.permutation(60)[:n]
        found, values = model.recommend(np.arange(80), X, N=n, items=names[some])
        others = np.setdiff1d(names, names[some])
        same, _ = model.recommend(np.arange(80), X, N=n, filter_items=others)
        np.testing.assert_array_equal(found, same)
        for i in range(80):
            expected = np.isin(everything[i], names[some])
            assert sorted(found[i][found[i] != ""]) == sorted(everything[i][expected])
            kept = values[i][found[i] != ""]
            np.testing.assert_allclose(kept, scores[i][expected], rtol=1e-4, atol=1e-4)


def test_streams_and_growth_are_seen(model):
    model = pickle.loads(pickle.dumps(model))
    for n_items in (60, 60, 90):
        before = model.autoencoder_.serving()
        assert before.known.size and before.item_scales and before.head_norms.size
        new = [f"n{i}" for i in range(n_items - len(model.item_ids_))]
        names = np.concatenate([model.item_ids_, np.array(new, dtype="U4")])
        model.partial_fit(users(n_items, n_items), item_ids=names)
        autoencoder = model.autoencoder_
        kept = autoencoder.serving()
        assert kept is not before and kept is autoencoder.serving()
        np.testing.assert_array_equal(kept.known, np.flatnonzero(model.item_counts_))
        weights = item_weights(model.item_counts_, autoencoder.n_users)
        np.testing.assert_array_equal(kept.input_weights, weights)
        np.testing.assert_array_equal(kept.item_scales, autoencoder.memory.scales())
        norms = np.linalg.norm(model.network_.head_weights, axis=1)
        np.testing.assert_allclose(kept.head_norms, norms, rtol=1e-6)
        assert model.similar_items(names[0], N=1)[0][0] == names[0]


def test_what_is_kept_is_not_written(model):
    model.recommend(0, users(1)[[0]], items=model.item_ids_[:3])
    state = pickle.dumps(model)
    assert "_serving" in vars(model.autoencoder_) and "_column_of" in vars(model.ids_)
    copy = pickle.loads(state)
    assert "_serving" not in vars(copy.autoencoder_) and "_column_of" not in vars(copy.ids_)


def test_threads_that_ask_first_at_once(model):
    X, expected = users(2), model.recommend(np.arange(80), users(2), N=5)
    for _ in range(5):
        fresh = pickle.loads(pickle.dumps(model))
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(fresh.recommend, np.arange(80), X, N=5) for _ in range(8)]
        for answer in asked:
            np.testing.assert_array_equal(answer.result()[0], expected[0])
