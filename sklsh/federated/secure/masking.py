"""Keys, masks and shares, by the packages cryptography and pycryptodome (the extra ``secure``).

X25519 and HKDF-SHA256 agree on keys, AES-256 in counter mode stretches one to a mask,
ChaCha20-Poly1305 seals what goes through the server's hands, and Shamir's scheme over GF(2^128)
splits secrets, 16 bytes at a time. Keys are of one round: fresh from the operating system.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

KEY = 32
"""Bytes of a key, of a secret and of a share of one."""

NONCE, TAG = 12, 16
SEALED = NONCE + 2 * KEY + TAG
"""Bytes of two shares when they are sealed."""

BLOCK = 2**18
"""Numbers of a mask that are made at a time."""

HALF = 16
"""Bytes that Shamir's scheme splits at a time."""


def require() -> None:
    """Raise ImportError, with what to install, unless both packages are there."""
    try:
        import cryptography  # noqa: F401
        from Crypto.Protocol.SecretSharing import Shamir  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "secure_aggregation needs cryptography and pycryptodome: pip install sklsh[secure]"
        ) from error


def key_pair() -> tuple[bytes, bytes]:
    """A fresh private key and its public one."""
    private = secrets.token_bytes(KEY)
    return private, public_key(private)


def public_key(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agreed_key(private: bytes, public: bytes, purpose: bytes) -> bytes:
    """The key that two sides have in common, each from its private and the other's public one.

    Raises
    ------
    ValueError
        A public key of low order.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    shared = X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(public)
    )
    return HKDF(SHA256(), KEY, salt=None, info=b"sklsh " + purpose).derive(shared)


def add_mask(values: np.ndarray, key: bytes, sign: int) -> None:
    """Add the mask of a key to uint32 numbers, or (`sign` -1) take it off, modulo 2^32.

    The key makes one mask: its counter begins at 0.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    for start in range(0, values.shape[0], BLOCK):
        block = values[start : start + BLOCK]
        mask = np.frombuffer(stream.update(bytes(4 * block.shape[0])), dtype="<u4")
        if sign > 0:
            block += mask
        else:
            block -= mask


def seal(key: bytes, text: bytes, about: bytes) -> bytes:
    """Encrypted and authenticated together with what it is about."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    nonce = secrets.token_bytes(NONCE)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, text, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """What was sealed.

    Raises
    ------
    ValueError
        By another key, about another thing, or changed on its way.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:NONCE], sealed[NONCE:], about)
    except InvalidTag as error:
        raise ValueError("sealed by another key, or changed") from error


def split(secret: bytes, threshold: int, n: int) -> list[bytes]:
    """`n` shares of 32 bytes, of which any `threshold` make the secret and fewer tell nothing."""
    from Crypto.Protocol.SecretSharing import Shamir

    halves = [
        Shamir.split(threshold, n, secret[start : start + HALF]) for start in range(0, KEY, HALF)
    ]
    return [first + second for (_, first), (_, second) in zip(*halves, strict=True)]


def joined(places: Sequence[int], shares: Sequence[bytes]) -> bytes:
    """The secret, from the shares at some places (of `split`) and no more than its threshold."""
    from Crypto.Protocol.SecretSharing import Shamir

    return b"".join(
        Shamir.combine(
            [(p + 1, s[start : start + HALF]) for p, s in zip(places, shares, strict=True)]
        )
        for start in range(0, KEY, HALF)
    )
