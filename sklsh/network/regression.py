"""`ItemRegression`: each item regressed on its nearest items, over all users.

EASE (H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019) regresses each
item on all others, ``B = argmin |X - X B|^2 + penalty * |B|^2`` with a zero diagonal: items
score others with the weight that is theirs *given the other items that a user has*, where
co-occurrence counts the same taste once for each item of it. Its matrix is dense: up to `MAX_DENSE`
items it is computed in closed form, and each item's largest coefficients are kept. With more, each
item is regressed on its nearest items alone (the sparsity pattern of H. Steck, "Markov random
fields for collaborative filtering", NeurIPS 2019, without the sharing of factors): exact on this
pattern, with memory that is linear in the number of items.

A user of n items counts ``n^-p``, scaled such that the mean over all entries is 1: who has much
of everything says less of each pair. With p = 1/2 against users that count alike that ranks 5 %
better on one set and 2 % on another, and the same on the rest. In closed form, where items are few
and nearly everybody has some of all kinds, the other way round 2 % at times: there validation users
choose between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor
from scipy.linalg.lapack import dpotri

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.regression import add_linear_rows, regress_items
from sklsh.network.rows import SparseRows

SHARE_POWER = 0.5

CHOICES = tuple((penalty, SHARE_POWER) for penalty in (30.0, 100.0, 300.0))
DENSE_CHOICES = tuple((penalty, p) for p in (SHARE_POWER, 0.0) for penalty in (100.0, 300.0, 1e3))
"""Penalties and p of which validation users choose. Where nobody does, the second."""

DEFAULT = 1

N_NEAREST = 128
"""Items that each one is regressed on."""

MAX_DENSE, DENSE_KEPT = 4096, 1024
"""Up to so many items are all regressed on each other, and so many coefficients each are kept."""

MAX_COEFFICIENTS = 1 << 24
"""Items times neighbours: with more items than 131,072 an item has fewer than 128 neighbours."""

ITEMS = 32
"""Items of one task; each task has its own scratch of one number a user."""


@dataclass
class ItemRegression:
    """Coefficients by the item that scores.

    Attributes
    ----------
    indptr : ndarray (n_items + 1,), int64
    items : ndarray (nnz,), int32
        Items that each item scores.
    values : ndarray (n_choices, nnz), float32
    choices : tuple of (penalty, p)
    weight : float
        In the final score.
    chosen : int
        Which choice answers.
    """

    indptr: np.ndarray
    items: np.ndarray
    values: np.ndarray
    choices: tuple[tuple[float, float], ...]
    weight: float = 0.0
    chosen: int = 0

    @classmethod
    def fit(
        cls, R: SparseRows, neighbors: np.ndarray, choices=None, n_threads: int = 1
    ) -> ItemRegression:
        """Regress each item of `R` on its ``neighbors (n_items, k)``, padded with -1.

        What a user has counts as 1, however much it is. O(n_items * (k^3 / 6 * n_penalties +
        pairs of neighbours that meet in a user)); with few items O(n_items^3 * n_choices).
        """
        n_items = neighbors.shape[0]
        if n_items <= MAX_DENSE:
            choices = DENSE_CHOICES if choices is None else choices
            ids, found = _dense(R, n_items, choices)
        else:
            choices = CHOICES if choices is None else choices
            k = min(N_NEAREST, max(1, MAX_COEFFICIENTS // n_items))
            ids = np.ascontiguousarray(neighbors[:, :k])
            found = _sparse(R, ids, choices, n_threads)
        indptr, items, values = _by_source(ids, found)
        return cls(indptr, items, values, tuple(choices))

    def grow(self, n_items: int) -> ItemRegression:
        """The same with more items, which score none yet."""
        tail = np.full(n_items + 1 - self.indptr.shape[0], self.indptr[-1])
        return replace(self, indptr=np.concatenate([self.indptr, tail]))

    @property
    def n_choices(self) -> int:
        return len(self.choices)

    def choose(self, choice: int, weight: float) -> None:
        self.chosen, self.weight = choice, weight

    def settle(self) -> ItemRegression:
        """With the chosen one alone."""
        kept = slice(self.chosen, self.chosen + 1)
        values, choices = self.values[kept].copy(), self.choices[kept]
        return ItemRegression(self.indptr, self.items, values, choices, self.weight)

    def add(self, choice, weight, R: SparseRows, rows, position_of, out, start, stop) -> None:
        """Add `weight` times the scores of ``rows[start:stop]`` to ``out[: stop - start]``."""
        add_linear_rows(
            rows, R.indptr, R.indices, self.indptr, self.items, self.values[choice],
            np.float32(weight), position_of, out, start, stop,
        )  # fmt: skip


def user_shares(R: SparseRows, power: float) -> np.ndarray:
    """What each user counts: float32, 1 on the mean over entries."""
    lengths = np.maximum(R.counts(), 1).astype(np.float64)
    shares = lengths**-power
    total = shares @ R.counts()
    return (shares * (R.counts().sum() / total if total else 1.0)).astype(np.float32)


def _sparse(R: SparseRows, neighbors: np.ndarray, choices, n_threads: int) -> np.ndarray:
    """Coefficients ``(n_choices, n_items, k)`` of each item on its neighbours."""
    users = SparseRows.from_matrix(R.to_matrix(neighbors.shape[0]).T)
    known = np.flatnonzero(users.counts()).astype(np.int32)
    found = np.zeros((len(choices), *neighbors.shape), dtype=np.float32)
    for power in dict.fromkeys(power for _, power in choices):
        own = [i for i, (_, p) in enumerate(choices) if p == power]
        penalties = np.array([choices[i][0] for i in own], dtype=np.float32)
        part, shares = np.zeros((len(own), *neighbors.shape), np.float32), user_shares(R, power)

        def task(start, stop, part=part, shares=shares, penalties=penalties):
            regress_items(
                known, neighbors, users.indptr, users.indices, shares, penalties,
                np.full(R.n_rows, -1, dtype=np.int32), part, start, stop,
            )  # fmt: skip

        run_blocks(task, blocks(known.shape[0], ITEMS), n_threads)
        found[own] = part
    return found


def _dense(R: SparseRows, n_items: int, choices):
    """The largest coefficients ``(n_choices, n_items, k)`` of each item, all on all.

    The items they belong to, ``(n_items, k)``, are those of the default choice.
    """
    X = R._replace(data=np.ones_like(R.data)).to_matrix(n_items)
    coefficients = []
    for power in dict.fromkeys(power for _, power in choices):
        weighted = R._replace(data=np.repeat(user_shares(R, power), R.counts()))
        gram = np.asarray((X.T @ weighted.to_matrix(n_items)).todense(), dtype=np.float64)
        coefficients += [_closed_form(gram, penalty) for penalty, p in choices if p == power]
    k = min(DENSE_KEPT, n_items)
    default = coefficients[min(DEFAULT, len(choices) - 1)]
    order = np.argpartition(-np.abs(default), k - 1, axis=1)[:, :k]
    found = np.stack([np.take_along_axis(part, order, axis=1) for part in coefficients])
    return order.astype(np.int32), found


def _closed_form(gram: np.ndarray, penalty: float) -> np.ndarray:
    """Coefficients of each item, by rows, float32: the inverse over its diagonal."""
    factor, lower = cho_factor(gram + penalty * np.eye(gram.shape[0]), overwrite_a=True)
    inverse, info = dpotri(factor, lower=lower, overwrite_c=True)  # half the cost of inv
    if info:
        raise np.linalg.LinAlgError(f"no inverse at penalty {penalty}")
    inverse = np.triu(inverse)
    scales = -1 / np.diag(inverse)
    inverse += inverse.T
    out = np.multiply(inverse, scales[:, None], dtype=np.float32, casting="same_kind")
    np.fill_diagonal(out, 0)
    return out


def _by_source(neighbors: np.ndarray, found: np.ndarray):
    """Coefficients of targets on items, turned into lists of targets by item."""
    n_items, k = neighbors.shape
    given = neighbors.ravel() >= 0
    items = neighbors.ravel()[given]
    targets = np.repeat(np.arange(n_items, dtype=np.int32), k)[given]
    order = np.argsort(items, kind="stable")  # a radix sort: linear time
    indptr = np.zeros(n_items + 1, dtype=np.int64)
    np.cumsum(np.bincount(items, minlength=n_items), out=indptr[1:])
    values = np.stack([part.ravel()[given][order] for part in found])
    return indptr, targets[order], values
