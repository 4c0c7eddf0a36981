"""A federation of Flower's own processes on 127.0.0.1, each stopped by its own process id."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklsh.cli import flower
from sklsh.datasets import make_extreme_classification, split_devices

N_FEATURES, N_LABELS = 150, 120
PATIENCE = 1_200
"""Seconds that anything may take: this machine's other work is not known."""


def rows(n_devices=2):
    """Features, labels and devices of the federation's rows."""
    X, Y = make_extreme_classification(
        n_samples=400, n_features=N_FEATURES, n_labels=N_LABELS, random_state=0
    )
    return X, Y, split_devices(Y, n_devices, random_state=0)


def write_rows(folder, X, Y):
    """A device's rows, where `sklsh.flower.load_data` looks for them."""
    folder.mkdir()
    sp.save_npz(folder / "X_train.npz", sp.csr_matrix(X))
    sp.save_npz(folder / "Y_train.npz", sp.csr_matrix(Y))
    return folder


class Loopback:
    """Starts processes in a folder; leaving the context stops what still runs.

    Parameters
    ----------
    root : Path
    certificates : Path or None
        Folder as `tools/make_test_certificates.py` makes it; None: plain HTTP.
    sizes : (int, int)
        Features and labels of all devices' rows.
    """

    def __init__(self, root: Path, certificates: Path | None = None, sizes=(N_FEATURES, N_LABELS)):
        self.root, self.certificates, self.sizes = root, certificates, sizes
        self.port = flower.free_port()
        self.processes: dict[str, subprocess.Popen] = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            for name in list(self.processes)[::-1]:
                self.stop(name)
        finally:
            # Whatever has interrupted that: nothing stays behind.
            for process in self.processes.values():
                process.kill()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path | None:
        return None if self.certificates is None else self.certificates / flower.CA

    def start(self, name: str, command: list[str]) -> subprocess.Popen:
        """A process under a name, its output in ``<name>.log``."""
        environment = {**flower.environment(), "FLWR_HOME": str(self.root / f"home-{name}")}
        with open(self.root / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.root
            )
        return self.processes[name]

    def log(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text(errors="replace")

    def serve(self) -> None:
        """The SuperLink, once it listens."""
        database = self.root / "superlink.db"
        self.start("link", flower.superlink("127.0.0.1", self.port, self.certificates, database))

        def listening():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        self.wait(listening, "the SuperLink to listen")

    def join(self, i: int, data: Path, key: Path | None = None, **config) -> None:
        """SuperNode `i`, once the SuperLink has taken it."""
        config = {"data": str(data), **config}
        self.start(f"node-{i}", flower.supernode(self.address, config, self.ca, key))
        self.wait(lambda: "SuperNode ID" in self.log(f"node-{i}"), f"node {i} to join")

    def run(self, *arguments: str) -> subprocess.Popen:
        """``sklsh federated run`` under way."""
        secured = ["--insecure"] if self.ca is None else ["--ca", str(self.ca)]
        command = [sys.executable, "-m", "sklsh.cli", "federated", "run", str(self.root / "model")]
        command += ["--n-features", str(self.sizes[0]), "--n-labels", str(self.sizes[1])]
        return self.start("run", [*command, "--server", self.address, *secured, *arguments])

    def wait(self, condition, what: str):
        """Until `condition` is true; its value."""
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            logs = {name: self.log(name)[-1500:] for name in self.processes}
            assert time.monotonic() < end, f"waited too long for {what}: {logs}"
            time.sleep(0.2)
        return found

    def finish(self, name: str) -> int:
        """Exit status of a process that ends by itself."""
        return self.processes[name].wait(PATIENCE)

    def kill(self, name: str) -> None:
        """As a lost power supply: no goodbye. What it has started notices, and ends."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        self.wait(lambda: not children(process.pid), f"the children of {name} to end")

    def stop(self, name: str) -> None:
        process = self.processes[name]
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        self.wait(lambda: not children(process.pid), f"the children of {name} to end")
        del self.processes[name]


def children(pid: int) -> list[int]:
    """Processes that Flower has started for the process `pid`, which may be dead."""
    return [
        other for other, words in commands().items() if after(words, "--parent-pid") == str(pid)
    ]


def server_app() -> int | None:
    """The process that runs a ServerApp."""
    return next(
        (p for p, words in commands().items() if any("flwr-serverapp" in w for w in words)), None
    )


def after(words: list[str], option: str) -> str | None:
    return words[words.index(option) + 1] if option in words[:-1] else None


def commands() -> dict[int, list[str]]:
    """Command lines by process id."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found[int(pid)] = Path("/proc", pid, "cmdline").read_bytes().decode().split("\0")[:-1]
        except (OSError, UnicodeDecodeError):
            continue
    return found


def same_weights(one, other) -> None:
    for mine, theirs in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
