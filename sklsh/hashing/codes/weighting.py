"""Coordinates in which squared errors of a row are mean squared errors of its scores."""

from __future__ import annotations

import numpy as np

LEAST = 1e-3
"""Least eigenvalue of a moment, as a share of their mean: other vectors will come."""


def weighting(moment: np.ndarray | None, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices S and S^-1, ``(width, width)`` float32, with ``S S`` the moment of hidden vectors.

    An error e of a row makes an error ``e @ h`` of its score, ``|e S|^2`` in the mean square:
    codes of ``w S`` that are near in the usual sense have scores that are. Rows times S,
    hidden vectors times S^-1 have the products that they had. The symmetric root leaves
    coordinates where they were as far as can be. The moment is scaled to mean eigenvalue 1.
    """
    if moment is None:
        identity = np.eye(width, dtype=np.float32)
        return identity, identity
    values, vectors = np.linalg.eigh(moment.astype(np.float64))
    mean = values.mean()
    if not mean > 0:
        raise ValueError(f"hidden_moment must have a positive trace, got {values.sum()}")
    roots = np.sqrt(np.maximum(values / mean, LEAST))
    forth, back = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    return forth.astype(np.float32), back.astype(np.float32)
