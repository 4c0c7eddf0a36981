"""Compiling ahead: what a first fit would otherwise do while somebody waits."""

from __future__ import annotations

import warnings
from time import perf_counter

import numpy as np

KINDS = ("classifier", "recommender", "hasher")


def warm_up(*kinds: str, verbose: bool = False) -> float:
    """Compile the kernels that fits and predictions with default settings need.

    Compiled code is kept in numba's cache (``NUMBA_CACHE_DIR``, else beside the package), so that
    this does something once for each machine, version and type of processor; after that it takes
    a second or two. Estimators compile what they need by themselves, the first time.

    Parameters
    ----------
    *kinds : {"classifier", "recommender", "hasher"}
        For whom; none: for all three.
    verbose : bool, default=False
        Print a line for each.

    Returns
    -------
    float
        Seconds that it took.

    Raises
    ------
    ValueError
        Another kind.

    Examples
    --------
    >>> import sklsh
    >>> sklsh.warm_up("hasher") > 0
    True
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kinds must be among {', '.join(KINDS)}, got {kind!r}")
    begin = perf_counter()
    for kind in kinds or KINDS:
        start = perf_counter()
        if verbose:
            print(f"compiling for the {kind} ...", end=" ", flush=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            {"classifier": _classifier, "recommender": _recommender, "hasher": _hasher}[kind]()
        if verbose:
            print(f"{perf_counter() - start:.1f} s", flush=True)
    return perf_counter() - begin


def _data():
    """Sparse rows and labels, enough of them that some are held out."""
    from sklsh.datasets import make_extreme_classification

    return make_extreme_classification(600, 300, 200, features_per_row=10, random_state=0)


def _classifier() -> None:
    from sklsh import SparseLSHMLPClassifier

    X, Y = _data()
    small = {"hidden_layer_sizes": (8,), "max_iter": 1, "random_state": 0}
    for sampler in ("random", "all"):  # of wide heads and of narrow ones
        model = SparseLSHMLPClassifier(sampler=sampler, **small).fit(X, Y)
        model.predict_topk(X[:5])
        model.predict(X[:5])
    model.partial_fit(X, Y)
    dense = X[:, :20].toarray()
    SparseLSHMLPClassifier(**small).fit(dense, np.arange(600) % 5).predict(dense[:5])


def _recommender() -> None:
    import scipy.sparse as sp

    from sklsh import LSHRecommender
    from sklsh.network.item_scorer import MANY_ITEMS

    _, Y = _data()
    model = LSHRecommender((8,), max_iter=1, random_state=0).fit(Y)
    model.recommend(0, Y[:1])
    model.similar_items(0)
    model.partial_fit(Y)
    # With many items others are regressed on their nearest, and item-item scores name candidates.
    entries, n_items = np.arange(18_000), MANY_ITEMS + 9
    shape = (600, n_items)
    wide = sp.csr_array((np.ones(18_000), (entries % 600, entries % n_items)), shape=shape)
    LSHRecommender((8,), max_iter=1, n_factors=8, random_state=0).fit(wide).recommend(
        [0], wide[[0]]
    )


def _hasher() -> None:
    from sklsh import CompressedLSHHasher

    X, _ = _data()
    for rows in (X, X[:, :20].toarray()):
        hasher = CompressedLSHHasher(random_state=0).fit(rows)
        hasher.transform(rows)
        hasher.query(rows[:5], n_candidates=3)
