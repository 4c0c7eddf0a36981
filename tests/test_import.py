"""Importing the package: what it offers, and what it must leave alone."""

import json
import subprocess
import sys

import sklsh

OPTIONAL = ["matplotlib", "rich", "typer", "flwr", "dask", "pandas", "torch"]


def test_import_loads_no_optional_package():
    code = (
        "import json, sys, sklsh; "
        f"print(json.dumps([name for name in {OPTIONAL} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == []


def test_every_public_name_exists():
    assert len(set(sklsh.__all__)) == len(sklsh.__all__) > 0
    for name in sklsh.__all__:
        assert getattr(sklsh, name).__doc__, f"sklsh.{name} has no docstring"
