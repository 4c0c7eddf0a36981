"""Labels by name - in lists, as columns of a frame, as classes - as columns of one order."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import column_names, is_text, label_lists, plain
from sklsh.metrics._hits import named_indicator, places_of, relevant_labels


def names_of(y, name: str = "y_true") -> np.ndarray | None:
    """What the labels of `y` are called, in the order of its columns; None if they are numbers."""
    lists = label_lists(y)
    if lists is not None:
        return np.array(sorted({label for row in lists for label in row}))
    names = column_names(y)
    if names is not None or sp.issparse(y):
        return names
    classes = np.asarray(plain(y, name))
    return np.unique(classes.astype(str)) if classes.ndim == 1 and is_text(classes) else None


def indicator_by_name(y, names: np.ndarray, name: str = "y_true") -> sp.csr_array:
    """Labels that have names as an indicator of columns `names`, without those beside them."""
    lists = label_lists(y)
    if lists is not None:
        return named_indicator(lists, names)[:, : names.shape[0]]
    own = names_of(y, name)
    assert own is not None
    if column_names(y) is None:
        Y = named_indicator([[label] for label in np.asarray(plain(y, name)).tolist()], own)
        Y = Y[:, : own.shape[0]]
    else:
        Y = relevant_labels(y, name)
    wide = sp.hstack([Y, sp.csr_array((Y.shape[0], 1), dtype=Y.dtype)], format="csr")
    places = places_of(own, names) if own.size else np.full(names.shape, -1)
    return wide[:, np.where(places >= 0, places, own.shape[0])]


def ranked_names(y_score) -> np.ndarray | None:
    """Different names in a ranking by name, without padding; None if it is none."""
    if sp.issparse(y_score) or np.ndim(y_score) != 2:
        return None
    ranked = np.asarray(plain(y_score, "y_score"))
    return np.unique(ranked[ranked != ""].astype(str)) if is_text(ranked) else None


def in_one_order(y_train, y_true, y_score):
    """All three as columns of one order, where both y have names; else as they are.

    Of a ranking by name that of `y_train`, with other names behind; else that of `y_true`.
    """
    own, asked = names_of(y_train, "y_train"), names_of(y_true)
    if own is not None and asked is None and np.ndim(y_train) == 1 and label_lists(y_train) is None:
        raise TypeError("y_train, if 1-d, must hold label columns as y_true does, got text")
    if own is None or asked is None:
        return y_train, y_true, y_score
    ranked, names = ranked_names(y_score), asked
    if ranked is not None:
        found = np.union1d(asked, ranked)
        names = np.concatenate([own, found[~np.isin(found, own)]])
        y_score = places_of(names, np.asarray(plain(y_score, "y_score")))
    trained, true = (
        indicator_by_name(y, names, name) for y, name in ((y_train, "y_train"), (y_true, "y_true"))
    )
    return trained, true, y_score
