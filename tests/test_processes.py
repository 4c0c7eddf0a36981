"""Threads, processes and forks around fits: no abort, no dead lock, the same answers, no growth."""

import multiprocessing
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import GridSearchCV

from sklsh import LSHRecommender, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.metrics import precision_at_1_scorer

PATIENCE = 120
"""Seconds after which a child counts as hung."""


@pytest.fixture(scope="module")
def problem():
    return make_extreme_classification(300, 200, 120, random_state=0)


def small(**params):
    return SparseLSHMLPClassifier((8,), max_iter=2, batch_size=50, random_state=0, **params)


def work(problem, n_jobs=2):
    """What uses every kind of parallel work: training, tables, neighbours, answers."""
    model = small(sampler="lsh", n_tables=3, hash_length=3, prediction="lsh", n_jobs=n_jobs)
    users = LSHRecommender((8,), max_iter=1, random_state=0, n_jobs=n_jobs).fit(problem[1])
    return (
        model.fit(*problem).predict_topk(problem[0], 3)[1],
        users.recommend(np.arange(9), problem[1][:9])[1],
    )


def assert_equal(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def send_work(problem, to):
    to.send(work(problem))


def in_a_fork(problem):
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_work, args=(problem, sender))
    process.start()
    try:
        assert receiver.poll(PATIENCE), "a forked process hangs"
        return receiver.recv()
    finally:
        process.kill()
        process.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_use(problem):
    expected = work(problem)
    assert_equal(in_a_fork(problem), expected)
    with ThreadPoolExecutor(2) as pool:  # and while other threads are at work
        running = [pool.submit(work, problem) for _ in range(2)]
        assert_equal(in_a_fork(problem), expected)
        for future in running:
            assert_equal(future.result(PATIENCE), expected)


def test_threads_that_use_threads(problem):
    expected = work(problem, n_jobs=1)
    with parallel_config(backend="threading", n_jobs=3):
        for found in Parallel()(delayed(work)(problem) for _ in range(6)):
            assert_equal(found, expected)


def search(problem, **params):
    search = GridSearchCV(
        small(n_jobs=2), {"dropout": [0.0, 0.3]}, scoring=precision_at_1_scorer, cv=2, **params
    )
    return search.fit(*problem).cv_results_["mean_test_score"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_searches_in_threads(problem, backend):
    """Threads x processes x threads."""
    expected = search(problem)
    with parallel_config(backend=backend), ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(search, problem, n_jobs=2) for _ in range(2)]:
            np.testing.assert_array_equal(future.result(PATIENCE), expected)


@pytest.mark.slow
def test_streams_do_not_grow(problem):
    """`SKLSH_SOAK` batches, 2,000 if unsaid: the peak of the last half is that of the first."""
    n_batches = int(os.environ.get("SKLSH_SOAK", "2000"))
    X, Y = problem
    model = small(sampler="lsh", n_tables=3, hash_length=3, rehash_interval=7, n_neighbors=0)
    users = LSHRecommender((8,), random_state=0)
    peaks = []
    for i in range(n_batches):
        rows = np.arange(30) + 30 * (i % 10)
        model.partial_fit(X[rows], Y[rows])
        users.partial_fit(Y[rows])
        model.predict_topk(X[rows], 3)
        users.recommend(np.arange(30), Y[rows], N=3)
        if i in (n_batches // 2, n_batches - 1):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 5, f"{peaks} MB"
