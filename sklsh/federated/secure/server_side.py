"""The server's side of secure aggregation: keys, shares, masked updates, what takes masks off."""

from __future__ import annotations

import numpy as np

from sklsh.federated.exchange import ModelExchange
from sklsh.federated.id_requests import public_ids
from sklsh.federated.messages import Invite
from sklsh.federated.parts import Rejected
from sklsh.federated.secure import masking
from sklsh.federated.secure.device_side import FEWEST, least_threshold, pair_key
from sklsh.federated.secure.messages import (
    MaskedUpdate,
    MaskingKeys,
    PassedShares,
    Peers,
    SealedShares,
    Survivors,
    Unmasking,
)
from sklsh.federated.secure.vector import MOST_DEVICES, Mean, size, unpacked


class TooFew(Exception):
    """Fewer devices than it takes are left; the round changes nothing."""


def masked_mean(exchange: ModelExchange, invite: Invite, questions: dict) -> Mean | None:
    """The mean of the updates of those devices that stay to the end of the round.

    Parameters
    ----------
    exchange : ModelExchange
        Of the round.
    invite : Invite
    questions : dict
        By device, what goes with "train".

    Returns
    -------
    Mean or None
        None where fewer than half of those that have sent keys are left, or what they say does
        not fit together.

    Notes
    -----
    Of n devices and vectors of m numbers, O(n m) without drop-outs; each of these costs O(n m)
    more. A device makes n masks: O(n m) too.
    """
    if len(questions) > MOST_DEVICES:
        raise ValueError(
            f"secure_aggregation takes at most {MOST_DEVICES} devices a round, got "
            f"{len(questions)}: lower fraction"
        )
    plan, n_labels = exchange.server.plan, exchange.server.network.n_labels
    ids = public_ids(n_labels, plan.secure_rows, invite)
    fitting = {d: q for d, q in questions.items() if np.array_equal(q[1].head.ids, ids)}
    exchange.count("range", len(questions) - len(fitting))
    try:
        return _Sum(exchange, invite, ids, fitting).run()
    except TooFew:
        return None
    except Rejected as error:
        exchange.count(error.reason)
        return None


class _Sum:
    """One round's; `keys` and what follows are by device, in the order of their places."""

    def __init__(self, exchange: ModelExchange, invite: Invite, ids: np.ndarray, questions: dict):
        self.exchange, self.invite, self.ids, self.questions = exchange, invite, ids, questions
        self.shape = exchange.shape

    def run(self) -> Mean:
        keys = self._ask("masking_keys", MaskingKeys, dict.fromkeys(self.questions, ()), FEWEST)
        self.devices = list(keys)
        self.place = {device: place for place, device in enumerate(self.devices)}
        self.threshold = least_threshold(len(keys))
        self.masking = np.stack([key.masking for key in keys.values()])
        updates = self._masked_updates(keys)
        total = np.zeros(size(self.shape, self.ids.shape[0]), np.uint32)
        for update in updates.values():
            total += update.values.view(np.uint32)
        alive = [self.place[device] for device in updates]
        survivors = Survivors(np.array(alive, np.int32))
        shares = self._ask(
            "unmask", Unmasking, dict.fromkeys(updates, (survivors,)), self.threshold,
            lambda reply: reply.shares.shape[0] == len(self.sharing),
        )  # fmt: skip
        self._take_off(total, alive, shares)
        return unpacked(
            total, len(alive), len(self.devices), self.ids, self.shape, self.invite.learning_rate
        )

    def _masked_updates(self, keys) -> dict:
        sealing, n = np.stack([key.sealing for key in keys.values()]), len(keys)
        peers = {
            device: (Peers(place, self.threshold, sealing, self.masking),)
            for device, place in self.place.items()
        }
        sent = self._ask(
            "masking_shares", SealedShares, peers, self.threshold,
            lambda reply: reply.sealed.shape[0] == n,
        )  # fmt: skip
        self.sharing = [self.place[device] for device in sent]
        places = np.array(self.sharing, np.int32)
        questions = {}
        for device in sent:
            sealed = np.stack([s.sealed[self.place[device]] for s in sent.values()])
            questions[device] = (*self.questions[device][1:], PassedShares(places, sealed))
        wanted = size(self.shape, self.ids.shape[0])
        return self._ask(
            "train_masked", MaskedUpdate, questions, self.threshold,
            lambda reply: reply.values.shape[0] == wanted,
        )  # fmt: skip

    def _ask(self, question: str, kind: type, messages: dict, least: int, fits=None) -> dict:
        """Good replies of at least so many devices."""
        messages = {device: (self.invite, *parts) for device, parts in messages.items()}
        good = self.exchange.ask(question, kind, messages)
        if fits is not None:
            wrong = [device for device, reply in good.items() if not fits(reply)]
            self.exchange.count("shape", len(wrong))
            good = {device: reply for device, reply in good.items() if device not in wrong}
        if len(good) < least:
            raise TooFew
        return good

    def _take_off(self, total: np.ndarray, alive: list[int], shares: dict) -> None:
        """Own masks of who is there, and what others share with who is not."""
        said = dict(list(shares.items())[: self.threshold])
        from_places = [self.place[device] for device in said]
        for row, place in enumerate(self.sharing):
            secret = masking.joined(
                from_places, [reply.shares[row].tobytes() for reply in said.values()]
            )
            if place in alive:
                masking.add_mask(total, secret, -1)
                continue
            if masking.public_key(secret) != self.masking[place].tobytes():
                raise Rejected(
                    "norm bound exceeded", "a secret is not that of the key: some share is wrong"
                )
            for other in alive:
                key = pair_key(secret, self.masking[other].tobytes())
                # As `other` has put it on.
                masking.add_mask(total, key, -1 if other < place else 1)
