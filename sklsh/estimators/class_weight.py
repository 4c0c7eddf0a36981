"""Weights of classes as weights of rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sklsh.estimators.targets import Targets
from sklsh.network.rows import SparseRows


def weighted_rows(
    class_weight, targets: Targets, Y: SparseRows, sample_weight: np.ndarray | None, *,
    stream: bool = False, may_grow: bool = False,
) -> np.ndarray | None:  # fmt: skip
    """Each row's weight times that of its class, or the mean of those of its labels.

    Parameters
    ----------
    class_weight : mapping, "balanced" or None
    targets, Y
        What columns are called, and which each row has.
    sample_weight : ndarray (n_samples,) or None
    stream : bool
        There may be other rows than these, so that nothing can be balanced.
    may_grow : bool
        Classes that are not there yet may have a weight.

    Returns
    -------
    ndarray (n_samples,), or None if all count alike
        Rows without labels keep their weight.

    Raises
    ------
    ValueError
        Weights of what is no class or label; negative, infinite or NaN ones; "balanced" in a
        stream.
    """
    if class_weight is None:
        return sample_weight
    n_labels = targets.classes.shape[0]
    counts = Y.counts()
    owners = np.repeat(np.arange(counts.shape[0]), counts)
    if isinstance(class_weight, Mapping):
        of_label = _given(class_weight, targets, may_grow)
    elif stream:
        raise ValueError(
            'class_weight="balanced" needs all rows: partial_fit takes a dict, such as '
            "sklearn.utils.class_weight.compute_class_weight makes of earlier rows"
        )
    else:
        # Rows of weight 0 are as if they were not there.
        found = Y.indices if sample_weight is None else Y.indices[sample_weight[owners] > 0]
        frequencies = np.bincount(found, minlength=n_labels)
        n_occurring = max(1, np.count_nonzero(frequencies))
        of_label = found.shape[0] / (n_occurring * np.maximum(frequencies, 1))
    sums = np.bincount(owners, weights=of_label[Y.indices], minlength=counts.shape[0])
    weights = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
    if sample_weight is not None:
        weights *= sample_weight
    if not weights.any():
        raise ValueError("class_weight must leave a row with a weight above 0, got none")
    return weights


def _given(class_weight: Mapping, targets: Targets, may_grow: bool) -> np.ndarray:
    """A weight for each label, 1 where none is given.

    By class; of a multilabel y by name where its labels have names, by column where these are no
    integers.
    """
    columns = {name: column for column, name in enumerate(targets.classes.tolist())}
    names = None if targets.label_names is None else targets.label_names.tolist()
    column_of: dict = {} if names and not isinstance(names[0], str) else columns
    if names:
        column_of |= {name: column for column, name in enumerate(names)}
    out = np.ones(targets.classes.shape[0])
    for name, weight in class_weight.items():
        is_number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not (is_number and 0 <= weight < np.inf):
            raise ValueError(
                f"class_weight must be finite and at least 0, got {weight!r} for {name!r}"
            )
        if name in column_of:
            out[column_of[name]] = weight
        elif not may_grow:
            known = list(column_of)[:10]
            raise ValueError(
                f"class_weight must name classes of y, got {name!r}; the first of them are {known}"
            )
    return out
