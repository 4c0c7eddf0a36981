"""What a device may keep between messages: named bundles of arrays, in memory or on disk.

A cache may forget anything at any time. Whoever reads one asks for the whole thing again
where an entry is gone, damaged, or of another run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from sklsh._utils.archive import RefusedError, pack, unpack
from sklsh._utils.files import replacing

MAX_BYTES = 2**28
"""Most that a device keeps, unless it says otherwise."""


class CacheMiss(LookupError):
    """A device has lost what it said it had; it does not answer and asks anew next round."""


class Cache(Protocol):
    """Keeps bundles of arrays under a name, with the tag they are good for."""

    max_bytes: int

    def get(self, name: str, tag: tuple[int, ...]) -> dict[str, np.ndarray] | None:
        """The arrays; None if there are none, none that can be read, or of another tag."""

    def put(self, name: str, tag: tuple[int, ...], arrays: dict[str, np.ndarray]) -> bool:
        """Keep arrays in the place of those of that name; False if there is no room.

        What was there before is gone in either case: old state is worse than none.
        """

    def clear(self) -> None:
        """Forget everything."""


def _size(arrays: dict[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays.values())


class MemoryCache:
    """Lives as long as the device's process.

    Parameters
    ----------
    max_bytes : int
        Of all arrays together. An entry that does not fit is not kept.
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self.max_bytes = max_bytes
        self._entries: dict[str, tuple[tuple[int, ...], dict[str, np.ndarray]]] = {}

    def get(self, name, tag):
        found = self._entries.get(name)
        if found is None or found[0] != tag:
            return None
        # Of a federation that joblib has mapped they come as a subclass, which checks refuse.
        return {key: np.asarray(array) for key, array in found[1].items()}

    def put(self, name, tag, arrays):
        self._entries.pop(name, None)
        held = sum(_size(entry) for _, entry in self._entries.values())
        if held + _size(arrays) > self.max_bytes:
            return False
        self._entries[name] = (tag, arrays)
        return True

    def clear(self):
        self._entries.clear()

    def __copy__(self):
        """What is put into one of the two is not in the other; the arrays are shared."""
        twin = type(self)(self.max_bytes)
        twin._entries = dict(self._entries)
        return twin


class DiskCache:
    """One npz file an entry, written beside its place and moved there: whole or not at all.

    Parameters
    ----------
    folder : path
        Of this device alone; made when something is kept.
    max_bytes : int
        Of all files together. An entry that does not fit is not kept.

    Notes
    -----
    Files are checked as a whole when read. One that is damaged counts as missing, and so does
    one that the disk had no room for.
    """

    def __init__(self, folder, max_bytes: int = MAX_BYTES):
        self.folder = Path(folder)
        self.max_bytes = max_bytes

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def get(self, name, tag):
        def check(content: dict) -> None:
            if content["tag"] != list(tag):
                raise RefusedError("of another run")

        try:
            return unpack(self._path(name), check)[1]
        except (OSError, ValueError):
            return None

    def put(self, name, tag, arrays):
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
            held = sum(file.stat().st_size for file in self.folder.glob("*.npz"))
            if held + _size(arrays) > self.max_bytes:
                return False
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=False) as file:
                pack(file, {"tag": [int(part) for part in tag]}, arrays)
        except OSError:
            return False
        return True

    def clear(self):
        for file in self.folder.glob("*.npz"):
            file.unlink(missing_ok=True)
