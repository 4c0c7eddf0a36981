"""Check of a real-valued argument."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np


def check_number(value: Any, name: str, low: float, high: float = np.inf, closed="left") -> float:
    """`value` as a float, if it is a real number between `low` and `high`.

    `closed` says which of the limits are allowed: "left", "both" or "neither". An infinite
    limit never is.

    Raises
    ------
    TypeError
        Not a real number (booleans are not).
    ValueError
        Outside the range, or NaN.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    number = float(value)
    above = number >= low if closed in ("left", "both") else number > low
    below = number <= high if closed == "both" else number < high
    if not (above and below):
        interval = (
            f"{'(' if closed == 'neither' else '['}{low}, {high}{']' if closed == 'both' else ')'}"
        )
        raise ValueError(f"{name} must be in {interval}, got {value}")
    return number
