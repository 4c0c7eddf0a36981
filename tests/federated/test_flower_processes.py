"""Flower's own processes on this machine: secured, the same numbers; killed, and going on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from sklearn.utils import check_random_state

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh._utils.random import child_seed
from sklsh.cli import flower
from sklsh.federated import JoblibTransport
from sklsh.persistence import load_model
from tests.federated import loopback
from tests.federated.loopback import Loopback

pytest.importorskip("flwr")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SETTINGS = {"n_rounds": 3, "random_state": 0, "prototypes": False}
ESTIMATOR = {"hidden_layer_sizes": (12,), "sampler": "lsh", "n_active": 20}


def model(**more):
    estimator = SparseLSHMLPClassifier(**ESTIMATOR)
    return FederatedLSHClassifier(estimator, **SETTINGS | more)


def settings(**more):
    """The same, for the command line."""
    named = SETTINGS | {f"estimator__{name}": value for name, value in ESTIMATOR.items()} | more
    return [text for name, value in named.items() for text in ("--set", f"{name}={value!r}")]


def seed_of(i):
    """Of device `i` in a local federation."""
    return child_seed(int(check_random_state(0).randint(2**31 - 1)), i)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    script = ROOT / "tools" / "make_test_certificates.py"
    for name, n_devices in (("good", 3), ("other", 1)):
        subprocess.run(
            [sys.executable, str(script), str(folder / name), "--devices", str(n_devices)],
            check=True, timeout=60,
        )  # fmt: skip
    return folder


def test_secured_federation(tmp_path, certificates):
    """Two registered devices train what joblib trains; three others are not let in."""
    good, other = certificates / "good", certificates / "other"
    X, Y, groups = loopback.rows()
    with Loopback(tmp_path, good) as net:
        net.serve()
        for i in range(2):
            data = loopback.write_rows(tmp_path / f"data-{i}", X[groups == i], Y[groups == i])
            net.join(i, data, register(net, good, i), seed=seed_of(i))
        # A node that was refused says so and would be tried no more: it is stopped at once.
        refused = {
            "unregistered": (net.ca, good / "device-2", "Failed to activate SuperNode"),
            "no key": (net.ca, None, "must be registered"),
            "another authority": (other / "ca.crt", good / "device-0", "CERTIFICATE_VERIFY_FAILED"),
            "plain": (None, None, "Failed to initialize the connection"),
        }
        for name, (ca, key, word) in refused.items():
            command = flower.supernode(net.address, {"data": str(data)}, ca, key)
            net.start(name, [*command, "--max-retries", "1", "--max-wait-time", "5"])
            net.wait(lambda name=name, word=word: word in net.log(name), f"{name} to be refused")
            assert "SuperNode ID" not in net.log(name)
            net.stop(name)
        net.run(*settings(), "--n-devices", "2", "--timeout", "120")
        assert net.finish("run") == 0, net.log("run") + net.log("link")
    local = model().fit(X, Y, groups=groups)
    loopback.same_weights(local.estimator_, load_model(tmp_path / "model"))
    report = json.loads((tmp_path / "model.json").read_text())
    assert [entry["n_used"] for entry in report["history"]] == [2, 2, 2]
    assert [e["bytes_up"] for e in report["history"]] == [e["bytes_up"] for e in local.history_]


def register(net, certificates, i):
    """Let device `i` in; its key."""
    command = ["federated", "register", str(certificates / f"device-{i}.pub")]
    where = ["--server", net.address, "--ca", str(net.ca)]
    net.start("register", [sys.executable, "-m", "sklsh.cli", *command, *where])
    assert net.finish("register") == 0, net.log("register")
    return certificates / f"device-{i}"


def test_processes_are_killed_and_the_federation_goes_on(tmp_path, certificates):
    """A device dies in a round and comes back; the ServerApp dies and is started again."""
    good = certificates / "good"
    X, Y, groups = loopback.rows()
    checkpoint = tmp_path / "checkpoint" / "federation.npz"
    arguments = [
        *settings(n_rounds=4), "--n-devices", "2", "--timeout", "120",
        "--checkpoint-dir", str(checkpoint.parent),
    ]  # fmt: skip
    with Loopback(tmp_path, good) as net:
        net.serve()
        data = [
            loopback.write_rows(tmp_path / f"data-{i}", X[groups == i], Y[groups == i])
            for i in range(2)
        ]
        for i in range(2):
            net.join(i, data[i], register(net, good, i), seed=seed_of(i))
        net.run(*arguments)
        net.wait(lambda: "round 0:" in net.log("run"), "a round")
        net.kill("node-1")
        net.wait(lambda: "round 1:" in net.log("run"), "a round with a device less")
        os.kill(net.wait(loopback.server_app, "the ServerApp"), signal.SIGKILL)
        net.stop("run")
        net.join(2, data[1], register(net, good, 2), seed=seed_of(1))
        net.run(*arguments)
        assert net.finish("run") == 0, net.log("run") + net.log("link")
    report = json.loads((tmp_path / "model.json").read_text())
    assert [entry["round"] for entry in report["history"]] == list(range(4))
    used = [entry["n_used"] for entry in report["history"]]
    assert used[0] == used[-1] == 2 and min(used) == 1, used


def test_a_server_killed_in_each_round_trains_the_same_model(tmp_path, certificates):
    """Ten times, over TLS: no round that was printed is lost."""
    good, n_kills = certificates / "good", 10
    X, Y, groups = loopback.rows()
    arguments = [
        *settings(n_rounds=n_kills + 1), "--n-devices", "2", "--timeout", "240",
        "--checkpoint-dir", str(tmp_path / "checkpoint"),
    ]  # fmt: skip
    with Loopback(tmp_path, good) as net:
        net.serve()
        for i in range(2):
            data = loopback.write_rows(tmp_path / f"data-{i}", X[groups == i], Y[groups == i])
            net.join(i, data, register(net, good, i), seed=seed_of(i))
        for number in range(n_kills):
            net.run(*arguments)
            net.wait(lambda number=number: f"round {number}:" in net.log("run"), "a round")
            os.kill(net.wait(loopback.server_app, "the ServerApp"), signal.SIGKILL)
            net.stop("run")
        net.run(*arguments)
        assert net.finish("run") == 0, net.log("run") + net.log("link")
    local = model(n_rounds=n_kills + 1).fit(X, Y, groups=groups)
    loopback.same_weights(local.estimator_, load_model(tmp_path / "model"))
    report = json.loads((tmp_path / "model.json").read_text())
    assert [entry["n_used"] for entry in report["history"]] == [2] * (n_kills + 1)


def test_masked_updates_of_five_devices_of_which_one_is_killed_in_the_round(tmp_path):
    """The sum of those that stay is what it is without processes, and without masks to rounding."""
    X, Y, groups = loopback.rows(5)
    secure = {"n_rounds": 2, "public_rows": 0.5, "secure_aggregation": True}
    with Loopback(tmp_path) as net:
        net.serve()
        for i in range(5):
            data = loopback.write_rows(tmp_path / f"data-{i}", X[groups == i], Y[groups == i])
            net.join(i, data, seed=seed_of(i), **{"cache-dir": str(tmp_path / f"kept-{i}")})
        net.run(*settings(**secure), "--n-devices", "5", "--timeout", "240")
        net.wait(lambda: "the update is masked" in net.log("node-4"), "device 4 to train")
        net.kill("node-4")
        assert net.finish("run") == 0, net.log("run") + net.log("link")
    used = [e["n_used"] for e in json.loads((tmp_path / "model.json").read_text())["history"]]
    assert used in ([4, 4], [5, 4]), used

    class Without(JoblibTransport):
        """Device 4 is gone after the question in which Flower's was."""

        gone = False

        def ask(self, question, messages):
            self.gone |= question == ("train_masked" if used[0] == 4 else "unmask")
            replies = super().ask(question, messages)
            return [reply for reply in replies if not (self.gone and reply.device == 4)]

    with mock.patch("sklsh.estimators.federated_run.JoblibTransport", Without):
        local = model(**secure).fit(X, Y, groups=groups)
    loopback.same_weights(local.estimator_, load_model(tmp_path / "model"))


def test_a_run_goes_on_without_the_command_that_began_it(tmp_path):
    """It is listed, shown again from its first line, and may be stopped."""
    X, Y, groups = loopback.rows()

    def command(net, *words):
        given = [sys.executable, "-m", "sklsh.cli", "federated", *words, "--server", net.address]
        return net.start(words[0], [*given, "--insecure"])

    with Loopback(tmp_path) as net:
        net.serve()
        for i in range(2):
            rows = loopback.write_rows(tmp_path / f"data-{i}", X[groups == i], Y[groups == i])
            net.join(i, rows, seed=seed_of(i))
        net.run(*settings(n_rounds=2), "--n-devices", "2", "--timeout", "240")
        net.wait(lambda: "round 0:" in net.log("run"), "a round")
        number = net.log("run").split()[1].rstrip(":")
        net.kill("run")
        command(net, "status")
        assert net.finish("status") == 0, net.log("status")
        assert net.log("status").startswith(f"{number}  running  since ")
        command(net, "attach", number)
        assert net.finish("attach") == 0, net.log("attach") + net.log("link")
        assert all(f"round {i}:" in net.log("attach") for i in range(2))
        assert "round 1: trained on " in net.log("node-0")
        assert load_model(tmp_path / "model").n_features_in_ == X.shape[1]
        (tmp_path / "run.log").unlink()
        net.run(*settings(n_rounds=1000), "--n-devices", "2", "--timeout", "240")
        net.wait(lambda: "round 0:" in net.log("run"), "a round")
        number = net.log("run").split()[1].rstrip(":")
        command(net, "stop", number)
        assert net.finish("stop") == 0 and net.log("stop").endswith(f"stopped: {number}\n")
        assert net.finish("run") == 1
        assert "finished:stopped" in net.log("run")
