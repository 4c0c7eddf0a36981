"""Whoever watches a device and wants its labels or rows, and how well it goes."""

import numpy as np

LEAST_RECALL = 0.2
"""An attacker must name so many of the labels: a few lucky ones tell nothing."""


def named_by_pattern(requests, labels) -> float:
    """Precision of the best of the attackers that name ids by when they were asked for.

    Parameters
    ----------
    requests : list of ndarray of int
        Ids asked for, by round.
    labels : ndarray of int
        The device's own.

    Returns
    -------
    float
        Of those attackers that name a fifth of the labels or more: who names what was asked for in
        k rounds, in k or fewer, in k or more, in each pair of rounds (a pass of half rounds), or
        sometimes but not always.
    """
    ids = np.unique(np.concatenate(requests))
    there = np.array([np.isin(ids, request) for request in requests])
    counts, n = there.sum(axis=0), len(requests)
    pairs = there[: n // 2 * 2].reshape(n // 2, 2, -1).any(axis=1).all(axis=0)
    guesses = [pairs, pairs & (counts == n // 2), (counts > 0) & (counts < n), counts == n]
    for k in range(1, n + 1):
        guesses += [counts == k, counts <= k, counts >= k]
    truth = np.isin(ids, labels)
    best = 0.0
    for guess in guesses:
        if (guess & truth).sum() >= LEAST_RECALL * labels.shape[0]:
            best = max(best, float(truth[guess].mean()))
    return best


def rows_recovered(update, X, accumulators=None) -> int:
    """Rows that one update tells exactly: their features, and their values up to scale.

    Parameters
    ----------
    update : Update
    X : ndarray (n, n_features)
        The device's rows.
    accumulators : ndarray (n_features,) or None
        As the device was sent them; None: tiny.

    Notes
    -----
    A feature that one row of the round has, has a change along that row's gradient: features are
    grouped by the direction of their change. Values are read off the growth of accumulators.
    """
    body = update.body
    rows = body.rows.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    kept = lengths > 0
    units, features = rows[kept] / lengths[kept, None], body.features[kept]
    values = np.sqrt(np.maximum(body.state[kept], 0))
    found = set()
    free = np.ones(features.shape[0], dtype=bool)
    while free.any():
        first = np.flatnonzero(free)[0]
        group = free & (units @ units[first] > 0.999)
        free &= ~group
        for candidate in (group, np.ones_like(group)):
            guess = np.zeros(X.shape[1])
            guess[features[candidate]] = values[candidate]
            norm = np.linalg.norm(guess)
            for i, row in enumerate(X):
                same = np.array_equal(np.flatnonzero(row), np.flatnonzero(guess))
                if same and guess @ np.abs(row) > 0.9999 * norm * np.linalg.norm(row):
                    found.add(i)
    return len(found)
