"""The multilabel threshold of a federation: as many labels named as rows have.

No one holds both the whole head and rows. A device's sub-model has the neurons that score
highest on its rows, so its softmax over a row's best scores is nearly that of the whole head; the
device knows how many labels its rows have, and says above which share that many are named. The
server takes the median over devices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklsh.federated.messages import Update
from sklsh.network.calibration import LabelCounts, best_scores
from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows

COUNTED = 128
"""Rows of a round that a device's threshold is of, most."""

BLOCK = 16
"""Rows scored at a time: the sub-model's scores of all would be as large as itself."""


def naming_threshold(network: WideNetwork, X: SparseRows, n_true: np.ndarray) -> float:
    """The share above which a sub-model names as many labels as rows have.

    Parameters
    ----------
    network : WideNetwork
        Before the round's training: what it says of rows that it has just been trained on is
        too certain.
    X : SparseRows
        Of the round; the first `COUNTED` are used.
    n_true : ndarray of int (n_rows,)
        Labels of these, those without a neuron in the sub-model too.

    Returns
    -------
    float
        One of `sklsh.network.calibration.THRESHOLDS`.

    Notes
    -----
    O(COUNTED n_ids n_hidden).
    """
    counts = LabelCounts()
    for start in range(0, min(COUNTED, X.n_rows), BLOCK):
        rows = np.arange(start, min(start + BLOCK, COUNTED, X.n_rows), dtype=np.int32)
        scores = network.hidden(X.take(rows)) @ network.head_weights.T
        scores += network.head_bias
        if scores.shape[1]:
            counts = counts.joined(best_scores(scores), n_true[rows])
    return counts.threshold()


def common_threshold(updates: Sequence[Update]) -> float | None:
    """The median of the devices' thresholds, so that a minority moves it to an honest one's."""
    said = [update.threshold for update in updates if update.threshold is not None]
    return float(np.median(said)) if said else None
