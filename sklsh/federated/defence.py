"""What one device may do to the model: bounds by what the others do, and trust that is earned.

Row-wise Adagrad makes changes of equal steps about equally long: over iid and Dirichlet .3
splits of four data sets the longest change of an honest device was 1.4 medians, its longest
row 1.7 medians of the devices' longest rows. So lengths are cut at `LONGEST` medians, which
honest devices do not notice.

A change of an honest length may still go the wrong way. Devices that learn the same thing
have changes whose cosine with the sum of the others' is alike; a device whose own is far below
loses its say, in proportion, over rounds (the direction as in [1]_, without data of the
server's; the memory as in [2]_). Where the others do not agree among themselves, as in
late rounds of small devices or where each device has labels of its own, nothing is concluded.

References
----------
.. [1] X. Cao, M. Fang, J. Liu, N. Gong. "FLTrust", NDSS 2021.
.. [2] C. Fung, C. Yoon, I. Beschastnikh. "The limitations of federated learning in sybil
   settings" (FoolsGold), RAID 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sklsh.federated.aggregation import union_of
from sklsh.federated.messages import Update

LONGEST = 2.0
"""Medians of the devices' lengths that a change may have; more is cut off."""

REMEMBERED = 5
"""Earlier rounds whose medians count beside the lengths of this round's devices."""

FEWEST = 4
"""Devices of a round below which directions are not compared: too few to be outvoted."""

CLEAR = 3.0
"""Spreads (median absolute deviations) that the median cosine must be above 0: otherwise the
others' agreement is chance."""

SHORTEST = 1e-30
"""Changes that are not longer have no direction: float32 cannot hold what they are divided by."""

MEMORY = 0.5
"""Share of a device's trust that is of the rounds before."""

FULL = 0.5
"""Trust from which on a device has its whole say."""

OFFENCES = 3
"""Replies of no trust or that were rejected, after which a device is not asked any more."""


def arrays_of(update: Update) -> dict[str, np.ndarray]:
    """What an update changes, by name, as rows: parameters, then accumulators."""
    head, body = update.head, update.body
    out = {"head": head.weights, "bias": head.bias}
    if body is not None:
        out |= {"body": body.rows} | {f"dense_{i}": a for i, a in enumerate(body.dense)}
    return out


def states_of(update: Update) -> dict[str, np.ndarray]:
    """The growth of its accumulators, by name."""
    head, body = update.head, update.body
    out = {"state_head": head.state[:, 0], "state_bias": head.state[:, 1]}
    if body is not None:
        out |= {"state_body": body.state}
        out |= {f"state_dense_{i}": a for i, a in enumerate(body.dense_state)}
    return out


def row_lengths(array: np.ndarray) -> np.ndarray:
    """Euclidean length of each row, float64."""
    rows = array if array.ndim == 2 else array[:, None]
    if rows.dtype == np.float16:
        # Whose squares float32 holds: twice as fast.
        rows = rows.astype(np.float32)
        return np.sqrt(np.einsum("ij,ij->i", rows, rows).astype(np.float64))
    return np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64, casting="unsafe"))


@dataclass
class Defence:
    """What is remembered of devices between rounds.

    Attributes
    ----------
    medians : dict of list of float
        By name of an array: the median lengths of the last rounds, in learning rates.
    trust : dict of float
        By device, -1 to 1; 1 before its first update.
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

    def judge(self, updates: Sequence[Update], rate: float) -> tuple[list[Update], list[float]]:
        """Updates with what is too long cut off, and the say of each.

        Parameters
        ----------
        updates : sequence of Update
            All of a round.
        rate : float
            Learning rate of the round: changes are in proportion to it.

        Returns
        -------
        updates : list of Update
        weights : list of float
            At most the median number of rows claimed, times trust.

        Notes
        -----
        O(size of all changes + number of labels and features); memory: a copy of the changes.
        """
        updates = self._cut(list(updates), rate)
        trust = self._trust(updates)
        most = float(np.median([update.n_samples for update in updates]))
        return updates, [
            min(update.n_samples, most) * say for update, say in zip(updates, trust, strict=True)
        ]

    # Lengths ----------------------------------------------------------------------------------

    def _reference(self, name: str, lengths: np.ndarray) -> float:
        """Median of this round's lengths and of earlier rounds' medians."""
        earlier = self.medians.setdefault(name, [])
        reference = float(np.median([*lengths, *earlier]))
        earlier.append(float(np.median(lengths)))
        del earlier[:-REMEMBERED]
        return reference

    def _cut(self, updates: list[Update], rate: float) -> list[Update]:
        rate = max(rate, 1e-30)
        factors: list[dict[str, np.ndarray]] = [{} for _ in updates]
        squares = np.zeros(len(updates))
        for name in arrays_of(updates[0]):
            rows = [row_lengths(arrays_of(update)[name]) / rate for update in updates]
            limit = LONGEST * self._reference(name, np.array([r.max(initial=0) for r in rows]))
            for i, lengths in enumerate(rows):
                kept = np.minimum(lengths, limit)
                factors[i][name] = _share(kept, lengths)
                squares[i] += np.square(kept).sum()
        whole = np.sqrt(squares)
        limit = LONGEST * self._reference("whole", whole)
        for i, share in enumerate(_share(np.minimum(whole, limit), whole)):
            factors[i] = {name: factor * share for name, factor in factors[i].items()}
        for name in states_of(updates[0]):
            grown = [states_of(update)[name].astype(np.float64) for update in updates]
            limit = LONGEST * self._reference(name, np.array([g.max(initial=0) for g in grown]))
            for i, growth in enumerate(grown):
                factors[i][name] = _share(np.minimum(growth, limit), growth)
        return [scaled(update, factor) for update, factor in zip(updates, factors, strict=True)]

    # Directions -------------------------------------------------------------------------------

    def _trust(self, updates: list[Update]) -> list[float]:
        cosines = agreement(updates) if len(updates) >= FEWEST else np.zeros(len(updates))
        middle = float(np.median(cosines))
        spread = float(np.median(np.abs(cosines - middle)))
        if middle > max(CLEAR * spread, 1e-12):
            for update, cosine in zip(updates, np.clip(cosines / middle, -1, 1), strict=True):
                had = self.trust.get(update.device, 1.0)
                self.trust[update.device] = MEMORY * had + (1 - MEMORY) * float(cosine)
                if cosine <= 0 and self.trust[update.device] < FULL / 2:
                    self.blame(update.device)
        return [min(1.0, max(0.0, self.trust.get(u.device, 1.0) / FULL)) for u in updates]


def agreement(updates: Sequence[Update]) -> np.ndarray:
    """Of each update, the cosine of its change with the sum of the others' directions.

    The mean over head, biases and first layer, each on its own: their scales differ.
    """
    union, places = union_of([u.head.ids for u in updates])
    found = [
        _cosines(union.shape[0], places, [u.head.weights for u in updates]),
        _cosines(union.shape[0], places, [u.head.bias[:, None] for u in updates]),
    ]
    if updates[0].body is not None:
        bodies = [u.body for u in updates]
        union, places = union_of([b.features for b in bodies])
        found.append(_cosines(union.shape[0], places, [b.rows for b in bodies]))
    return np.mean(found, axis=0)


def _cosines(n: int, places, rows) -> np.ndarray:
    total = np.zeros((n, rows[0].shape[1]), dtype=np.float32)
    directions, here = [], []
    for place, part in zip(places, rows, strict=True):
        length = float(np.sqrt(np.square(row_lengths(part)).sum()))
        directions.append(part.astype(np.float32))
        here.append(float(length > SHORTEST))
        directions[-1] *= np.float32(1 / length if length > SHORTEST else 0)
        total[place] += directions[-1]
    square = float(np.vdot(total, total))
    own = np.array([np.vdot(total[p], d) for p, d in zip(places, directions, strict=True)])
    mine = np.array(here)
    # Without its own direction, which is 1 long.
    return (own - mine) / np.sqrt(np.maximum(square - 2 * own + mine, 1e-30))


def _share(kept, lengths):
    """``kept / lengths``, 1 where there is nothing to cut."""
    return np.where(lengths > kept, kept / np.where(lengths > 0, lengths, 1.0), 1.0)


def scaled(update: Update, factors: dict[str, np.ndarray]) -> Update:
    """The update with the rows of its arrays multiplied, those of `arrays_of` and `states_of`."""
    if all((factor == 1).all() for factor in factors.values()):
        return update

    def times(name, array):
        factor = factors[name]
        if (factor == 1).all():
            return array
        factor = factor.reshape(-1, *[1] * (array.ndim - 1))
        return (array * factor).astype(np.float32)

    head, body = update.head, update.body
    state = np.stack(
        [times("state_head", head.state[:, 0]), times("state_bias", head.state[:, 1])], axis=1
    )
    head = replace(
        head, weights=times("head", head.weights), bias=times("bias", head.bias), state=state
    )
    if body is not None:
        body = replace(
            body, rows=times("body", body.rows), state=times("state_body", body.state),
            dense=tuple(times(f"dense_{i}", a) for i, a in enumerate(body.dense)),
            dense_state=tuple(
                times(f"state_dense_{i}", a) for i, a in enumerate(body.dense_state)
            ),
        )  # fmt: skip
    return replace(update, head=head, body=body)
