"""The systems that bench_recommender sets beside ours, and the values each is tuned over.

A system is ``fit(train, **params)``, which returns ``rank(users)``: the `K` best columns of
each of these rows of the training matrix, without the row's own.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

THREADS = 2
K = 20
ROWS = 512


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
    "popularity": popularity,
    "implicit ALS": implicit_als,
    "implicit BPR": implicit_bpr,
    "implicit cosine": implicit_cosine,
    "implicit BM25": implicit_bm25,
}

GRIDS = {
    "user-kNN": {"n_neighbors": (100, 50, 200, 400, 800)},
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
