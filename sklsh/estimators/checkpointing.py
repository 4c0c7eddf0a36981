"""Where an estimator's `fit` is kept, to resume from after it was killed."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from pathlib import Path

import numpy as np

from sklsh._utils.archive import fingerprint
from sklsh.network.checkpoints import FitCheckpoint

MAY_CHANGE = {
    "n_jobs", "verbose", "checkpoint_dir", "checkpoint_interval", "item_weight", "class_weight",
}  # fmt: skip
"""Parameters that training does not hang on: another value may be given when it resumes. Weights
of classes are in those of rows, which are part of the data."""


def checkpoint_of(estimator, arrays: Iterable[np.ndarray]) -> FitCheckpoint | None:
    """Where a fit is kept, known by all that its result follows from; None if it is not.

    Parameters
    ----------
    estimator : SparseLSHMLPClassifier or LSHRecommender
    arrays : iterable of ndarray
        The data, and the model that training begins with, if it is none of its own.
    """
    if estimator.checkpoint_dir is None:
        return None
    params = {
        name: repr(value)
        for name, value in estimator.get_params().items()
        if name not in MAY_CHANGE
    }
    if not isinstance(estimator.random_state, Integral):
        del params["random_state"]  # the seed that was drawn is in the checkpoint
    folder, interval = Path(estimator.checkpoint_dir), estimator.checkpoint_interval
    return FitCheckpoint(folder, fingerprint(params, arrays), interval)
