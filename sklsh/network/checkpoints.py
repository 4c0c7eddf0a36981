"""A fit on disk between two epochs: after a kill it resumes, to the very bits.

All randomness follows from the seed, the number of steps and one generator, so that these,
the arrays that training changes and a sampler's tables or codes are all there is to keep.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sklsh._utils.archive import Archive, listed, unlisted
from sklsh.network.coded_head import CodedCandidates
from sklsh.network.fitting import FitState, History
from sklsh.network.lsh import LSHCandidates

if TYPE_CHECKING:
    from sklsh.network.learner import Learner
    from sklsh.network.trainer import Trainer

FILE, VERSION = "fit.npz", 3


@dataclass(frozen=True)
class FitCheckpoint:
    """Where and how often a fit is kept.

    Parameters
    ----------
    folder : Path
    fingerprint : str
        Of data and parameters.
    interval : int
        Epochs between two writes.
    """

    folder: Path
    fingerprint: str
    interval: int = 1

    def of_member(self, n: int) -> FitCheckpoint:
        """Where the `n`-th member of several is kept, beside the first."""
        return replace(self, folder=self.folder / f"member-{n}")

    @property
    def _archive(self) -> Archive:
        return Archive(self.folder / FILE, VERSION, self.fingerprint)

    def save(self, learner: Learner, trainer: Trainer, state: FitState, rng) -> None:
        """Write the fit, if it is the turn of this epoch. O(size of the model)."""
        if len(state.history.losses) % self.interval:
            return
        arrays = {
            **listed("network", learner.network.parameters()),
            **listed("optimizer", optimizer_arrays(learner)),
            **listed("best", state.best_weights or []),
        }
        if learner.network.observed_ids is not None:
            arrays["seen_ids"] = learner.network.observed_ids
        candidates = getattr(trainer.sampler, "candidates", None)
        tables = {}
        if isinstance(candidates, LSHCandidates | CodedCandidates):
            tables = candidates.snapshot()
        arrays |= {f"tables.{name}": np.asarray(value) for name, value in tables.items()}
        numbers = {
            "seed": learner.seed,
            "first_step": learner.n_steps,
            "step_count": trainer.step_count,
            "rng": rng.bit_generator.state,
            "losses": state.history.losses,
            "validation_scores": state.history.validation_scores,
            "best_score": state.best_score,
            "n_worse": state.n_worse,
        }
        self._archive.write(numbers, arrays)

    def load(self) -> SavedFit | None:
        """What was saved last, if anything.

        Raises
        ------
        ValueError
            The file is damaged, of another format, or of another training.
        """
        found = self._archive.read()
        return None if found is None else SavedFit(*found)


@dataclass(frozen=True)
class SavedFit:
    """A fit as `FitCheckpoint.save` has kept it."""

    numbers: dict
    arrays: dict[str, np.ndarray]

    def restore(self, learner: Learner) -> None:
        """Put network and optimizer back, in place."""
        for name, into in (
            ("network", learner.network.parameters()),
            ("optimizer", optimizer_arrays(learner)),
        ):
            for array, saved in zip(into, unlisted(name, self.arrays), strict=True):
                array[...] = saved
        learner.network.observed_ids = self.arrays.get("seen_ids")

    def resume(self, trainer: Trainer, rng) -> FitState:
        """Put a fresh trainer and generator back to where they were; what else to resume from."""
        trainer.step_count = self.numbers["step_count"]
        rng.bit_generator.state = self.numbers["rng"]
        tables = {
            name.partition(".")[2]: array
            for name, array in self.arrays.items()
            if name.startswith("tables.")
        }
        if tables:
            trainer.sampler.candidates.restore(trainer.network, tables, trainer.n_threads)
        return FitState(
            History.of(self.numbers["losses"], self.numbers["validation_scores"]),
            self.numbers["best_score"],
            unlisted("best", self.arrays) or None,
            self.numbers["n_worse"],
        )


def optimizer_arrays(learner: Learner) -> list[np.ndarray]:
    """All accumulators, in one list."""
    parts = [getattr(learner.optimizer, field.name) for field in fields(learner.optimizer)]
    return [array for part in parts for array in (part if isinstance(part, list) else [part])]
