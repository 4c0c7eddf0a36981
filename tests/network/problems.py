"""Small random problems for the tests of the wide network."""

import itertools
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows


def random_rows(rng, n_rows, n_columns, density=0.3, *, positive=True, least=0):
    """Sparse rows with some empty ones (unless `least` entries are asked for)."""
    mask = rng.random((n_rows, n_columns)) < density
    for row in mask:
        row[rng.permutation(n_columns)[: max(0, least - row.sum())]] = True
    values = rng.random((n_rows, n_columns)) + 0.1
    if not positive:
        values *= rng.choice([-1, 1], values.shape)
    return SparseRows.from_matrix(sp.csr_array((mask * values).astype(np.float32)))


def random_labels(rng, n_rows, n_labels, most=3, least=0):
    """Label rows, sorted, with `least` to `most` labels each."""
    rows = [
        np.sort(rng.permutation(n_labels)[: rng.integers(least, most + 1)]) for _ in range(n_rows)
    ]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.concatenate(rows).astype(np.int32) if rows else np.empty(0, np.int32)
    return SparseRows(indptr.astype(np.int64), indices, np.ones(len(indices), np.float32))


def random_network(rng, n_features=20, sizes=(8,), n_labels=15, activation="relu"):
    """A network with every parameter random, biases too."""
    network = WideNetwork.initialise(
        n_features, sizes, n_labels, activation=activation, row_norm=0.3, rng=rng
    )
    for array in (*network.body_biases, network.head_weights, network.head_bias):
        array[...] = 0.5 * rng.standard_normal(array.shape)
    return network


def labels_of(Y, rows=None):
    """Each row's labels as a list."""
    rows = range(Y.n_rows) if rows is None else rows
    return [Y.indices[Y.indptr[r] : Y.indptr[r + 1]].tolist() for r in rows]


def arrays_of(*parts):
    """Copies of the arrays of networks and optimizers, for comparison bit by bit."""
    out = []
    for part in parts:
        for value in vars(part).values():
            if isinstance(value, np.ndarray):
                out.append(value.copy())
            elif isinstance(value, list):
                out += [array.copy() for array in value]
    return out


def assert_same_bits(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def wide_head(n_labels=2_000, n_hidden=32, n_rows=16, seed=0):
    """A fixed head, and hidden vectors, with large means as training leaves them.

    The body hands features on as they are: rows are hidden vectors.
    """
    rng = np.random.default_rng(seed)
    hidden = np.maximum(rng.standard_normal((n_rows, n_hidden)) + 0.5, 0).astype(np.float32)
    weights = rng.standard_normal((n_labels, n_hidden)) - 0.4 * rng.random(n_hidden)
    bias = rng.standard_normal(n_labels) - 1
    body, of_body = np.eye(n_hidden, dtype=np.float32), np.zeros(n_hidden, dtype=np.float32)
    return WideNetwork(
        [body], [of_body], weights.astype(np.float32), bias.astype(np.float32)
    ), hidden


def negated(network):
    """The head whose best neurons are the other's worst."""
    return replace(network, head_weights=-network.head_weights, head_bias=-network.head_bias)


def best_neurons(network, hidden, k):
    """The `k` neurons of each row with the largest logits, by sorting all of them."""
    logits = hidden.astype(float) @ network.head_weights.T + network.head_bias
    return np.argsort(-logits, axis=1)[:, :k]


def mean_recall(best, indptr, ids):
    """Mean share of each row's best neurons among its own candidates."""
    rows = [ids[a:b] for a, b in itertools.pairwise(indptr)]
    return np.mean([np.isin(right, row).mean() for right, row in zip(best, rows, strict=True)])
