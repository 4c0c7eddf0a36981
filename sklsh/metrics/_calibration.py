"""Whether probabilities of ranked labels hold: what came true of those that were as likely."""

from __future__ import annotations

import numpy as np

from sklsh._utils.validation import check_int
from sklsh.metrics._hits import ranked_hits

MAX_BINS = 1_000_000
"""Beyond what float32 tells apart, and memory bears."""


def reliability(y_true, labels, probabilities, n_bins: int):
    """Mean probability, share that came true and number of the labels in each bin that has any.

    Bins are as wide; arguments as of `expected_calibration_error`.
    """
    n_bins = check_int(n_bins, "n_bins", 1, MAX_BINS)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != np.shape(labels) or probabilities.ndim != 2:
        raise ValueError(
            "probabilities must be 2-d, one for each of labels, got shapes "
            f"{probabilities.shape} and {np.shape(labels)}"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must be in [0, 1]")
    _, ranked, right = ranked_hits(y_true, labels, probabilities.shape[1])
    known = ranked >= 0
    chances, right = probabilities[known], right[known]
    bins = np.minimum((chances * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    full = counts > 0
    means = [np.bincount(bins, values, n_bins)[full] / counts[full] for values in (chances, right)]
    return *means, counts[full]


def expected_calibration_error(y_true, labels, probabilities, *, n_bins=15) -> float:
    """How far probabilities are from what comes true, on average over bins of like ones.

    Parameters
    ----------
    y_true : indicator matrix (n_samples, n_labels), lists of labels, or labels (n_samples,)
    labels : array-like (n_samples, k)
        Ranked labels, as of `predict_topk_proba`; -1 is padding.
    probabilities : array-like (n_samples, k)
        Of each of them.
    n_bins : int, default=15
        Bins of [0, 1], all as wide.

    Returns
    -------
    float
        Mean of ``abs(mean probability - share that came true)``, bins weighted by their labels;
        0 where there is no label. Of calibrated probabilities too it is above 0 by chance, some
        ``.4 * sqrt(n_bins / (n_samples * k))`` at most.

    Raises
    ------
    ValueError
        Shapes that differ, probabilities outside [0, 1], or `y_true` and `labels` that
        `precision_at_k` refuses.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> from sklsh.metrics import expected_calibration_error
    >>> expected_calibration_error([0, 1], [[0], [0]], [[0.9], [0.9]])
    0.4
    """
    chances, right, counts = reliability(y_true, labels, probabilities, n_bins)
    return float(np.abs(chances - right) @ counts / max(1, counts.sum()))
