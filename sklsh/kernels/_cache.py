"""numba's cache of compiled kernels, with checksums: what is damaged there is compiled again.

A process that is killed, a full disk or a power cut leave files that are empty or cut off; numba
fails on them in every later run, or runs machine code that is not what was compiled.
"""

import contextlib
import logging
import pickle
import zlib
from functools import cache
from pathlib import Path

from numba.core import dispatcher
from numba.core.caching import FunctionCache, IndexDataCacheFile

PACKAGE = __name__.partition(".")[0]
N_BYTES = 4


def _sealed(data: bytes) -> bytes:
    """Data and its checksum, which whoever unpickles the data does not get to see."""
    return data + zlib.crc32(data).to_bytes(N_BYTES, "little")


def _is_whole(data: bytes) -> bool:
    return len(data) > N_BYTES and _sealed(data[:-N_BYTES]) == data


class _CheckedFile(IndexDataCacheFile):
    """Index and data files, each with a checksum at its end; those without are not there."""

    def _dump(self, obj):
        return _sealed(super()._dump(obj))

    def _load_index(self):
        try:
            with open(self._index_path, "rb") as file:
                pickle.load(file)  # the version stands before what is sealed
                if _is_whole(file.read()):
                    return super()._load_index()
        except Exception:  # what is damaged may unpickle to any error
            pass
        return {}

    def _load_data(self, name):
        if not _is_whole(Path(self._data_path(name)).read_bytes()):
            raise OSError(f"{name} is damaged")  # to numba, a file that is gone
        return super()._load_data(name)


class _CheckedCache(FunctionCache):
    def __init__(self, py_func):
        super().__init__(py_func)
        self._cache_file = _CheckedFile(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig, target_context):
        found = None
        with contextlib.suppress(Exception):  # another LLVM's code, say: compile
            found = super().load_overload(sig, target_context)
        if found is None:
            _say_once()
        return found

    def save_overload(self, sig, data):
        # A full disk: the kernel is there, and lives as long as the process.
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@cache
def _say_once() -> None:
    """That somebody waits for a compiler, in the log of who watches it."""
    logging.getLogger(PACKAGE).info(
        "compiling kernels, once on this machine: some ten seconds; sklsh.warm_up() does it ahead"
    )


def _cache_of(py_func):
    own = py_func.__module__.partition(".")[0] == PACKAGE
    return (_CheckedCache if own else FunctionCache)(py_func)


def install() -> None:
    """Let kernels of this package, and no others, be cached that way."""
    setattr(dispatcher, "FunctionCache", _cache_of)  # noqa: B010 (a name that mypy cannot see)
