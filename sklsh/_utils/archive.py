"""Checkpoints on disk: arrays and numbers in one file, written whole or not at all.

An uncompressed .npz of arrays, with a JSON text beside them. Zip keeps a checksum of each
array, and nothing in the file runs when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sklsh._utils.files import replacing

TEXT = "json"


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
        Of all that must be the same when the training goes on: see `fingerprint`.
    """

    path: Path
    version: int
    fingerprint: str

    def write(self, numbers: dict, arrays: dict[str, np.ndarray]) -> None:
        """Put `numbers` (what JSON can hold) and `arrays` in the place of what was there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A writer that was killed has left its half behind.
        for half in self.path.parent.glob(f".{self.path.name}.*"):
            half.unlink(missing_ok=True)
        content = {"version": self.version, "fingerprint": self.fingerprint, "numbers": numbers}
        text = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **{TEXT: text}, **arrays)
            file.flush()
            # A machine that loses power must not keep the new name and lose what is in it.
            os.fsync(file.fileno())

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
            # Reading an entry to its end compares its checksum.
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            content = json.loads(arrays.pop(TEXT).tobytes())
            version, of, numbers = (content[k] for k in ("version", "fingerprint", "numbers"))
        except Exception as error:  # numpy parses headers as Python: it may raise anything
            raise ValueError(
                f"the checkpoint {self.path} is damaged ({type(error).__name__}: {error}); "
                "delete it to train from the start"
            ) from error
        if version != self.version:
            raise ValueError(
                f"the checkpoint {self.path} must be of format {self.version}, got {version}"
            )
        if of != self.fingerprint:
            raise ValueError(
                f"the checkpoint {self.path} is of another training: of other data or "
                "parameters; name another folder, or delete it to train from the start"
            )
        return numbers, arrays


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
