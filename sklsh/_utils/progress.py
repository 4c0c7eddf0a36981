"""Progress of a fit or of many answers: a bar where `rich` is installed, lines where it is not."""

from __future__ import annotations

from time import perf_counter
from typing import Any


class _Progress:
    """Context manager with a bar of `total` steps; silent unless `verbose`."""

    def __init__(self, verbose: bool, total: int):
        self._verbose, self._total = verbose, total
        self._bar: Any = None
        self._task: Any = None
        self._start = 0.0

    def _new_bar(self) -> tuple[Any, str]:
        """The bar, and what its steps are called; an ImportError without `rich`."""
        raise NotImplementedError

    def __enter__(self):
        self._start = perf_counter()
        if self._verbose:
            try:
                self._bar, name = self._new_bar()
            except ImportError:
                return self
            self._task = self._bar.add_task(name, total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *exception):
        if self._bar is not None:
            self._bar.stop()


class EpochProgress(_Progress):
    """Is called after each epoch.

    Says the loss, the score on held-out rows where it is watched, seconds an epoch, and how
    long the epochs to come will take. `score` is what that score is called.
    """

    def __init__(self, verbose: bool, n_epochs: int, score: str = "P@1"):
        super().__init__(verbose, n_epochs)
        self._score, self._n_done = score, 0

    def _new_bar(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        bar = Progress(
            TextColumn("epoch"), MofNCompleteColumn(), BarColumn(),
            TextColumn("{task.description}"),
        )  # fmt: skip
        return bar, ""

    def __call__(self, epoch: int, history) -> None:
        if not self._verbose:
            return
        self._n_done += 1  # by this process: a fit may go on from a checkpoint
        rate = (perf_counter() - self._start) / self._n_done
        parts = [f"loss {history.losses[-1]:.4f}"]
        if history.validation_scores:
            parts.append(f"validation {self._score} {history.validation_scores[-1]:.4f}")
        left = rate * (self._total - epoch - 1)
        parts += [f"{rate:.2g} s an epoch", f"{left:.0f} s left"]
        if self._bar is None:
            print(f"epoch {epoch + 1}/{self._total}: {', '.join(parts)}")
        else:
            self._bar.update(self._task, completed=epoch + 1, description=", ".join(parts))


class RowProgress(_Progress):
    """Is called with how many rows are done."""

    def _new_bar(self):
        from rich.progress import Progress

        return Progress(), "rows"

    def __call__(self, n_done: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=n_done)
        elif self._verbose and n_done:
            rate = (perf_counter() - self._start) / n_done
            print(f"{n_done}/{self._total} rows, {rate * (self._total - n_done):.0f} s left")
