"""`ItemScorer`: what a fitted recommender keeps, and the items that it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sklsh.network.blending import DEPTH, Blend, ScoreSource
from sklsh.network.calibration import hits
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.gains import discounts
from sklsh.network.interactions import network_rows
from sklsh.network.learner import Learner
from sklsh.network.lowpass import LowPass
from sklsh.network.lsh import LSHCandidates
from sklsh.network.regression import ItemRegression
from sklsh.network.retrieval import best_items, likely_items, popular_items
from sklsh.network.rows import SparseRows
from sklsh.network.serving import Serving
from sklsh.network.window import RecentRows

MANY = 4
"""Tables are asked where items may be named by this many times the candidates; else exact."""

MANY_ITEMS, DEEP = 8_192, 100
"""Among more items, and asked for no more than so many, those with the highest item-item scores
are candidates unless answers are to be exact: a fifth of the time at 41,000 items."""


@dataclass
class ItemScorer:
    """What a fitted recommender keeps.

    Attributes
    ----------
    learner : Learner
        Features and labels of its network are the items.
    counts : ndarray (n_items,), int64
        Users that have each item.
    n_users : int
    memory : ItemMemory or None
    regression : ItemRegression or None
    low_pass : LowPass or None
    n_factors : int
        That the low pass is to have; 0: there is none.
    blend : Blend
        What validation users said of these.
    window : RecentRows
        Of a stream: regression and low pass are computed from it.
    index : LSHCandidates or None
        Hash tables over the trained head, where recommendations are looked for.
    item_bonus : ndarray (n_items,), float32, or None
        Added to the items' scores.
    """

    learner: Learner
    counts: np.ndarray
    n_users: int = 0
    memory: ItemMemory | None = None
    index: LSHCandidates | None = None
    item_bonus: np.ndarray | None = None
    regression: ItemRegression | None = None
    low_pass: LowPass | None = None
    n_factors: int = 0
    blend: Blend = field(default_factory=Blend)
    window: RecentRows = field(default_factory=RecentRows)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_serving"}

    def serving(self) -> Serving:
        """What answers need of the state there is; kept until it changes."""
        memory, network = self.memory, self.learner.network
        kept: Serving | None = vars(self).get("_serving")
        if kept is None or not kept.is_of(self.counts, network, memory):
            # One assignment, of a whole: another thread finds the old one or this one.
            kept = vars(self)["_serving"] = Serving(self.counts, self.n_users, network, memory)
        return kept

    @property
    def n_items(self) -> int:
        return self.counts.shape[0]

    def inputs(self, R: SparseRows) -> SparseRows:
        """Rows that the network reads: idf-weighted, of unit norm."""
        return network_rows(R, self.serving().input_weights)

    def sources(self) -> dict[str, ScoreSource]:
        """Whatever scores items beside the network."""
        parts: dict[str, ScoreSource | None] = {
            "item-item": self.memory, "regression": self.regression, "low pass": self.low_pass,
        }  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}

    def set_item_weights(self, weights: np.ndarray | None) -> None:
        """Multiply the odds of each item by its weight, from now on; None: by 1."""
        self.item_bonus = None if weights is None else np.log(weights).astype(np.float32)

    def known_items(self) -> np.ndarray:
        """Items that anybody has had, ascending int32."""
        return self.serving().known

    def topk(
        self, R: SparseRows, k: int, allowed: np.ndarray | None = None, *, exclude: bool,
        n_threads: int = 1, alone: bool = False, exact: bool = False,
        bonus: np.ndarray | None = None,
    ):  # fmt: skip
        """Best items of each row, ``(n_rows, k)`` ids and scores; empty rows get popular ones.

        `allowed`: which items may be named, bool (n_items,); None: all. Those that nobody has
        had never are. `alone`: by the network's scores alone. `exact`: of all items, also where
        there are many and no tables. `bonus` (n_items,) is added to scores, beside `item_bonus`.
        """
        serving = self.serving()
        may, n_items = serving.is_known, serving.known.shape[0]
        if allowed is not None:
            may = allowed & may
            n_items = np.count_nonzero(may)
        network, inputs = self.learner.network, self.inputs(R)
        if self.item_bonus is not None:
            bonus = self.item_bonus if bonus is None else self.item_bonus + bonus
        bias = network.head_bias if bonus is None else network.head_bias + bonus
        how: dict[str, Any] = {"bias": bias, "exclude": exclude, "n_threads": n_threads}
        memory = None if alone else self.memory
        if not alone:
            how |= {
                "regression": self.regression, "low_pass": self.low_pass,
                "scales": serving.item_scales,
            }  # fmt: skip
        index = self.index
        if index is not None and n_items <= MANY * index.n_candidates:
            index = None

        def pool() -> np.ndarray:
            return serving.known if allowed is None else np.flatnonzero(may).astype(np.int32)

        if index is not None or (not exact and self._scores_tell(memory, n_items, k)):
            named = None if index is None else partial(_found_in_tables, index, n_threads)
            items, scores = likely_items(network, memory, named, R, inputs, k, may, **how)
        else:
            items, scores = best_items(network, memory, R, inputs, k, pool(), **how)
        empty = R.counts() == 0
        if empty.any():
            items[empty], scores[empty] = popular_items(self.counts, k, pool(), bonus)
        return items, scores

    @staticmethod
    def _scores_tell(memory: ItemMemory | None, n_items: int, k: int) -> bool:
        """Whether the items with the highest item-item scores are worth looking for."""
        many = n_items > MANY_ITEMS and k <= DEEP
        return many and memory is not None and memory.weight > 0

    def ndcg(
        self, visible: SparseRows, hidden: SparseRows, *, n_threads: int = 1,
        alone: bool = False, depth: int = DEPTH,
    ) -> float:  # fmt: skip
        """Mean nDCG of the hidden items, given the visible ones, over rows that have some."""
        rows = np.flatnonzero(hidden.counts()).astype(np.int32)
        if not rows.size:
            return 0.0
        found, _ = self.topk(
            visible.take(rows), depth, exclude=True, n_threads=n_threads, alone=alone
        )
        gains = discounts(depth)
        best = np.cumsum(gains)[np.minimum(hidden.counts()[rows], depth) - 1]
        return float((hits(found, hidden, rows) @ gains / best).mean())


def _found_in_tables(index: LSHCandidates, n_threads: int, _begin: int, _end: int, hidden):
    """The index's candidates for rows of `hidden`, as `likely_items` asks for them."""
    return index.query(hidden, n_threads)[:2]
