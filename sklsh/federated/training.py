"""A training run: a fresh server, and its rounds one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from sklsh.federated.checkpoint import Progress
from sklsh.federated.ledger import Ledger
from sklsh.federated.messages import ClientStatistics
from sklsh.federated.plan import Plan
from sklsh.federated.privacy import epsilon_spent, private_generator
from sklsh.federated.rounds import run_round
from sklsh.federated.server import Server
from sklsh.federated.transports.base import Transport
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad


def start_server(
    client_statistics: dict[int, ClientStatistics], n_features: int, n_labels: int,
    hidden_layer_sizes: tuple[int, ...], activation: str, plan: Plan, seed: int,
    row_norm: float | None = None,
) -> Server:  # fmt: skip
    """A server with a fresh network, its first layer scaled for rows of norm `row_norm`.

    None: for those that devices have.
    """
    if row_norm is None:
        row_norm = typical_row_norm(client_statistics)
    network = WideNetwork.initialise(
        n_features, hidden_layer_sizes, n_labels,
        activation=activation, row_norm=row_norm or 1.0, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return Server(network, RowwiseAdagrad.for_network(network), plan, seed)


def typical_row_norm(client_statistics: dict[int, ClientStatistics]) -> float:
    """The median over the devices that have other rows than zeros; 0 if none has."""
    norms = [c.row_norm for c in client_statistics.values() if c.row_norm > 0]
    return float(np.median(norms)) if norms else 0.0


def run_rounds(
    progress: Progress, transport: Transport, *, fraction: float, delta: float, random_state=None
) -> Iterator[dict]:
    """The plan's rounds that are left; `progress` moves along, and each entry of its history is
    given when it is there.

    Parameters
    ----------
    progress : Progress
        Its generator picks the devices of a round; of a private one, `private_generator` does.
    transport : Transport
    fraction : float in (0, 1]
        Share of the devices invited.
    delta : float
        Of the epsilon reported, in private rounds and in those after them.
    random_state : int, RandomState instance or None
        Of `private_generator`.

    Notes
    -----
    A private round adds nothing to the ledger: see `released`.
    """
    server, plan = progress.server, progress.server.plan
    while server.round < server.first_round + plan.n_rounds:
        began = time.perf_counter()
        draws = private_generator(random_state, server.round) if plan.private else progress.rng
        kept = Ledger() if plan.private else progress.ledger
        report = run_round(server, transport, draws, ledger=kept, fraction=fraction)
        entry = {
            **asdict(report),
            "bytes_up": kept.total(round=report.round, direction="up"),
            "bytes_down": kept.total(round=report.round, direction="down"),
            "seconds": time.perf_counter() - began,
        }
        if report.round == server.first_round:
            entry["start_faults"] = dict(server.start_faults)
        if plan.private:
            entry = released(entry)
        if any(noise > 0 for noise, _ in server.noise_of_rounds):
            entry["epsilon"] = epsilon_spent(server.noise_of_rounds, delta)
        progress.history.append(entry)
        yield entry


def released(entry: dict) -> dict:
    """What is said of a private round: its number; NaN as its loss, and None for all the rest.

    Losses, bytes, faults, times, and how many devices took part hang on devices' rows or on who
    was invited. Epsilon counts none of them, and the fraction in it is only worth something to
    those who do not know who was invited.
    """
    return {**dict.fromkeys(entry), "round": entry["round"], "loss": float("nan")}


def summary(entry: dict) -> str:
    """A line about a round, by its number in `history_`: the first is 0."""
    if entry["n_used"] is None:
        return f"round {entry['round']}: epsilon {entry['epsilon']:.3g}"
    traffic = (entry["bytes_up"] + entry["bytes_down"]) / 1e6
    return (
        f"round {entry['round']}: loss {entry['loss']:.4f}, {entry['n_used']} of "
        f"{entry['n_invited']} devices, {traffic:.1f} MB"
    )
