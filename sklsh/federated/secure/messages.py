"""What travels for secure aggregation. Devices are known to one another by their place.

A place is a device's number among those of a round, from 0; bytes travel as uint8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.federated.messages import Reply
from sklsh.federated.parts import Payload, Rejected
from sklsh.federated.secure.masking import KEY, SEALED, agreed_key


def check_bytes(array, name: str, shape: tuple[int | None, ...]) -> None:
    """uint8 of the given shape, None for any number; or `Rejected`."""
    if type(array) is not np.ndarray or array.dtype != np.uint8:
        raise Rejected("type", f"{name} must be a uint8 array, got {type(array)}")
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise Rejected("shape", f"{name} must have shape {shape}, got {array.shape}")


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
            check_bytes(getattr(self, name), name, (KEY,))
            try:
                agreed_key(bytes(KEY), getattr(self, name).tobytes(), b"check")
            except ValueError as error:
                raise Rejected("range", f"{name} is a public key of low order") from error


@dataclass(frozen=True)
class SealedShares(Reply):
    """Shares of a device's two secrets, sealed for each place; (n_devices, SEALED) uint8."""

    sealed: np.ndarray

    def validate(self, shape):
        check_bytes(self.sealed, "sealed", (None, SEALED))


@dataclass(frozen=True)
class MaskedUpdate(Reply):
    """An update as numbers modulo 2^32, masked: alone it is noise. int32, whose bits are meant."""

    values: np.ndarray

    def validate(self, shape):
        if type(self.values) is not np.ndarray or self.values.dtype != np.int32:
            raise Rejected("type", f"values must be an int32 array, got {type(self.values)}")
        if self.values.ndim != 1:
            raise Rejected("shape", "values must be 1-d")


@dataclass(frozen=True)
class Unmasking(Reply):
    """Of each place with which masks were shared, one share; (n, 32) uint8.

    Of a survivor that of its own mask's secret, of a device that has dropped out that of its
    masking key: never both.
    """

    shares: np.ndarray

    def validate(self, shape):
        check_bytes(self.shares, "shares", (None, KEY))
