"""Compiled kernels in numba's cache are never older than the sources they were compiled from.

numba looks at one file only: a kernel stays cached although another file, whose kernel it calls,
has changed. So a file that imports kernels names their files' digests in a line; the line changes
with them, and with it what numba looks at.
"""

import ast
import hashlib
from pathlib import Path

import pytest

import sklsh.kernels

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
    assert callees(FOLDER / "candidates.py") == ["interactions", "topk"]
