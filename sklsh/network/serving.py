"""`Serving`: what every answer of a recommender needs and what costs O(n_items) to find out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sklsh._utils.threads import blocks
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.interactions import item_weights
from sklsh.network.model import WideNetwork

ROWS = 8192
"""Head rows whose norms are taken at a time."""


@dataclass(eq=False)
class Serving:
    """Numbers of one state of a recommender, each found out when it is first asked for.

    They are some arrays of one number an item. Threads that ask at the same time for what is
    not there yet may both compute it, to the same end.

    Attributes
    ----------
    counts : ndarray (n_items,), int64
        Users that have each item; training replaces the array, so that it names a state.
    n_users : int
    network : WideNetwork
    memory : ItemMemory or None
    """

    counts: np.ndarray
    n_users: int
    network: WideNetwork
    memory: ItemMemory | None

    def __post_init__(self):
        self._of = self._state()

    def _state(self) -> tuple[Any, ...]:
        memory = (None, None) if self.memory is None else (self.memory.counts, self.memory.powers)
        return self.counts, self.network.head_weights, *memory

    def is_of(self, counts: np.ndarray, network: WideNetwork, memory: ItemMemory | None) -> bool:
        """Whether all that was computed is of these."""
        now = Serving(counts, 0, network, memory)._state()
        return all(old is new for old, new in zip(self._of, now, strict=True))

    @cached_property
    def is_known(self) -> np.ndarray:
        """Items that anybody has had, bool (n_items,)."""
        return self.counts > 0

    @cached_property
    def known(self) -> np.ndarray:
        """The same, ascending int32."""
        return np.flatnonzero(self.counts).astype(np.int32)

    @cached_property
    def input_weights(self) -> np.ndarray:
        """Inverse document frequencies."""
        return item_weights(self.counts, self.n_users)

    @cached_property
    def item_scales(self) -> tuple[np.ndarray, np.ndarray] | None:
        """`ItemMemory.scales`."""
        return None if self.memory is None else self.memory.scales()

    @cached_property
    def head_norms(self) -> np.ndarray:
        """Lengths of the head's rows, float32."""
        head = self.network.head_weights
        out = np.empty(head.shape[0], dtype=np.float32)
        for start, stop in blocks(head.shape[0], ROWS):
            part = head[start:stop]
            np.sqrt(np.einsum("ij,ij->i", part, part), out=out[start:stop])
        return out
