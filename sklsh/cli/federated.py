"""Commands ``sklsh federated serve | register | join | run | status | attach | stop``.

They need typer, and Flower to run.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sklsh.cli import flower, runs
from sklsh.cli.groups import Group

app = typer.Typer(
    name="federated",
    cls=Group,
    help="Train over several machines, with Flower. See the guide's page on deployment.",
    no_args_is_help=True,
)
Certificates = Annotated[
    Path | None,
    typer.Option(help=f"Folder with {flower.CA}, {flower.CERTIFICATE} and {flower.KEY}"),
]
Authority = Annotated[Path | None, typer.Option("--ca", help="Certificate of the authority")]
Server = Annotated[str, typer.Option("--server", help="host:port of the SuperLink")]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Neither TLS nor registration: for one machine's tests")
]
RunId = Annotated[int, typer.Argument(help="Number of a run, as `status` lists it")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="name=value, the value as Python writes it; again for more"),
]


@app.command()
def serve(
    certificates: Certificates = None,
    insecure: Insecure = False,
    host: Annotated[str, typer.Option(help="Address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at")] = 8000,
    database: Annotated[
        Path | None, typer.Option(help="File that keeps registrations and runs")
    ] = None,
) -> None:
    """Become the SuperLink: the host that devices and runs connect to."""
    _either(certificates, insecure, "--certificates")
    _become(flower.superlink(host, port, certificates, database))


@app.command()
def register(
    public_key: Annotated[Path, typer.Argument(help="Public key of a device", show_default=False)],
    server: Server = "127.0.0.1:8000",
    ca: Authority = None,
    name: Annotated[str | None, typer.Option(help="What to call the device")] = None,
) -> None:
    """Let the device of a public key take part."""
    with runs.connection(server, ca) as home:
        command = ["supernode", "register", str(public_key), flower.CONNECTION]
        runs.flwr(command + (["--name", name] if name else []), home)


@app.command()
def join(
    data: Annotated[
        Path | None, typer.Argument(help="The device's rows, as `sklsh train` reads them")
    ] = None,
    server: Server = "127.0.0.1:8000",
    ca: Authority = None,
    key: Annotated[Path | None, typer.Option(help="The device's private key")] = None,
    insecure: Insecure = False,
    cache_dir: Annotated[Path | None, typer.Option(help="What it keeps between rounds")] = None,
    settings: Settings = None,
) -> None:
    """Become a SuperNode: a device, until stopped. Says what it holds, and each round it trains in.

    --set gives it settings of its own, which never leave it: n_tables=4, n_active=128 ...
    """
    _either(ca, insecure, "--ca")
    own = values_of(settings)
    _check_device_settings(own)
    config: dict = {}
    if data is not None:
        _say_what_is_held(data)
        config["data"] = str(data.absolute())
    if cache_dir is not None:
        config["cache-dir"] = str(cache_dir.absolute())
    if own:
        config["device-params"] = json.dumps(own)
    _become(flower.supernode(server, config, ca, key))


@app.command()
def run(
    output: Annotated[
        Path, typer.Argument(help="Model folder on the SuperLink's machine", show_default=False)
    ],
    n_features: Annotated[int, typer.Option(help="Features of all devices' rows")],
    n_labels: Annotated[int, typer.Option(help="Labels of all devices' rows")],
    n_devices: Annotated[int, typer.Option(help="Wait for so many before the start")] = 2,
    server: Server = "127.0.0.1:8000",
    ca: Authority = None,
    insecure: Insecure = False,
    settings: Settings = None,
    checkpoint_dir: Annotated[
        Path | None, typer.Option(help="Kept after each round; a run resumes from there")
    ] = None,
    load_data: Annotated[
        Path | None, typer.Option(help="Python file with load_data(context) for all devices")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a question waits")] = 600.0,
    app_dir: Annotated[
        Path | None, typer.Option(help="Keep the Flower app here, to look at or change")
    ] = None,
) -> None:
    """Train over the devices that have joined, and print the rounds.

    The run is the SuperLink's: if this command is killed, it goes on, `attach` shows it again from
    its first line, and `stop` ends it.

    --set takes parameters of FederatedLSHClassifier and its estimator: n_rounds=10,
    "estimator__hidden_layer_sizes=(128,)" ...
    """
    _either(ca, insecure, "--ca")
    params = values_of(settings)
    _check_params(params)
    if load_data is not None and not load_data.is_file():
        raise FileNotFoundError(f"--load-data must be a Python file, {load_data} does not exist")
    if checkpoint_dir is not None:
        params["checkpoint_dir"] = str(checkpoint_dir.absolute())
    options = {
        "output": str(output.absolute()), "n_features": n_features, "labels": n_labels,
        "n_devices": n_devices, "timeout": timeout,
    }  # fmt: skip
    with runs.connection(server, ca) as home, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "app") if app_dir is None else app_dir
        flower.write_app(folder, flower.server_code(params, options), load_data)
        run_id = runs.begin(folder, home)
        secured = "--insecure" if ca is None else f"--ca {ca}"
        where = f"{run_id} --server {server} {secured}"
        typer.echo(f"run {run_id}: `sklsh federated attach {where}` shows it too")
        sys.stdout.flush()
        _follow(run_id, home)


@app.command()
def status(server: Server = "127.0.0.1:8000", ca: Authority = None, insecure: Insecure = False):
    """The runs of a SuperLink, the latest first: number, state, begin, seconds."""
    _either(ca, insecure, "--ca")
    with runs.connection(server, ca) as home:
        for line in runs.lines(runs.listed(home)):
            typer.echo(line)


@app.command()
def attach(
    run_id: RunId,
    server: Server = "127.0.0.1:8000",
    ca: Authority = None,
    insecure: Insecure = False,
) -> None:
    """Show a run from its first line to its end, as the command that began it does."""
    _either(ca, insecure, "--ca")
    with runs.connection(server, ca) as home:
        _follow(run_id, home)


@app.command()
def stop(
    run_id: RunId,
    server: Server = "127.0.0.1:8000",
    ca: Authority = None,
    insecure: Insecure = False,
) -> None:
    """End a run. With --checkpoint-dir a new one resumes after the last round that was whole."""
    _either(ca, insecure, "--ca")
    with runs.connection(server, ca) as home:
        runs.stop(run_id, home)
    typer.echo(f"stopped: {run_id}")


def _follow(run_id: int, home: Path) -> None:
    """Exit status 1 unless the run completes."""
    ended = runs.follow(run_id, home)
    if ended != runs.COMPLETED:
        typer.echo(f"run {run_id}: {ended}", err=True)
        raise typer.Exit(1)


def values_of(settings: list[str] | None) -> dict:
    """``name=value`` texts as a dict, values as Python literals; words need no quotes."""
    out = {}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--set must be name=value, got {setting!r}")
        try:
            out[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            out[name] = text
    return out


def _check_params(params: dict) -> None:
    """Before anything is sent: are there such parameters, and may they be so."""
    from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier

    federation = FederatedLSHClassifier(SparseLSHMLPClassifier())
    _check_names(params, federation.get_params())
    federation.set_params(**params)
    federation._validate_params()
    if federation.estimator is not None:
        federation.estimator._validate_params()


def _check_device_settings(own: dict) -> None:
    from sklsh import SparseLSHMLPClassifier
    from sklsh.estimators.device_params import check_own
    from sklsh.federated.settings import DEVICE_OPTIONS, SHARED

    params = SparseLSHMLPClassifier().get_params()
    _check_names(own, [*params, *DEVICE_OPTIONS])
    if shared := sorted(set(own) & set(SHARED)):
        raise ValueError(
            f"--set must name a device's own parameter, {shared[0]!r} is the server's to decide"
        )
    check_own(own, SparseLSHMLPClassifier._parameter_constraints)


def _check_names(given, known) -> None:
    for name in given:
        if name not in known:
            like = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {like[0]}?" if like else f", one of {', '.join(sorted(known))}"
            raise ValueError(f"--set must name a parameter, got {name!r}{hint}")


def _say_what_is_held(data: Path) -> None:
    """The device's rows in a line, so that a mistyped path is seen before it joins."""
    from sklsh.datasets import load_xc

    if not data.exists():
        raise FileNotFoundError(f"{data} does not exist")
    try:
        X, Y = load_xc(data)
    except (ValueError, OSError) as error:
        typer.echo(f"held: what only the run's --load-data can read ({error})", err=True)
        return
    typer.echo(
        f"held: {X.shape[0]:,} rows of {X.shape[1]:,} features and {Y.shape[1]:,} labels in {data}"
    )


def _either(secured, insecure: bool, option: str) -> None:
    if insecure == (secured is not None):
        raise ValueError(f"one of {option} and --insecure must be given")


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    # The process is Flower's from here on: whoever started it stops it by its own id.
    os.execve(command[0], command, flower.environment())
