"""What naming an item is worth: factors of its odds, as given or by propensity."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np

from sklsh._utils.containers import plain
from sklsh.metrics import jain_weights

MIN_USERS = 3
"""Fewer users than this and the propensity model turns over."""


def item_weights(item_weight, counts: np.ndarray, n_users: int) -> np.ndarray | None:
    """Positive weights of the items, float64 (n_items,), or None.

    Parameters
    ----------
    item_weight : None, "propensity" or array-like (n_items,)
    counts : ndarray (n_items,)
        Users that have each item.
    n_users : int

    Raises
    ------
    ValueError
        Not one an item; not positive and finite; too few users for propensities.
    """
    if item_weight is None:
        return None
    if isinstance(item_weight, str):
        if n_users < MIN_USERS:
            raise ValueError(
                f'item_weight="propensity" needs at least {MIN_USERS} users, got {n_users}'
            )
        return jain_weights(counts, n_users)
    return check_item_weight(item_weight, counts.shape[0])


def check_item_weight(item_weight, n_items: int):
    """`item_weight`, an array of it being one positive number an item."""
    if item_weight is None or isinstance(item_weight, str):
        return item_weight
    weights = np.asarray(plain(item_weight, "item_weight"))
    if weights.dtype.kind in "US" or isinstance(item_weight, Set | Mapping):
        raise TypeError(
            f"item_weight must be numbers in the order of the items, got "
            f"{'text' if weights.dtype.kind in 'US' else type(item_weight).__name__}"
        )
    weights = weights.astype(np.float64)
    if weights.shape != (n_items,):
        raise ValueError(
            f"item_weight must be one for each of the {n_items} items, got shape {weights.shape}"
        )
    wrong = ~(np.isfinite(weights) & (weights > 0))
    if wrong.any():
        raise ValueError(
            f"item_weight must be positive and finite, got {weights[wrong][0]} "
            f"for item {np.flatnonzero(wrong)[0]}"
        )
    return weights
