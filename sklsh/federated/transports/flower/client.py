"""`client_app`: a device's side. Flower starts a new process for every message."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp import ClientApp

from sklsh._utils.matrices import read_matrix
from sklsh.federated.cache import MAX_BYTES, Cache, CacheMiss, DiskCache, MemoryCache
from sklsh.federated.training_config import TrainingConfig
from sklsh.federated.transports.flower.codec import decode, encode

QUESTIONS = (
    "client_statistics", "counts", "request_all", "hidden_mean", "prototypes", "request", "select",
    "train", "masking_keys", "masking_shares", "train_masked", "unmask",
)  # fmt: skip
"""Methods of `Device` that a server may call."""

STATE, SEED = "sklsh", "seed"


def client_app(load_data: Callable, device_params: Mapping | None = None) -> ClientApp:
    """A Flower ClientApp whose device holds the rows that `load_data` finds.

    Parameters
    ----------
    load_data : callable
        ``load_data(context) -> (X, Y)``: matrices of as many features and labels as the training
        configuration says, or Y as 1-d labels. Called for each message, in a new process: keep
        it cheap. ``context.node_config`` has what the device's operator said.
    device_params : dict, optional
        Settings of all devices that run this app, as `FederatedLSHClassifier` has them for one.

    Returns
    -------
    flwr.clientapp.ClientApp

    Notes
    -----
    In the node's configuration may be: ``device-params``, a JSON text with settings of that
    device alone; ``seed`` (int), without which one is drawn and kept by the node for the run;
    ``cache-dir``, a folder for what a device keeps between messages, without which it keeps
    nothing: `body_exchange` "local", `local_optimizer` "kept" and `secure_aggregation` need it.
    """
    app = ClientApp()

    @app.query("ask")
    def ask(message: Message, context: Context) -> Message:
        began = time.time()
        parts, header = decode(message.content)
        question = header["question"]
        if question not in QUESTIONS:
            raise ValueError(f"question must be one of {QUESTIONS}, got {question!r}")
        X, Y = load_data(context)
        own = _own(context, device_params)
        device = TrainingConfig(**header["training_config"]).device(
            context.node_id, X, Y, own, _seed(context), _cache(context, own)
        )
        try:
            reply = getattr(device, question)(*parts)
        except CacheMiss as error:
            raise RuntimeError(f"what this device has kept is gone ({error})") from error
        if question == "train":  # to the terminal of whoever has joined
            print(
                f"round {reply.round}: trained on {reply.n_samples} rows, {reply.head.ids.size} "
                f"neurons, loss {reply.loss:.4f}", flush=True,
            )  # fmt: skip
        if question == "train_masked":
            print(f"round {reply.round}: trained; the update is masked", flush=True)
        return Message(encode((reply,), began=began, ended=time.time()), reply_to=message)

    return app


def load_data(context: Context):
    """The rows at ``data`` in a node's configuration: what `sklsh.datasets.load_xc` reads.

    Parameters
    ----------
    context : flwr.app.Context

    Returns
    -------
    X, Y : csr_matrix

    Raises
    ------
    ValueError
        The configuration has no ``data``.

    Notes
    -----
    Keep them as a folder with ``X_train.npz`` and ``Y_train.npz``: text takes seconds more, in
    each message's process.
    """
    if "data" not in context.node_config:
        raise ValueError("a device's node configuration must say where its data is, got no 'data'")
    path = Path(str(context.node_config["data"]))
    pair = [path / f"{letter}_train.npz" for letter in "XY"]
    if all(file.is_file() for file in pair):
        return tuple(read_matrix(file) for file in pair)
    from sklsh.datasets import load_xc  # brings scikit-learn along

    return load_xc(path)


def _seed(context: Context) -> int:
    if SEED in context.node_config:
        return int(context.node_config[SEED])
    if STATE not in context.state:
        context.state[STATE] = ConfigRecord({SEED: secrets.randbits(62)})
    return int(context.state[STATE][SEED])


def _own(context: Context, device_params: Mapping | None) -> dict:
    return {
        **(device_params or {}),
        **json.loads(str(context.node_config.get("device-params", "{}"))),
    }


def _cache(context: Context, own: Mapping) -> Cache:
    folder = context.node_config.get("cache-dir")
    if folder is None:
        return MemoryCache()
    return DiskCache(Path(str(folder)), own.get("cache_bytes", MAX_BYTES))
