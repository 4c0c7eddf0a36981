"""Checks of codes and ids: what tables are built from and asked about."""

from __future__ import annotations

import numpy as np

from sklsh._utils.containers import plain
from sklsh._utils.validation import INT32_MAX

MAX_COLLISIONS = np.iinfo(np.uint16).max
"""Most (table, probe) pairs of one query: collisions are counted in 16 bits."""


def check_codes(codes, code_bits: int, n_tables: int | None = None, name: str = "codes"):
    """Integer codes ``(n, n_tables)`` in ``[0, 2 ** code_bits)``; a ValueError otherwise."""
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu" or codes.ndim != 2 or n_tables not in (None, codes.shape[1]):
        tables = "n_tables" if n_tables is None else n_tables
        raise ValueError(
            f"{name} must be integers of shape (n, {tables}), got {codes.dtype} of shape "
            f"{codes.shape}"
        )
    if codes.size and (codes.min() < 0 or int(codes.max()) >> code_bits):
        raise ValueError(
            f"{name} must be in [0, 2 ** {code_bits}), got {codes.min()} to {codes.max()}"
        )
    return codes


def check_keys(keys, code_bits: int, n_tables: int) -> np.ndarray:
    """Query codes as ``(n, n_tables, n_probes)`` int64; -1 stands for no probe."""
    keys = np.asarray(keys)
    if keys.dtype.kind not in "iu" or keys.ndim not in (2, 3) or keys.shape[1] != n_tables:
        raise ValueError(
            f"codes must be integers of shape (n, {n_tables}) or (n, {n_tables}, n_probes), "
            f"got {keys.dtype} of shape {keys.shape}"
        )
    if keys.size and int(keys.max()) >= 2**code_bits:
        raise ValueError(f"codes must be below 2 ** {code_bits}, got {keys.max()}")
    keys = np.ascontiguousarray(keys if keys.ndim == 3 else keys[:, :, None], dtype=np.int64)
    if keys.shape[1] * keys.shape[2] > MAX_COLLISIONS:
        raise ValueError(
            f"n_tables * n_probes must be at most {MAX_COLLISIONS}, got "
            f"{keys.shape[1]} * {keys.shape[2]}"
        )
    return keys


def check_ids(ids, name: str = "ids") -> np.ndarray:
    """Different ids in ``[0, 2 ** 31 - 1)`` as int32; a ValueError otherwise."""
    ids = np.asarray(plain(ids, name))
    if ids.size == 0:
        ids = ids.astype(np.int32)
    if ids.dtype.kind not in "iu" or ids.ndim != 1:
        raise ValueError(f"{name} must be 1-d integers, got {ids.dtype} of shape {ids.shape}")
    if ids.size and (ids.min() < 0 or ids.max() >= INT32_MAX):
        raise ValueError(f"{name} must be in [0, {INT32_MAX}), got {ids.min()} to {ids.max()}")
    if np.unique(ids).size != ids.size:
        raise ValueError(f"{name} must not repeat")
    return ids.astype(np.int32, copy=False)
