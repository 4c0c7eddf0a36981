"""`RoundBroadcast`: what a round sends of the head to all devices, whole or as a delta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from sklsh.federated.messages import CodedHead, Sketch

Message = TypeVar("Message", Sketch, CodedHead)


def continues(number: int, n_rounds: int) -> bool:
    """Whether the round after this one adds to what is out, rather than begin anew."""
    return (number + 1) // n_rounds == number // n_rounds


class RoundBroadcast(Generic[Message]):
    """The messages of a round: one for each round whose state some device has kept.

    Every device's copy is a past state of what is out, so that rows published after a round
    bring a device of that round up to date, whichever rounds it has missed.

    Parameters
    ----------
    whole : Sketch or CodedHead
        With all rows.
    rows : callable
        ``rows(ids)``: the fields of `whole` that a message of these rows alone has otherwise.
    published : ndarray (n_labels,), int32
        The round in which a row was last published.
    first_round : int
        Of those whose messages add up.
    row_bytes : float
        Of a row, without its id.
    """

    def __init__(
        self, whole: Message, rows: Callable[[np.ndarray], dict], published: np.ndarray,
        first_round: int, row_bytes: float,
    ):  # fmt: skip
        self.whole: Message = whole
        self._rows, self._published = rows, published
        self._first_round, self._row_bytes = first_round, row_bytes
        self._deltas: dict[int, Message] = {}

    def message(self, since: int) -> Message:
        """What a device needs that has the state of round `since`; -1: it has none.

        All rows where a delta would take more bytes: an id takes four.
        """
        if not self._first_round <= since < self.whole.round:
            return self.whole
        if since not in self._deltas:
            ids = np.flatnonzero(self._published > since).astype(np.int32)
            whole_bytes = self._published.shape[0] * self._row_bytes
            self._deltas[since] = (
                replace(self.whole, ids=ids, since=since, **self._rows(ids))
                if ids.shape[0] * (self._row_bytes + 4) < whole_bytes
                else self.whole
            )
        return self._deltas[since]
