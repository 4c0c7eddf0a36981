"""Measures of a federation's parts: folds, hashing time, memory, faults, an attacker.

Used by bench_federated.py.
"""

from __future__ import annotations

import time
import tracemalloc
from copy import deepcopy
from unittest import mock

import numpy as np

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.federated import JoblibTransport
from sklsh.federated.messages import Request, Select, Sketch, Update
from sklsh.federated.selection import HashedVectors, best_by_collisions, count_collisions
from sklsh.hashing import make_family, make_projection
from sklsh.network.rows import SparseRows


class Lossy(JoblibTransport):
    """Loses a share of the updates, others in each round."""

    share, rng = 0.3, np.random.default_rng(0)

    def ask(self, question, messages):
        replies = super().ask(question, messages)
        return [r for r in replies if not isinstance(r, Update) or self.rng.random() > self.share]


class Traced(JoblibTransport):
    """Measures what device 0 allocates to answer, the messages that it was sent included."""

    peaks: dict = {}  # noqa: RUF012

    def ask(self, question, messages):
        device = self._devices[0]
        if 0 in messages:
            sent = messages[0]
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            received = deepcopy(sent)
            getattr(device, question)(*received)
            peak = tracemalloc.get_traced_memory()[1] - before
            tracemalloc.stop()
            self.peaks[question] = max(peak, self.peaks.get(question, 0))
        return super().ask(question, messages)


class Listening(JoblibTransport):
    """Writes down which neurons devices ask for."""

    heard: list = []  # noqa: RUF012

    def ask(self, question, messages):
        replies = super().ask(question, messages)
        self.heard.extend(
            r for r in replies if isinstance(r, Request | Select) and r.ids is not None
        )
        return replies


def with_transport(kind, model, X, Y, groups):
    """Fit with another transport of devices on this machine."""
    with mock.patch("sklsh.estimators.federated_run.JoblibTransport", kind):
        return model.fit(X, Y, groups=groups)


def device_memory(X, Y, groups, hidden: int, n_rounds: int = 1, **federation) -> dict:
    """Peak of device 0 in bytes by question, and as a share of the whole float32 model."""
    Traced.peaks = {}
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((hidden,)), n_rounds=n_rounds, random_state=0, **federation
    )
    with_transport(Traced, model, X, Y, groups)
    whole = model.network_.nbytes
    formula = max(b for (_, device), b in model.ledger_.memory.items() if device == 0)
    return {
        "peaks": Traced.peaks, "model": whole, "share": max(Traced.peaks.values()) / whole,
        "share_by_formula": formula / whole,
    }  # fmt: skip


def attacker(X, Y, groups, sampler: str, n_decoys: float, hidden: int) -> float:
    """Precision of naming a device's labels as what all its requests have in common."""
    Listening.heard = []
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((hidden,), sampler=sampler), n_rounds=4, local_steps=1.0,
        n_decoys=n_decoys, random_state=0, prototypes=False,
    )  # fmt: skip
    with_transport(Listening, model, X, Y, groups)
    precisions = []
    for device in range(len(model.device_ids_)):
        asked = [r.ids for r in Listening.heard if r.device == device and r.round >= 0]
        common = asked[0]
        for ids in asked[1:]:
            common = np.intersect1d(common, ids)
        labels = np.unique(Y[groups == device].indices)
        precisions.append(np.isin(common, labels).mean())
    return float(np.mean(precisions))


def folds(network, X_train: SparseRows, X: SparseRows, share: float, n_rows: int = 64) -> dict:
    """Recall of a row's true best tenth of the neurons, at a tenth of the neurons."""
    typical = network.hidden(X_train.take(np.arange(4096))).mean(axis=0)
    bias = network.head_bias + network.head_weights @ typical
    hidden = network.hidden(X.take(np.arange(n_rows)))
    logits = hidden @ network.head_weights.T + network.head_bias
    n_labels, n_hidden = network.head_weights.shape
    n_best, width = n_labels // 10, max(1, int(share * n_hidden))
    best = np.argsort(-logits, axis=1)[:, :n_best]
    out = {}
    for n_tables in (16, 64):
        for fold in ("signed", "periodic"):
            recalls = []
            for seed in range(3):
                projection = make_projection(fold, n_hidden, width, seed)
                values = projection.apply(network.head_weights)
                sketch = Sketch(
                    0, fold, seed, width, values, bias, values.mean(axis=0),
                    hidden_centre=typical,
                )  # fmt: skip
                vectors = HashedVectors(sketch, hidden)
                family = make_family("pghash", n_tables=n_tables, hash_length=6)
                functions = family.draw(
                    vectors.projection.n_features, seed, projection=vectors.projection
                )
                for i in range(n_rows):
                    counts = count_collisions(
                        functions, vectors.neurons, n_labels, vectors.queries[i : i + 1]
                    )
                    found = np.argsort(-counts, kind="stable")[:n_best]
                    recalls.append(np.isin(best[i], found).mean())
            out[f"{fold}, {n_tables} tables"] = float(np.mean(recalls))
    return out


def hashing_seconds(n_labels=670_091, sketch_dim=8, n_tables=50, hash_length=8) -> float:
    """A device's time to pick 1,024 neurons for 256 rows, on one core; best of three."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n_labels, sketch_dim), dtype=np.float32)
    sketch = Sketch(
        0, "signed", 1, sketch_dim, values.astype(np.float16),
        np.zeros(n_labels, np.float16), values.mean(axis=0),
    )  # fmt: skip
    hidden = rng.standard_normal((256, 128), dtype=np.float32)
    family = make_family("pghash", n_tables=n_tables, hash_length=hash_length)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        best_by_collisions(family, 1, sketch, hidden, 1024, taken=np.arange(3))
        seconds.append(time.perf_counter() - start)
    return min(seconds)
