"""Coverage-guided fuzzing of what reads files: whatever the bytes, only documented errors.

    pip install atheris
    python tools/fuzz_files.py {xc,model,checkpoint} [-max_total_time=60]

Options are libFuzzer's. A crash, a hang or another exception ends the run, and leaves the bytes
that caused it in a file `crash-*`. The corpus begins with good files.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
# numba does not compile what is instrumented.
kernels = [f"sklsh.kernels.{path.stem}" for path in (ROOT / "sklsh" / "kernels").glob("*.py")]
with atheris.instrument_imports(include=["sklsh"], exclude=kernels):
    from sklsh import SparseLSHMLPClassifier
    from sklsh._utils.archive import Archive
    from sklsh.datasets import load_xc, make_extreme_classification, save_xc
    from sklsh.persistence import _checksum, load_model, save_model
    from tests.fuzz.strange import only_documented


def xc(folder: Path) -> tuple[bytes, Callable]:
    """A good file of the repository's format, and how bytes in its stead are read."""
    path = folder / "data.txt"
    save_xc(path, *make_extreme_classification(8, 30, 10, random_state=0))

    def read(content: bytes) -> None:
        path.write_bytes(content)
        X, Y = load_xc(path)
        assert X.shape[0] == Y.shape[0]

    return path.read_bytes(), read


def model(folder: Path) -> tuple[bytes, Callable]:
    """The same for a model folder's text; its checksum is made right, to get past it."""
    X, Y = make_extreme_classification(80, 30, 10, random_state=0)
    fitted = SparseLSHMLPClassifier((4,), max_iter=1, random_state=0).fit(X, Y)
    save_model(fitted, folder / "model")
    path = folder / "model" / "metadata.json"

    def read(content: bytes) -> None:
        try:
            metadata = json.loads(content)
            content = json.dumps({**metadata, "checksum": _checksum(metadata)}).encode()
        except (ValueError, AttributeError, TypeError, RecursionError):
            pass
        path.write_bytes(content)
        load_model(folder / "model", mmap_mode=None)

    return path.read_bytes(), read


def checkpoint(folder: Path) -> tuple[bytes, Callable]:
    """The same for the file of a fit that may go on."""
    X, Y = make_extreme_classification(80, 30, 10, random_state=0)
    params = {"hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
    SparseLSHMLPClassifier(checkpoint_dir=folder, **params).fit(X, Y)
    (path,) = folder.glob("*.npz")

    def read(content: bytes) -> None:
        path.write_bytes(content)
        Archive(path, 0, "of no training").read()

    return path.read_bytes(), read


TARGETS = {"xc": xc, "model": model, "checkpoint": checkpoint}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        (folder / "work").mkdir()
        good, read = TARGETS[sys.argv[1]](folder / "work")
        (folder / "corpus" / "good").write_bytes(good)

        def one_input(content: bytes) -> None:
            with only_documented():
                read(content)

        options = [f"-max_len={2 * len(good)}", *sys.argv[2:]]
        atheris.Setup([sys.argv[0], str(folder / "corpus"), *options], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
