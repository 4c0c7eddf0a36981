"""A trusted cluster through joblib's dask backend: the same numbers, on other processes."""

import os

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config

from sklsh import CompressedLSHHasher, FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two worker processes and a client, closed at the end."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("params", [{}, {"body_exchange": "local", "sketch_rounds": 3}])
def test_devices_on_a_cluster_train_the_same_model(cluster, params):
    X, Y = make_extreme_classification(n_samples=300, n_features=150, n_labels=120, random_state=0)
    groups = split_devices(Y, 3, random_state=0)
    estimator = SparseLSHMLPClassifier((12,), sampler="lsh", n_active=20, batch_size=16)
    model = FederatedLSHClassifier(estimator, n_rounds=3, random_state=0, n_jobs=2, **params)
    here = model.fit(X, Y, groups=groups).estimator_.coefs_
    with parallel_config(backend="dask"):
        there = model.fit(X, Y, groups=groups).estimator_.coefs_
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
    ran = set(cluster.run(lambda dask_worker: dask_worker.state.executed_count > 0).values())
    assert ran == {True}


@pytest.mark.slow
def test_hashing_inside_tasks_of_a_cluster(cluster):
    X, _ = make_extreme_classification(n_samples=300, n_features=150, n_labels=120, random_state=0)
    hasher = CompressedLSHHasher(n_tables=4, random_state=0).fit(X)

    def codes(part):
        return os.getpid(), hasher.codes(part)

    with parallel_config(backend="dask"):
        parts = Parallel()(delayed(codes)(X[start : start + 100]) for start in range(0, 300, 100))
    assert os.getpid() not in {pid for pid, _ in parts}
    np.testing.assert_array_equal(np.concatenate([c for _, c in parts]), hasher.codes(X))
