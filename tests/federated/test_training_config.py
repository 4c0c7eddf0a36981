"""A device made of a training configuration and of rows that somebody else has prepared."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.estimators.federated_run import training_config_of
from sklsh.estimators.federated_tasks import new_task
from sklsh.federated.cache import MemoryCache
from sklsh.federated.training_config import TrainingConfig

X = sp.csr_matrix(np.array([[0, 1.5, 0], [2, 0, 1]], dtype=np.float32))
Y = sp.csr_matrix(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], dtype=np.float32))


def training_config(**params):
    federation = FederatedLSHClassifier(SparseLSHMLPClassifier(**params))
    task = new_task(federation.estimator)
    task.expect(3, 4)
    text = json.dumps(training_config_of(federation, task).to_dict())
    return TrainingConfig(**json.loads(text))


def device(X=X, Y=Y, own=(), **params):
    return training_config(**params).device(7, X, Y, dict(own), 1, MemoryCache())


def test_device_of_matrices_and_of_classes():
    made = device()
    np.testing.assert_array_equal(made.X.to_matrix(3).toarray(), X.toarray())
    np.testing.assert_array_equal(made.Y.indices, [0, 3, 1])
    dense = device(X.toarray().astype(float), np.array([3, 1]), own={"n_active": 2})
    np.testing.assert_array_equal(dense.X.data, made.X.data)
    assert dense.X.data.dtype == np.float32
    assert (dense.Y.indices.tolist(), dense.settings.n_active) == ([3, 1], 2)


def test_settings_travel_whole():
    made = device(n_tables=3, hidden_layer_sizes=(5,), n_active=np.int64(4))
    assert made.settings.training.n_tables == 3
    assert made.settings.training.hidden_layer_sizes == (5,)


def test_rows_are_put_in_order_and_the_caller_s_left_alone():
    untidy = sp.csr_matrix((np.ones(4, np.float32), [2, 0, 2, 1], [0, 3, 4]), shape=(2, 3))
    untidy.has_canonical_format = True
    before = untidy.indices.copy()
    made = device(untidy)
    np.testing.assert_array_equal(made.X.indices, [0, 2, 1])
    np.testing.assert_array_equal(made.X.data, [1, 2, 1])
    np.testing.assert_array_equal(untidy.indices, before)


def broken(**arrays):
    out = X.copy()
    for name, values in arrays.items():
        setattr(out, name, np.array(values, dtype=getattr(out, name).dtype))
    return out


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (X[:, :2], Y, "X must have 3 columns"),
        (X, Y[:, :2], "Y must have 4 columns"),
        (X[:1], Y, "as many of each, got 1 and 2"),
        (X[:0], Y[:0], "one row or more"),
        (broken(data=[1, np.nan, 1]), Y, "X must be finite"),
        (X.astype(float) * 1e39, Y, "X must be finite as float32"),
        (broken(indices=[1, 0, 9]), Y, r"ind(ices|ex values) must be < 3"),
        (broken(indices=[1, 0, -1]), Y, r"ind(ices|ex values) must be >= 0"),
        (broken(indptr=[0, 4, 3]), Y, "non-decreasing"),
        (X, -Y, "Y must not be negative"),
        (X, np.array([0, 4]), r"labels in \[0, 4\)"),
        (X, np.array([0.0, 1.0]), r"labels in \[0, 4\)"),
    ],
)
def test_rows_that_do_not_fit(rows, labels, message):
    with pytest.raises(ValueError, match=message):
        device(rows, labels)


def test_unknown_settings_and_parameters_that_cannot_be_sent():
    with pytest.raises(ValueError, match="unknown setting 'tables'"):
        device(own={"tables": 3})
    federation = FederatedLSHClassifier(SparseLSHMLPClassifier(n_active=1 + 0j))
    task = new_task(None)
    task.expect(3, 4)
    task.estimator = federation.estimator
    with pytest.raises(TypeError, match="plain values"):
        training_config_of(federation, task)


def test_what_fit_devices_needs():
    with pytest.raises(ValueError, match="transport='joblib'"):
        FederatedLSHClassifier().fit_devices(3, 4)
