"""Scores of chosen labels alone: nothing else of the head is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread
from sklsh.network.predictor import Predictor, mark_unseen
from sklsh.network.rows import SparseRows

ROWS = 256
"""Rows at a time: the labels of all of them are scored for each."""


@one_blas_thread()
def chosen_scores(predictor: Predictor, X: SparseRows, labels: np.ndarray) -> np.ndarray:
    """What `predictor` gives each row's `labels`, (n_rows, n_chosen) float32.

    O(n_rows * n_hidden) times the different labels of 256 rows, beside the search of neighbours
    and that of the linear view.

    Parameters
    ----------
    predictor : Predictor
    X : SparseRows
    labels : ndarray of int64, (n_rows, n_chosen), or (n_chosen,) for every row
        -1 is none, and scores -inf.
    """
    shape = X.n_rows, labels.shape[-1]
    out = np.full(shape, -np.inf, dtype=np.float32)
    each = np.broadcast_to(labels, shape)
    for start, stop in blocks(X.n_rows, ROWS):
        rows, wanted = np.arange(start, stop, dtype=np.int32), each[start:stop]
        names = np.unique(labels if labels.ndim == 1 else wanted)
        names = names[names >= 0].astype(np.int32)
        if not names.size:
            continue
        scores = _scores(predictor, X, rows, names)
        here = wanted >= 0
        places = np.searchsorted(names, wanted[here])
        out[start:stop][here] = scores[np.nonzero(here)[0], places]
    return out


def _scores(predictor, X: SparseRows, rows, names) -> np.ndarray:
    """Of ascending labels, dense (n_rows, n_names)."""
    network, memory = predictor.network, predictor.memory
    weights, bias = network.rows_of(names)
    out = network.hidden(X, rows, predictor.n_threads) @ weights.T + bias
    neighbors, gained = predictor.neighbors(X, rows), predictor.gains(X, rows)
    if memory is not None and neighbors is not None:
        few, neighbors = memory.among(neighbors)
        replace(few, labels=few.labels.among(names)).add_to(out, neighbors)
    if gained is not None:
        found, gains = gained
        row, at = np.nonzero(np.isin(found, names))
        out[row, np.searchsorted(names, found[row, at])] += gains[row, at]
    if network.observed_ids is not None:
        mark_unseen(out, ~np.isin(names, network.observed_ids))
    return out
