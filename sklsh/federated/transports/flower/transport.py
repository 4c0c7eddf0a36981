"""`FlowerTransport`: questions to devices that are Flower's SuperNodes, on any hosts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from sklsh.federated.messages import Reply
from sklsh.federated.training_config import TrainingConfig
from sklsh.federated.transports.flower.codec import decode, encode

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks for replies: they double from the first to the longest."""


@dataclass(frozen=True)
class Exchanged:
    """One answer, in seconds since the epoch: where the time of a round goes.

    Attributes
    ----------
    question : str
    device : int
    asked, encoded, arrived, received : float
        By the server's clock: before and after its message was encoded, before and after the
        reply was decoded. What lies between the second and the third is Flower's and the
        device's.
    began, ended : float
        By the device's clock: between Flower's handing over the message and its taking the
        reply.
    """

    question: str
    device: int
    asked: float
    encoded: float
    began: float
    ended: float
    arrived: float
    received: float


class FlowerTransport:
    """Devices are the nodes that a Flower grid reaches; a device's id is its node's.

    Nodes are looked up anew for each round: who has joined is invited, who has gone is not.
    Replies carry the id of the node that they came from, whatever they say themselves.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
    training_config : TrainingConfig
        Sent with every question: nodes keep no state.
    timeout : float
        Seconds after which a question goes on without the replies that are not there.
    join_timeout : float
        Seconds that a round waits for a first device.

    Attributes
    ----------
    timeline : list of Exchanged
    """

    resends = True  # A node's process ends with its answer.

    def __init__(
        self, grid: Grid, training_config: TrainingConfig, timeout: float = 600.0,
        join_timeout: float = 3600.0,
    ):  # fmt: skip
        self.grid = grid
        self.training_config = training_config.to_dict()
        self.timeout, self.join_timeout = timeout, join_timeout
        self.timeline: list[Exchanged] = []

    @property
    def devices(self) -> list[int]:
        """Nodes that are there now; if there are none, this waits for one as `wait_for` does."""
        return self.wait_for(1)

    def wait_for(self, n_devices: int) -> list[int]:
        """The nodes that are there, when there are so many.

        Raises
        ------
        TimeoutError
            There are not after `join_timeout`.
        """
        end = time.monotonic() + self.join_timeout
        while len(found := sorted(self.grid.get_node_ids())) < n_devices:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{n_devices} devices must have joined within {self.join_timeout:g} s, "
                    f"got {len(found)}"
                )
            time.sleep(LONGEST_PAUSE)
        return found

    def ask(self, question: str, messages: dict[int, tuple]) -> list:
        """As `Transport.ask`. In the place of what cannot be read comes the error, for the server
        to count."""
        sent: dict[int, tuple[float, float]] = {}
        waiting: dict[str, int] = {}
        for device, parts in messages.items():
            asked = time.time()
            message = Message(
                encode(parts, question=question, training_config=self.training_config),
                dst_node_id=device, message_type=f"{MessageType.QUERY}.ask", ttl=self.timeout,
            )  # fmt: skip
            sent[device] = asked, time.time()
            # One at a time: at most one message's copy is held beside what the server has.
            (key,) = self.grid.push_messages([message]) or (None,)
            if key is not None:
                waiting[key] = device
        answers = []
        end, pause = time.monotonic() + self.timeout, FIRST_PAUSE
        while waiting and time.monotonic() < end:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            for message in self.grid.pull_messages(list(waiting)):
                sender = message.metadata.src_node_id
                own = waiting.pop(message.metadata.reply_to_message_id, None) == sender
                # An error is Flower's word for a device that is gone, or whose answer failed.
                if own and not message.has_error():
                    answers.append(self._read(message, question, sender, sent[sender]))
                    pause = FIRST_PAUSE
        return answers

    def _read(self, message: Message, question: str, device: int, sent: tuple[float, float]):
        arrived = time.time()
        try:
            (reply,), header = decode(message.content)
            began, ended = float(header["began"]), float(header["ended"])
        except Exception as error:  # whatever foreign bytes raise costs this reply alone
            return error
        times = (*sent, began, ended, arrived, time.time())
        self.timeline.append(Exchanged(question, device, *times))
        return replace(reply, device=device) if isinstance(reply, Reply) else reply
