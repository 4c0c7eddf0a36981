"""`fit_ranking`: what neighbours, linear view and a label's frequency weigh, fitted together.

How neighbours score has been fitted beside the logits alone. Then each weight is tried while
the others stay, `tau` among them: ``tau * log(1 + rows of the label)`` is taken off a score
(Menon et al., "Long-tail learning via logit adjustment", ICLR 2021), or added, if `tau` is
negative. What ranks best is found on validation rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sklsh.network.calibration import hits
from sklsh.network.gains import tried_gains
from sklsh.network.linear import LinearView
from sklsh.network.neighbors import SHARPNESS
from sklsh.network.rows import SparseRows
from sklsh.network.validation_rows import DEPTH, ValidationRows

NEIGHBOR_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Of the k-NN scores' weight before."""

LINEAR_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0)

TAUS = (-0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)

RANKED = 10
"""Depth of the DCG by which weights are compared."""

CERTAIN = 1.0
"""A weight is changed if that gains more than so many standard errors of the gain: a thousand rows
choose by chance otherwise, which costs up to a point of P@1. Over thirteen trials on eleven data
sets the mean P@1, P@3 and P@5 are .1 points above those of the view's weight alone."""

NEIGHBORS, LINEAR, TAU = range(3)
"""Places of the weights."""

ROUNDS = 4
"""Of trying each in turn, at most."""


class Candidates(NamedTuple):
    """Labels that may be among a row's best, (n, depth), and the parts of their scores.

    Labels are padded with -1. `neighbors` and `roots` (of shares) are as scores have them before
    their weights; `frequency` is a label's ``log(1 + rows)``; `right` tells whether the row has it;
    `weights` (n,), how much rows count, None: all alike.
    """

    labels: np.ndarray
    logits: np.ndarray
    neighbors: np.ndarray
    roots: np.ndarray
    frequency: np.ndarray
    right: np.ndarray
    weights: np.ndarray | None = None

    def dcg(self, weights: list[float], part: int, values, n_threads: int = 1) -> np.ndarray:
        """DCG of each row's best `RANKED` by each of `values` at `part` of the weights."""
        sources = self.neighbors, self.roots, -self.frequency
        base = self.logits.copy()
        for source, weight in zip(
            sources, [*weights[:part], 0.0, *weights[part + 1 :]], strict=True
        ):
            base += np.float32(weight) * source
        base[self.labels < 0] = -np.inf  # nothing that is ranked
        everywhere, added = np.zeros(base.shape, dtype=np.int32), sources[part][None]
        gains = tried_gains(base, added, values, everywhere, self.right, RANKED, n_threads)
        return gains[:, 0]

    def best_change(
        self, weights: list[float], part: int, values, certain: float, n_threads: int = 1
    ) -> list[float]:
        """`weights` with that of `values` at `part` that gains most; as they are if none does."""
        before, *found = self.dcg(weights, part, [weights[part], *values], n_threads).T
        best, chosen = 0.0, weights
        for value, after in zip(values, found, strict=True):
            gain, error = mean_and_error(after - before, self.weights)
            if gain > max(best, certain * error):
                best, chosen = gain, [*weights[:part], value, *weights[part + 1 :]]
        return chosen


def mean_and_error(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """The weighted mean and its standard error, of as many rows as the weights are worth."""
    if weights is None:
        weights = np.ones(values.shape[0])
    shares = weights / weights.sum()
    mean = float(shares @ values)
    return mean, float(np.sqrt(shares @ np.square(values - mean) * (shares @ shares)))


def label_frequency(Y: SparseRows, rows, n_labels: int, sample_weight=None) -> np.ndarray:
    """``log(1 + rows that have the label)``, float32 (n_labels,); rows count as they weigh."""
    Y = Y.take(rows)
    weights = None if sample_weight is None else np.repeat(sample_weight[rows], Y.counts())
    counts = np.bincount(Y.indices, weights=weights, minlength=n_labels)
    return np.log1p(counts).astype(np.float32)


def fit_ranking(
    validation_rows: ValidationRows, linear: LinearView | None, frequency: np.ndarray
) -> float:
    """Weigh neighbours, view and frequency; returns `tau`.

    Sets the weights of `linear` and of the validation rows' memory, 0 where they are of no help,
    and the validation rows' gains. O(n_samples * depth * trials) time.
    """
    memory = validation_rows.memory
    view = None
    if linear is not None:
        view = linear.shares(validation_rows.X, validation_rows.rows, validation_rows.n_threads)
    candidates = _candidates(validation_rows, view, frequency)
    given = 0.0 if memory is None else memory.weight
    trials = [
        [given * factor for factor in NEIGHBOR_FACTORS] if memory is not None else [],
        LINEAR_WEIGHTS if linear is not None else [],
        TAUS,
    ]
    n_threads = validation_rows.n_threads
    chosen = candidates.best_change([given, 0.0, 0.0], LINEAR, trials[LINEAR], 0.0, n_threads)
    for _ in range(ROUNDS):
        before = chosen
        for part in (LINEAR, TAU, NEIGHBORS):
            chosen = candidates.best_change(chosen, part, trials[part], CERTAIN, n_threads)
        if chosen == before:
            break
    if memory is not None:
        memory.weight = chosen[NEIGHBORS]
    if linear is not None:
        linear.weight = chosen[LINEAR]
        if linear.weight and view is not None:
            validation_rows.gains = view[0], linear.scaled(view[1])
    return chosen[TAU]


def _candidates(validation_rows: ValidationRows, view, frequency) -> Candidates:
    """The best of logits and neighbours, and the best of the view."""
    network, rows, Y = validation_rows.network, validation_rows.rows, validation_rows.Y
    labels = validation_rows.topk(DEPTH)[0]
    roots = np.zeros(labels.shape, dtype=np.float32)
    if view is not None:
        named, shares = view
        labels = np.concatenate([labels, named], axis=1)
        roots = np.concatenate([roots, np.sqrt(np.where(named >= 0, shares, 0))], axis=1)
    # A label named twice stays once, where the view has it.
    order = np.lexsort((-roots, labels), axis=1)
    labels, roots = (np.take_along_axis(array, order, axis=1) for array in (labels, roots))
    labels[:, 1:][labels[:, 1:] == labels[:, :-1]] = -1
    ids = np.maximum(labels, 0)
    logits = np.empty(labels.shape, dtype=np.float32)
    for i, hidden in enumerate(validation_rows.hidden):
        logits[i] = network.head_weights[ids[i]] @ hidden + network.head_bias[ids[i]]
    scores = _neighbor_scores(validation_rows, ids)
    right, weights = hits(labels, Y, rows), validation_rows.weights
    return Candidates(labels, logits, scores, roots, frequency[ids], right, weights)


def _neighbor_scores(validation_rows: ValidationRows, ids) -> np.ndarray:
    """``log(1 + sharpness * k-NN score)`` of each row's labels `ids`."""
    memory = validation_rows.memory
    if memory is None:
        return np.zeros(ids.shape, dtype=np.float32)
    neighbors, cosines = validation_rows.own_neighbors
    n_labels, of_rows = validation_rows.network.n_labels, memory.labels
    known = np.nonzero(neighbors >= 0)
    similar = sp.csr_array(
        (cosines[known], (known[0], neighbors[known])),
        shape=(neighbors.shape[0], of_rows.n_rows),
    )
    ones = np.ones(of_rows.indices.shape[0], dtype=np.float32)
    scores = (similar @ of_rows._replace(data=ones).to_matrix(n_labels)).tocoo()
    # One number for each row and label: the scores' are looked up for the candidates.
    keys = scores.row * np.int64(n_labels) + scores.col
    order = np.argsort(keys)
    keys, sums = np.append(keys[order], -1), np.append(scores.data[order], 0)
    wanted = np.arange(ids.shape[0])[:, None] * np.int64(n_labels) + ids
    places = np.searchsorted(keys[:-1], wanted)
    return np.log1p(SHARPNESS * np.where(keys[places] == wanted, sums[places], 0)).astype(
        np.float32
    )
