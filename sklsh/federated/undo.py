"""`Undo`: rows as they were before a round moved them, should a number not be finite after it."""

from __future__ import annotations

import numpy as np


class Undo:
    """Copies of what is about to change; as much memory as the rows of a round."""

    def __init__(self):
        self._saved: list[tuple] = []

    def save(self, array, rows) -> None:
        """Remember ``array[rows]``."""
        self._saved.append((array, rows, array[rows].copy()))

    def undo_unless_finite(self) -> bool:
        """Put everything back if any of it is NaN or inf now; whether that was so."""
        if all(np.isfinite(array[rows]).all() for array, rows, _ in self._saved):
            return False
        for array, rows, before in reversed(self._saved):
            array[rows] = before
        return True
