"""How much each source of scores counts: fitted on items of users that training has not seen.

A score is that of the network plus, for each other source, a weight times its own. Validation
users name their best candidates by each source and by each choice within it (a penalty, a pair
of powers, a number of factors); choice and weight of one source after another are then those
with the best nDCG among these candidates, the other sources being as they are by then. A source
that does not help has weight 0, or a small one.

Validation items are drawn at random from the same time as the others; those to come are not,
and what merely remembers pairs ranks worse on them. So of the settings between the default
weights and the best ones the one nearest to the defaults is taken that loses no more than
`TOLERANCE` of nDCG, as in the rule of one standard error (L. Breiman et al., "Classification and
regression trees", 1984).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread, run_blocks
from sklsh.kernels.topk import select_topk_rows
from sklsh.network.gains import discounts, tried_gains
from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows
from sklsh.network.topk import MASKED

WEIGHTS = {
    "item-item": (0.0, 0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0),
    "regression": (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0),
    "low pass": (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 64.0),
}
"""Of each source, to choose from: what it counts for differs by two orders from set to set."""

ROUNDS = 3
"""Over the sources; further rounds changed nothing."""

TOLERANCE, STEPS = 0.01, 8
"""Share of nDCG that may be lost on the way to the defaults, and steps of it. Over eleven sets a
hundredth is better than none, half of it, twice it, and one or two standard errors of the paired
difference (benchmarks/recommender_rules.py)."""

LEAST = 0.02
"""Of a default weight: where a source without weight is drawn from. One that a few users found no
use for has its say where it costs them little."""

NAMED = 50
"""Candidates that each choice of a source names."""

DEPTH = 20
"""nDCG is at so many items."""

USERS, TASK = 1024, 16
"""Users whose candidates are looked for at a time, and of one task."""


class ScoreSource(Protocol):
    """What scores items beside the network."""

    weight: float

    @property
    def chosen(self) -> int: ...

    @property
    def n_choices(self) -> int: ...

    def choose(self, choice: int, weight: float) -> None: ...

    def add(self, choice, weight, R: SparseRows, rows, position_of, out, start, stop) -> None:
        """Add `weight` times the scores of ``rows[start:stop]`` to ``out[: stop - start]``.

        `position_of` gives each item's column of `out`, ascending with the item; -1: none.
        """


@dataclass
class Candidates:
    """Items that may be among a user's best, and what each source says of them.

    Attributes
    ----------
    ids : ndarray (n_users, n), int32
        Ascending columns of the pool, padded with -1.
    network : ndarray (n_users, n), float32
    added : dict of ndarray (n_choices, n_users, n), float32
        Scores of weight 1 by source.
    hidden : ndarray (n_users, n), bool
        Whether an item is one to be found.
    best : ndarray (n_users,), float32
        The DCG of all hidden items in front.
    """

    ids: np.ndarray
    network: np.ndarray
    added: dict[str, np.ndarray]
    hidden: np.ndarray
    best: np.ndarray

    def ndcg(self, name: str, weights, others: Mapping[str, tuple[int, float]], n_threads=1):
        """Sum over users of nDCG by choice and weight of a source, others being as they are."""
        base = self.network.copy()
        for other, (choice, weight) in others.items():
            if weight and other != name:
                base += np.float32(weight) * self.added[other][choice]
        found = base, self.added[name], weights, self.ids, self.hidden
        gains = tried_gains(*found, DEPTH, n_threads)
        return (gains / self.best[:, None, None]).sum(axis=0, dtype=np.float64)


@dataclass
class Blend:
    """Verdicts of validation users, by source: sums of nDCG by choice and weight."""

    sums: dict[str, np.ndarray] = field(default_factory=dict)

    def joined(
        self, sources: Mapping[str, ScoreSource], candidates: Candidates, n_rounds: int = ROUNDS,
        decay: float = 0.0, n_threads: int = 1, defaults: Mapping[str, float] | None = None,
    ) -> Blend:  # fmt: skip
        """Choose each source's choice and weight anew; the verdicts by which it was done.

        Verdicts from before count `decay` times; with 0 all sources begin at weight 0.
        `defaults`: weights towards which the chosen ones are drawn.
        """
        out = Blend(dict(self.sums))
        taken = dict.fromkeys(sources, (0, 0.0))
        if decay:
            taken = {name: (source.chosen, source.weight) for name, source in sources.items()}
        for _ in range(n_rounds):
            for name in sources:
                sums = candidates.ndcg(name, WEIGHTS[name], taken, n_threads)
                before = self.sums.get(name)
                if decay and before is not None:
                    sums += decay * before
                out.sums[name] = sums
                # Users whose items no source knows yet say nothing: what was chosen stays.
                if np.ptp(sums):
                    taken[name] = out._best(name)
        if defaults is not None:
            taken = _drawn(candidates, taken, defaults, n_threads)
        for name, source in sources.items():
            source.choose(*taken[name])
        return out

    def settle(self, name: str, choice: int) -> None:
        """From now on the source has this choice alone."""
        if name in self.sums:
            self.sums[name] = self.sums[name][choice : choice + 1]

    def _best(self, name: str) -> tuple[int, float]:
        sums = self.sums[name]
        choice, weight = np.unravel_index(int(np.argmax(sums)), sums.shape)
        return int(choice), WEIGHTS[name][weight]


def _drawn(candidates: Candidates, taken, defaults: Mapping[str, float], n_threads: int):
    """As near to the default weights as `TOLERANCE` lets it be."""

    def gain(point) -> float:
        name, (choice, weight) = next(iter(point.items()))
        return float(candidates.ndcg(name, [weight], point, n_threads)[choice, 0])

    least = (1 - TOLERANCE) * gain(taken)
    for step in range(STEPS):
        share = step / STEPS
        point = {
            name: (choice, defaults[name] * max(weight / defaults[name], LEAST) ** share)
            for name, (choice, weight) in taken.items()
        }
        if gain(point) >= least:
            return point
    return taken


@one_blas_thread()
def find_candidates(
    network: WideNetwork, inputs: SparseRows, sources: Mapping[str, ScoreSource],
    visible: SparseRows, hidden: SparseRows, pool: np.ndarray, bias: np.ndarray,
    n_threads: int = 1,
) -> Candidates:  # fmt: skip
    """Of users with some `hidden` items, given the `visible` ones; O(n_users * len(pool)).

    Each choice of a source names the `NAMED` items of `pool` that it scores highest.
    """
    asked = np.flatnonzero(hidden.counts()).astype(np.int32)
    position_of = np.full(network.n_labels, -1, dtype=np.int32)
    position_of[pool] = np.arange(pool.shape[0], dtype=np.int32)
    head = network.head_weights
    head = head if pool.shape[0] == network.n_labels else head[pool]
    found = []
    for begin, end in blocks(asked.shape[0], USERS):
        rows = asked[begin:end]
        hiddens = network.hidden(inputs, rows, n_threads)

        def task(start, stop, rows=rows, hiddens=hiddens):
            logits = hiddens[start:stop] @ head.T + bias[pool]
            scores = _all_scores(logits, sources, visible, rows, position_of, start, stop)
            return _named(scores, rows[start:stop], hidden, position_of)

        found += run_blocks(task, blocks(rows.shape[0], TASK), n_threads)
    return _joined(found, sources)


def _all_scores(logits, sources, visible, rows, position_of, start, stop) -> np.ndarray:
    """(1 + choices of all sources, stop - start, n_pool), a user's own items masked."""
    n_choices = sum(source.n_choices for source in sources.values())
    out = np.zeros((1 + n_choices, *logits.shape), dtype=np.float32)
    out[0] = logits
    number = 1
    for source in sources.values():
        for choice in range(source.n_choices):
            source.add(choice, 1.0, visible, rows, position_of, out[number], start, stop)
            number += 1
    for i, row in enumerate(rows[start:stop]):
        own = position_of[visible.indices[visible.indptr[row] : visible.indptr[row + 1]]]
        out[:, i, own[own >= 0]] = MASKED
    return out


def _named(scores: np.ndarray, rows, hidden: SparseRows, position_of):
    """Candidates, all their scores, and which of them are hidden, of each row."""
    n_kinds, n_rows, n_items = scores.shape
    k = min(NAMED, n_items)
    bias = np.zeros(n_items, dtype=np.float32)
    columns = np.arange(n_items, dtype=np.int32)
    best = np.full((n_kinds, n_rows, k), -1, dtype=np.int64)
    for kind in range(n_kinds):
        # Only the network says something of every item: what others score 0 they do not name.
        floor = MASKED / 2 if kind == 0 else np.float32(0)
        limits = np.full((n_rows, k), floor, dtype=np.float32)
        select_topk_rows(scores[kind], bias, columns, limits, best[kind], 0, n_rows)
    out = []
    for i, row in enumerate(rows):
        named = np.unique(best[:, i])
        named = named[named >= 0].astype(np.int32)
        wanted = position_of[hidden.indices[hidden.indptr[row] : hidden.indptr[row + 1]]]
        out.append((named, scores[:, i, named], np.isin(named, wanted), wanted.shape[0]))
    return out


def _joined(found, sources) -> Candidates:
    users = [user for part in found for user in part]
    width = max((named.shape[0] for named, *_ in users), default=0)
    n_choices = [source.n_choices for source in sources.values()]
    ids = np.full((len(users), width), -1, dtype=np.int32)
    scores = np.zeros((1 + sum(n_choices), len(users), width), dtype=np.float32)
    right = np.zeros((len(users), width), dtype=bool)
    for i, (named, own, is_hidden, _) in enumerate(users):
        n = named.shape[0]
        ids[i, :n], scores[:, i, :n], right[i, :n] = named, own, is_hidden
    ends = np.cumsum([1, *n_choices])
    added = {name: scores[a:b] for name, a, b in zip(sources, ends, ends[1:], strict=False)}
    n_hidden = np.array([n for *_, n in users], dtype=np.int64)
    best = np.cumsum(discounts(DEPTH))[np.minimum(n_hidden, DEPTH) - 1].astype(np.float32)
    return Candidates(ids, scores[0], added, right, best)
