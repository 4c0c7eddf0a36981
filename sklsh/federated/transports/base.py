"""What a round asks of a transport. Write one to run devices elsewhere."""

from __future__ import annotations

from typing import Protocol

from sklsh.federated.messages import Reply


class Transport(Protocol):
    """Carries messages; knows nothing of what they mean.

    Attributes
    ----------
    resends : bool
        Whether devices forget between two questions what came with the first, so that it
        travels again, and is counted again. False where a transport does not say.
    """

    resends: bool

    @property
    def devices(self) -> list[int]:
        """Ids of the devices that can be reached."""

    def ask(self, question: str, messages: dict[int, tuple]) -> list[Reply]:
        """Put one question to some devices.

        Parameters
        ----------
        question : str
            Name of the method of `Device` that answers.
        messages : dict
            Per device, the messages that go with it.

        Returns
        -------
        list of Reply
            Whatever came back in time: perhaps fewer than were asked, in any order, twice,
            late ones of an earlier question, or nonsense. The server checks.
        """
