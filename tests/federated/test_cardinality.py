"""The threshold of a federation: labels named as often as rows have them, by majority."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated.cardinality import COUNTED, common_threshold, naming_threshold
from sklsh.federated.messages import Update
from sklsh.federated.parts import HeadPart, ModelShape, Rejected
from sklsh.network.calibration import THRESHOLDS
from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows

N_FEATURES, N_LABELS = 40, 90


def rows(n):
    rng = np.random.default_rng(0)
    X = SparseRows.from_matrix(sp.random_array((n, N_FEATURES), density=0.3, rng=rng).tocsr())
    network = WideNetwork.initialise(N_FEATURES, (8,), N_LABELS, row_norm=1.0, rng=rng)
    network.head_weights[:] = 4 * rng.standard_normal(network.head_weights.shape)
    return network, X, rng.integers(1, 9, n)


@pytest.mark.parametrize("n", [3, 50, COUNTED + 40])
def test_as_many_labels_are_named_as_rows_have(n):
    network, X, n_true = rows(n)
    n = min(n, COUNTED)
    scores = network.hidden(X)[:n] @ network.head_weights.T + network.head_bias
    best = -np.sort(-scores, axis=1)[:, :50].astype(np.float64)
    shares = np.exp(best) / np.exp(best).sum(axis=1, keepdims=True)
    # Blocks of rows fade: the first of `COUNTED` count for .7 of the last.
    block = np.arange(n) // 16
    weights = 0.5 ** ((n - np.minimum(16 * (block + 1), n)) / 256)
    named = [(weights @ (shares >= t)).sum() for t in THRESHOLDS]
    gaps = np.abs(np.array(named) - weights @ n_true[:n])
    found = naming_threshold(network, X, n_true)
    assert gaps[np.searchsorted(THRESHOLDS, np.float32(found))] <= gaps.min() + 1


def test_a_sub_model_of_no_neurons_has_a_threshold():
    network, X, n_true = rows(5)
    network.head_weights, network.head_bias = network.head_weights[:0], network.head_bias[:0]
    assert 0 < naming_threshold(network, X, n_true) <= 1


def update(threshold):
    part = HeadPart(
        np.empty(0, np.int32), np.empty((0, 4), np.float32), np.empty(0, np.float32),
        np.empty((0, 2), np.float32),
    )  # fmt: skip
    return Update(0, 0, 10, 1.0, part, None, threshold)


def test_two_of_eight_do_not_move_it_beyond_the_others():
    honest = [0.04, 0.05, 0.05, 0.06, 0.06, 0.07]
    for lie in (1e-9, 1.0):
        found = common_threshold([update(t) for t in [lie, lie, *honest]])
        assert 0.04 <= found <= 0.07
    assert common_threshold([update(None)]) is None


@pytest.mark.parametrize("value", [float("nan"), 0.0, 1.5, -1.0, float("inf"), 1, "x"])
def test_what_is_no_share_is_rejected(value):
    shape = ModelShape(3, 5, (4,), with_body=False)
    with pytest.raises(Rejected, match="threshold must be"):
        update(value).validate(shape)
    update(0.5).validate(shape)


def test_labels_are_named_nearly_as_well_as_with_the_best_threshold():
    X, Y = make_extreme_classification(2000, 400, 300, random_state=0)
    train, test = slice(0, 1500), slice(1500, None)
    groups = split_devices(Y[train], 4, random_state=0)
    model = FederatedLSHClassifier(SparseLSHMLPClassifier((32,)), n_rounds=6, random_state=0)
    model.fit(X[train], Y[train], groups=groups)
    assert model.estimator_.threshold_ == model.server_.threshold
    truth = sp.csr_array(Y[test]) != 0

    def f1():
        named = sp.csr_array(model.predict(X[test])) != 0
        right = np.asarray(named.multiply(truth).sum(axis=1)).ravel()
        both = np.asarray(named.sum(axis=1)).ravel() + np.asarray(truth.sum(axis=1)).ravel()
        return float(np.mean(2 * right / np.maximum(both, 1)))

    ours = f1()
    half_share = 0.5 / max(1.0, Y[train].nnz / 1500)
    others = {}
    for threshold in [half_share, *THRESHOLDS[::3].tolist()]:
        model.estimator_.threshold_ = threshold
        others[threshold] = f1()
    assert ours > 0.93 * max(others.values())
    assert ours >= others[half_share] - 0.01
