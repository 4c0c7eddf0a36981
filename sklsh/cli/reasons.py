"""What ``sklsh explain`` does."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import typer

from sklsh._utils.files import check_output
from sklsh._utils.validation import check_depth, check_int
from sklsh.cli.event_tables import Columns, read_events
from sklsh.cli.recommenders import load_user_items, model_in
from sklsh.datasets import Interactions
from sklsh.datasets._tables import is_table
from sklsh.estimators.recommendation_files import (
    REASONS,
    BatchWriter,
    TableWriter,
    check_ending,
    recommendations_file,
)
from sklsh.estimators.recommender_prediction import MAX_EXPLAINED


def explain(
    data: Path, model_dir: Path, users: list[str], k: int, n: int, output: Path | None,
    columns: Columns, half_life: float | None,
) -> None:  # fmt: skip
    """`sklsh explain`: for the best `k` items of each user the `n` of theirs that speak most."""
    check_int(k, "k", 1)
    check_int(n, "--reasons", 1)
    if output is not None:
        check_ending(output)
        check_output(output)
    elif sys.stdout is None:
        raise ValueError("standard output is closed: name a file with --output")
    model = model_in(model_dir)
    if model is None:
        raise ValueError(
            f"{model_dir} must hold a model, there is none; `sklsh recommend` writes one"
        )
    matrix, names = _users(data, model, columns, half_life)
    check_depth(k, "k", model.n_features_in_)
    check_depth(n, "--reasons", model.n_features_in_)
    chosen = np.arange(len(names))
    if users:
        place_of = {str(name): place for place, name in enumerate(names.tolist())}
        unknown = [name for name in users if name not in place_of]
        if unknown:
            raise ValueError(f"--of must name users of {data}, got {unknown[0]!r}")
        chosen = np.array([place_of[name] for name in users])
    file: AbstractContextManager[BatchWriter]
    if output is None:
        file = nullcontext(TableWriter(sys.stdout, columns=REASONS))
    else:
        file = recommendations_file(output, REASONS)
    with file as writer:
        n_silent = _write(writer, model, matrix, names, chosen, k, n)
    if n_silent:
        typer.echo(
            f"left out: {n_silent:,} users with less than two items or more than {MAX_EXPLAINED:,}",
            err=True,
        )


def _users(data: Path, model, columns: Columns, half_life: float | None):
    """Rows by the model's items, and what users are called: row numbers, where they are not."""
    if is_table(data):
        events, age = read_events(data, columns, half_life)
        seen = Interactions.from_events(
            events, **asdict(columns), half_life=age, items=model.item_ids_, new_items="drop"
        )
        return seen.matrix, seen.user_ids
    if half_life is not None or columns.time is not None or columns.weight is not None:
        raise ValueError(f"--time, --weight and --half-life are of tables, got {data}")
    matrix = load_user_items(data)
    if matrix.shape[1] != model.n_features_in_:
        raise ValueError(
            f"the model needs {model.n_features_in_} items, {data} has {matrix.shape[1]}"
        )
    return matrix, np.arange(matrix.shape[0])


def _write(writer: BatchWriter, model, matrix, names, chosen, k: int, n: int) -> int:
    """A row for each user, item and reason; how many users' items are too few or too many."""
    n_silent = 0
    none, nothing = model.item_ids_[:0], np.empty(0, dtype=np.float32)
    # A parquet file of no rows has columns, too.
    writer.write_columns([names[:0], none, np.empty(0, np.int64), nothing, none, nothing])
    for place in chosen:
        row = matrix[[place]]
        if not 2 <= row.count_nonzero() <= MAX_EXPLAINED:
            n_silent += 1
            continue
        items, scores = model.recommend([place], row, N=k)
        items = items[:, np.isfinite(scores[0])][0]
        scores, because, contributions = model.explain(place, row, items, N=n)
        at, reason = np.nonzero(np.isfinite(contributions))
        writer.write_columns(
            [np.repeat(names[[place]], at.size), items[at], at + 1, scores[at],
             because[at, reason], contributions[at, reason]]
        )  # fmt: skip
    return n_silent
