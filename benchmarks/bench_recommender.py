"""LSHRecommender beside user-kNN, popularity and (where installed) implicit's models.

Sets are folders of user x item matrices under --data: train.npz and test.npz, and valid.npz,
which joins the training part. Recall@20 and nDCG@20 are over all users with test items,
training items left out. Systems run one after the other in this process, after a short run
that compiles.

    python benchmarks/bench_recommender.py --data FOLDER --sets gowalla,amazon-beauty
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

THREADS = 2
RESULTS = Path(__file__).parent / "results"
K = 20
N_CHUNKS = 20


def load(folder: Path):
    import numpy as np
    import scipy.sparse as sp

    train = sp.csr_matrix(sp.load_npz(folder / "train.npz"))
    if (folder / "valid.npz").exists():
        train = train + sp.csr_matrix(sp.load_npz(folder / "valid.npz"))
    train = sp.csr_matrix(train, dtype=np.float32)
    train.data[:] = 1
    return train, sp.csr_matrix(sp.load_npz(folder / "test.npz"))


def without_seen(scores, train, rows):
    """Best K columns of dense or sparse scores, less the rows' own items."""
    import numpy as np

    dense = scores.toarray() if hasattr(scores, "toarray") else np.array(scores)
    part = train[rows]
    dense[np.repeat(np.arange(part.shape[0]), np.diff(part.indptr)), part.indices] = -np.inf
    best = np.argpartition(-dense, K, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(dense, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def in_blocks(score, train):
    import numpy as np

    spans = [slice(i, i + 512) for i in range(0, train.shape[0], 512)]
    return np.concatenate([without_seen(score(span), train, span) for span in spans])


def sklsh_with(**params):
    def run(train):
        from sklsh import LSHRecommender

        model = LSHRecommender(random_state=0, n_jobs=THREADS, **params)
        yield model.fit(train)
        yield model.predict_topk(train, K)[0]

    return run


def sklsh_stream(train):
    """Users in random order, in chunks; the time of each is kept."""
    import numpy as np

    from sklsh import LSHRecommender

    model = LSHRecommender(random_state=0, n_jobs=THREADS)
    order = np.random.default_rng(0).permutation(train.shape[0])
    model.chunk_seconds = []
    for chunk in np.array_split(order, N_CHUNKS):
        start = time.perf_counter()
        model.partial_fit(train[chunk])
        model.chunk_seconds.append(round(time.perf_counter() - start, 3))
    yield model
    yield model.predict_topk(train, K)[0]


def user_knn(train, n_neighbors=100):
    """Cosine of idf-weighted rows, sums over the nearest users."""
    import numpy as np
    import scipy.sparse as sp
    from sklearn.preprocessing import normalize

    n_users = np.maximum(np.bincount(train.indices, minlength=train.shape[1]), 1)
    users = normalize(train @ sp.diags(np.log(train.shape[0] / n_users) + 1)).tocsr()
    transposed = users.T.tocsr()
    yield None

    def score(span):
        similar = (users[span] @ transposed).toarray()
        similar[np.arange(similar.shape[0]), np.arange(train.shape[0])[span]] = 0
        nearest = np.argpartition(-similar, n_neighbors, axis=1)[:, :n_neighbors]
        values = np.take_along_axis(similar, nearest, 1)
        rows = np.repeat(np.arange(similar.shape[0]), n_neighbors)
        weights = sp.csr_matrix((values.ravel(), (rows, nearest.ravel())), similar.shape)
        return weights @ train

    yield in_blocks(score, train)


def popularity(train):
    import numpy as np

    counts = np.bincount(train.indices, minlength=train.shape[1]).astype(float)
    yield None
    yield in_blocks(lambda span: np.tile(counts, (train[span].shape[0], 1)), train)


def implicit_als(train):
    import numpy as np
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=128, random_state=0, num_threads=THREADS)
    model.fit(train, show_progress=False)
    yield model
    yield model.recommend(np.arange(train.shape[0]), train, N=K)[0]


SYSTEMS = {
    "LSHRecommender": sklsh_with(),
    "network alone": sklsh_with(n_neighbors=0),
    "stream of 20": sklsh_stream,
    "user-kNN": user_knn,
    "popularity": popularity,
    "implicit ALS": implicit_als,
}


def measure(system: str, name: str, train, test) -> dict:
    import numpy as np

    from sklsh.metrics import ndcg_at_k, recall_at_k

    asked = np.flatnonzero(np.diff(test.indptr))
    start = time.perf_counter()
    stages = SYSTEMS[system](train)
    model = next(stages)
    fitted = time.perf_counter()
    ranked = np.asarray(next(stages), dtype=np.int64)
    done = time.perf_counter()
    return {
        "set": name,
        "system": system,
        "fit_s": fitted - start,
        "predict_ms": 1e3 * (done - fitted) / train.shape[0],
        "recall@20": recall_at_k(test[asked], ranked[asked], K),
        "ndcg@20": ndcg_at_k(test[asked], ranked[asked], K),
        "chunk_s": getattr(model, "chunk_seconds", None),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="gowalla,amazon-beauty")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    args = parser.parse_args()
    if args.data is None:
        print("bench_recommender needs --data, a folder of data sets: nothing measured")
        return
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(THREADS)

    from sklsh import LSHRecommender

    runs = []
    for name in args.sets.split(","):
        train, test = load(args.data / name)
        LSHRecommender((8,), max_iter=1, random_state=0).fit(train[:2000]).partial_fit(
            train[:100]
        ).predict_topk(train[:100], K)  # compile, as an installed package has long done
        print(f"\n{name}: {train.shape[0]:,} users, {train.shape[1]:,} items")
        print(f"{'system':16s}{'fit s':>9s}{'ms/user':>9s}{'recall':>9s}{'nDCG':>9s}")
        for system in args.systems.split(","):
            try:
                run = measure(system, name, train, test)
            except ImportError as error:
                print(f"{system:16s} left out: {error}")
                continue
            runs.append(run)
            print(
                f"{system:16s}{run['fit_s']:9.1f}{run['predict_ms']:9.2f}"
                f"{run['recall@20']:9.4f}{run['ndcg@20']:9.4f}",
                flush=True,
            )
            if run["chunk_s"]:
                print(f"{'':16s}seconds of each chunk: {run['chunk_s']}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "recommender.json").write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
