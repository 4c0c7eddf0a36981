"""Peak memory: one head, no array of rows x labels, nothing dense made of y."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.network.linear import LinearView
from sklsh.network.rows import SparseRows

N_ROWS, N_FEATURES, N_LABELS, N_HIDDEN = 600, 2_000, 60_000, 128


@pytest.fixture(scope="module")
def problem():
    """Nearly every label has a row, so that every label is observed."""
    rng = np.random.default_rng(0)
    X = sp.random(N_ROWS, N_FEATURES, 0.01, format="csr", dtype=np.float32, random_state=0)
    labels = rng.permutation(2 * N_LABELS) % N_LABELS
    indptr = np.linspace(0, labels.size, N_ROWS + 1).astype(np.int64)
    Y = sp.csr_matrix((np.ones(labels.size, np.float32), labels, indptr), (N_ROWS, N_LABELS))
    Y.sum_duplicates()
    Y.data[:] = 1
    return X, Y


def peak_of(call):
    """Result and peak bytes; after a first call, which compiles kernels."""
    call()
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


def test_fit_and_predict(problem):
    """Bounds that a second head, or a tenth of rows x labels, would break."""
    X, Y = problem
    params = {"sampler": "lsh", "n_tables": 4, "max_iter": 1, "batch_size": 10, "n_jobs": 1}
    params["linear"] = False
    model = SparseLSHMLPClassifier((N_HIDDEN,), random_state=0, **params)
    model, peak = peak_of(lambda: model.fit(X, Y))
    assert model.network_.n_observed > 0.8 * N_LABELS
    # Beside parameters: rows and their copies, a batch's 2,000 neurons, codes and sketch.
    assert peak < 1.2 * model.network_.nbytes + 16e6 < 2 * model.network_.nbytes
    for call in (lambda: model.predict_topk(X, 5), lambda: model.predict(X)):
        assert peak_of(call)[1] < 0.1 * N_ROWS * N_LABELS * 4


def test_label_trees(problem):
    """What is kept, twice while levels are put together, and no second head."""
    X, Y = problem
    rows, labels = SparseRows.from_matrix(X), SparseRows.from_matrix(Y)
    every = np.arange(N_ROWS, dtype=np.int32)
    LinearView.build(rows, labels, every[:5], N_FEATURES, N_LABELS, 3)  # compiles
    tracemalloc.start()
    linear = LinearView.build(rows, labels, every, N_FEATURES, N_LABELS, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * linear.nbytes + 8e6
    # Three trees of four levels: 64 weights a label on each, at most.
    weights = sum(level.values.size for tree in linear.trees for level in tree.levels)
    assert 1e6 < weights < len(linear.trees) * len(linear.trees[0].levels) * 64 * N_LABELS
    assert peak_of(lambda: linear.shares(rows, every))[1] < 0.1 * N_ROWS * N_LABELS * 4
