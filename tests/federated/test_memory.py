"""The ledger's formulas against what numpy has allocated, and what a process has taken."""

import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.federated import JoblibTransport, Ledger, rounds, run_round, set_prototypes
from sklsh.federated.device import Device
from sklsh.federated.memory import picking_bytes, selection_bytes, training_bytes
from sklsh.federated.messages import Centre, Invite, Sketch, SubModel
from sklsh.federated.plan import Plan
from sklsh.federated.selection import best_by_collisions
from sklsh.federated.server import Server
from sklsh.federated.settings import resolve_device
from sklsh.hashing import make_family
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.rows import SparseRows
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


# A process of its own ---------------------------------------------------------------------------

CASES = {
    "tables": ("select", {}, (150_000, 20_000)),
    "codes": ("select", {"selection": "codes", "code_bytes": 16}, (250_000, 20_000)),
    "training": ("train", {}, (40_000, 30_000)),
    "training, float32": ("train", {"payload": "float32"}, (40_000, 30_000)),
    "training of all": ("train", {"local_sampler": "all", "n_active": 8_000}, (40_000, 20_000)),
    "start": ("prototypes", {}, (40_000, 60_000)),
}
SELDOM = "codes", "training, float32", "training of all"
"""Left to `make test-all`: a process of half a gigabyte each."""
N_ROWS, WIDTH = 2_000, 128

CHILD = """
import ctypes, gc, pickle, sys

def status(name):
    with open("/proc/self/status") as file:
        return 1024 * int(next(line for line in file if line.startswith(name)).split()[1])

question, (device, parts), blob = pickle.load(sys.stdin.buffer)
getattr(device, question)(*parts)  # what any program takes: kernels, BLAS
with open(blob, "rb") as file:
    device, after = pickle.load(file), file.tell()
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
with open(blob, "rb") as file:
    file.seek(after)
    parts = pickle.load(file)
reply = getattr(device, question)(*parts)
print(status("VmHWM") - before)
"""


def device_and_server(own, n_labels, n_features, n_rows):
    """Rows of 20 features and three labels, of 64 topics: hidden vectors differ."""
    own = {"sampler": "lsh", **own}
    payload = own.pop("payload", "float16")
    rng = np.random.default_rng(0)
    topics = rng.integers(0, 64, n_rows)

    def rows(n, count):
        ids = rng.integers(0, n // 64, (n_rows, count)) * 64 + topics[:, None]
        return SparseRows.from_matrix(sp.csr_array(
            (np.ones(ids.size, np.float32), ids.ravel(), np.arange(n_rows + 1) * count),
            shape=(n_rows, n),
        ))  # fmt: skip

    X, Y = rows(n_features, 20), rows(n_labels, 3)
    network = WideNetwork.initialise(n_features, (WIDTH,), n_labels, rng=rng)
    network.head_weights[:] = rng.standard_normal(network.head_weights.shape)
    plan = Plan(9, 0.5, 0.02, payload=payload, sketch_dim=WIDTH // 8)
    server = Server(network, RowwiseAdagrad.for_network(network), plan, 0)
    settings = resolve_device(
        SparseLSHMLPClassifier((WIDTH,)).get_params(), own, n_rows, n_labels, {}
    )
    device = Device(
        0, X, Y, n_features, n_labels, "relu", settings, seed=1, payload=payload
    )  # fmt: skip
    return device, server


def asked(device, server, question):
    """The messages of a question."""
    if question == "prototypes":
        return server.body(device.request_all().features), Centre(np.zeros(WIDTH, np.float32))
    invite = server.invite()
    request = device.request(invite)
    body = server.body_for(request)
    sketch = (server.coded if request.codes else server.sketches)(
        {0: request if request.codes else -1}
    )[0]
    if question == "select":
        return invite, body, sketch
    ids = device.select(invite, body, sketch).ids
    return invite, SubModel(0, server.head(ids)), body


@pytest.mark.parametrize(
    ("sampler", "n_neurons"),
    # of 3 labels a row, and of 256 that a sampler proposes, at most those of the sub-model
    [("labels", 60), ("uniform", 316), ("random", 316), ("exact", 316), ("all", 900)],
)
def test_the_neurons_of_a_step(sampler, n_neurons):
    own = {"local_sampler": sampler, "batch_size": 20}
    device, server = device_and_server(own, 6_400, 640, 50)
    invite = server.invite()
    batch = device.batch(invite, 900)
    assert batch.n_neurons == n_neurons and batch.n_rows == 20
    n_rows = np.unique(device.order(invite)).shape[0]
    assert (batch.n_entries, batch.n_needed) == (n_rows * (20 + 3), n_rows * 20)
    assert device.batch(invite, 30).n_neurons == 30


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case in SELDOM)) for case in CASES],
)
def test_a_device_takes_of_a_process_what_the_ledger_says(case, tmp_path):
    question, own, sizes = CASES[case]
    device, server = device_and_server(own, *sizes, N_ROWS)
    small = device_and_server(own, 640, 640, 64)
    parts = asked(device, server, question)
    with open(tmp_path / "parts", "wb") as file:
        pickle.dump(device, file, 5)
        pickle.dump(parts, file, 5)
    given = pickle.dumps((question, (small[0], asked(*small, question)), tmp_path / "parts"), 5)
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    found = subprocess.run(
        [sys.executable, "-c", CHILD], input=given, capture_output=True, check=True,
        env={**os.environ, **threads}, timeout=600,
    )  # fmt: skip
    taken = int(found.stdout)
    formula = ledger_bytes(device, server, question)
    assert taken > 8e6
    assert formula == pytest.approx(taken, rel=0.1)


def ledger_bytes(device, server, question):
    """What a round with this device alone writes down for it."""
    ledger, transport = Ledger(), JoblibTransport([device], n_jobs=1)
    if question == "prototypes":
        set_prototypes(server, transport, ledger, 1.0)
        return ledger.memory[-1, 0]
    if question == "select":
        invite, body, sketch = asked(device, server, question)
        return picking_bytes(
            rounds._selection_bytes(sketch, server), body.features.shape[0], WIDTH, 2,
            device.batch(invite, 1),
        )  # fmt: skip
    run_round(server, transport, np.random.default_rng(0), ledger=ledger)
    return ledger.memory[0, 0]


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
