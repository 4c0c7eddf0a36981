"""Which ids a device asks for: its own labels and features, decoys among them, or public ones.

Own ids name what a device has. A public set of neurons, a part of all that is drawn anew for each
round from numbers that everybody knows, is the same for all devices: who asks for it, and for all
features, has said nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.federated.decoys import decoys
from sklsh.federated.messages import Invite
from sklsh.federated.parts import neuron_bytes
from sklsh.federated.selection import random_others
from sklsh.federated.settings import DeviceSettings
from sklsh.network.rows import SparseRows


def public_ids(n: int, share: float, invite: Invite) -> np.ndarray:
    """The neurons of a round that all devices ask for, ascending int32.

    Parameters
    ----------
    n : int
        Of all.
    share : float in (0, 1]
        Of them a round, to the nearest 1 / k.
    invite : Invite
        Its run and round.

    Notes
    -----
    k rounds have each neuron once, then the order is drawn anew. O(n).
    """
    n_parts = min(n, max(1, round(1 / share)))
    number, part = divmod(invite.round, n_parts)
    order = np.random.default_rng([invite.run, number]).permutation(n)
    return np.sort(np.array_split(order, n_parts)[part]).astype(np.int32)


@dataclass(frozen=True)
class IdRequests:
    """A device's requests, from its rows.

    Parameters
    ----------
    X, Y : SparseRows
        All rows of the device.
    n_features, n_labels : int
    settings : DeviceSettings
    seed : int
        Of decoys.
    whole_body : bool
        Ask for all features whatever the rows have.
    payload, with_state
        What travels of a neuron, see `neuron_bytes`.
    """

    X: SparseRows
    Y: SparseRows
    n_features: int
    n_labels: int
    settings: DeviceSettings
    seed: int
    whole_body: bool
    payload: str
    with_state: bool

    @property
    def n_active(self) -> int:
        """Neurons of a round beside the labels."""
        if self.settings.active_bytes is None:
            return self.settings.n_active
        n_hidden = self.settings.training.hidden_layer_sizes[-1]
        size = neuron_bytes(n_hidden, self.payload, self.with_state)
        return min(self.n_labels, self.settings.active_bytes // size)

    def features(self, rows) -> np.ndarray | None:
        """Features of rows, decoys among them; None for all."""
        if self.whole_body or self.settings.public_rows:
            return None
        return self._with_decoys(self.X, rows, self.n_features)

    def labels(self, rows) -> np.ndarray:
        """Labels of rows, decoys among them; none if they are not to be asked for."""
        if not self.settings.include_labels:
            return np.empty(0, np.int32)
        return self._with_decoys(self.Y, rows, self.n_labels)

    def public(self, invite: Invite) -> np.ndarray | None:
        """Neurons that all devices ask for; None if this one asks for its own."""
        share = self.settings.public_rows
        return public_ids(self.n_labels, share, invite) if share else None

    def neurons(self, rows, invite: Invite, rng: np.random.Generator) -> np.ndarray:
        """Neurons of a round without hash tables; `rng` draws those beside the labels."""
        if (public := self.public(invite)) is not None:
            return public
        sampler = self.settings.training.sampler
        if sampler == "all":
            return np.arange(self.n_labels, dtype=np.int32)
        labels = self.labels(rows)
        if sampler == "labels":
            return labels
        taken = self.not_negatives(labels)
        others = random_others(rng, self.n_labels, self.n_active, taken)
        return np.union1d(labels, others).astype(np.int32)

    def not_negatives(self, labels: np.ndarray) -> np.ndarray:
        """What is never picked beside a round's labels: these; with decoys, all own labels and all
        decoys, as they would come more often than one another then."""
        if not (self.settings.n_decoys and self.settings.include_labels):
            return labels
        return self._with_decoys(self.Y, np.arange(self.Y.n_rows), self.n_labels)

    def preferred(self, order: np.ndarray, invite: Invite) -> np.ndarray:
        """Rows in an order, those with a label among the public neurons first: others teach
        the head nothing."""
        wanted = np.zeros(self.n_labels, dtype=bool)
        wanted[self.public(invite)] = True
        owner = np.repeat(np.arange(self.Y.n_rows), self.Y.counts())
        named = np.zeros(self.Y.n_rows, dtype=bool)
        named[owner[wanted[self.Y.indices]]] = True
        return order[np.argsort(~named[order], kind="stable")]

    def _with_decoys(self, of: SparseRows, rows, n: int) -> np.ndarray:
        false = decoys(of, rows, n, self.seed, self.settings.n_decoys)
        return np.union1d(of.take(rows).indices, false).astype(np.int32)
