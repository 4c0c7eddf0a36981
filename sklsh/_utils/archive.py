"""Arrays and numbers in one file: checkpoints, and what devices keep.

An uncompressed .npz of arrays, with a JSON text beside them that lists each of them: name, type,
shape and checksum. Zip's own directory is not believed, as a flipped bit there drops arrays
without a word; nothing in the file runs when it is read, and nothing grows beyond its size.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from sklsh._utils.files import replacing

TEXT = "json"


class RefusedError(ValueError):
    """What an archive says of itself is not what is asked for: it is whole, and another."""


def pack(file: IO[bytes], content: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write `content` (what JSON can hold) and `arrays` to a file."""
    members = [
        [name, array.dtype.str, list(array.shape), zlib.crc32(_bytes_of(array))]
        for name, array in arrays.items()
    ]
    text = np.frombuffer(json.dumps({**content, "members": members}).encode(), dtype=np.uint8)
    parts: dict[str, Any] = {TEXT: text, **arrays}
    np.savez(file, **parts)


def unpack(path: Path, check: Callable[[dict], None]) -> tuple[dict, dict[str, np.ndarray]]:
    """Content and arrays that `pack` has written.

    Parameters
    ----------
    path : Path
    check : callable
        Is given the content before any array is read; may raise a `RefusedError`.

    Raises
    ------
    RefusedError
        By `check`.
    ValueError
        It is no such file, or any of it is not what was written.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _unpacked(archive, path.stat().st_size, check)
        except RefusedError:
            raise
        except Exception as error:  # numpy parses headers as Python: it may raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _unpacked(archive: zipfile.ZipFile, n_bytes: int, check):
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise ValueError("a name comes twice")
    # What is stored as it is cannot unpack to more than the file.
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos.values()):
        raise ValueError("it is compressed")
    if sum(info.file_size for info in infos.values()) > n_bytes:
        raise ValueError("its parts are larger than the file")
    content = json.loads(_member(archive, TEXT, np.dtype(np.uint8), None).tobytes())
    check(content)
    members = content.pop("members")
    listed = {f"{name}.npy" for name, *_ in members} | {f"{TEXT}.npy"}
    if listed != set(infos):
        raise ValueError(f"{min(listed ^ set(infos))!r} must be in the file and in its list")
    arrays = {}
    for name, dtype, shape, checksum in members:
        arrays[name] = _member(archive, name, np.dtype(dtype), tuple(shape))
        if zlib.crc32(_bytes_of(arrays[name])) != checksum:
            raise ValueError(f"{name!r} has another checksum than it says")
    return content, arrays


def _member(archive, name: str, dtype: np.dtype, shape: tuple | None) -> np.ndarray:
    """An array, if it is of the type and shape that are expected; any shape if None."""
    with archive.open(f"{name}.npy") as file:
        header = npy_header(file)
        if header[2] != dtype or (shape is not None and header[0] != shape):
            raise ValueError(f"{name!r} must be of {dtype} and {shape}, got {header}")
        raw = file.read()  # to its end, where zip compares its checksum
    return np.frombuffer(bytearray(raw), dtype).reshape(header[0], order="F" if header[1] else "C")


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of an array in numpy's format.

    numpy parses the header as Python: of a damaged one anything may be raised.
    """
    version = np.lib.format.read_magic(file)
    return getattr(np.lib.format, f"read_array_header_{version[0]}_0")(file)


def _bytes_of(array: np.ndarray):
    """An array's bytes, row by row."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@dataclass(frozen=True)
class Archive:
    """The checkpoint of one training in a folder.

    Parameters
    ----------
    path : Path
        Its folder is made when something is written. One writer at a time.
    version : int
        Of the content's format.
    fingerprint : str
        Of all that must be the same when the training resumes: see `fingerprint`.
    """

    path: Path
    version: int
    fingerprint: str

    def write(self, numbers: dict, arrays: dict[str, np.ndarray]) -> None:
        """Put `numbers` (what JSON can hold) and `arrays` in the place of what was there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"version": self.version, "fingerprint": self.fingerprint, "numbers": numbers}
        with replacing(self.path) as file:
            pack(file, content, arrays)

    def read(self) -> tuple[dict, dict[str, np.ndarray]] | None:
        """Numbers and arrays as last written; None if none were.

        Raises
        ------
        ValueError
            The file is damaged, of another format, or of another training.
        """
        if not self.path.exists():
            return None
        try:
            content, arrays = unpack(self.path, self._check)
            return content["numbers"], arrays
        except RefusedError:
            raise
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"the checkpoint {self.path} is damaged ({error}); delete it to train from the "
                "start"
            ) from error

    def _check(self, content: dict) -> None:
        version, of = content["version"], content["fingerprint"]
        if version != self.version:
            raise RefusedError(
                f"the checkpoint {self.path} must be of format {self.version}, got {version}"
            )
        if of != self.fingerprint:
            raise RefusedError(
                f"the checkpoint {self.path} is of another training: of other data or "
                "parameters; name another folder, or delete it to train from the start"
            )


def fingerprint(settings, arrays) -> str:
    """Tells one training from another: JSON-able `settings` and the checksums of `arrays`."""
    check = 0
    for array in arrays:
        check = zlib.crc32(np.ascontiguousarray(array).data, check)
    return hashlib.sha256(json.dumps([settings, check], sort_keys=True).encode()).hexdigest()


def listed(prefix: str, values: list[np.ndarray]) -> dict[str, np.ndarray]:
    """A list of arrays as entries of an archive."""
    return {f"{prefix}.{i}": array for i, array in enumerate(values)}


def unlisted(prefix: str, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The list that `listed` has named."""
    n = sum(name.rpartition(".")[0] == prefix for name in arrays)
    return [arrays[f"{prefix}.{i}"] for i in range(n)]
