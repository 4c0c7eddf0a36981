"""How a model folder takes another's place in one step, and how one is read that may change.

A save writes a folder beside the old one and exchanges the two, which Linux does in one step.
Where a system cannot, the new arrays go into the old folder under a name of their own, and the
text that names them replaces the old text. In either way a reader finds the one model or the
other, and a process that is killed leaves one of them whole.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sklsh._utils.files import naming, one_at_a_time, remove, rights, sync_folder, temporary_folder

T = TypeVar("T")
ARRAYS, METADATA = "arrays.bin", "metadata.json"
ARRAYS_NAME = re.compile(r"arrays(\.[0-9a-f]{8})?\.bin")
OF_VERSION_1 = {"model.joblib", "label_counts.npy"}
MAX_TRIES = 1000
AT_CWD, EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, beside the one whose place it will take; vanishes if it does not.

    What processes left there that were killed while they saved is removed.
    """
    temporary, lock = temporary_folder(folder)
    try:
        with naming(folder):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def take_place(temporary: Path, folder: Path) -> bool:
    """Let a written folder be at the place of another, or where nothing is, in one step.

    False if the system has no such step, and nothing has changed.
    """
    for path in (*temporary.iterdir(), temporary):
        sync(path)
    temporary.chmod(rights(folder, 0o777))
    there = folder.exists() or not _renamed(temporary, folder)
    if there and not exchange(temporary, folder):
        return False
    sync_folder(folder.parent)
    return True


def _renamed(temporary: Path, folder: Path) -> bool:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        return False  # another process was faster
    return True


def sync(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk."""
    if path.is_dir():
        sync_folder(path)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places, in one step; False if the system has no such step."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # an old C library
        return False
    paths = [ctypes.c_char_p(os.fsencode(path)) for path in (one, other)]
    if rename(AT_CWD, paths[0], AT_CWD, paths[1], EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def move_in(temporary: Path, folder: Path) -> None:
    """`take_place` where nothing can be exchanged: into the folder, the text last.

    Arrays must have `another_name`, and the text say so.
    """
    (arrays,) = (path for path in temporary.iterdir() if path.name != METADATA)
    with one_at_a_time(folder):
        os.replace(arrays, folder / arrays.name)
        os.replace(temporary / METADATA, folder / METADATA)
        for other in folder.iterdir():
            if other.name not in (arrays.name, METADATA):
                remove(other)
    sync_folder(folder)


def another_name() -> str:
    """For arrays that are to be beside others."""
    return f"arrays.{secrets.token_hex(4)}.bin"


def check_place(folder: Path) -> Path:
    """Where a model of this folder goes, links followed; better asked before the training.

    Raises
    ------
    FileNotFoundError
        The folder that it is to be in does not exist.
    FileExistsError
        Something else than a model is there.
    """
    folder = (folder.resolve() if folder.is_symlink() else folder).absolute()
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"the folder {folder.parent} does not exist")
    _refuse_foreign(folder)
    return folder


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; a model is written to a folder")
    names = {path.name for path in folder.iterdir()} - {METADATA} - OF_VERSION_1
    others = sorted(name for name in names if not ARRAYS_NAME.fullmatch(name))
    if others:
        raise FileExistsError(
            f"{folder} holds other things than a model ({others[0]!r}, for one) and "
            "is left alone; name a new folder"
        )


def refuse_elsewhere(path: Path) -> None:
    """Raise a ValueError if a model's file is a link out of its folder."""
    if path.resolve().parent != path.parent.resolve():
        raise ValueError(f"{path} must be a file of this folder, and leads to {path.resolve()}")


def unchanged(folder: Path, read: Callable[[], T]) -> T:
    """What `read` gives or raises, of a time when one model was in the folder throughout."""
    for _ in range(MAX_TRIES):
        before = _generation(folder)
        try:
            result = read()
        except (ValueError, OSError):
            if _generation(folder) == before:
                raise
        else:
            if _generation(folder) == before:
                return result
    raise TimeoutError(f"{folder} was written {MAX_TRIES} times while it was read")


def _generation(folder: Path) -> tuple | None:
    try:
        of_folder, of_text = folder.stat(), (folder / METADATA).stat()
    except OSError:
        return None
    return of_folder.st_dev, of_folder.st_ino, of_text.st_ino, of_text.st_mtime_ns
