"""A device's side of secure aggregation: four questions of a round, each answered once.

What it must remember in between is in its cache, for this round of this run alone; a device that
has lost it, or is asked out of order, does not answer and drops out of the round.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np

from sklsh.federated.cache import CacheMiss
from sklsh.federated.messages import Invite, SubModel
from sklsh.federated.parts import BodyPart, ModelShape
from sklsh.federated.policy import Refused
from sklsh.federated.secure import masking
from sklsh.federated.secure.messages import (
    MaskedUpdate,
    MaskingKeys,
    PassedShares,
    Peers,
    SealedShares,
    Survivors,
    Unmasking,
)
from sklsh.federated.secure.vector import packed

if TYPE_CHECKING:
    from sklsh.federated.device import Device

NAME = "masking"
FEWEST = 3
"""Devices of a round: of a sum of two each knows the other's."""

ASKED, SHARED, MASKED, DONE = range(4)
"""Stages: keys have been sent; shares; the masked update; what takes masks off."""


def least_threshold(n_devices: int) -> int:
    """Devices whose shares make a secret: more than half, so that no two parts of a round can
    each take off other masks."""
    return n_devices // 2 + 1


def masking_keys(device: Device, invite: Invite) -> MaskingKeys:
    """Fresh keys; what was kept of another round is forgotten.

    A round that has been summed up is not answered again, as when a server was killed before it
    had kept what it learnt: of two sums of the same rows, over other devices, the difference
    is what one of them has sent.
    """
    if not device.settings.public_rows:
        raise Refused("masked updates need public_rows: their ids would name what they are of")
    kept = device.cache.get(NAME, (invite.run, invite.round))
    if kept is not None and int(kept["stage"]) == DONE:
        raise Refused(f"round {invite.round} has been summed up")
    sealing, masks = masking.key_pair(), masking.key_pair()
    private = np.stack([_bytes(sealing[0]), _bytes(masks[0])])
    _keep(device, invite, {"stage": np.array(ASKED), "private": private})
    return MaskingKeys(device.id, invite.round, _bytes(sealing[1]), _bytes(masks[1]))


def masking_shares(device: Device, invite: Invite, peers: Peers) -> SealedShares:
    """Shares of this device's two secrets, sealed for each other device."""
    device.settings.policy.check_bytes(peers)
    kept = _kept(device, invite, ASKED)
    n, place = peers.sealing.shape[0], peers.place
    mine = [_bytes(masking.public_key(key.tobytes())) for key in kept["private"]]
    theirs = (peers.sealing, peers.masking)
    if n < FEWEST or peers.threshold != least_threshold(n) or not 0 <= place < n:
        raise Refused(f"{n} devices with a threshold of {peers.threshold}")
    if any((keys[place] != own).any() for keys, own in zip(theirs, mine, strict=True)):
        raise Refused("its own keys are not what it has sent")
    if np.unique(peers.masking, axis=0).shape[0] < n:
        raise Refused("one key for two devices")
    own_mask = secrets.token_bytes(masking.KEY)
    shares = [
        masking.split(secret, peers.threshold, n)
        for secret in (own_mask, kept["private"][1].tobytes())
    ]
    sealed = np.zeros((n, masking.SEALED), np.uint8)
    for other in range(n):
        if other != place:
            key = _sealing_key(kept["private"], peers.sealing[other])
            text = shares[0][other] + shares[1][other]
            sealed[other] = _bytes(masking.seal(key, text, _about(invite, place, other)))
    _keep(device, invite, {
        "stage": np.array(SHARED), "private": kept["private"], "place": np.array(place),
        "threshold": np.array(peers.threshold), "sealing": peers.sealing,
        "masking": peers.masking, "own_mask": _bytes(own_mask),
        "own_shares": np.stack([_bytes(of[place]) for of in shares]),
    })  # fmt: skip
    return SealedShares(device.id, invite.round, sealed)


def train_masked(
    device: Device, invite: Invite, model: SubModel, body: BodyPart | None, passed: PassedShares
) -> MaskedUpdate:
    """The update, under this device's own mask and those that it shares with each other one."""
    device.settings.policy.check_bytes(model, body, passed)
    kept = _kept(device, invite, SHARED)
    place, n = int(kept["place"]), kept["sealing"].shape[0]
    places = _checked_places(passed.places, place, range(n), int(kept["threshold"]))
    public = device.id_requests.public(invite)
    if public is None or not np.array_equal(model.head.ids, public):
        raise Refused("the neurons are not those of the round")
    shares = np.empty((len(places), 2, masking.KEY), np.uint8)
    for row, other in enumerate(places):
        if other == place:
            shares[row] = kept["own_shares"]
            continue
        key = _sealing_key(kept["private"], kept["sealing"][other])
        about = _about(invite, other, place)
        try:
            text = masking.unseal(key, passed.sealed[row].tobytes(), about)
        except ValueError as error:
            raise Refused(str(error)) from error
        shares[row] = _bytes(text).reshape(2, masking.KEY)
    update = device.local_update(invite, model, body)
    biases = () if body is None else body.biases
    sizes = tuple(bias.shape[0] for bias in biases) or (model.head.weights.shape[1],)
    shape = ModelShape(
        device.n_features, device.n_labels, sizes, update.body is not None,
        device.local_optimizer == "sent",
    )  # fmt: skip
    values = packed(update, n, shape, invite.learning_rate)
    # From here on nothing else of this round may be masked by these keys.
    rest = {"stage": np.array(MASKED), "places": np.array(places), "shares": shares}
    _keep(device, invite, {name: kept[name] for name in ("place", "threshold")} | rest)
    masking.add_mask(values, kept["own_mask"].tobytes(), 1)
    for other in places:
        if other != place:
            key = pair_key(kept["private"][1].tobytes(), kept["masking"][other].tobytes())
            masking.add_mask(values, key, 1 if place < other else -1)
    return MaskedUpdate(device.id, invite.round, values.view(np.int32))


def unmask(device: Device, invite: Invite, survivors: Survivors) -> Unmasking:
    """One share of each device with which masks were shared; then they are forgotten."""
    kept = _kept(device, invite, MASKED)
    places = kept["places"].tolist()
    alive = _checked_places(survivors.places, int(kept["place"]), places, int(kept["threshold"]))
    _keep(device, invite, {"stage": np.array(DONE)})
    which = np.where(np.isin(places, alive), 0, 1)
    return Unmasking(device.id, invite.round, kept["shares"][np.arange(len(places)), which])


def pair_key(private: bytes, public: bytes, purpose: bytes = b"mask") -> bytes:
    """Of the mask that two devices share, or of what one seals for the other."""
    try:
        return masking.agreed_key(private, public, purpose)
    except ValueError as error:
        raise Refused(f"a public key that is none: {error}") from error


def _checked_places(found, place: int, allowed, threshold: int) -> list[int]:
    """Different known places, this one's among them, as many as make a secret."""
    places = sorted(set(np.asarray(found).tolist()))
    if place not in places or not set(places) <= set(allowed) or len(places) < threshold:
        raise Refused(f"masks shared with the devices at {places}")
    return places


def _sealing_key(private: np.ndarray, public: np.ndarray) -> bytes:
    return pair_key(private[0].tobytes(), public.tobytes(), b"seal")


def _about(invite: Invite, sender: int, receiver: int) -> bytes:
    return f"{invite.run} {invite.round} {sender} {receiver}".encode()


def _bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, dtype=np.uint8)


def _keep(device: Device, invite: Invite, arrays: dict) -> None:
    if not device.cache.put(NAME, (invite.run, invite.round), arrays):
        raise CacheMiss(NAME)


def _kept(device: Device, invite: Invite, stage: int) -> dict:
    """What was kept at a stage."""
    kept = device.cache.get(NAME, (invite.run, invite.round))
    if kept is None:
        raise CacheMiss(NAME)
    if int(kept["stage"]) != stage:
        raise Refused("asked out of order")
    return kept
