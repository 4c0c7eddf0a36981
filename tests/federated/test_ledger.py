"""The ledger against bytes that were encoded: pickled, or as Flower has them."""

import pickle

import numpy as np
import pytest

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated import JoblibTransport, Ledger
from sklsh.federated.messages import Centre, SubModel
from sklsh.federated.parts import HeadPart

N_FEATURES, N_LABELS, N_DEVICES = 4_000, 3_000, 2

PROTOCOLS = {
    "default": {},
    "full": {"body_exchange": "full", "payload": "float32"},
    "deltas": {"sketch_rounds": 2, "sketch_tolerance": 0.2, "local_optimizer": "fresh"},
    "local": {"body_exchange": "local"},
    "codes": {"device_params": {"selection": "codes", "code_family": "products"}},
    "random": {"device_params": {"sampler": "random"}},
}


@pytest.fixture(scope="module")
def rows():
    X, Y = make_extreme_classification(
        n_samples=600, n_features=N_FEATURES, n_labels=N_LABELS, random_state=0
    )
    return X, Y, split_devices(Y, N_DEVICES, random_state=0)


def classifier(transport="joblib", **params):
    estimator = SparseLSHMLPClassifier((64,), sampler="lsh", n_active=300)
    return FederatedLSHClassifier(
        estimator, n_rounds=2, random_state=0, transport=transport, **params
    )


class Pickled(JoblibTransport):
    """Counts what a wire would carry: each message of a round once, each reply."""

    def __init__(self, *args):
        super().__init__(*args)
        self.n_bytes, self._had = 0, {}

    def ask(self, question, messages):
        if question in ("request", "request_all"):
            self._had = {}
        for device, parts in messages.items():
            had = self._had.setdefault(device, [])
            for part in parts:
                if part is not None and not any(part is other for other in had):
                    had.append(part)
                    self.n_bytes += len(pickle.dumps(part, protocol=5))
        replies = super().ask(question, messages)
        self.n_bytes += sum(len(pickle.dumps(reply, protocol=5)) for reply in replies)
        return replies


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bytes_that_joblib_would_pickle(rows, protocol, monkeypatch):
    X, Y, groups = rows
    made = []

    def transport(*args):
        made.append(Pickled(*args))
        return made[-1]

    monkeypatch.setattr("sklsh.estimators.federated_run.JoblibTransport", transport)
    model = classifier(**PROTOCOLS[protocol]).fit(X, Y, groups=groups)
    assert model.ledger_.total() == pytest.approx(made[0].n_bytes, rel=0.03)
    assert model.ledger_.total() > 1e6


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bytes_that_flower_has_sent(rows, protocol, tmp_path):
    pytest.importorskip("flwr")
    from sklsh.flower import client_app, run_federation
    from tests.federated.flower_grid import LocalGrid

    X, Y, groups = rows
    params = dict(PROTOCOLS[protocol])
    own = params.pop("device_params", None)
    parts = [(X[groups == i], Y[groups == i]) for i in range(N_DEVICES)]
    apps = {i: client_app(lambda context, i=i: parts[i], own) for i in range(N_DEVICES)}
    configs = {i: {"seed": i, "cache-dir": str(tmp_path / str(i))} for i in range(N_DEVICES)}
    grid = LocalGrid(apps, configs)
    model = run_federation(
        grid, classifier(**params), tmp_path / "model", n_features=N_FEATURES, labels=N_LABELS,
        n_devices=N_DEVICES,
    )  # fmt: skip
    assert model.ledger_.total() == pytest.approx(sum(grid.n_bytes), rel=0.03)
    assert {entry["n_used"] for entry in model.history_} == {N_DEVICES}


def test_parts_of_a_model_are_counted_apart():
    ledger, ids = Ledger(), np.arange(10, dtype=np.int32)
    head = HeadPart(ids, np.zeros((10, 4), np.float16), np.zeros(10, np.float32),
                    np.zeros((10, 2), np.float32))  # fmt: skip
    ledger.add(0, 1, SubModel(0, head), "down")
    ledger.add(0, 1, Centre(np.zeros(4, np.float32)), "down")
    assert ledger.by("kind") == {"centre": 16 + 16, "head": 10 * (4 + 8 + 4 + 8), "submodel": 16}
