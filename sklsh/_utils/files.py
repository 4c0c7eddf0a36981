"""Files that appear whole or not at all; pipes and devices, which are written through."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

DESCRIPTOR = re.compile(r"/(?:dev|proc/(self|thread-self|\d+))/fd/(\d+)")
MARK = "sklsh-"
"""In the names of what is being written: what has it and no owner was left by a killed process."""
OUT_OF_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` if all goes well, else vanishes.

    Through a symbolic link, what it leads to is replaced. What is no regular file (a pipe,
    ``/dev/stdout``, a device) has no place that could be taken: it is written to. With
    `durable` the file is on the disk before its name is: else a machine that loses power may
    keep a name with nothing in it.

    Raises
    ------
    IsADirectoryError, FileNotFoundError, PermissionError
        As `check_output`.
    OSError
        With the path, if there is no space left.
    """
    path = Path(path)
    check_output(path)
    target = _target(path)
    with naming(path):
        if isinstance(target, int):
            with os.fdopen(os.dup(target), "wb") as file:
                yield file
        elif _is_special(target):
            with open(target, "wb") as file:
                yield file
        else:
            with _beside(target, durable) as file:
                yield file


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Who runs out of space while writing is told where: the system's own error names no file."""
    try:
        yield
    except OSError as error:
        if error.errno not in OUT_OF_SPACE or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_output(path: Path) -> None:
    """Whether a file can be written at a path; better asked before the work than after.

    Raises
    ------
    IsADirectoryError
        `path` is a folder.
    FileNotFoundError
        Its folder does not exist.
    PermissionError
        It, or its folder, must not be written.
    """
    target = _target(Path(path))
    if isinstance(target, int):
        return
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file to write")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist")
    asked = [target] if target.exists() else []
    asked += [] if _is_special(target) else [target.parent]
    for place in asked:
        if not os.access(place, os.W_OK):
            raise PermissionError(f"{path}: {place} may not be written")


def _target(path: Path) -> Path | int:
    """What a path leads to; a number if that is a descriptor of this process."""
    seen = 0
    while True:
        found = DESCRIPTOR.fullmatch(os.path.abspath(path))
        if found and found[1] in (None, "self", "thread-self", str(os.getpid())):
            return int(found[2])
        if not path.is_symlink() or seen == 40:
            return Path(os.path.realpath(path, strict=seen == 40))
        # A link of the folders on the way must not lead astray a link that is relative.
        path = Path(os.path.realpath(path.parent)) / os.readlink(path)
        seen += 1


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def _beside(path: Path, durable: bool) -> Iterator[IO[bytes]]:
    temporary, handle = temporary_file(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            # It was made private: give it the rights of the one that was there, or those
            # that any new file would have.
            temporary.chmod(rights(path, 0o666))
            os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def rights(path: Path, of_new: int) -> int:
    """Mode of what is at a path, or of what would be made there."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return of_new & ~umask


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


# What a killed process leaves ----------------------------------------------------------------


def temporary_file(path: Path) -> tuple[Path, int]:
    """A private file beside `path`, open and locked; older ones without an owner are removed."""
    sweep(path)
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
        if _own(handle) and os.path.exists(name):
            return Path(name), handle
        os.close(handle)  # swept before it was locked


def temporary_folder(path: Path) -> tuple[Path, int | None]:
    """The same as a folder; the handle holds the lock, and is to be closed at the end."""
    sweep(path)
    while True:
        name = tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path))
        if fcntl is None:
            return Path(name), None
        try:
            handle = os.open(name, os.O_RDONLY)
        except FileNotFoundError:
            continue
        if _own(handle) and os.path.exists(name):
            return Path(name), handle
        os.close(handle)


def sweep(path: Path) -> None:
    """Remove what processes that were killed while they wrote `path` have left beside it."""
    if fcntl is None:  # nothing tells the dead from the living
        return
    for left in path.parent.glob(f"{glob.escape(_prefix(path))}*"):
        try:
            handle = os.open(left, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(left)
        except OSError:  # its writer lives, or the file system knows no locks
            pass
        finally:
            os.close(handle)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """The body is run by one thread of one process at a time, where the system has locks."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:100]}.{MARK}"


def _own(handle: int) -> bool:
    """Lock an open temporary until the process ends, however it does; False if another has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where `sweep` removes nothing
        pass
    return True
