"""Tables of events on the command line: who had what, by name."""

from __future__ import annotations

import datetime
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sklsh
from sklsh._utils.files import check_output
from sklsh._utils.numbers import check_number
from sklsh._utils.threads import blocks
from sklsh._utils.validation import check_depth
from sklsh.cli.screen import table_of
from sklsh.datasets import Interactions
from sklsh.datasets._event_columns import zones_are_heeded
from sklsh.datasets._tables import read_columns
from sklsh.estimators.recommendation_files import TableWriter, check_ending
from sklsh.metrics import ndcg_at_k, recall_at_k
from sklsh.persistence import save_model

BATCH = 8192


@dataclass(frozen=True)
class Columns:
    """What columns of a table are called; None: there is none."""

    user: str
    item: str
    time: str | None
    weight: str | None


def recommend(
    data: Path, columns: Columns, half_life: float | None, model, model_dir: Path | None,
    learn: bool, test: Path | None, k: int, output: Path | None, random_state: int,
    jobs: int | None,
) -> None:  # fmt: skip
    """`sklsh recommend` on a table: `model` is the one there is, or None."""
    if output is not None:
        check_ending(output)
        check_output(output)
    elif test is None and sys.stdout is None:
        raise ValueError("standard output is closed: name a file with --output")
    events, age = read_events(data, columns, half_life)
    later = None if test is None else read_events(test, columns, None)[0]
    if model is None:
        seen = Interactions.from_events(events, **asdict(columns), half_life=age)
        check_depth(k, "k", seen.item_ids.shape[0])
        model = sklsh.LSHRecommender(random_state=random_state, n_jobs=jobs)
        model.fit(seen.matrix, item_ids=seen.item_ids)
    else:
        seen = Interactions.from_events(
            events, **asdict(columns), half_life=age, items=model.item_ids_,
            new_items="add" if learn else "drop",
        )  # fmt: skip
        check_depth(k, "k", seen.item_ids.shape[0])
        if learn:
            model.partial_fit(seen.matrix, item_ids=seen.item_ids)
    if model_dir is not None:
        save_model(model, model_dir)
    if later is not None:
        _say_figures(model, seen, later, columns, k)
    if output is not None:
        model.recommend_to(output, seen.matrix, seen.user_ids, N=k, batch_size=BATCH)
    elif later is None:
        writer = TableWriter(sys.stdout)
        for start, stop in blocks(seen.matrix.shape[0], BATCH):
            found = model.recommend(np.arange(start, stop), seen.matrix[start:stop], N=k)
            writer.write(seen.user_ids[start:stop], *found)


def read_events(path: Path, columns: Columns, half_life: float | None):
    """A frame of a table's columns, numbers and dates read from text, and the half-life in the
    unit of its times: of numbers their own, of dates days."""
    names = [name for name in asdict(columns).values() if name is not None]
    found: dict[str, Any] = read_columns(path, names)
    if columns.weight is not None:
        found[columns.weight] = _numbers(path, columns.weight, found[columns.weight])
    age: Any = half_life
    if columns.time is not None:
        times = _times(path, columns.time, found[columns.time])
        found[columns.time] = times
        if half_life is not None and times.dtype.kind == "M":
            most = datetime.timedelta.max.days
            half_life = check_number(half_life, "--half-life", 0, most, "neither")
            age = datetime.timedelta(days=half_life)
    return found, age


def _numbers(path: Path, name: str, values: list) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name!r} must be numbers: {error}") from error


def _times(path: Path, name: str, values: list) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        pass  # no numbers
    try:
        with zones_are_heeded():
            return np.array(values, dtype="datetime64[us]")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: {name!r} must be numbers, or dates as 2026-01-31T12:00: {error}"
        ) from error


def _say_figures(model, seen: Interactions, later, columns: Columns, k: int) -> None:
    """Recall and nDCG of what users have later and did not have before."""
    test = Interactions.from_events(
        later, **asdict(columns), items=model.item_ids_, new_items="drop"
    )
    _, before, after = np.intersect1d(seen.user_ids, test.user_ids, return_indices=True)
    given, wanted = seen.matrix[before], test.matrix[after]
    wanted.data[:] = 1
    wanted = (wanted - wanted.multiply(given > 0)).tocsr()
    wanted.eliminate_zeros()
    asked = np.flatnonzero(np.diff(wanted.indptr))
    if not asked.size:
        raise ValueError("nobody has later an item that is known and that they did not have")
    ranked, _ = model.predict_topk(given[asked], k)
    figures = [metric(wanted[asked], ranked, k) for metric in (recall_at_k, ndcg_at_k)]
    table_of(
        f"{asked.shape[0]:,} users with later items",
        [f"recall@{k}", f"nDCG@{k}"],
        [[f"{figure:.4f}" for figure in figures]],
    )
