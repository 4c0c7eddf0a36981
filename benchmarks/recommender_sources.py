"""What each source of a recommender's scores says, in several variants, of users of a set.

For `recommender_rules`: one network is trained, beside it item-item scores, regressions and low
passes of several kinds are computed, and the items that any of them ranks high are kept with all
scores, for validation users (a fifth of whose items was hidden from training) and for users with
test items. Then rules that pick variants and weights are tried without training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sklsh import LSHRecommender
from sklsh.network import blending, cooccurrence
from sklsh.network.autoencoder import HIDDEN_SHARE, Autoencoder
from sklsh.network.blending import find_candidates
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.interactions import hide_entries
from sklsh.network.lowpass import LowPass
from sklsh.network.regression import CHOICES, DENSE_CHOICES, MAX_DENSE, ItemRegression
from sklsh.network.rows import SparseRows

THREADS, NAMED, USERS = 2, 40, 1_500
ITEM_SHARES, REGRESSION_SHARES = (0.5, 0.75), (0.0, 0.5)
N_FACTORS = 512
LOW_PASSES = (
    # factors, response (0: ideal, else flat above that share of the spectrum), exponent
    (64, 0.0, 0.5), (256, 0.0, 0.5), (256, 0.1, 0.35), (N_FACTORS, 0.1, 0.5),
    (N_FACTORS, 0.1, 0.35), (N_FACTORS, 0.1, 0.2), (N_FACTORS, 0.03, 0.35), (N_FACTORS, 0.3, 0.35),
)  # fmt: skip


@dataclass
class Variants:
    """Several sources as the choices of one."""

    parts: list[tuple[Any, int]]
    weight: float = 0.0

    @property
    def n_choices(self) -> int:
        return len(self.parts)

    def add(self, choice, weight, *rows_and_out) -> None:
        source, own = self.parts[choice]
        source.add(own, weight, *rows_and_out)


def sources(autoencoder: Autoencoder, R: SparseRows, n_items: int):
    """Variants by source, and what they are called."""
    n_neighbors, item_item, names = autoencoder.memory.ids.shape[1], [], []
    for share in ITEM_SHARES:
        cooccurrence.SHARE_POWER = share
        memory = ItemMemory.empty(n_items, n_neighbors)
        memory.update(R, THREADS)
        item_item += [(memory, choice) for choice in range(memory.n_choices)]
        names += [f"{share}/{n_neighbors}/{a},{b}" for a, b in cooccurrence.POWERS]
    cooccurrence.SHARE_POWER = 0.75
    of_penalties = DENSE_CHOICES if n_items <= MAX_DENSE else CHOICES
    penalties = list(dict.fromkeys(penalty for penalty, _ in of_penalties))
    choices = tuple((penalty, share) for share in REGRESSION_SHARES for penalty in penalties)
    regressed = ItemRegression.fit(R, autoencoder.memory.ids, choices, THREADS)
    filters = tuple((N_FACTORS // n, flat, exponent) for n, flat, exponent in LOW_PASSES)
    passed = LowPass.fit(R, n_items, N_FACTORS, 0, THREADS, filters)
    called = {
        "item-item": names,
        "regression": [f"{share}/{penalty:g}" for penalty, share in choices],
        "low pass": [f"{n}/{flat}/{exponent}" for n, flat, exponent in LOW_PASSES],
    }
    return {"item-item": Variants(item_item), "regression": regressed, "low pass": passed}, called


def network_of(seen: SparseRows, n_items: int, seed: int) -> Autoencoder:
    """The network of the defaults, trained on these rows alone, and its memory."""
    model = LSHRecommender(random_state=seed, n_jobs=THREADS, n_factors=0)
    settings = replace(model._settings(seen.n_rows, n_items), n_validation=0)
    autoencoder = model._start(n_items, settings)
    autoencoder._fit_sources = lambda *_: None
    autoencoder.fit(seen, settings, model.input_dropout, n_threads=THREADS)
    return autoencoder


def cached(path: Path, train, test, seed: int) -> dict[str, Any]:
    """Scores of the candidates of a set, from `path` if they are there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **computed(train, test, seed))
    with np.load(path) as file:
        return dict(file)


def computed(train, test, seed: int) -> dict[str, Any]:
    n_items = train.shape[1]
    R, T = SparseRows.from_matrix(train), SparseRows.from_matrix(test)
    order = np.random.default_rng(seed).permutation(R.n_rows)
    validation = order[: min(USERS, max(1, R.n_rows // 10))]
    asked = order[validation.shape[0] :]
    asked = asked[T.counts()[asked] > 0][:USERS]
    seen, visible, hidden = hide_entries(R, validation, HIDDEN_SHARE, seed)
    autoencoder = network_of(seen, n_items, seed)
    parts, called = sources(autoencoder, seen, n_items)
    blending.NAMED = NAMED
    out: dict[str, Any] = {f"names {name}": np.array(of) for name, of in called.items()}
    for part, given, wanted in (
        ("validation", visible, hidden), ("test", seen.take(asked), T.take(asked)),
    ):  # fmt: skip
        found = find_candidates(
            autoencoder.learner.network, autoencoder.inputs(given), parts, given, wanted,
            autoencoder.known_items(), autoencoder.learner.network.head_bias, THREADS,
        )  # fmt: skip
        counts = wanted.counts()
        out |= {
            f"{part} ids": found.ids, f"{part} network": found.network,
            f"{part} hidden": found.hidden, f"{part} best": found.best,
            f"{part} wanted": counts[counts > 0],
        }  # fmt: skip
        out |= {f"{part} {name}": scores for name, scores in found.added.items()}
    return out
