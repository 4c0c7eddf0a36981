"""Models to carry: nearly the same answers, an eighth of the size, no float head."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet
from sklsh.metrics import precision_at_k
from sklsh.network.predictor import UNSEEN
from sklsh.persistence import load_model, save_model


@pytest.fixture(scope="module")
def words():
    data = load_wordnet()
    X, Y = data.X_train[:4000], data.Y_train[:4000]
    model = SparseLSHMLPClassifier((64,), prediction="exact", random_state=0, n_jobs=2).fit(X, Y)
    return model, data.X_test[:600], data.Y_test[:600]


@pytest.mark.parametrize("body", ["codes", "int8", "float16"])
@pytest.mark.parametrize("neighbors", [True, False])
def test_answers_are_nearly_the_float_models(words, body, neighbors, monkeypatch):
    model, X, Y = words
    # 36 bytes for rows of 64: as fine as 132 for rows of 256.
    small = model.compress(36, body=body, neighbors=neighbors)
    monkeypatch.setattr(model.learner_, "linear", model.linear_.pruned())
    if not neighbors:
        monkeypatch.setattr(model.learner_, "memory", None)
    expected = [precision_at_k(Y, model.predict_topk(X, 5)[0], k) for k in (1, 5)]
    found = [precision_at_k(Y, small.predict_topk(X, 5)[0], k) for k in (1, 5)]
    # No k-NN scores make good what two bits a number lose of the body.
    atol = 0.07 if (body, neighbors) == ("codes", False) else 0.03
    np.testing.assert_allclose(found, expected, atol=atol)
    assert (small.memory_ is not None) == neighbors
    assert found[0] > 0.2


@pytest.mark.parametrize("sizes", [(1,), (4,), (3, 3), (9,)])
@pytest.mark.parametrize("n_features", [2, 16, 40])
def test_small_models(sizes, n_features):
    """Of fewer features and labels than a byte has numbers."""
    X = np.random.default_rng(0).standard_normal((200, n_features))
    y = np.arange(200) % 3
    model = SparseLSHMLPClassifier(sizes, max_iter=2, random_state=0).fit(X, y)
    small = model.compress()
    assert small.predict_topk(X, 3)[0].shape == (200, 3)
    assert np.mean(small.predict(X) == model.predict(X)) > 0.9


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("neighbors", [True, False])
def test_topk_predict_and_dense_scores_agree(words, neighbors, linear):
    model, X, _ = words
    small = model.compress(20, neighbors=neighbors, linear=linear)
    assert (small.linear_weight_ > 0) == linear
    X = X[:70]
    labels, scores = small.predict_topk(X, 4)
    logits = small.learner_.predictor(1).logits(X_rows(X))
    expected = -np.sort(-logits, axis=1)[:, :4]
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    at = np.take_along_axis(logits, labels, axis=1)
    np.testing.assert_allclose(at, scores, rtol=1e-3, atol=1e-3)
    # A row alone is looked up, rows in a batch are decoded: the same but for rounding.
    alone = np.concatenate([small.predict_topk(X[i], 4)[1] for i in range(5)])
    np.testing.assert_allclose(alone, scores[:5], rtol=1e-3, atol=1e-3)
    assert small.predict(X).shape == (70, len(model.classes_))


def X_rows(X):
    from sklsh.network.rows import SparseRows

    return SparseRows.from_matrix(sp.csr_array(X, dtype=np.float32))


def test_what_is_carried_of_the_linear_view_is_worth_its_bytes(words):
    """A quarter of the whole, and as good on rows to which the view matters."""
    model, X, Y = words
    without, small = model.compress(36, linear=False), model.compress(36)
    assert without.linear_ is None and without.linear_weight_ == 0
    assert small.linear_.nbytes < 0.3 * model.linear_.nbytes
    assert small.linear_weight_ == model.linear_weight_ > 0
    of_small, of_without = (precision_at_k(Y, m.predict_topk(X, 1)[0], 1) for m in (small, without))
    assert of_small > of_without + 0.005


def test_no_float_head_and_an_eighth_of_the_size(words, tmp_path):
    model, X, _ = words
    small = model.compress(12, linear=False)
    save_model(small, tmp_path / "small")
    save_model(model, tmp_path / "whole")
    again = load_model(tmp_path / "small")
    for found, expected in zip(again.predict_topk(X, 3), small.predict_topk(X, 3), strict=True):
        np.testing.assert_array_equal(found, expected)
    sizes = [(tmp_path / name / "arrays.bin").stat().st_size for name in ("small", "whole")]
    without = [size - model.memory_.nbytes for size in sizes]
    without[1] -= model.linear_.nbytes
    assert without[0] < 0.15 * without[1]
    of_head = model.network_.head_weights.shape

    def arrays(value):
        if isinstance(value, np.ndarray):
            yield value
        elif hasattr(value, "__dict__"):
            for part in vars(value).values():
                yield from arrays(part)

    assert all(a.shape != of_head for a in arrays(again.learner_.network))


def test_labels_out_of_play_stay_out(words):
    _, X, _ = words
    rng = np.random.default_rng(0)
    Y = sp.csr_matrix((np.ones(600), (np.arange(600), rng.integers(0, 300, 600) * 2)), (600, 700))
    model = SparseLSHMLPClassifier((16,), random_state=0, max_iter=2, n_neighbors=0)
    small = model.fit(X, Y).compress(16)
    labels, _ = small.predict_topk(X, 50)
    assert np.isin(labels, model.network_.observed_ids).all()
    logits = small.learner_.predictor(1).logits(X_rows(X[:3]))
    assert (logits[:, 1] == UNSEEN).all()


def test_deeper_bodies_and_classes(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 20)).astype(np.float32)
    y = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
    model = SparseLSHMLPClassifier((32, 16), random_state=0, n_neighbors=0).fit(X, y)
    small = model.compress(20, body="float16")
    assert (small.predict(X) == model.predict(X)).mean() > 0.97
    assert small.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(small.predict_proba(X), model.predict_proba(X), atol=0.1)


def test_a_stream_is_centred_by_nothing(words):
    _, X, Y = words
    model = SparseLSHMLPClassifier((16,), random_state=0).partial_fit(X, Y)
    assert model.compress(20).predict_topk(X, 2)[0].shape == (600, 2)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bytes_per_label": 4}, "bytes_per_label must be"),
        ({"body": "int4"}, "body must be one of"),
        ({"neighbors": "no"}, "neighbors must be True or False, got 'no'"),
    ],
)
def test_arguments_are_checked(words, params, message):
    with pytest.raises(ValueError, match=message):
        words[0].compress(**params)


def test_it_is_not_trained(words):
    small = words[0].compress(12)
    with pytest.raises(TypeError, match="cannot be trained"):
        small.fit(words[1], words[2])
    with pytest.raises(TypeError, match="cannot be compressed again"):
        small.compress()
