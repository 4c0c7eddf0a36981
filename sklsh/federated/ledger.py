"""`Ledger`: bytes that each device sent and received, message by message."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

UP, DOWN = "up", "down"


@dataclass
class Ledger:
    """Traffic and memory of a federation.

    Attributes
    ----------
    traffic : dict
        ``(round, device, kind, direction) -> bytes``. `kind` is the name of the message,
        or "body" and "head" for the two parts of a model; `direction` is "up" or "down".
        Counted are arrays and 16 bytes a message, each time that it travels: what a transport
        puts around them is some hundred bytes an array, and a few kB a question.
    memory : dict
        ``(round, device) -> bytes``: what a round takes beside the
        device's rows, by the formulas of `sklsh.federated.memory`.
    """

    traffic: dict = field(default_factory=lambda: defaultdict(int))
    memory: dict = field(default_factory=dict)

    def add(self, number: int, device: int, message, direction: str) -> None:
        """Count a message, its head and body parts apart."""
        rest = message.nbytes
        for name in ("head", "body"):
            part = getattr(message, name, None)
            if part is not None:
                self.traffic[number, device, name, direction] += part.array_bytes
                rest -= part.array_bytes
        kind = type(message).__name__.lower().removesuffix("part")
        self.traffic[number, device, kind, direction] += rest

    def total(self, *, round=None, device=None, kind=None, direction=None) -> int:
        """Bytes of all entries that agree with what is given."""
        wanted = (round, device, kind, direction)
        return sum(
            count
            for key, count in self.traffic.items()
            if all(w is None or w == k for w, k in zip(wanted, key))
        )

    def by(self, position: str) -> dict:
        """Bytes summed by "round", "device", "kind" or "direction"."""
        index = ("round", "device", "kind", "direction").index(position)
        out: dict = defaultdict(int)
        for key, count in self.traffic.items():
            out[key[index]] += count
        return dict(sorted(out.items()))
