"""A small federation for the tests of its parts."""

import numpy as np

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated import Device, JoblibTransport, Plan, Server, resolve_device
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.rows import SparseRows

N_FEATURES, N_LABELS = 150, 120


def federation(n_devices=4, *, n_samples=400, sizes=(12,), own=None, seed=0, **plan):
    """A server and a transport with its devices, before the first round.

    `own` are settings of all devices: the estimator's, or a device's options.
    """
    X, Y = make_extreme_classification(
        n_samples=n_samples, n_features=N_FEATURES, n_labels=N_LABELS, random_state=seed
    )
    groups = split_devices(Y, n_devices, random_state=seed)
    plan = Plan(**{"n_rounds": 6, "local_steps": 3, "learning_rate": 0.05, "max_rows": 48, **plan})
    own = {"sampler": "lsh", "n_active": 20, "batch_size": 16, **(own or {})}
    if "active_bytes" in own:
        del own["n_active"]
    params = SparseLSHMLPClassifier(sizes).get_params()
    devices = []
    for i in range(n_devices):
        rows = np.flatnonzero(groups == i)
        parts = (SparseRows.from_matrix(X[rows]), SparseRows.from_matrix(Y[rows]))
        settings = resolve_device(params, own, rows.shape[0], N_LABELS, {})
        devices.append(
            Device(
                i,
                *parts,
                N_FEATURES,
                N_LABELS,
                "relu",
                settings,
                seed=100 + i,
                body_exchange=plan.body_exchange,
                payload=plan.payload,
                local_optimizer=plan.local_optimizer,
            )
        )
    network = WideNetwork.initialise(
        N_FEATURES, sizes, N_LABELS, row_norm=1.0, rng=np.random.default_rng(seed)
    )
    server = Server(network, RowwiseAdagrad.for_network(network), plan, seed)
    return server, JoblibTransport(devices, n_jobs=1)


class Tampering:
    """A transport that changes what comes back: `change(question, replies) -> replies`."""

    def __init__(self, transport, change):
        self.transport, self.change = transport, change

    @property
    def devices(self):
        return self.transport.devices

    def ask(self, question, messages):
        return self.change(question, self.transport.ask(question, messages))
