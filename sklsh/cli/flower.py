"""Flower's own commands, as this package starts them: secured, quiet, nothing installed.

Each function makes an argument list; the process that runs it is Flower's.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
}
"""Environment of Flower's processes where the caller's does not say otherwise: no reports
home, no look for updates, no installing; the wait for a task is a fifth of a second, not one."""

CA, CERTIFICATE, KEY = "ca.crt", "server.pem", "server.key"
"""Files of a certificate folder; devices need the first alone."""

CONNECTION = "sklsh"


def environment() -> dict[str, str]:
    """What Flower's processes are to run in; they look their helpers up in the path."""
    found = Path(sys.executable).parent
    path = f"{found}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**QUIET, **os.environ, "PATH": path}


def executable(name: str) -> str:
    """Where one of Flower's commands is.

    Raises
    ------
    FileNotFoundError
        Flower is not installed.
    """
    found = shutil.which(name, path=environment()["PATH"])
    if found is None:
        raise FileNotFoundError(f'{name} was not found: pip install "sklsh[flower]"')
    return found


def superlink(
    host: str, port: int, certificates: Path | None, database: Path | None
) -> list[str]:  # fmt: skip
    """The command of a SuperLink: TLS and registered nodes only, or with neither.

    Parameters
    ----------
    certificates : path or None
        Folder with `CA`, `CERTIFICATE` and `KEY`; None: plain HTTP.
    database : path or None
        Where runs and registered nodes outlive the process; None: in memory.
    """
    command = [executable("flower-superlink"), "--host", host, "--port", str(port)]
    command += ["--disable-runtime-dependency-installation"]
    if certificates is None:
        command += ["--insecure"]
    else:
        for option, name in (
            ("--ssl-ca-certfile", CA), ("--ssl-certfile", CERTIFICATE), ("--ssl-keyfile", KEY),
        ):  # fmt: skip
            command += [option, str(_file(certificates / name))]
        command += ["--enable-supernode-auth"]
    if database is not None:
        command += ["--database", str(database.absolute())]
    return command


def supernode(
    server: str, config: dict, ca: Path | None, key: Path | None, port: int | None = None
) -> list[str]:  # fmt: skip
    """The command of a SuperNode: a device.

    Parameters
    ----------
    server : str
        ``host:port`` of the SuperLink.
    config : dict
        What ``context.node_config`` will have.
    ca : path or None
        The authority's certificate; None: plain HTTP.
    key : path or None
        The device's private key, registered with the SuperLink.
    port : int or None
        Where its own processes talk to it, on 127.0.0.1; None: a free one.
    """
    command = [executable("flower-supernode"), "--superlink", server]
    command += ["--insecure"] if ca is None else ["--root-certificates", str(_file(ca))]
    if key is not None:
        command += ["--auth-supernode-private-key", str(_file(key))]
    if config:
        command += ["--node-config", " ".join(f"{k}={_toml(v)}" for k, v in config.items())]
    return [*command, "--port", str(free_port() if port is None else port)]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_connection(home: Path, server: str, ca: Path | None) -> None:
    """Flower's configuration in the folder `home` (FLWR_HOME): one SuperLink, `CONNECTION`."""
    home.mkdir(parents=True, exist_ok=True)
    secured = "insecure = true" if ca is None else f"root-certificates = {_toml(str(_file(ca)))}"
    (home / "config.toml").write_text(
        f"[superlink]\ndefault = {_toml(CONNECTION)}\n\n"
        f"[superlink.{CONNECTION}]\naddress = {_toml(server)}\n{secured}\n"
    )


def write_app(folder: Path, server_code: str, load_data: Path | None) -> None:
    """The Flower app: what the server runs, and what it sends to devices to run.

    Parameters
    ----------
    server_code : str
        Python that defines ``app``, a ServerApp.
    load_data : path or None
        Python file with a function ``load_data(context)``; None: `sklsh.flower.load_data`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(APP)
    (folder / "sklsh_server.py").write_text(server_code)
    source = "sklsh.flower"
    if load_data is not None:
        source = "sklsh_load_data"
        shutil.copyfile(load_data, folder / f"{source}.py")
    (folder / "sklsh_client.py").write_text(
        f"from {source} import load_data\n\nfrom sklsh.flower import client_app\n\n"
        "app = client_app(load_data)\n"
    )


APP = """\
[project]
name = "sklsh-federation"
version = "1.0.0"
description = "A federation of sklsh"
license = "BSD-3-Clause"
dependencies = []

[tool.flwr.app]
publisher = "sklsh"

[tool.flwr.app.components]
serverapp = "sklsh_server:app"
clientapp = "sklsh_client:app"

[tool.flwr.app.config]
"""


def server_code(params: dict, options: dict) -> str:
    """Python of the server app.

    Parameters
    ----------
    params : dict
        Of `FederatedLSHClassifier`, nested ones (``estimator__n_active``) too.
    options : dict
        Arguments of `sklsh.flower.server_app`, `output` among them.
    """
    arguments = "".join(f"    {name}={value!r},\n" for name, value in options.items())
    return (
        "from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier\n"
        "from sklsh.flower import server_app\n\n"
        "federation = FederatedLSHClassifier(SparseLSHMLPClassifier(), verbose=True)\n"
        f"federation.set_params(**{params!r})\n"
        f"app = server_app(\n    federation,\n{arguments})\n"
    )


def _file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    return path.absolute()


def _toml(value) -> str:
    """A value as Flower's command line reads TOML: strings may not be escaped there."""
    if isinstance(value, dict):
        value = json.dumps(value)
    if not isinstance(value, str):
        return json.dumps(value)
    if "'" in value or "\n" in value:
        raise ValueError(f"{value!r} must have no apostrophe and no line break")
    return f"'{value}'"
