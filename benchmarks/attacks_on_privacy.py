"""What a server that watches learns: rows by small rounds, labels by the pattern of requests.

The attackers are those of the tests (tests/federated/attackers.py). Used by bench_attacks.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import numpy as np

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated import JoblibTransport
from sklsh.federated.messages import Request, Select

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.federated.attackers import named_by_pattern, rows_of_a_curious_server

N_ROUNDS = 8
DECOYS = (0.0, 1.0, 2.0, 4.0)


def rows() -> dict:
    """Of 240 rows, those whose features and those whose entries are known, by what is asked."""
    cases = {
        "default policy, one row a round": (30, 1e-9, {}),
        "default policy, a quarter of the rows a round": (4, 0.25, {}),
        "least_rows=1, one row a round": (30, 1e-9, {"least_rows": 1}),
    }
    return {
        name: {
            what: rows_of_a_curious_server(n_rounds, share, values=what == "entries", **own)
            for what in ("features", "entries")
        }
        for name, (n_rounds, share, own) in cases.items()
    }


def labels(sampler: str) -> dict:
    """By decoys for each id: the best attacker's precision, and what is asked of it (at most).

    A device may have fewer decoys than that: there are only so many labels that it has not.
    """
    X, Y = make_extreme_classification(1200, 2000, 1500, random_state=0)
    groups = split_devices(Y, 8, random_state=0)
    found = {}
    for n_decoys in DECOYS:
        asked: dict[int, list] = {}

        class Watching(JoblibTransport):
            def ask(self, question, messages, asked=asked):
                replies = super().ask(question, messages)
                for reply in replies:
                    if isinstance(reply, Request | Select) and reply.ids is not None:
                        asked.setdefault(reply.device, []).append(reply.ids)
                return replies

        model = FederatedLSHClassifier(
            SparseLSHMLPClassifier((16,), sampler=sampler, n_active=100), n_rounds=N_ROUNDS,
            prototypes=False, n_decoys=n_decoys, random_state=0,
        )  # fmt: skip
        with mock.patch("sklsh.estimators.federated_run.JoblibTransport", Watching):
            model.fit(X, Y, groups=groups)
        precision, most = [], []
        for device, requests in asked.items():
            own = np.unique(Y[np.flatnonzero(groups == device)].indices)
            decoys = min(n_decoys, (Y.shape[1] - own.shape[0]) / own.shape[0])
            precision.append(named_by_pattern(requests, own))
            most.append(1.2 / (1 + decoys))
        found[str(n_decoys)] = {
            "precision": float(np.mean(precision)), "asked": float(min(1.0, np.mean(most))),
        }  # fmt: skip
    return found


def measure() -> dict:
    """All of it."""
    return {"rows": rows(), "labels": {sampler: labels(sampler) for sampler in ("labels", "lsh")}}
