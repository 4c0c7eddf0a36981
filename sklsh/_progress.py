"""Progress of a fit: a bar where `rich` is installed, a line an epoch where it is not."""

from __future__ import annotations

from typing import Any


class EpochProgress:
    """Context manager that is called after each epoch; silent unless `verbose`."""

    def __init__(self, verbose: bool, n_epochs: int):
        self._verbose, self._n_epochs = verbose, n_epochs
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self):
        if self._verbose:
            try:
                from rich.progress import (
                    BarColumn,
                    MofNCompleteColumn,
                    Progress,
                    TextColumn,
                    TimeRemainingColumn,
                )
            except ImportError:
                return self
            self._bar = Progress(
                TextColumn("epoch"), MofNCompleteColumn(), BarColumn(),
                TextColumn("{task.description}"), TimeRemainingColumn(),
            )  # fmt: skip
            self._task = self._bar.add_task("", total=self._n_epochs)
            self._bar.start()
        return self

    def __call__(self, epoch: int, history) -> None:
        if not self._verbose:
            return
        text = f"loss {history.losses[-1]:.4f}"
        if history.validation_scores:
            text += f", validation P@1 {history.validation_scores[-1]:.4f}"
        if self._bar is None:
            print(f"epoch {epoch + 1}/{self._n_epochs}: {text}")
        else:
            self._bar.update(self._task, advance=1, description=text)

    def __exit__(self, *exception):
        if self._bar is not None:
            self._bar.stop()
