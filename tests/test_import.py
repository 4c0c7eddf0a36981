"""Importing the package: what it offers, and what it must leave alone."""

import json
import subprocess
import sys

import sklsh

OPTIONAL = ["matplotlib", "rich", "typer", "flwr", "dask", "pandas", "torch"]
# What scikit-learn and numba themselves load does not count (scikit-learn looks for pandas).
CODE = f"""
import json, sys, time
import numba, scipy.sparse, sklearn.base, sklearn.datasets, sklearn.metrics, sklearn.pipeline
before = set(sys.modules)
start = time.perf_counter()
import sklsh
seconds = time.perf_counter() - start
import sklsh.cli, sklsh.datasets, sklsh.metrics, sklsh.persistence, sklsh.plotting
new = sorted(set({OPTIONAL}) & (set(sys.modules) - before))
print(json.dumps([new, seconds]))
"""


def import_in_a_new_process():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout)


def test_import_is_quick_and_loads_no_optional_package():
    for _ in range(3):  # a busy machine must not fail a test
        loaded, seconds = import_in_a_new_process()
        assert loaded == []
        if seconds < 1.0:
            break
    assert seconds < 1.0


def test_every_public_name_exists():
    assert len(set(sklsh.__all__)) == len(sklsh.__all__) > 0
    for name in sklsh.__all__:
        assert getattr(sklsh, name).__doc__, f"sklsh.{name} has no docstring"
