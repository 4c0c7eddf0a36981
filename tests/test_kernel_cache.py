"""Compiled kernels in numba's cache are never older than the sources they were compiled from.

numba looks at one file only: a kernel stays cached although another file, whose kernel it calls,
has changed. So a file that imports kernels names their files' digests in a line; the line changes
with them, and with it what numba looks at.
"""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import sklsh.kernels
from sklsh.kernels.flags import kernel
from sklsh.kernels.topk import beats

FOLDER = Path(sklsh.kernels.__path__[0])
MARK = "# Compiled in:"


def callees(path):
    """Names of the kernel files that a kernel file imports from."""
    return sorted(
        node.module.rpartition(".")[2]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklsh.kernels.")
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_callers_name_their_callees(path):
    digests = [
        f"{name} {hashlib.sha256((FOLDER / f'{name}.py').read_bytes()).hexdigest()[:8]}"
        for name in callees(path)
    ]
    expected = [f"{MARK} {', '.join(digests)}"] if digests else []
    found = [line for line in path.read_text().splitlines() if line.startswith(MARK)]
    assert found == expected, f"write into {path.name}, below the imports: {expected}"


def test_kernel_files_were_found():
    assert callees(FOLDER / "candidates.py") == ["flags", "interactions", "topk"]


RUN = """
import json
import numba as nb
from numba.core.caching import FunctionCache
from sklsh.kernels.topk import beats

other = nb.njit(cache=True)(json.dumps)
assert type(other._cache) is FunctionCache, "another package's functions are cached as ever"
print(beats(1.0, 2, 1.0, 3), sum(beats.stats.cache_hits.values()))
"""


def beats_of_a_process(folder):
    """What a kernel gives in a new process, and how often it was found compiled."""
    done = subprocess.run(
        [sys.executable, "-c", RUN], env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def beats_made_anew(folder, monkeypatch):
    """The same of a kernel that this process has not compiled."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
    anew = kernel(beats.py_func)
    return anew(1.0, 2, 1.0, 3), sum(anew.stats.cache_hits.values())


def flip(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


DAMAGES = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:100],
    "a byte short": lambda data: data[:-1],
    "a flipped bit": flip,
    "other bytes": lambda data: b"x" * len(data),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    assert beats_of_a_process(folder) == ["True", "0"]
    assert beats_of_a_process(folder) == ["True", "1"]
    return folder


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_compiled_again(compiled, tmp_path, monkeypatch, damage, ending):
    folder = tmp_path / "kernels"
    shutil.copytree(compiled, folder)
    assert beats_made_anew(folder, monkeypatch) == (True, 1)
    (path,) = folder.rglob(f"topk.beats*.{ending}")
    path.write_bytes(damage(path.read_bytes()))
    assert beats_made_anew(folder, monkeypatch) == (True, 0)
    assert beats_made_anew(folder, monkeypatch) == (True, 1)
