"""Several rankings of the same rows in one table, with bootstrap intervals over rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sklsh._utils.numbers import check_number
from sklsh._utils.threads import blocks
from sklsh._utils.validation import check_int
from sklsh.metrics._hits import ranked_hits
from sklsh.metrics._rows import ROW_VALUES

RESAMPLES = 64
"""Samples of rows held at a time: so many numbers a row."""


def compare_at_k(
    y_true, rankings, k=10, *, metrics=("recall", "ndcg"), n_resamples=1_000, confidence=0.95,
    random_state=0,
) -> list[dict]:  # fmt: skip
    """Metrics of several rankings of the same rows, with confidence intervals.

    Rows (users, say) are drawn with replacement, all rankings on the same ones: so the interval
    of a difference is that of paired rows, narrower than the two systems' own.

    Parameters
    ----------
    y_true : indicator (n_samples, n_labels), or integers (n_samples,)
        As of `precision_at_k`. Rows without relevant labels count as 0: leave them out before.
    rankings : mapping of str to ranked labels or scores
        By the system's name, each as `y_score` of `precision_at_k`. Differences are to the
        first one.
    k : int, default=10
    metrics : sequence of {"precision", "recall", "ndcg", "hit_rate", "mrr"}
    n_resamples : int, default=1000
    confidence : float in (0, 1), default=0.95
    random_state : int, default=0

    Returns
    -------
    list of dict
        One for each system and metric, in their order, with the keys "system", "metric",
        "value", "low" and "high" (the interval of the value), and "difference",
        "difference_low" and "difference_high" (to the first system). ``pd.DataFrame(...)``
        makes a table of it.

    Raises
    ------
    ValueError, TypeError
        No rankings, or no mapping; a metric there is none of; as `precision_at_k`.

    Notes
    -----
    O(n_resamples * n_samples * systems * metrics). Percentile intervals (B. Efron, R.
    Tibshirani, "An introduction to the bootstrap", 1993): of rows, not of what training draws.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.metrics import compare_at_k
    >>> y_true = np.eye(4)[[0, 1, 2, 3] * 50]
    >>> best = y_true.argmax(axis=1)[:, None]
    >>> table = compare_at_k(y_true, {"first": 0 * best, "best": best}, k=1, metrics=["recall"])
    >>> [(row["system"], row["value"], row["difference"]) for row in table]
    [('first', 0.25, 0.0), ('best', 1.0, 0.75)]
    """
    k, n_resamples = check_int(k, "k", 1), check_int(n_resamples, "n_resamples", 1)
    confidence = check_number(confidence, "confidence", 0, 1, closed="neither")
    if not isinstance(rankings, Mapping):
        raise TypeError(f"rankings must map names to rankings, got {type(rankings).__name__}")
    if not rankings:
        raise ValueError("rankings must name at least one system, got none")
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in metrics if name not in ROW_VALUES]
    if unknown or not metrics:
        raise ValueError(f"metrics must be some of {list(ROW_VALUES)}, got {metrics}")
    values = np.array([_row_values(y_true, ranked, k, metrics) for ranked in rankings.values()])
    drawn = _resampled(values.reshape(-1, values.shape[-1]), n_resamples, random_state)
    drawn = drawn.reshape(n_resamples, *values.shape[:2])
    tails = 50 * (1 - confidence), 50 * (1 + confidence)
    means, own = values.mean(axis=-1), np.percentile(drawn, tails, axis=0)
    apart = np.percentile(drawn - drawn[:, :1], tails, axis=0)
    return [
        {
            "system": system, "metric": metric, "value": float(means[s, m]),
            "low": float(own[0, s, m]), "high": float(own[1, s, m]),
            "difference": float(means[s, m] - means[0, m]),
            "difference_low": float(apart[0, s, m]), "difference_high": float(apart[1, s, m]),
        }
        for s, system in enumerate(rankings)
        for m, metric in enumerate(metrics)
    ]  # fmt: skip


def _row_values(y_true, ranked, k: int, metrics) -> list[np.ndarray]:
    Y, _, hits = ranked_hits(y_true, ranked, k)
    if not Y.shape[0]:
        raise ValueError("y_true must have at least one row, got none")
    return [ROW_VALUES[name](hits, np.diff(Y.indptr), k) for name in metrics]


def _resampled(values: np.ndarray, n_resamples: int, random_state) -> np.ndarray:
    """Means ``(n_resamples, len(values))`` of rows drawn with replacement."""
    rng, n_rows = np.random.default_rng(random_state), values.shape[1]
    out = np.empty((n_resamples, values.shape[0]))
    for start, stop in blocks(n_resamples, RESAMPLES):
        draws = rng.integers(0, n_rows, (stop - start, n_rows))
        counts = np.stack([np.bincount(draw, minlength=n_rows) for draw in draws])
        out[start:stop] = counts @ values.T / n_rows
    return out
