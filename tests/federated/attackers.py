"""Whoever watches a device and wants its labels or rows, and how well it goes."""

import numpy as np

from sklsh.federated import Ledger, run_round
from tests.federated.problems import N_FEATURES, Tampering, federation

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


def rows_recovered(update, X, *, values=True) -> int:
    """Rows that one update tells exactly: their features, and (`values`) these up to scale.

    Parameters
    ----------
    update : Update
    X : ndarray (n, n_features)
        The device's rows.

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
    entries = np.sqrt(np.maximum(body.state[kept], 0))
    found = set()
    free = np.ones(features.shape[0], dtype=bool)
    while free.any():
        first = np.flatnonzero(free)[0]
        group = free & (units @ units[first] > 0.999)
        free &= ~group
        for candidate in (group, np.ones_like(group)):
            guess = np.zeros(X.shape[1])
            guess[features[candidate]] = entries[candidate]
            norm = np.linalg.norm(guess)
            for i, row in enumerate(X):
                same = np.array_equal(np.flatnonzero(row), np.flatnonzero(guess))
                cosine = guess @ np.abs(row) / (norm * np.linalg.norm(row))
                if same and (cosine > 0.9999 or not values):
                    found.add(i)
    return len(found)


def rows_of_a_curious_server(n_rounds, local_steps, *, values=True, **own) -> int:
    """Of 240 rows of 8 devices, those that a server which asks for few at a time recovers.

    Parameters
    ----------
    n_rounds : int
    local_steps : float
        Share of its rows that a device is asked to train on in a round.
    values : bool
        Whether to recover a row is to know its entries up to scale, or its features alone.
    **own
        Settings of the devices: what they refuse.
    """
    server, transport = federation(
        n_devices=8, n_samples=240, own={"batch_size": 1, "sampler": "all", **own},
        local_steps=local_steps, n_rounds=n_rounds, payload="float32",
    )  # fmt: skip
    found = 0

    def watch(question, replies):
        nonlocal found
        if question == "train":
            for update in replies:
                device = transport._devices[update.device]
                rows = np.unique(device.order(server.invite()))
                X = device.X.take(rows).to_matrix(N_FEATURES).toarray()
                found += rows_recovered(update, X, values=values)
        return replies

    rng = np.random.default_rng(0)
    for _ in range(n_rounds):
        run_round(server, Tampering(transport, watch), rng, ledger=Ledger())
    return found


def told_apart(one, other, asked_one, asked_other, direction) -> float:
    """Accuracy of telling two kinds of runs apart.

    Parameters
    ----------
    one, other : list of dict
        Numbers released by runs of each kind that the attacker may learn from, by their place,
        and "parameters", ndarray (n,).
    asked_one, asked_other : list of dict
        Runs of each kind that it is asked about, as many of both.
    direction : ndarray (n,)
        In which the parameters of the second kind would be moved without noise.

    Returns
    -------
    float
        Of the rule that is best on the runs to learn from: a threshold on one of the numbers (or
        on whether it is there), or on the parameters along the direction, or along the
        difference of both kinds' means.
    """
    half = len(one) // 2  # the means would tell too well what they were learnt from
    means = [np.mean([r["parameters"] for r in runs[:half]], axis=0) for runs in (one, other)]
    along = {"direction": direction, "means": means[1] - means[0]}
    table = [
        [
            {name: value for name, value in run.items() if name != "parameters"}
            | {name: float(run["parameters"] @ way) for name, way in along.items()}
            for run in runs
        ]
        for runs in (one[half:], other[half:], asked_one, asked_other)
    ]
    best, accuracy = None, 0.0
    for name in sorted({name for runs in table for run in runs for name in run}, key=str):
        values = [[_number(run.get(name)) for run in runs] for runs in table]
        ends = np.unique(values[0] + values[1])
        for cut in (ends[1:] + ends[:-1]) / 2:
            for sign in (1, -1):
                right = [np.mean(sign * (np.array(v) - cut) < 0) for v in values]
                found = (right[0] + 1 - right[1]) / 2
                if found > accuracy:
                    best, accuracy = (right[2] + 1 - right[3]) / 2, found
    return 0.5 if best is None else float(best)


def _number(value) -> float:
    return -1e30 if value is None or np.isnan(value) else float(value)
