"""The protocol: what is asked of devices, in which order; before the first round and in each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import numpy as np

from sklsh.federated.checkpoint import Progress
from sklsh.federated.exchange import START, Exchange, ModelExchange
from sklsh.federated.ledger import Ledger
from sklsh.federated.memory import (
    Batch,
    coded_selection_bytes,
    device_bytes,
    selection_bytes,
    start_bytes,
)
from sklsh.federated.messages import (
    Centre,
    ClientStatistics,
    CodedHead,
    Counts,
    HiddenMean,
    Prototypes,
    Request,
    Select,
    Sketch,
    SubModel,
    Update,
)
from sklsh.federated.parts import UNDONE
from sklsh.federated.privacy import epsilon_spent, private_generator
from sklsh.federated.secure.server_side import masked_mean
from sklsh.federated.server import Server
from sklsh.federated.start import common_centre, levelled, summed_prototypes
from sklsh.federated.submodels import BATCH_ACTIVE
from sklsh.federated.transports.base import Transport
from sklsh.hashing.codes.search import QUERIES
from sklsh.network.sampling import SCORING_ROWS


@dataclass
class RoundReport:
    """What happened in a round.

    Attributes
    ----------
    round : int
    n_invited, n_used : int
        Devices asked, and updates that went into the model.
    left_out : list of int
        Devices that are not asked any more: `sklsh.federated.defence.OFFENCES` of their replies
        were rejected, or changed the model against what all others learn.
    loss : float
        Mean of the devices', weighted by rows; NaN without updates.
    active_share : float
        Mean share of the head that a device was sent.
    faults : dict
        Reason -> number of replies dropped (or missing).
    whole_sketches : int
        Devices that were sent the whole sketch: those with nothing kept of this fold, or
        nothing that can be read, and all where half of it has changed.
    whole_bodies : int
        With a local body: devices that were sent the start of one. After the first round
        each has lost its own.
    """

    round: int
    n_invited: int
    n_used: int = 0
    loss: float = float("nan")
    active_share: float = 0.0
    faults: dict = field(default_factory=dict)
    whole_sketches: int = 0
    whole_bodies: int = 0
    left_out: list = field(default_factory=list)


def take_client_statistics(
    transport: Transport, ledger: Ledger
) -> tuple[dict[int, ClientStatistics], dict]:
    """Sizes that the model's start hangs on, by device; and faults, as a round counts them."""
    exchange = Exchange(transport, ledger, START, transport.devices)
    messages: dict = dict.fromkeys(exchange.devices, ())
    return exchange.ask("client_statistics", ClientStatistics, messages), exchange.faults


def _start(server: Server, transport: Transport, ledger: Ledger) -> ModelExchange:
    """With all devices, before the first round."""
    return ModelExchange(server, transport, ledger, START, transport.devices, server.start_faults)


def count_labels(server: Server, transport: Transport, ledger: Ledger) -> None:
    """Sum up in how many rows each label is: what is popular, and what entries weigh."""
    exchange = _start(server, transport, ledger)
    replies = exchange.ask("counts", Counts, dict.fromkeys(exchange.devices, ()))
    server.count(list(replies.values()))


def set_prototypes(server: Server, transport: Transport, ledger: Ledger, scale: float) -> None:
    """Start neurons as `scale` x the direction of their rows' mean hidden vector.

    As `sklsh.network.prototypes`, from sums that devices send for their own labels: the
    prototype initialisation costs about one round's traffic.
    """
    exchange = _start(server, transport, ledger)
    requests = exchange.ask("request_all", Request, dict.fromkeys(exchange.devices, ()))
    bodies = {device: server.body(request.features) for device, request in requests.items()}
    means = exchange.ask("hidden_mean", HiddenMean, {d: (body,) for d, body in bodies.items()})
    if not means:
        return
    centre = server.hidden_centre = common_centre(list(means.values()))
    replies = exchange.ask(
        "prototypes", Prototypes, {d: (bodies[d], Centre(centre)) for d in means}
    )
    for device, reply in replies.items():
        features = bodies[device].features
        ledger.memory[START, device] = start_bytes(
            reply.ids.shape[0], features.shape[0], server.network.n_hidden,
            np.dtype(server.plan.payload).itemsize,
        )  # fmt: skip
    head, bias = server.network.head_weights, server.network.head_bias
    head += summed_prototypes(list(replies.values()), *head.shape)
    lengths = np.sqrt(np.einsum("ij,ij->i", head, head))
    head *= (scale / np.where(lengths > 0, lengths, 1.0))[:, None].astype(np.float32)
    levelled(head, centre)
    bias[:] = -(head @ centre)


def _selection_bytes(sketch: Sketch | CodedHead | None, server: Server) -> int:
    """What a device takes to look for its neurons in what it was sent, or keeps."""
    n_labels, size = server.network.n_labels, np.dtype(server.plan.payload).itemsize
    if sketch is None:
        return 0
    if isinstance(sketch, Sketch):
        return selection_bytes(n_labels, sketch.sketch_dim, size)
    out = server.code_broadcast(sketch.family, sketch.n_bytes).out
    assert out is not None, "the message is of what is out"
    tables = QUERIES * sketch.n_bytes * 256 * 4
    return coded_selection_bytes(n_labels, out.codes.bytes_per_row, out.coder.nbytes + tables)


def _batch(transport, device: int, invite, n_ids: int, batch_size: int) -> Batch:
    """What a step takes; where a device's settings are not known, with those of the plan."""
    if hasattr(transport, "batch"):
        return transport.batch(device, invite, n_ids)
    return Batch(batch_size, min(n_ids, batch_size + BATCH_ACTIVE), SCORING_ROWS * n_ids)


def run_round(
    server: Server, transport: Transport, rng: np.random.Generator, *,
    ledger: Ledger, fraction: float = 1.0,
) -> RoundReport:  # fmt: skip
    """One round: invite, request, sketch, select, sub-model, update, aggregate.

    Parameters
    ----------
    server : Server
    transport : Transport
    rng : numpy.random.Generator
        Picks the devices; in a private round it makes the noise too, and must be a secret.
    ledger : Ledger
    fraction : float in (0, 1]
        Share of the devices that are invited.

    Returns
    -------
    RoundReport
        A reply that is missing, late, repeated or wrong is counted here and costs the
        round no more than that reply.
    """
    # Long: a round is its phases, one after another, and each needs what came before.
    devices = sorted(transport.devices)
    if not server.plan.private:
        devices = [device for device in devices if device not in server.defence.left_out]
    if server.plan.private:
        # What the accountant assumes: each device by a coin of its own.
        devices = [device for device in devices if rng.random() < fraction]
    elif devices and (count := max(1, round(fraction * len(devices)))) < len(devices):
        devices = sorted(rng.choice(devices, count, replace=False).tolist())
    exchange = ModelExchange(server, transport, ledger, server.round, devices)
    invite = server.invite()
    requests = exchange.ask("request", Request, dict.fromkeys(devices, (invite,)))
    bodies = {device: server.body_for(request) for device, request in requests.items()}

    ids = {device: r.ids for device, r in requests.items() if r.ids is not None}
    hashing = {device: request for device, request in requests.items() if device not in ids}
    folded = {d: request.sketch_round for d, request in hashing.items() if not request.codes}
    sketches: dict = server.sketches(folded) if folded else {}
    sketches |= server.coded({d: request for d, request in hashing.items() if request.codes})
    if hashing:
        selects = exchange.ask(
            "select", Select, {d: (invite, bodies[d], sketches[d]) for d in hashing}
        )
        ids.update({device: select.ids for device, select in selects.items()})

    questions = {}
    for device in sorted(ids):
        model, body = SubModel(server.round, server.head(ids[device])), bodies[device]
        exchange.lend(device, model, body)
        questions[device] = (invite, model, body)
        ledger.memory[server.round, device] = device_bytes(
            _selection_bytes(sketches.get(device), server),
            ids[device].shape[0],
            0 if body is None else body.features.shape[0],
            server.network.n_hidden,
            np.dtype(server.plan.payload).itemsize,
            _batch(transport, device, invite, ids[device].shape[0], server.plan.batch_size),
        )
    if server.plan.secure_rows:
        n_used, loss = server.apply_mean(masked_mean(exchange, invite, questions))
    else:
        updates = exchange.ask("train", Update, questions)
        n_used, loss = server.apply(list(updates.values()), rng)
    server.noise_of_rounds.append([server.plan.noise_multiplier, float(fraction)])

    report = RoundReport(server.round, len(devices), n_used, loss, faults=exchange.faults)
    report.left_out = server.defence.left_out
    if server.undone:
        exchange.count(UNDONE)
    report.whole_sketches = sum(sketch.ids is None for sketch in sketches.values())
    if server.plan.body_exchange == "local":
        report.whole_bodies = sum(body is not None for body in bodies.values())
    if ids:
        n_labels = server.network.n_labels
        report.active_share = float(np.mean([i.shape[0] for i in ids.values()]) / n_labels)
    server.round += 1
    return report


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
