"""What travels for secure aggregation. Devices are known to one another by their place.

A place is a device's number among those of a round, from 0; bytes travel as uint8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.federated.messages import Reply
from sklsh.federated.parts import Payload, Rejected, check_array
from sklsh.federated.secure.masking import KEY, SEALED, agreed_key

BYTES = ("uint8",)


# Server -> device -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Peers(Payload):
    """The public keys of a round's devices.

    Attributes
    ----------
    place : int
        Of the device that this is sent to.
    threshold : int
        Devices whose shares make a secret.
    sealing, masking : ndarray (n_devices, 32), uint8
    """

    place: int
    threshold: int
    sealing: np.ndarray
    masking: np.ndarray


@dataclass(frozen=True)
class PassedShares(Payload):
    """The shares that others have sealed for a device.

    Attributes
    ----------
    places : ndarray (n,), int32, ascending
        Of all that have sent shares, the device itself among them: with these it shares masks.
    sealed : ndarray (n, SEALED), uint8
        Its own row is not read.
    """

    places: np.ndarray
    sealed: np.ndarray


@dataclass(frozen=True)
class Survivors(Payload):
    """The places whose masked updates have arrived."""

    places: np.ndarray


# Device -> server -----------------------------------------------------------------------------


@dataclass(frozen=True)
class MaskingKeys(Reply):
    """A device's public keys of one round: to seal shares for it, and to agree on masks."""

    sealing: np.ndarray
    masking: np.ndarray

    def validate(self, shape):
        for name in ("sealing", "masking"):
            check_array(getattr(self, name), name, (KEY,), BYTES)
            try:
                agreed_key(bytes(KEY), getattr(self, name).tobytes(), b"check")
            except ValueError as error:
                raise Rejected("range", f"{name} is a public key of low order") from error


@dataclass(frozen=True)
class SealedShares(Reply):
    """Shares of a device's two secrets, sealed for each place; (n_devices, SEALED) uint8."""

    sealed: np.ndarray

    def validate(self, shape):
        check_array(self.sealed, "sealed", (None, SEALED), BYTES)


@dataclass(frozen=True)
class MaskedUpdate(Reply):
    """An update as numbers modulo 2^32, masked: alone it is noise. int32, whose bits are meant."""

    values: np.ndarray

    def validate(self, shape):
        check_array(self.values, "values", (None,), ("int32",))


@dataclass(frozen=True)
class Unmasking(Reply):
    """Of each place with which masks were shared, one share; (n, 32) uint8.

    Of a survivor that of its own mask's secret, of a device that has dropped out that of its
    masking key: never both.
    """

    shares: np.ndarray

    def validate(self, shape):
        check_array(self.shares, "shares", (None, KEY), BYTES)
