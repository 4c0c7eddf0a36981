"""How many training rows had each label of a model: kept for propensity-scored precision."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import check_column_names, label_lists, plain
from sklsh.metrics._hits import named_indicator, places_of, relevant_labels


def count_labels(model, y_train) -> tuple[np.ndarray, int]:
    """Rows of each of the model's labels, and of all.

    Parameters
    ----------
    model : fitted classifier, or any other estimator
        Its `label_names_` and `classes_` say which column a label has.
    y_train : indicator (n_samples, n_labels), lists of labels or labels (n_samples,)

    Raises
    ------
    ValueError, TypeError
        Labels that the model has not.
    """
    names, classes = getattr(model, "label_names_", None), getattr(model, "classes_", None)
    lists = label_lists(y_train)
    if lists is not None and names is not None:
        Y = named_indicator(lists, names)
        if np.any(Y.indices == len(names)):
            raise ValueError("y_train must have labels of the model, got others")
        Y = Y[:, : len(names)]
    else:
        check_column_names(y_train, names)
        y, n_labels = plain(y_train, "y_train"), None
        if names is None and classes is not None and not sp.issparse(y) and np.ndim(y) == 1:
            y, n_labels = places_of(classes, np.asarray(y)), len(classes)
            if (y < 0).any():
                raise ValueError("y_train must have classes of the model, got others")
        Y = relevant_labels(y, "y_train", n_labels)
    return np.bincount(Y.indices, minlength=Y.shape[1]).astype(np.int64), Y.shape[0]
