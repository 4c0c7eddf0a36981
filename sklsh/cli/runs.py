"""Runs of a SuperLink: begun, followed, listed and stopped, whoever has begun them.

A run belongs to the SuperLink, not to the command that began it: that one may be killed, and
another may follow the run from its first line.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from sklsh.cli import flower

COMPLETED = "finished:completed"


@contextmanager
def connection(server: str, ca: Path | None) -> Iterator[Path]:
    """A folder in which Flower's commands find one SuperLink."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        flower.write_connection(home, server, ca)
        yield home


def flwr(arguments: list[str], home: Path, **options: Any) -> subprocess.CompletedProcess:
    """Run one of ``flwr``'s commands; ends this one too if it fails."""
    done = subprocess.run(
        [flower.executable("flwr"), *arguments],
        env={**flower.environment(), "FLWR_HOME": str(home)}, **options,
    )  # fmt: skip
    if done.returncode:
        typer.echo(f"{done.stdout or ''}{done.stderr or ''}".strip(), err=True)
        raise typer.Exit(done.returncode)
    return done


def _asked(arguments: list[str], home: Path) -> dict:
    """What a command answers in JSON; a ValueError if it says that it failed."""
    done = flwr([*arguments, "--format", "json"], home, capture_output=True, text=True)
    answer = json.loads(done.stdout[done.stdout.index("{") :])
    if not answer.get("success", True):
        raise ValueError(answer["error-message"].strip().splitlines()[-1])
    return answer


def begin(app: Path, home: Path) -> int:
    """Submit an app; the number of its run."""
    return int(_asked(["run", str(app), flower.CONNECTION], home)["run-id"])


def follow(run_id: int, home: Path) -> str:
    """Print a run's lines, from the first to its end; how it ended."""
    flwr(["log", str(run_id), flower.CONNECTION, "--stream"], home)
    return listed(home, run_id)[0]["status"]


def stop(run_id: int, home: Path) -> None:
    """End a run; what it has not kept in a checkpoint is lost."""
    _asked(["stop", str(run_id), flower.CONNECTION], home)


def listed(home: Path, run_id: int | None = None) -> list[dict]:
    """Runs that the SuperLink knows, the latest first, or one of them."""
    which = [] if run_id is None else ["--run-id", str(run_id)]
    return _asked(["list", flower.CONNECTION, *which], home)["runs"]


def lines(runs: list[dict]) -> Iterator[str]:
    """A line a run: its number, how it is, since when and for how long it has run."""
    for run in runs:
        seconds = float(run.get("elapsed") or 0)
        yield f"{run['run-id']}  {run['status']}  since {run['pending-at']}  {seconds:.0f} s"
