"""Arrays that may be written to."""

from __future__ import annotations

import numpy as np


def own_arrays(*parts) -> None:
    """Replace read-only arrays among the attributes of objects, and in lists there, by copies.

    Models come with such arrays where they are mapped from a file or handed to a joblib
    worker. Whoever goes on training one does so on a copy.
    """
    for part in parts:
        for name, value in vars(part).items():
            if isinstance(value, list):
                value[:] = map(_writable, value)
            elif isinstance(value, np.ndarray) and not value.flags.writeable:
                setattr(part, name, _writable(value))


def _writable(value):
    if isinstance(value, np.ndarray) and not value.flags.writeable:
        return np.array(value)
    return value
