"""What a device lets a server ask of it; outside of that it does not answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sklsh.federated.messages import Invite
from sklsh.federated.parts import Payload


class Refused(RuntimeError):
    """The device does not answer: what was asked is outside its policy."""


@dataclass(frozen=True)
class Policy:
    """Bounds of a device's own; the server is told nothing of them.

    Attributes
    ----------
    least_rows : int
        Different rows that a round trains on, at least; of a device with few rows, a quarter of
        them. An update of one row tells that row.
    most_steps : int
        Batches a round.
    most_rounds : int
        Rounds of a training run, by the number that the server gives them.
    most_bytes : int
        Of what is sent with one question.
    masked_only : bool
        It trains in secure aggregation alone: no update of its own, no label and no neuron that it
        chose leave it in the clear, whatever the server asks for.
    """

    least_rows: int = 16
    most_steps: int = 10_000
    most_rounds: int = 100_000
    most_bytes: int = 2**30
    masked_only: bool = False

    def check_invite(self, invite: Invite, n_rows: int, batch_size: int, count: int) -> None:
        """Raise `Refused` unless a round of `count` rows, repeats counted, may be trained.

        Parameters
        ----------
        invite : Invite
        n_rows : int
            Of the device.
        batch_size, count : int
        """
        if not 0 <= invite.round < self.most_rounds:
            raise Refused(f"round {invite.round} is not one of {self.most_rounds}")
        if not 0 < invite.learning_rate < math.inf:
            raise Refused(f"a learning rate of {invite.learning_rate!r}")
        least = min(self.least_rows, math.ceil(n_rows / 4))
        if count < least:
            raise Refused(f"{count} rows a round, fewer than {least}")
        if count > self.most_steps * batch_size:
            raise Refused(f"more than {self.most_steps} steps a round")

    def check_in_clear(self, what: str) -> None:
        """Raise `Refused` unless `what` may be sent as it is."""
        if self.masked_only:
            raise Refused(f"{what} without masks")

    def check_bytes(self, *messages: Payload | None) -> None:
        """Raise `Refused` if what came with a question is too large."""
        n_bytes = sum(message.nbytes for message in messages if message is not None)
        if n_bytes > self.most_bytes:
            raise Refused(f"{n_bytes} bytes, more than {self.most_bytes}")
