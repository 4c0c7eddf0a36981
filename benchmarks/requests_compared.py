"""What do requests that name no label cost? Used by bench_attacks.py.

The bundled set on 8 equal devices: rows of their own, as by default and without prototypes, beside
public rows, of all neurons and of half of them, and masked updates of the former (with the extra
``secure`` alone). Bytes are the ledger's.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

from bench_federated import precision

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import split_devices
from sklsh.network.rows import SparseRows

HIDDEN = 128
KINDS: dict[str, dict] = {
    "own rows (default)": {},
    "own rows, no prototypes": {"prototypes": False},
    "public rows, all": {"public_rows": 1.0},
    "public rows, all; masked": {"public_rows": 1.0, "secure_aggregation": True},
    "public rows, half": {"public_rows": 0.5},
}


def run(data, kind: str, n_rounds: int) -> dict:
    """P@1 and bytes after each round."""
    X, Y, X_test, Y_test = data
    rows, scores = SparseRows.from_matrix(X_test), []

    def watch(network, entry):
        scores.append(precision(network, rows, Y_test))

    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((HIDDEN,)), n_rounds=n_rounds, callback=watch, random_state=0,
        **KINDS[kind],
    )  # fmt: skip
    began = time.process_time()
    model.fit(X, Y, groups=split_devices(Y, 8, random_state=0))
    ledger = model.ledger_
    return {
        "precision_by_round": scores,
        "bytes_up": ledger.total(direction="up"), "bytes_down": ledger.total(direction="down"),
        "seconds": time.process_time() - began,
    }  # fmt: skip


def measure(data, n_rounds: int, found: dict, save) -> None:
    """Fill `found` by kind with what it lacks; `save` is called after each run."""
    for kind, params in KINDS.items():
        missing = "secure_aggregation" in params and find_spec("cryptography") is None
        if kind in found or missing:
            continue
        found[kind] = run(data, kind, n_rounds)
        save()
        megabytes = (found[kind]["bytes_up"] + found[kind]["bytes_down"]) / 1e6
        print(
            f"{kind}: {found[kind]['precision_by_round'][-1]:.4f}, {megabytes:.0f} MB", flush=True
        )
