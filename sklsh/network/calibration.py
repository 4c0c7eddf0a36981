"""What is fitted after training, on validation rows: neighbours, threshold, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from sklearn.isotonic import IsotonicRegression

from sklsh.network.gains import discounts
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.rows import SparseRows
from sklsh.network.validation_rows import DEPTH, ValidationRows

# Trials of the k-NN scores. Wider grids gained nothing on the data sets of doc/benchmarks.
NEIGHBORS = (30, 60, 100, 200)
POWERS = (1.0, 2.0, 4.0, 8.0)
WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
TEMPERATURES = np.geomspace(0.25, 16, 25, dtype=np.float32)
THRESHOLDS = np.geomspace(1e-3, 0.9, 60, dtype=np.float32)
RANKED = 20
"""Depth of the ranking by which the k-NN scores are fitted. A thousand rows tell apart more
settings by their DCG at this depth than by P@1, 3 and 5, even where it is the latter that is
wanted."""

HALF_LIFE = 256
"""Rows of a stream after which the count of its labels has forgotten half of what was before."""

N_RIVALS = DEPTH
"""A label's share is its softmax over the row's so many best scores: cheap, and the tail of
a wide head carries no information on how many labels a row has."""

OWN_CURVE = 500
"""Validation rows from which the best labels have a curve of their own: it sees one label a row."""


def hits(labels: np.ndarray, Y: SparseRows, rows) -> np.ndarray:
    """Whether ``labels[i, j]`` is a label of row ``rows[i]``: bool, shape of `labels`."""
    counts = Y.counts()[rows]
    owner = np.repeat(np.arange(counts.shape[0]), counts)
    positions = np.arange(owner.shape[0]) + np.repeat(
        Y.indptr[rows] - np.cumsum(counts) + counts, counts
    )
    true = Y.indices[positions].astype(np.int64)
    # One number for each (row, label); padding, -1, falls on a number that no label has.
    stride = max(int(true.max(initial=0)), int(labels.max(initial=0))) + 2
    return np.isin(np.arange(labels.shape[0])[:, None] * stride + labels, owner * stride + true)


def fit_neighbors(
    validation_rows: ValidationRows, memory: NeighborMemory, n_neighbors: Sequence[int]
) -> float:
    """The weight of k-NN scores with the best DCG on the validation rows: 0 where they do not help.

    Sets it on `memory`, together with the best power and the best number of neighbours of
    those given (ascending). It must hold the rows of which the validation rows are some.
    """
    network, hidden = validation_rows.network, validation_rows.hidden
    found = validation_rows.alone(RANKED)
    memory.n_neighbors, memory.power = n_neighbors[-1], 1.0
    ids, cosines = validation_rows.neighbors(memory)
    right = memory.try_topk(
        network, hidden, (ids, cosines), found, validation_rows.Y, validation_rows.rows,
        POWERS, n_neighbors, WEIGHTS, validation_rows.n_threads,
    )  # fmt: skip
    gains = validation_rows.mean(right @ discounts(found[0].shape[1]))
    trials = list(product(POWERS, n_neighbors, WEIGHTS))
    memory.power, memory.n_neighbors, memory.weight = trials[int(np.argmax(gains))]
    # What another search, for so many, would find.
    ids, cosines = (np.ascontiguousarray(part[:, : memory.n_neighbors]) for part in (ids, cosines))
    validation_rows.nearest = ids, cosines**memory.power
    return memory.weight


def log_shares(scores: np.ndarray) -> np.ndarray:
    """Log-softmax of each row of best scores (-inf where padded)."""
    # Where no label is observed, all are -inf and stay so.
    shifted = scores - np.where(np.isfinite(scores[:, :1]), scores[:, :1], 0)
    return shifted - np.log(np.maximum(np.exp(shifted).sum(axis=1, keepdims=True), 1e-30))


def best_scores(scores: np.ndarray) -> np.ndarray:
    """The `N_RIVALS` largest of each row, or all, in falling order."""
    n_best = min(N_RIVALS, scores.shape[1])
    best = -np.partition(-scores, n_best - 1, axis=1)[:, :n_best]
    return -np.sort(-best, axis=1)


@dataclass(frozen=True)
class Rivals:
    """The best labels of validation rows, all that adds up to a score counted.

    Attributes
    ----------
    labels : ndarray (n, `N_RIVALS`), int64
        Best first, padded with -1.
    scores : ndarray (n, `N_RIVALS`), float32
    right : ndarray (n, `N_RIVALS`), bool
        Whether the row has the label.
    n_true : ndarray (n,)
        Labels of each row.
    weights : ndarray (n,) or None
        As of `ValidationRows`.
    """

    labels: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    n_true: np.ndarray
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, validation_rows: ValidationRows, named_only: bool = False) -> Rivals:
        """Ranked once for all that is fitted on them."""
        rows, Y = validation_rows.rows, validation_rows.Y
        labels, scores = validation_rows.topk(N_RIVALS, named_only=named_only)
        return cls(labels, scores, hits(labels, Y, rows), Y.counts()[rows], validation_rows.weights)

    def log_shares(self, temperature: float) -> np.ndarray:
        """Logarithms of the labels' shares, (n, `N_RIVALS`)."""
        return log_shares(self.scores / np.float32(temperature))


def fit_temperature(rivals: Rivals) -> float:
    """What scores are divided by so that their softmax is likeliest on the validation rows.

    Guo et al., "On calibration of modern neural networks", ICML 2017. Of a row's labels, those
    among its best count, all alike; 1 where there are none.
    """
    right = rivals.right
    share = right / np.maximum(right.sum(axis=1, keepdims=True), 1)
    if not right.any():
        return 1.0
    if rivals.weights is not None:
        share = share * rivals.weights[:, None]
    likelihoods = [
        float(np.sum(share * np.where(right, rivals.log_shares(temperature), 0)))
        for temperature in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmax(likelihoods))])


def fit_threshold(rivals: Rivals, temperature: float = 1.0) -> float:
    """The share above which to predict a label: best mean F1 of the validation rows."""
    shares, right = np.exp(rivals.log_shares(temperature)), np.cumsum(rivals.right, axis=1)
    n_true = rivals.n_true
    best_f1, best = -1.0, 0.5
    for threshold in THRESHOLDS:
        n_predicted = (shares >= threshold).sum(axis=1)
        n_right = np.where(
            n_predicted > 0,
            np.take_along_axis(right, np.maximum(n_predicted - 1, 0)[:, None], axis=1)[:, 0],
            0,
        )
        total = n_predicted + n_true
        # A row without labels and without predictions is right.
        of_row = np.where(total > 0, 2 * n_right / np.maximum(total, 1), 1.0)
        f1 = float(np.average(of_row, weights=rivals.weights))
        if f1 > best_f1:
            best_f1, best = f1, float(threshold)
    return best


def fit_chances(rivals: Rivals, temperature: float = 1.0) -> np.ndarray:
    """How likely a row is to have a label, by the logarithm of the label's share.

    Knots of isotonic regressions (Zadrozny and Elkan, "Transforming classifier scores into
    accurate multiclass probability estimates", KDD 2002) on each row's best labels, one for the
    very best and one for the others: of a share that both have, the best label is right less
    often, as it is the best of a row that is harder. (One curve for all is off by .036 on the mean
    of six sets at the best label, two by .023; a logistic function by half as much again.) Nothing
    is certain: chances keep half a row's distance from 0 and 1.

    Returns
    -------
    ndarray (4, n_knots), float32
        Logarithms of shares, ascending, and chances, to be interpolated between: of labels
        that are not a row's best, then of the best.
    """
    labels, shares, right = rivals.labels, rivals.log_shares(temperature), rivals.right
    weights = rivals.weights
    if weights is None:
        weights = np.ones(labels.shape[0], dtype=np.float32)
    weights = np.broadcast_to(weights[:, None], labels.shape)
    margin = 0.5 / labels.shape[0]
    curves = []
    apart = labels.shape[0] >= OWN_CURVE and (labels[:, 1:] >= 0).any()
    for ranks in (slice(1, None), slice(0, 1)) if apart else (slice(None),) * 2:
        known = labels[:, ranks] >= 0
        curve = IsotonicRegression(y_min=margin, y_max=1 - margin)
        parts = (part[:, ranks][known] for part in (shares, right, weights))
        curve.fit(*parts)
        curves += [curve.X_thresholds_, curve.y_thresholds_]
    width = max(map(len, curves))
    padded = [np.pad(knots, (0, width - len(knots)), mode="edge") for knots in curves]
    return np.stack(padded).astype(np.float32)


def chances_of(shares: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Chances of rows' labels by the logarithms of their shares, (n, n_labels); see `fit_chances`.

    No label's is above that of the row's best. Of an earlier version's model there is one curve.
    """
    best = shares.argmax(axis=1)[:, None]
    of_best = np.interp(np.take_along_axis(shares, best, axis=1), *chances[-2:])
    out = np.minimum(np.interp(shares, *chances[:2]), of_best)
    np.put_along_axis(out, best, of_best, axis=1)
    return out.astype(np.float32)


@dataclass(frozen=True)
class LabelCounts:
    """Labels that rows of a stream have, and that each threshold would name, fading with time.

    The threshold of a stream names as many labels as rows have, the calibration by label
    cardinality of J. Read et al., "Classifier chains for multi-label classification", ECML 2009:
    a count tells more from a few rows than the best F1 does, and costs none of it.

    Attributes
    ----------
    named : ndarray (n_thresholds,), float64
        Labels above each of `THRESHOLDS`.
    true : float
        Labels that the same rows have.
    """

    named: np.ndarray = field(default_factory=lambda: np.zeros(THRESHOLDS.shape[0]))
    true: float = 0.0

    def joined(self, scores: np.ndarray, true: np.ndarray) -> LabelCounts:
        """With more rows: their `N_RIVALS` best scores (n, depth), their numbers of labels (n,).

        O(n * depth * n_thresholds).
        """
        shares = np.sort(np.exp(log_shares(scores)), axis=None)
        named = shares.shape[0] - np.searchsorted(shares, THRESHOLDS)
        kept = 0.5 ** (true.shape[0] / HALF_LIFE)
        return LabelCounts(kept * self.named + named, kept * self.true + float(true.sum()))

    def threshold(self) -> float:
        """The share above which as many labels are named as there are, nearly; rather fewer."""
        falling = THRESHOLDS[::-1]
        return float(falling[int(np.argmin(np.abs(self.named[::-1] - self.true)))])
