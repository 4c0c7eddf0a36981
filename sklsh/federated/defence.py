"""What one device may do to the model: bounds by what the others do, and trust that is earned.

Lengths are cut at a few medians of the devices' (`sklsh.federated.limits`), which honest devices
do not notice. So is how far a neuron is raised for rows of any kind, along what all hidden
vectors have in common: two devices that push one label up, which few others have this
round, would have it on top of every row.

A change of an honest length may still go the wrong way. Devices that learn the same thing
have changes that are alike (`sklsh.federated.agreement`): as a whole, and in what they say of the
labels that they share. A device whose own agree with the others' less than half as well as is
usual loses its say, all of it below a quarter: for this round at once, and for later ones by
what it is remembered for (the direction as in [1]_, without data of the server's; the memory as in
[2]_). Where the others do not agree among themselves, as in late rounds of small devices or
where each device has labels of its own, nothing is concluded.

References
----------
.. [1] X. Cao, M. Fang, J. Liu, N. Gong. "FLTrust", NDSS 2021.
.. [2] C. Fung, C. Yoon, I. Beschastnikh. "The limitations of federated learning in sybil
   settings" (FoolsGold), RAID 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sklsh._utils.threads import one_blas_thread
from sklsh.federated.agreement import agreement, common_direction, likeness
from sklsh.federated.limits import (
    LONGEST,
    high,
    lowered,
    rises,
    row_lengths,
    scaled,
    share,
)
from sklsh.federated.messages import Update

REMEMBERED = 5
"""Earlier rounds whose medians count beside the lengths of this round's devices."""

FEWEST = 4
"""Devices of a round below which directions are not compared: too few to be outvoted."""

CLEAR = 3.0
"""Spreads (median absolute deviations) that the median cosine must be above 0: otherwise the
others' agreement is chance."""

FEWEST_BY_PART, CLEAR_BY_PART = 6, 5.0
"""The same where head, biases and first layer are looked at each by itself: less certain."""

MEMORY = 0.5
"""Share of a device's trust that is of the rounds before."""

NONE, FULL = 0.25, 0.5
"""Trust up to which a device has no say, and from which on it has all of it."""

OFFENCES = 3
"""Replies of no trust or that were rejected, after which a device is not asked any more."""

OF_LABELS = ("head", "bias")
"""Arrays with a row a label: many, and few that are much longer than the others."""


@dataclass
class Defence:
    """What is remembered of devices between rounds.

    Attributes
    ----------
    medians : dict of list of float
        By name of an array: the median lengths of the last rounds, in learning rates.
    trust : dict of float
        By device, -1 to 1; none before its first update.
    offences : dict of int
        By device.
    """

    medians: dict[str, list[float]] = field(default_factory=dict)
    trust: dict[int, float] = field(default_factory=dict)
    offences: dict[int, int] = field(default_factory=dict)

    @property
    def left_out(self) -> list[int]:
        """Devices that are not asked any more."""
        return sorted(device for device, n in self.offences.items() if n >= OFFENCES)

    def blame(self, device: int) -> None:
        """Count an offence."""
        self.offences[device] = self.offences.get(device, 0) + 1

    def to_dict(self) -> dict:
        """Plain values for `from_dict`: JSON has no integer keys."""
        return {
            "medians": self.medians,
            "trust": list(self.trust.items()),
            "offences": list(self.offences.items()),
        }

    @classmethod
    def from_dict(cls, values: dict) -> Defence:
        return cls(values["medians"], dict(values["trust"]), dict(values["offences"]))

    @one_blas_thread()
    def judge(
        self, updates: Sequence[Update], rate: float, seed: int = 0
    ) -> tuple[list[Update], list[float]]:
        """Updates with what is too long cut off, and the say of each.

        Parameters
        ----------
        updates : sequence of Update
            All of a round, with changes in float32.
        rate : float
            Learning rate of the round: changes are in proportion to it.
        seed : int
            Of the choice of devices that each is compared with, where there are many.

        Returns
        -------
        updates : list of Update
        weights : list of float
            At most the median number of rows claimed, times trust.

        Notes
        -----
        O(size of all changes + number of labels and features); memory: a copy of the changes.
        """
        updates, rate = list(updates), max(rate, 1e-30)
        direction = common_direction(updates) if len(updates) >= FEWEST else None
        if direction is not None:
            updates = self._lower(updates, rate, direction)
        updates = self._cut(updates, rate)
        trust = self._trust(updates, direction, seed)
        most = float(np.median([update.n_samples for update in updates]))
        return updates, [
            min(update.n_samples, most) * say for update, say in zip(updates, trust, strict=True)
        ]

    # Lengths ----------------------------------------------------------------------------------

    def _reference(self, name: str, lengths: Sequence[float] | np.ndarray) -> float:
        """Median of this round's lengths and of earlier rounds' medians."""
        earlier = self.medians.setdefault(name, [])
        reference = float(np.median([*lengths, *earlier]))
        earlier.append(float(np.median(lengths)))
        del earlier[:-REMEMBERED]
        return reference

    def _lower(self, updates: list[Update], rate: float, direction: np.ndarray) -> list[Update]:
        """What is raised for all rows alike."""
        found = [rises(update, direction) for update in updates]
        limits = []
        for name, parts in zip(("rise", "bias_rise"), zip(*found, strict=True), strict=True):
            usual = [max(0.0, high(part)) / rate for part in parts]
            limits.append(LONGEST * self._reference(name, usual) * rate)
        return [
            lowered(update, direction, rise, limits)
            for update, rise in zip(updates, found, strict=True)
        ]

    def _cut(self, updates: list[Update], rate: float) -> list[Update]:
        factors: list[dict[str, np.ndarray]] = [{} for _ in updates]
        squares = np.zeros(len(updates))
        for name in updates[0].changes():
            rows = [row_lengths(update.changes()[name]) / rate for update in updates]
            long = [high(r) if name in OF_LABELS else r.max(initial=0) for r in rows]
            limit = LONGEST * self._reference(name, long)
            for i, lengths in enumerate(rows):
                kept = np.minimum(lengths, limit)
                factors[i][name] = share(kept, lengths)
                squares[i] += np.square(kept).sum()
        whole = np.sqrt(squares)
        limit = LONGEST * self._reference("whole", whole)
        for i, part in enumerate(share(np.minimum(whole, limit), whole)):
            factors[i] = {name: factor * part for name, factor in factors[i].items()}
        for name in updates[0].growth():
            grown = [update.growth()[name].astype(np.float64) for update in updates]
            limit = LONGEST * self._reference(name, [g.max(initial=0) for g in grown])
            for i, growth in enumerate(grown):
                factors[i][name] = share(np.minimum(growth, limit), growth)
        return [scaled(update, factor) for update, factor in zip(updates, factors, strict=True)]

    # Directions -------------------------------------------------------------------------------

    def _trust(self, updates: list[Update], direction: np.ndarray | None, seed: int) -> list[float]:
        """The say of each, 0 to 1."""
        scores = [score for score in _scores(updates, direction, seed) if score is not None]
        now = np.min(scores, axis=0, initial=1.0) if scores else np.ones(len(updates))
        for update, score in zip(updates, now.tolist() if scores else [], strict=False):
            had = self.trust.get(update.device, score)
            self.trust[update.device] = MEMORY * had + (1 - MEMORY) * score
            if score <= 0 and self.trust[update.device] < NONE:
                self.blame(update.device)
        trust = [min(self.trust.get(u.device, 1.0), now[i]) for i, u in enumerate(updates)]
        return [float(np.clip((of - NONE) / (FULL - NONE), 0.0, 1.0)) for of in trust]


def _scores(
    updates: list[Update], direction: np.ndarray | None, seed: int
) -> Iterator[np.ndarray | None]:
    """How well each agrees with the others, -1 to 1, in several respects; None: not to be told."""
    if len(updates) < FEWEST:
        return
    parts = agreement(updates)
    yield _beside_the_usual(np.mean(list(parts.values()), axis=0))
    if len(updates) >= FEWEST_BY_PART:
        # One part may be turned round behind two that are not.
        for cosines in parts.values():
            part = _beside_the_usual(cosines, clear=CLEAR_BY_PART)
            yield None if part is None else np.minimum(part + FULL, 1.0)
    if direction is not None:
        alike, errors = likeness(updates, direction, seed)
        yield _beside_the_usual(alike, errors)


def _beside_the_usual(
    cosines: np.ndarray, errors: np.ndarray | float = 0.0, clear: float = CLEAR
) -> np.ndarray | None:
    """Each in medians of all, `clear` standard errors to its advantage; -1 to 1.

    None where nothing is to be concluded.
    """
    known = np.isfinite(cosines)
    if known.sum() < FEWEST:
        return None
    middle = float(np.median(cosines[known]))
    spread = float(np.median(np.abs(cosines[known] - middle)))
    error = float(np.median(np.broadcast_to(errors, known.shape)[known]))
    if middle <= max(clear * spread, clear * error, 1e-12):
        return None
    return np.where(known, np.clip((cosines + clear * errors) / middle, -1.0, 1.0), 1.0)
