"""What makes training blind to units: of the rows, of the weights, of a single stray row.

A typical row is scaled to unit norm. Typical is the median, which a few stray rows do not
move; in a stream that of its last rows, so that the scale follows where the unit changes. It
then moves by powers of two: first-layer weights and Adagrad's accumulators are those of scaled
rows, and stay. How long a single row may be, `sklsh.network.model.LONGEST` says.
"""

from __future__ import annotations

import numpy as np

from sklsh.kernels.neighbors import inverse_norms_csr
from sklsh.network.rows import SparseRows

RECENT = 64
"""Rows of a stream whose median is typical; a part of more rows is typical by itself."""

WEIGHED_ROWS = 1 << 14
"""Rows of a stream that its weights' mean remembers, about."""


def inverse_norms(X: SparseRows) -> np.ndarray:
    """What would scale each row to unit norm, float32; rows of zeros are left out."""
    scales = np.empty(X.n_rows, dtype=np.float32)
    inverse_norms_csr(X.indptr, X.data, scales)
    return scales[scales > 0]


def typical_norm(X: SparseRows) -> float:
    """The median row's norm; 0 if all rows are zero."""
    scales = inverse_norms(X)
    return 1 / float(np.median(scales)) if scales.size else 0.0


def add_recent(recent: np.ndarray | None, scales: np.ndarray) -> tuple[np.ndarray, float]:
    """The last rows' scales, those of a part among them, and the scale of the typical one.

    Parameters
    ----------
    recent : ndarray (at most `RECENT`,) or None
    scales : ndarray (n > 0,)
        `inverse_norms` of the part.
    """
    known = scales if recent is None else np.concatenate([recent, scales])
    typical = float(np.median(known[-max(RECENT, scales.shape[0]) :]))
    spread = scales[:: max(1, scales.shape[0] // RECENT)]
    known = spread if recent is None else np.concatenate([recent, spread])
    return known[-RECENT:], typical


def moved_scale(scale: float, typical: float) -> float:
    """`scale`, or where it is off by more than 2, that power of two times it which is nearest."""
    ratio = typical / scale
    return scale if 0.5 <= ratio <= 2 else scale * 2.0 ** round(np.log2(ratio))


def relative_weights(weights: np.ndarray | None, total: float = 0.0, n_rows: float = 0.0):
    """Weights in units of their mean, float32, that of rows before included.

    Rows without weights have a weight of 1 then, as the mean has, and do not count towards it.

    Parameters
    ----------
    weights : ndarray (n,), float64, or None
        Positive.
    total, n_rows : float
        Sum and number of the weights before.

    Returns
    -------
    relative : ndarray (n,) of float32, or None
    total, n_rows : float
        To be handed in with the next part.
    """
    if weights is None:
        return None, total, n_rows
    total, n_rows = total + float(weights.sum()), n_rows + weights.shape[0]
    relative = (weights / (total / n_rows)).astype(np.float32)
    kept = min(1.0, WEIGHED_ROWS / n_rows)
    return relative, kept * total, kept * n_rows
