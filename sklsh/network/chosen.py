"""Scores of chosen labels alone: nothing else of the head is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread
from sklsh.network.predictor import UNSEEN, Predictor
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
        ids, similarities = neighbors
        voters, places = np.unique(ids, return_inverse=True)
        shift = int(voters[0] < 0) if voters.size else 0  # -1 pads
        few = replace(memory, labels=memory.labels.take(voters[shift:]).among(names))
        few.add_to(out, ((places.reshape(ids.shape) - shift).astype(np.int32), similarities))
    if gained is not None:
        found, gains = gained
        row, at = np.nonzero(np.isin(found, names))
        out[row, np.searchsorted(names, found[row, at])] += gains[row, at]
    if network.seen_ids is not None:
        # As everywhere: a label that only voting rows have scores their votes.
        unseen = ~np.isin(names, network.seen_ids)
        out[:, unseen] = np.where(out[:, unseen] > 0, out[:, unseen], UNSEEN)
    return out
