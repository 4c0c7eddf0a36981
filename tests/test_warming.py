"""Compiling ahead."""

import logging
import os
import subprocess
import sys

import pytest

import sklsh
from sklsh.kernels import _cache

FIRST_FIT = """
import sklsh
from sklsh.datasets import make_extreme_classification
sklsh.warm_up("hasher", verbose=True)
from numba.core import event
with event.install_recorder("numba:compile") as compiled:
    X, Y = make_extreme_classification(300, 100, 50, features_per_row=10, random_state=0)
    sklsh.CompressedLSHHasher(random_state=0).fit(X).query(X[:5], n_candidates=3)
print("compiled", len(compiled.buffer))
"""


@pytest.mark.slow
def test_nothing_is_left_to_compile(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FIT], capture_output=True, text=True, check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, timeout=600,
    )  # fmt: skip
    first, last = done.stdout.splitlines()
    assert first.startswith("compiling for the hasher ...")
    assert last == "compiled 0"


def test_another_kind():
    with pytest.raises(ValueError, match="classifier, recommender, hasher, got 'clasifier'"):
        sklsh.warm_up("clasifier")


def test_it_says_nothing_unless_asked(capsys):
    assert sklsh.warm_up("hasher") > 0
    assert capsys.readouterr().out == ""


def test_the_log_says_once_that_kernels_are_compiled(caplog):
    _cache._say_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="sklsh"):
        _cache._say_once()
        _cache._say_once()
    assert [record.name for record in caplog.records] == ["sklsh"]
    assert "warm_up()" in caplog.text
