"""The ledger's formulas against what numpy has allocated."""

import tracemalloc

import numpy as np
import pytest

from sklsh import SparseLSHMLPClassifier
from sklsh.federated.device import Device
from sklsh.federated.memory import selection_bytes, training_bytes
from sklsh.federated.messages import Invite, Sketch, SubModel
from sklsh.federated.selection import best_by_collisions
from sklsh.federated.server import Plan, Server
from sklsh.federated.settings import resolve_device
from sklsh.hashing import make_family
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad
from tests.network.problems import random_labels, random_rows

N_LABELS, N_HIDDEN, SKETCH_DIM = 40_000, 64, 16


def peak(n_tables):
    rng = np.random.default_rng(0)
    family = make_family("pghash", n_tables=n_tables, hash_length=8, sketch_dim=SKETCH_DIM)
    hidden = rng.standard_normal((32, N_HIDDEN)).astype(np.float32)
    tracemalloc.start()
    sketch = Sketch(
        0, "signed", 1, SKETCH_DIM,
        np.ones((N_LABELS, SKETCH_DIM), dtype=np.float32), np.zeros(N_LABELS, dtype=np.float32),
        np.zeros(SKETCH_DIM, dtype=np.float32),
    )  # fmt: skip
    best_by_collisions(family, 5, sketch, hidden, 100, taken=np.arange(3))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_selection_takes_what_the_formula_says():
    peak(1)
    assert peak(4) == pytest.approx(selection_bytes(N_LABELS, SKETCH_DIM), rel=0.3)


def test_more_tables_take_no_more_memory():
    peak(1)
    assert peak(32) < 1.02 * peak(8)  # what is hashed at a time


@pytest.mark.parametrize("payload", ["float32", "float16"])
def test_training_takes_what_the_formula_says(payload):
    """Neurons that are all computed and features that are all met: every row changes."""
    n_ids, n_features, n_hidden = 4000, 3000, 128
    rng = np.random.default_rng(0)
    X, Y = random_rows(rng, 16, n_features, density=1.0), random_labels(rng, 16, n_ids, least=1)
    network = WideNetwork.initialise(n_features, (n_hidden,), n_ids, rng=rng)
    plan = Plan(1, 1, 0.01, payload=payload)
    server = Server(network, RowwiseAdagrad.for_network(network), plan, 0)
    own = {"sampler": "all", "batch_size": 4}
    settings = resolve_device(SparseLSHMLPClassifier().get_params(), own, 16, n_ids, {})
    device = Device(
        0, X, Y, n_features, n_ids, "relu", settings, seed=1, body_exchange="full", payload=payload
    )
    invite = Invite(0, 1, 0.01)

    def train():
        model = SubModel(0, server.head(np.arange(n_ids, dtype=np.int32)))
        return device.train(invite, model, server.body(np.arange(n_features, dtype=np.int32)))

    train()
    tracemalloc.start()
    train()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = np.dtype(payload).itemsize
    batch = 4 * (2 * n_ids * n_hidden + 16 * 4 * n_hidden + 2 * 4 * n_ids)
    formula = training_bytes(n_ids, n_features, n_hidden, size)
    assert formula < used < 1.3 * (formula + batch)
