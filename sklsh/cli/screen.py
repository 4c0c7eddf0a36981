"""Tables and lines on the screen."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

PLACES = (1, 3, 5)
"""Depths at which rankings are measured."""


def console() -> Console:
    # Made at each call: standard output may be another one by then. A file or a pipe has no
    # width, and figures must not be folded there.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 100)


def table_of(title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(
        title=title, title_justify="left", show_header=any(columns), box=SIMPLE_HEAD, pad_edge=False
    )
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def at_places(metric, y_true, ranked) -> list[str]:
    return [f"{metric(y_true, ranked, k):.4f}" for k in PLACES]
