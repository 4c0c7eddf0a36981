"""New users' stories: the wheel alone, each guide's code run from top to bottom out of its sight.

`SKLSH_STORY_PYTHON` names the interpreter of an environment that the wheel has been installed
into; else it is unpacked beside this environment's libraries.
"""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
STORIES = {
    "very many labels from text": [ROOT / "doc/classifier.md", ROOT / "doc/migrate.md"],
    "users and items": [ROOT / "doc/recommender.md"],
    "a federation": [ROOT / "doc/federated.md"],
    "a hash family of one's own": [ROOT / "doc/hasher.md", ROOT / "doc/extending.md"],
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(request, tmp_path_factory):
    """A function that runs Python code, or a module, with the wheel's sklsh."""
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONSAFEPATH": "1"}
    python = os.environ.get("SKLSH_STORY_PYTHON")
    if python is None:
        zipfile.ZipFile(request.getfixturevalue("wheel")).extractall(folder / "site")
        environment["PYTHONPATH"] = str(folder / "site")

    def run(*arguments):
        command = [python or sys.executable, *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )

    return run


def test_the_wheel_is_small_and_whole(wheel):
    assert wheel.stat().st_size < 3e6
    names = zipfile.ZipFile(wheel).namelist()
    assert "sklsh/datasets/data/wordnet.npz" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    assert not [name for name in names if name.endswith((".nbi", ".nbc", ".pyc"))]


def test_the_demo(installed):
    done = installed("-m", "sklsh.cli", "demo")
    assert done.returncode == 0, done.stderr
    (precision,) = re.findall(r"SparseLSHMLPClassifier +(0?\.\d+)", done.stdout)
    assert 0.45 <= float(precision) < 0.47


@pytest.mark.parametrize("pages", STORIES.values(), ids=STORIES)
def test_story(installed, pages):
    code = ["import sklsh", f"assert not sklsh.__file__.startswith({str(ROOT / 'sklsh')!r})"]
    for page in pages:
        code += re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    assert len(code) > 3
    done = installed("-c", "\n".join(code))
    assert done.returncode == 0, done.stderr


def test_a_machine_where_nothing_can_be_written(wheel, tmp_path):
    """A file where numba would make its folder, and no home: as in a read-only container."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "site/sklsh/kernels/__pycache__").touch()
    (tmp_path / "tmp").mkdir()
    code = (
        "import sys, numpy as np, sklsh; assert sys.argv[1] in sklsh.__file__\n"
        "from sklsh import CompressedLSHHasher\n"
        "assert CompressedLSHHasher(hash_length=2).fit_transform(np.eye(4)).shape[0] == 4\n"
    )
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache",
        "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(tmp_path / "tmp"),
    }  # fmt: skip
    command = [sys.executable, "-c", code, str(tmp_path / "site")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "tmp") == [], "compiled code is thrown away at exit"
