"""The systems that bench_recommender sets beside ours, and the values each is tuned over.

A system is ``fit(train, **params)``, which returns ``rank(users)``: the `K` best columns of
each of these rows of the training matrix, without the row's own.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.polynomial import Chebyshev
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

THREADS = 2
K = 20
ROWS = 512
MAX_DENSE_ITEMS = 20_000
"""EASE's matrix of so many items takes 1.6 GB, its inverse as much again."""


def by_scores(score, train):
    """`rank` of a function of row numbers that gives dense or sparse scores of all columns."""

    def best(rows):
        dense = score(rows)
        dense = dense.toarray() if sp.issparse(dense) else np.array(dense, dtype=np.float64)
        part = train[rows]
        dense[np.repeat(np.arange(part.shape[0]), np.diff(part.indptr)), part.indices] = -np.inf
        found = np.argpartition(-dense, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(dense, found, 1), axis=1, kind="stable")
        return np.take_along_axis(found, order, 1)

    return lambda users: np.concatenate(
        [best(users[i : i + ROWS]) for i in range(0, len(users), ROWS)]
    )


def user_knn(train, n_neighbors=100):
    """Cosine of idf-weighted rows, sums over the nearest users."""
    n_users = np.maximum(np.bincount(train.indices, minlength=train.shape[1]), 1)
    users = normalize(train @ sp.diags(np.log(train.shape[0] / n_users) + 1)).tocsr()
    transposed = users.T.tocsr()

    def score(rows):
        similar = (users[rows] @ transposed).toarray()
        similar[np.arange(len(rows)), rows] = 0
        nearest = np.argpartition(-similar, n_neighbors, axis=1)[:, :n_neighbors]
        values = np.take_along_axis(similar, nearest, 1)
        owners = np.repeat(np.arange(len(rows)), n_neighbors)
        return sp.csr_matrix((values.ravel(), (owners, nearest.ravel())), similar.shape) @ train

    return by_scores(score, train)


def _normalised(train):
    """``D_u^-1/2 X D_i^-1/2``, and the square roots of the items' degrees."""
    of_users = np.maximum(np.diff(train.indptr), 1.0)
    of_items = np.maximum(np.bincount(train.indices, minlength=train.shape[1]), 1.0)
    scaled = sp.diags(of_users**-0.5) @ train @ sp.diags(of_items**-0.5)
    return sp.csr_matrix(scaled, dtype=np.float32), np.sqrt(of_items).astype(np.float32)


def ease(train, penalty=100.0):
    """EASE (H. Steck, WWW 2019) in closed form."""
    if train.shape[1] > MAX_DENSE_ITEMS:
        raise ImportError(f"EASE's dense matrix of {train.shape[1]:,} items is left out")
    gram = np.asarray((train.T @ train).todense(), dtype=np.float32)
    gram[np.diag_indices_from(gram)] += penalty
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return by_scores(lambda rows: train[rows] @ weights, train)


def p3_alpha(train, alpha=1.0, beta=0.0):
    """Walks of three steps, entries of the transitions to the power alpha (C. Cooper et al., WWW
    2014), over the target's popularity to the power beta (RP3beta)."""
    to_items = normalize(train, "l1")
    to_users = normalize(sp.csr_matrix(train.T), "l1")
    to_items.data, to_users.data = to_items.data**alpha, to_users.data**alpha
    of_items = np.maximum(np.bincount(train.indices, minlength=train.shape[1]), 1.0)
    return by_scores(
        lambda rows: ((to_items[rows] @ to_users) @ to_items).toarray() / of_items**beta, train
    )


def gf_cf(train, n_factors=256, low_pass=0.3):
    """GF-CF (Y. Shen et al., CIKM 2021): the linear filter and an ideal low pass."""
    graph, root = _normalised(train)
    n_factors = min(n_factors, min(train.shape) - 1)
    V = randomized_svd(graph, n_factors, random_state=0)[2].T.astype(np.float32)
    transposed = sp.csr_matrix(graph.T)

    def score(rows):
        linear = ((train[rows] @ transposed) @ graph).toarray()
        ideal = ((train[rows] @ sp.diags(1 / root)) @ V) @ V.T * root
        return linear + low_pass * ideal

    return by_scores(score, train)


def chebyshev(train, order=8, flat=0.3, exponent=0.5):
    """A polynomial of the normalised graph of items, interpolated at Chebyshev's points.

    The response is 0 at frequency 0 of the graph's items, flat above a share of the spectrum
    (J. Park et al., "Turbo-CF", SIGIR 2024, and ChebyCF use such filters); popularity leaves
    and enters with `exponent`.
    """
    graph, root = _normalised(train)
    transposed, degrees = sp.csr_matrix(graph.T), root**2
    response = Chebyshev.interpolate(
        lambda x: np.minimum((x + 1) / (2 * flat), 1.0), order, domain=[-1, 1]
    )

    def score(rows):
        part = np.ascontiguousarray((train[rows] @ sp.diags(degrees**-exponent)).toarray().T)

        def shifted(signal):  # eigenvalues of the graph, 0 to 1, to -1 to 1
            return 2 * (transposed @ (graph @ signal)) - signal

        before, now = part, shifted(part)
        total = response.coef[0] * before + response.coef[1] * now
        for coefficient in response.coef[2:]:
            before, now = now, 2 * shifted(now) - before
            total += coefficient * now
        return total.T * degrees**exponent

    return by_scores(score, train)


def popularity(train):
    counts = np.bincount(train.indices, minlength=train.shape[1]).astype(float)
    return by_scores(lambda rows: np.tile(counts, (len(rows), 1)), train)


def _of_implicit(model, train):
    model.fit(train, show_progress=False)
    return lambda users: model.recommend(users, train[users], N=K)[0].astype(np.int64)


def implicit_als(train, **params):
    from implicit.als import AlternatingLeastSquares

    return _of_implicit(
        AlternatingLeastSquares(random_state=0, num_threads=THREADS, **params), train
    )


def implicit_bpr(train, **params):
    from implicit.bpr import BayesianPersonalizedRanking

    return _of_implicit(
        BayesianPersonalizedRanking(random_state=0, num_threads=THREADS, **params), train
    )


def implicit_cosine(train, **params):
    from implicit.nearest_neighbours import CosineRecommender

    return _of_implicit(CosineRecommender(num_threads=THREADS, **params), train)


def implicit_bm25(train, **params):
    from implicit.nearest_neighbours import BM25Recommender

    return _of_implicit(BM25Recommender(num_threads=THREADS, **params), train)


PEERS = {
    "user-kNN": user_knn,
    "EASE": ease,
    "P3alpha": p3_alpha,
    "GF-CF": gf_cf,
    "Chebyshev filter": chebyshev,
    "popularity": popularity,
    "implicit ALS": implicit_als,
    "implicit BPR": implicit_bpr,
    "implicit cosine": implicit_cosine,
    "implicit BM25": implicit_bm25,
}

GRIDS = {
    "user-kNN": {"n_neighbors": (100, 50, 200, 400, 800)},
    "EASE": {"penalty": (100.0, 300.0, 1000.0, 30.0)},
    "P3alpha": {"alpha": (1.0, 0.8, 1.3), "beta": (0.0, 0.3, 0.6)},
    "GF-CF": {"low_pass": (0.3, 0.0, 0.1, 1.0), "n_factors": (256, 64)},
    "Chebyshev filter": {"flat": (0.3, 0.1, 1.0), "exponent": (0.5, 0.35, 0.2)},
    "implicit ALS": {
        "alpha": (1.0, 5.0, 20.0),
        "regularization": (0.01, 1.0, 10.0),
        "iterations": (15, 7, 30),
        "factors": (128, 64, 256),
    },
    "implicit BPR": {
        "iterations": (100, 300),
        "learning_rate": (0.01, 0.05, 0.1),
        "regularization": (0.01, 0.001, 0.05),
        "factors": (100, 200),
    },
    "implicit cosine": {"K": (20, 100, 300, 1000)},
    "implicit BM25": {"K": (20, 100, 300, 1000), "B": (0.75, 0.5, 0.2, 0.0), "K1": (1.2, 0.4, 4.0)},
}
"""Values of each parameter. One parameter is tuned after the other, in this order, beginning
with the first value of each: what is tuned once is kept."""
