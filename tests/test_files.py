"""Where things are written to: files that appear whole, links, pipes, and what a kill leaves."""

import gzip
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh._utils.files import check_output, replacing, sweep
from sklsh._utils.matrices import read_matrix
from sklsh.datasets import load_xc, save_xc


def write(path, content=b"new"):
    with replacing(path) as file:
        file.write(content)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail():
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_rights_stay(tmp_path, mode):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one(tmp_path, exists):
    (tmp_path / "disk").mkdir()
    if exists:
        (tmp_path / "disk" / "real").write_bytes(b"old")
    (tmp_path / "disk" / "inner").symlink_to("real")  # relative to its own folder
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "inner")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk" / "inner").is_symlink()
    assert (tmp_path / "disk" / "real").read_bytes() == b"new"
    assert not (tmp_path / "disk" / "real").is_symlink()
    X = np.eye(3, dtype=np.float32)
    save_xc(tmp_path / "link", X, X)
    assert (tmp_path / "link").is_symlink()
    assert load_xc(tmp_path / "link")[0].toarray().tolist() == X.tolist()


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe", b"x" * 100_000)
    reader.join(10)
    assert got == [b"x" * 100_000]
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_device_is_written_to():
    before = os.stat(os.devnull)
    write(os.devnull)
    after = os.stat(os.devnull)
    assert stat.S_ISCHR(after.st_mode) and after.st_ino == before.st_ino


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_device_is_named():
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        write("/dev/full")


WRITER = """
import sys
from pathlib import Path
from sklsh._utils.files import replacing
print("before", flush=True)
with replacing(Path(sys.argv[1])) as file:
    file.write(b"within\\n")
print("after", flush=True)
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("mode", ["w", "a"])
def test_standard_output_wherever_it_goes(tmp_path, name, mode):
    """Neither cut off nor replaced, be it a file that is appended to; nothing out of order."""
    if name == "link":
        (tmp_path / "link").symlink_to("/dev/stdout")
        name = tmp_path / "link"
    log = tmp_path / "log"
    log.write_text("old\n")
    with log.open(mode) as out:
        subprocess.run(
            [sys.executable, "-c", WRITER, name], stdout=out, check=True, timeout=60
        )  # fmt: skip
    assert log.read_text() == ("old\n" if mode == "a" else "") + "before\nwithin\nafter\n"
    piped = subprocess.run(
        [sys.executable, "-c", WRITER, name], capture_output=True, check=True, timeout=60
    )
    assert piped.stdout == b"before\nwithin\nafter\n"


def test_refused_before_the_work(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "to_folder").symlink_to(tmp_path / "folder")
    for name, error, message in (
        ("folder", IsADirectoryError, "folder is a folder; name a file"),
        ("to_folder", IsADirectoryError, "to_folder is a folder; name a file"),
        ("no/a", FileNotFoundError, "no does not exist"),
        ("loop", OSError, "loop"),
    ):
        for ask in (check_output, write):
            with pytest.raises(error, match=message):
                ask(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["folder", "loop", "to_folder"]


def test_what_may_not_be_written(tmp_path, monkeypatch):
    """The root user may write anything: what the system would say to others is stood in for."""
    (tmp_path / "a").write_bytes(b"old")
    may = {tmp_path: True, tmp_path / "a": False}
    monkeypatch.setattr(os, "access", lambda path, mode: may[path])
    with pytest.raises(PermissionError, match="a may not be written"):
        check_output(tmp_path / "a")
    may[tmp_path] = False
    with pytest.raises(PermissionError, match="may not be written"):
        check_output(tmp_path / "b")


def test_packed_under_its_own_name(tmp_path):
    save_xc(tmp_path / "a.txt.gz", np.eye(2), np.eye(2))
    assert (tmp_path / "a.txt.gz").read_bytes()[10:16] == b"a.txt\0"
    assert gzip.decompress((tmp_path / "a.txt.gz").read_bytes()).startswith(b"2 2 2\n")


HALF = """
import os, signal, sys
from pathlib import Path
from sklsh._utils.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print(flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_writer_leaves_is_swept(tmp_path):
    path = tmp_path / "a[1]*"
    other = tmp_path / ".a[1]*.mine"
    other.write_bytes(b"")
    writer = subprocess.Popen(
        [sys.executable, "-c", HALF, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    writer.stdout.readline()
    try:
        sweep(path)
        assert len(os.listdir(tmp_path)) == 2  # it lives
    finally:
        writer.kill()
        writer.communicate()
    assert len(os.listdir(tmp_path)) == 2
    write(path)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, other.name])
    assert path.read_bytes() == b"new"


# Matrices of scipy's ----------------------------------------------------------------------


@pytest.fixture
def matrix(tmp_path):
    X = sp.random_array((60, 40), density=0.2, random_state=0, format="csr")
    sp.save_npz(tmp_path / "m.npz", X)
    return tmp_path / "m.npz", X


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_a_whole_matrix(matrix, kind):
    path, X = matrix
    sp.save_npz(path, X.asformat(kind))
    assert abs(read_matrix(path) - X).max() == 0


def test_a_damaged_matrix_is_an_error_that_names_the_file(matrix):
    path, _X = matrix
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damages = [whole[:n] for n in np.linspace(0, len(whole) - 1, 30).astype(int)]
    for start in rng.integers(0, len(whole) - 20, 60):
        damages += [whole[:start] + bytes(20) + whole[start + 20 :]]
    refused = 0
    for damaged in damages:
        path.write_bytes(damaged)
        try:
            read_matrix(path)
        except ValueError as error:
            refused += str(path) in str(error)
    assert refused > 70
    for other in (b"", b"\n", b"PK\x05\x06" + bytes(18), b"\x93NUMPY", b"user,item\n1,2\n"):
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"m\.npz must be a matrix of scipy"):
            read_matrix(path)


def test_something_else_than_a_matrix(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    np.savez(tmp_path / "b.npz", a=np.eye(3))
    np.savez(tmp_path / "c.npz", data=np.array([print], dtype=object))
    for name in ("a.npy", "b.npz", "c.npz"):
        with pytest.raises(ValueError, match=f"{name} must be a matrix of scipy"):
            read_matrix(tmp_path / name)
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        read_matrix(tmp_path)
    with pytest.raises(FileNotFoundError, match="no does not exist"):
        read_matrix(tmp_path / "no")


def test_nothing_is_unpacked_that_does_not_fit(matrix, monkeypatch):
    path, _X = matrix
    monkeypatch.setattr("sklsh._utils.matrices._memory_of_the_machine", lambda: 1000)
    monkeypatch.setattr(sp, "load_npz", lambda path: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match=r"it unpacks to .* bytes, and the machine has 1,000"):
        read_matrix(path)
