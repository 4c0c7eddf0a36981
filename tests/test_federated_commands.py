"""`sklsh federated`: what Flower's commands are given. Flower itself need not be there."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier, cli
from sklsh.cli import flower
from sklsh.datasets import save_xc


@pytest.fixture
def run(monkeypatch, capsys):
    """``sklsh federated ...``: the command and environment that the process becomes."""
    became = []
    monkeypatch.setattr(flower, "executable", lambda name: f"/bin/{name}")
    monkeypatch.setattr(os, "execve", lambda path, command, env: became.append((command, env)))

    def call(*arguments):
        became.clear()
        monkeypatch.setattr(sys, "argv", ["sklsh", "federated", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (became[0] if became else (None, None)), ended.value.code

    return call


@pytest.fixture
def folder(tmp_path):
    for name in (flower.CA, flower.CERTIFICATE, flower.KEY, "device", "device.pub"):
        (tmp_path / name).write_text("")
    save_xc(tmp_path / "data", np.eye(3, 5), np.eye(3, 7))
    return tmp_path


def option(command, name):
    return command[command.index(name) + 1]


def test_serve_is_secured(run, folder):
    (command, environment), code = run("serve", "--certificates", folder, "--host", "10.0.0.1")
    assert not code and command[0] == "/bin/flower-superlink"
    assert "--enable-supernode-auth" in command and "--insecure" not in command
    assert "--disable-runtime-dependency-installation" in command
    assert option(command, "--ssl-ca-certfile") == str(folder / flower.CA)
    assert option(command, "--ssl-certfile") == str(folder / flower.CERTIFICATE)
    assert option(command, "--ssl-keyfile") == str(folder / flower.KEY)
    assert option(command, "--host") == "10.0.0.1"
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"


def test_what_the_caller_s_environment_says_stands(run, folder, monkeypatch):
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    (_, environment), _ = run("serve", "--insecure")
    assert environment["FLWR_TELEMETRY_ENABLED"] == "1"


def test_serve_in_the_open_has_to_be_said(run, folder):
    (command, _), _ = run("serve", "--insecure", "--port", 1234, "--database", "runs.db")
    assert "--insecure" in command and "--enable-supernode-auth" not in command
    assert option(command, "--port") == "1234"
    assert option(command, "--database") == os.path.abspath("runs.db")
    for arguments in ((), ("--insecure", "--certificates", folder)):
        (command, _), code = run("serve", *arguments)
        assert command is None and "one of --certificates and --insecure" in code


def test_join(run, folder):
    (command, _), code = run(
        "join", folder / "data", "--server", "host:1", "--ca", folder / flower.CA,
        "--key", folder / "device", "--cache-dir", "kept", "--set", "n_tables=4", "--set",
        "local_sampler=all",
    )  # fmt: skip
    assert not code and option(command, "--superlink") == "host:1"
    assert option(command, "--root-certificates") == str(folder / flower.CA)
    assert option(command, "--auth-supernode-private-key") == str(folder / "device")
    config = tomllib.loads(option(command, "--node-config").replace("' ", "'\n"))
    assert config["data"] == str(folder / "data")
    assert config["cache-dir"] == os.path.abspath("kept")
    assert json.loads(config["device-params"]) == {"n_tables": 4, "local_sampler": "all"}
    (command, _), _ = run("join", folder, "--insecure")
    assert "--insecure" in command and "--root-certificates" not in command


def test_join_says_what_it_holds(run, folder, capsys):
    _, code = run("join", folder / "data", "--insecure")
    assert not code
    assert capsys.readouterr().out == (
        f"held: 3 rows of 5 features and 7 labels in {folder / 'data'}\n"
    )
    (folder / "mine.csv").write_text("a,b\n1,2\n")
    (command, _), code = run("join", folder / "mine.csv", "--insecure")
    assert command and not code  # a run may bring its own way to read
    assert "only the run's --load-data can read" in capsys.readouterr().err


def test_what_is_mistyped_is_refused_at_once(run, folder, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *a, **b: pytest.fail("something was started"))
    run_options = ("run", folder / "m", "--n-features", 5, "--n-labels", 7, "--insecure")
    for arguments, message in (
        (("join", folder / "dta", "--insecure"), "dta does not exist"),
        (("join", "--insecure", "--set", "n_table=4"), "got 'n_table': did you mean n_tables?"),
        (("join", "--insecure", "--set", "n_tables=none"), "n_tables"),
        (("join", "--insecure", "--set", "fold=sample"), "'fold' is the server's to decide"),
        ((*run_options, "--set", "n_round=1"), "got 'n_round': did you mean n_rounds?"),
        ((*run_options, "--set", "zzz=1"), "got 'zzz', one of "),
        ((*run_options, "--set", "n_rounds=0"), "n_rounds"),
        ((*run_options, "--set", "estimator__n_active=-1"), "n_active"),
        ((*run_options, "--set", "estimator__hidden=3"), "did you mean estimator__"),
        ((*run_options, "--load-data", folder / "no.py"), "no.py does not exist"),
    ):
        (command, _), code = run(*arguments)
        assert command is None
        assert message in str(code), arguments


def test_a_file_that_is_not_there(run, tmp_path):
    for arguments in (("serve", "--certificates", tmp_path), ("join", "--ca", tmp_path / "ca")):
        (command, _), code = run(*arguments)
        assert command is None and "does not exist" in code


def test_the_app_that_run_submits(tmp_path, monkeypatch):
    """Its server is what the options say; Flower's own commands are stood in for."""
    asked = []

    def flwr(command, env, **options):
        asked.append(command[1:])
        home = env["FLWR_HOME"]
        if command[1] == "run":
            asked.append(Path(home, "config.toml").read_text())
            return subprocess.CompletedProcess(command, 0, '{"success": true, "run-id": "77"}')
        runs = json.dumps({"runs": [{"status": "finished:completed"}]})
        return subprocess.CompletedProcess(command, 0, f"a line\n{runs}")

    monkeypatch.setattr(flower, "executable", lambda name: name)
    monkeypatch.setattr(subprocess, "run", flwr)
    (tmp_path / "mine.py").write_text("def load_data(context): return context.rows\n")
    arguments = [
        "run", tmp_path / "model", "--n-features", 5, "--n-labels", 7, "--n-devices", 3,
        "--insecure", "--app-dir", tmp_path / "app", "--set", "n_rounds=2",
        "--set", "estimator__hidden_layer_sizes=(4,)", "--load-data", tmp_path / "mine.py",
        "--checkpoint-dir", tmp_path / "kept", "--server", "host:9",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["sklsh", "federated", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert asked[0] == ["run", str(tmp_path / "app"), "sklsh", "--format", "json"]
    assert asked[2:] == [
        ["log", "77", "sklsh", "--stream"],
        ["list", "sklsh", "--run-id", "77", "--format", "json"],
    ]
    connection = tomllib.loads(asked[1])["superlink"]["sklsh"]
    assert connection == {"address": "host:9", "insecure": True}

    app = tmp_path / "app"
    parts = tomllib.loads((app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert parts["components"] == {"serverapp": "sklsh_server:app", "clientapp": "sklsh_client:app"}
    assert (app / "sklsh_load_data.py").read_text() == (tmp_path / "mine.py").read_text()
    assert "from sklsh_load_data import load_data" in (app / "sklsh_client.py").read_text()
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id: node.keywords
        for node in ast.walk(ast.parse((app / "sklsh_server.py").read_text()))
        if isinstance(node, ast.Call)
    }
    params = ast.literal_eval(calls["set_params"][0].value)
    model = FederatedLSHClassifier(SparseLSHMLPClassifier()).set_params(**params)
    assert (model.n_rounds, model.estimator.hidden_layer_sizes) == (2, (4,))
    assert model.checkpoint_dir == str(tmp_path / "kept")
    options = {word.arg: ast.literal_eval(word.value) for word in calls["server_app"]}
    assert options == {
        "output": str(tmp_path / "model"), "n_features": 5, "labels": 7, "n_devices": 3,
        "timeout": 600.0,
    }  # fmt: skip


@pytest.fixture
def superlink(monkeypatch):
    """Stands in for Flower's commands: what each is asked, and what the runs are."""
    asked, runs = [], [
        {"run-id": "8", "status": "running", "pending-at": "2026-01-02", "elapsed": 61.4},
        {"run-id": "7", "status": "finished:stopped", "pending-at": "2026-01-01", "elapsed": 3},
    ]  # fmt: skip

    def flwr(command, env, **options):
        asked.append(command[1:])
        known = {run["run-id"]: run for run in runs}
        answer = {"success": True, "runs": runs}
        if command[1] == "stop" and command[2] not in known:
            answer = {"success": False, "error-message": "Using it\n\n[code: 16] not found."}
        if "--run-id" in command:
            answer["runs"] = [known[command[command.index("--run-id") + 1]]]
        failed = command[1] == "log" and command[2] not in known
        return subprocess.CompletedProcess(command, int(failed), f"Using it\n{json.dumps(answer)}")

    monkeypatch.setattr(subprocess, "run", flwr)
    return asked


def test_status_attach_and_stop(run, superlink, capsys):
    _, code = run("status", "--insecure")
    assert not code and capsys.readouterr().out.splitlines() == [
        "8  running  since 2026-01-02  61 s", "7  finished:stopped  since 2026-01-01  3 s",
    ]  # fmt: skip
    _, code = run("stop", 8, "--insecure")
    assert not code and superlink[-1] == ["stop", "8", "sklsh", "--format", "json"]
    assert capsys.readouterr().out == "stopped: 8\n"
    _, code = run("stop", 9, "--insecure")
    assert code == "sklsh: [code: 16] not found."
    _, code = run("attach", 7, "--insecure")
    assert code == 1 and ["log", "7", "sklsh", "--stream"] in superlink
    assert capsys.readouterr().err == "run 7: finished:stopped\n"
    _, code = run("attach", 9, "--insecure")
    assert code == 1
    for command in (("status",), ("stop", 8), ("attach", 8)):
        _, code = run(*command)
        assert "one of --ca and --insecure must be given" in code


def test_without_flower(monkeypatch, tmp_path):
    monkeypatch.setattr(flower, "environment", lambda: {"PATH": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match=r'pip install "sklsh\[flower\]"'):
        flower.executable("flower-superlink")


def test_settings_that_are_none(run):
    for text in ("n_rounds", "=3", "n rounds=3"):
        _, code = run("join", "--insecure", "--set", text)
        assert "--set must be name=value" in code
    with pytest.raises(ValueError, match="apostrophe"):
        flower.supernode("host:1", {"data": "it's"}, None, None)
