"""`Exchange`: questions to devices and their answers, counted and checked; of the start or a round.

Before there is a model, answers are held against nothing but their own kind (`Exchange`); after, to
what the server has sent, and an offence is remembered (`ModelExchange`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sklsh.federated.ledger import DOWN, UP, Ledger
from sklsh.federated.messages import Reply, SubModel, Update
from sklsh.federated.norm_bound import check_lengths, longest_move
from sklsh.federated.parts import BROKEN, BodyPart, ModelShape, Rejected
from sklsh.federated.server import Server
from sklsh.federated.transports.base import Transport

START = -1
"""Number of the exchanges before the first round."""

NO_MODEL = ModelShape(0, 0, (0,))
"""Of a model that is not there yet: no array fits it."""

OFFENSIVE = {"type", "shape", "range", "nonfinite", "norm bound exceeded", BROKEN}
"""Reasons for which a rejected reply is its device's fault."""

SMALLEST_BATCH = 4
"""A device's own batches may be so many times smaller than those of the plan: more steps."""


class Exchange:
    """Questions and answers of one round, or of a part of the start.

    A message that goes with several questions travels once, unless the transport's devices forget
    it (`Transport.resends`): then it is counted as often as it is sent.

    Parameters
    ----------
    transport : Transport
    ledger : Ledger
        Bytes are added to it.
    number : int
        Of the round, or `START`.
    devices : iterable of int
        Who may be asked; others' replies are not used.
    shape : ModelShape
        What replies must fit.
    faults : dict, optional
        Reason -> replies that are not used, or are missing: they are added to it.
    """

    def __init__(
        self, transport: Transport, ledger: Ledger, number: int, devices: Iterable[int],
        shape: ModelShape = NO_MODEL, faults: dict | None = None,
    ):  # fmt: skip
        self.transport, self.ledger, self.number, self.shape = transport, ledger, number, shape
        self.faults: dict = {} if faults is None else faults
        self.devices = list(devices)
        self._resends = getattr(transport, "resends", False)
        self._had: dict[int, list] = {device: [] for device in self.devices}
        self._answered: dict[int, set[str]] = {device: set() for device in self.devices}

    def count(self, reason: str, n: int = 1) -> None:
        """Count replies that are not used."""
        if n > 0:
            self.faults[reason] = self.faults.get(reason, 0) + n

    def ask(self, question: str, kind: type, messages: dict) -> dict:
        """Good replies by device."""
        for device, parts in messages.items():
            self._sent(device, parts)
        good: dict = {}
        n_bad = 0
        for reply in self.transport.ask(question, messages):
            try:
                self.accept(reply, kind)
            except Exception as error:  # a foreign object may raise anything when looked at
                reason = error.reason if isinstance(error, Rejected) else BROKEN
                self.count(reason)
                self._blame(reply, reason)
                n_bad += 1
                continue
            self.ledger.add(self.number, reply.device, reply, UP)
            good[reply.device] = reply
        self.count("missing", len(messages) - len(good) - n_bad)
        return {device: good[device] for device in messages if device in good}

    def accept(self, reply: Reply, kind: type) -> None:
        """Check one reply; raise `Rejected` if it is not what was asked for."""
        if type(reply) is not kind:
            raise Rejected("type", f"expected {kind.__name__}, got {type(reply).__name__}")
        if type(reply.round) is not int or reply.round != self.number:
            raise Rejected("stale", f"the round is {self.number}, got a reply of another")
        if type(reply.device) is not int or reply.device not in self._answered:
            raise Rejected("unknown device", "its device is not in this round")
        if kind.__name__ in self._answered[reply.device]:
            raise Rejected("duplicate", f"device {reply.device} has answered already")
        reply.validate(self.shape)
        self._check(reply)
        self._answered[reply.device].add(kind.__name__)

    def _check(self, reply: Reply) -> None:
        """What else a reply must be."""

    def _blame(self, reply, reason: str) -> None:
        """Hold a rejected reply against its device."""

    def _sent(self, device: int, parts: tuple) -> None:
        """Count what goes to a device."""
        had = self._had[device]
        for message in filter(None, parts):
            if self._resends or not any(message is other for other in had):
                self.ledger.add(self.number, device, message, DOWN)
                had.append(message)


class ModelExchange(Exchange):
    """With devices that are sent parts of the server's model.

    Parameters
    ----------
    server : Server
    transport, ledger, number, devices, faults
        As of `Exchange`.
    """

    def __init__(
        self, server: Server, transport: Transport, ledger: Ledger, number: int,
        devices: Iterable[int], faults: dict | None = None,
    ):  # fmt: skip
        super().__init__(transport, ledger, number, devices, server.shape, faults)
        self.server = server
        self._rows: dict[int, dict[str, np.ndarray]] = {}

    def lend(self, device: int, model: SubModel, body: BodyPart | None) -> None:
        """Remember what a device is sent to train: it may change nothing else."""
        self._rows[device] = {"ids": model.head.ids}
        if body is not None:
            self._rows[device]["features"] = body.features

    def _check(self, reply: Reply) -> None:
        if not isinstance(reply, Update):
            return
        lent = self._rows.get(reply.device, {})
        changed = [("ids", reply.head.ids)]
        if reply.body is not None:
            changed.append(("features", reply.body.features))
        for name, ids in changed:
            if name not in lent or np.setdiff1d(ids, lent[name], assume_unique=True).size:
                raise Rejected("range", f"{name} of the update were not sent to the device")
        plan = self.server.plan
        rows = min(reply.n_samples, plan.max_rows)
        steps = -(-rows // max(1, plan.batch_size // SMALLEST_BATCH))
        check_lengths(reply, longest_move(self.server.invite().learning_rate, steps))

    def _blame(self, reply, reason: str) -> None:
        """Being late or repeated is no offence.

        Not in a private round: what is kept of devices would outlast its noise.
        """
        if self.server.plan.private or reason not in OFFENSIVE:
            return
        known = issubclass(type(reply), Reply) and type(reply.device) is int
        if known and reply.device in self._answered:
            self.server.defence.blame(reply.device)
