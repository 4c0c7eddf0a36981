"""Sparse matrices from scipy's files, which may be damaged, cut off or something else."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklsh._utils.archive import npy_header

PARTS = ("data", "indices", "indptr", "row", "col", "offsets", "shape")
"""Members of a file by `scipy.sparse.save_npz` that may be large."""


def read_matrix(path: Path):
    """A sparse matrix that `scipy.sparse.save_npz` has written.

    Returns
    -------
    sparse matrix or array
        As it was saved; its indices are not checked.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        There is no such file, or it is a folder.
    ValueError
        It holds something else, is damaged, or unpacks to more than the machine's memory.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file of scipy.sparse.save_npz")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive)
        return sp.load_npz(path)
    # Zip, zlib, numpy's headers, which it parses as Python: anything may be raised.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{path} must be a matrix of scipy.sparse.save_npz, and is another file or damaged "
            f"({type(error).__name__}: {error})"
        ) from error


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Before anything is unpacked: is each part as large as it says, and all of it bearable."""
    total = 0
    for info in archive.infolist():
        if info.filename.removesuffix(".npy") not in PARTS:
            continue
        with archive.open(info) as file:
            shape, _, dtype = npy_header(file)
            n_bytes = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if n_bytes != info.file_size:
            raise ValueError(f"{info.filename} must have {n_bytes} bytes, got {info.file_size}")
        total += n_bytes
    if total > (memory := _memory_of_the_machine()):
        raise ValueError(f"it unpacks to {total:,} bytes, and the machine has {memory:,}")


def _memory_of_the_machine() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return float("inf")
