"""A federation on many machines: the apps that Flower runs, on the server and on devices.

Needs the extra ``flower``. `sklsh federated run` writes the two apps for the usual case; write
them yourself for data of your own::

    # client_app.py, run on each device
    from sklsh.flower import client_app

    def load_data(context):
        return read_my_rows(context.node_config["data"])

    app = client_app(load_data)

    # server_app.py, run beside the SuperLink
    from sklsh import FederatedLSHClassifier
    from sklsh.flower import server_app

    app = server_app(FederatedLSHClassifier(n_rounds=20, checkpoint_dir="run"), "model",
                     n_features=10_000, labels=50_000, n_devices=3)
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from sklsh._utils.files import replacing
from sklsh._utils.validation import check_int
from sklsh.federated.transports.flower import FlowerTransport, client_app, load_data

__all__ = ["client_app", "load_data", "run_federation", "server_app"]


def server_app(
    federation, output, *, n_features, labels, n_devices, timeout=600.0, join_timeout=3600.0
) -> ServerApp:
    """A Flower ServerApp that trains over the nodes of its SuperLink.

    Parameters
    ----------
    federation : FederatedLSHClassifier
        Not fitted. Its `transport` is not used; with a `checkpoint_dir` a run resumes where
        one that was stopped or killed had got.
    output : path
        Folder for the model, on the SuperLink's machine: as by `sklsh.persistence.save_model`,
        and beside it ``<output>.json``: history, bytes by message, and where the time went.
    n_features : int
    labels : int or array-like
        As in `FederatedLSHClassifier.fit_devices`.
    n_devices : int
        Wait for so many before the start. Later on any that are there take part.
    timeout : float
        Seconds that a question waits for answers.
    join_timeout : float
        Seconds that the start waits for devices, and a round for one if all have gone.

    Returns
    -------
    flwr.serverapp.ServerApp
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        run_federation(
            grid, federation, output, n_features=n_features, labels=labels,
            n_devices=n_devices, timeout=timeout, join_timeout=join_timeout,
        )  # fmt: skip

    return app


def run_federation(
    grid, federation, output, *, n_features, labels, n_devices, timeout=600.0, join_timeout=3600.0
):
    """What `server_app` does, on a grid at hand.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
    federation, output, n_features, labels, n_devices, timeout, join_timeout
        As of `server_app`.

    Returns
    -------
    FederatedLSHClassifier
        Fitted; `federation` is left as it was.
    """
    # Devices load this module too, and have no use for what is behind these.
    from sklearn.base import clone

    from sklsh.estimators.federated_run import training_config_of
    from sklsh.estimators.federated_tasks import new_task
    from sklsh.persistence import save_model
    from sklsh.persistence._places import check_place

    n_devices = check_int(n_devices, "n_devices", 1)
    output = Path(output).absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    check_place(output)
    task = new_task(federation.estimator)
    task.expect(n_features, labels)
    transport = FlowerTransport(grid, training_config_of(federation, task), timeout, join_timeout)
    transport.wait_for(n_devices)
    fitted = clone(federation).set_params(transport=transport)
    fitted.fit_devices(n_features, labels)
    save_model(fitted._published().estimator_, output)
    report = {
        "history": fitted.history_,
        "bytes_by_message": fitted.ledger_.by("kind"),
        # Of private rounds, who took part and how long it took is not told.
        "timeline": [] if fitted.server_.plan.private else list(map(asdict, transport.timeline)),
    }
    with replacing(output.with_name(f"{output.name}.json")) as file:
        file.write(f"{json.dumps(report, indent=1)}\n".encode())
    return fitted
