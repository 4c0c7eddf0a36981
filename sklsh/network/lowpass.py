"""`LowPass`: what the largest singular vectors of the interactions say of a user's row.

With the matrix of users and items normalised on both sides, ``N = D_u^-1/2 X D_i^-1/2``, and V
its first right singular vectors, a row x scores the items by ``x D_i^-1/2 V V^T D_i^1/2``: an
ideal low-pass filter on the graph of items (Y. Shen et al., "How powerful is graph convolution
for recommendation?", CIKM 2021, GF-CF; its linear filter is an item-item score). Where data is
sparse it sees likeness beyond items that occur together.

Beside ideal filters there is a soft one, whose response to a singular value s is ``min(s^2 /
flat, 1)`` and in which degrees count ``D_i^-b`` and ``D_i^b`` with b below 1/2 (J. Park et al.,
"Turbo-CF", SIGIR 2024, and ChebyCF have such responses as polynomials): it ranks best alone where
items are few and rows long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from sklsh._utils.threads import blocks, one_blas_thread
from sklsh.network.products import times_dense
from sklsh.network.rows import SparseRows

N_FACTORS, FEW_ITEMS_FACTORS = 256, 512
MAX_FACTORS = 1 << 25
"""Items times factors: with more than 131,072 items there are fewer factors."""

Filter = tuple[int, float, float]
"""Share of the factors (4: a quarter), `flat` (0: ideal) and b."""

FILTERS: tuple[Filter, ...] = ((4, 0.0, 0.5), (1, 0.0, 0.5), (1, 0.1, 0.35))
"""Of which validation users choose: a quarter of the factors or all, with an ideal response, or all
with a soft one."""

SOFT_FILTERS: tuple[Filter, ...] = ((1, 0.1, 0.35), (1, 0.3, 0.35))
"""The same where items are few: there ideal ones lose up to a third, and a few hundred users who
choose them do so by chance."""

FEW_ITEMS = 4096
"""Up to so many items softer filters rank best. (`MAX_DENSE` of the regression is as many by
chance: there it is a matter of time.)"""

OVERSAMPLING, N_ITERATIONS = 16, 3
"""Of the randomised decomposition (N. Halko, P.-G. Martinsson, J. Tropp, SIAM Review 2011)."""

NEARLY = 1e-4
"""What products of an orthonormal basis's columns may differ from 0 and 1."""

USERS = 1 << 16
"""Rows multiplied at a time."""


@dataclass
class LowPass:
    """Factors of items, by kind of filter.

    Attributes
    ----------
    factors : ndarray (n_kinds, n_items, n_factors), float32
        ``D_i^b V H^1/2``, by falling singular value; H is the response.
    scales : ndarray (n_kinds, n_items), float32
        ``d_i^-2b``; 0 for items that nobody has.
    weight : float
        In the final score.
    chosen : int
        Which of `filters` answers.
    filters : tuple of (share of the factors, flat, exponent b)
        By choice. Those that differ in the share alone are of one kind.
    """

    factors: np.ndarray
    scales: np.ndarray
    weight: float = 0.0
    chosen: int = 0
    filters: tuple[Filter, ...] = FILTERS

    @classmethod
    @one_blas_thread()
    def fit(
        cls, R: SparseRows, n_items: int, n_factors: int, seed: int, n_threads: int = 1,
        filters: tuple[Filter, ...] = FILTERS,
    ) -> LowPass:  # fmt: skip
        """Of users' rows, in which all that a user has counts as 1.

        O((nnz + n_items * n_factors) * n_factors) a power iteration.
        """
        counts = np.bincount(R.indices, minlength=n_items)
        inverse = np.where(counts > 0, np.maximum(counts, 1) ** -0.5, 0).astype(np.float32)
        lengths = np.maximum(R.counts(), 1).astype(np.float32)
        N = R._replace(data=np.repeat(lengths**-0.5, R.counts()) * inverse[R.indices])
        n_factors = limited(n_factors, R.n_rows, n_items)
        width = min(n_factors + OVERSAMPLING, n_items)
        rng = np.random.default_rng(seed)
        basis = rng.standard_normal((n_items, width), dtype=np.float32)
        for _ in range(N_ITERATIONS):
            basis = _orthonormal(_filtered(N, basis, n_threads))
        image = _filtered(N, basis, n_threads)
        squares, vectors = np.linalg.eigh((basis.T @ image).astype(np.float64))
        vectors = np.ascontiguousarray(vectors[:, ::-1][:, :n_factors], dtype=np.float32)
        vectors, squares = basis @ vectors, squares[::-1][:n_factors]
        kinds = _kinds(filters)
        factors = np.empty((len(kinds), n_items, n_factors), dtype=np.float32)
        scales = np.empty((len(kinds), n_items), dtype=np.float32)
        for kind, (flat, exponent) in enumerate(kinds):
            response = np.clip(squares / flat, 0, 1) if flat else np.ones(n_factors)
            power = counts.astype(np.float32) ** np.float32(exponent)
            np.multiply(vectors, power[:, None], out=factors[kind])
            factors[kind] *= np.sqrt(response).astype(np.float32)
            scales[kind] = np.where(counts > 0, np.maximum(counts, 1) ** (-2.0 * exponent), 0)
        return cls(factors, scales, filters=tuple(filters))

    def grow(self, n_items: int) -> LowPass:
        """The same with more items, of which it knows nothing yet."""
        n_new = n_items - self.scales.shape[1]
        return replace(
            self, factors=np.pad(self.factors, ((0, 0), (0, n_new), (0, 0))),
            scales=np.pad(self.scales, ((0, 0), (0, n_new))),
        )  # fmt: skip

    @property
    def n_choices(self) -> int:
        return len(self.filters)

    def choose(self, choice: int, weight: float) -> None:
        self.chosen, self.weight = choice, weight

    def settle(self) -> LowPass:
        """With the chosen filter alone."""
        place, width = self._place(self.chosen)
        _, flat, exponent = self.filters[self.chosen]
        return LowPass(
            self.factors[place : place + 1, :, :width].copy(),
            self.scales[place : place + 1].copy(), self.weight, filters=((1, flat, exponent),),
        )  # fmt: skip

    def _place(self, choice: int) -> tuple[int, int]:
        """Number of a choice's kind, and of its factors."""
        share, flat, exponent = self.filters[choice]
        return _kinds(self.filters).index((flat, exponent)), max(1, self.factors.shape[2] // share)

    def _chosen(self, choice: int) -> np.ndarray:
        place, width = self._place(choice)
        return self.factors[place, :, :width]

    def active(self) -> np.ndarray | None:
        """The chosen factors; None with weight 0."""
        return np.ascontiguousarray(self._chosen(self.chosen)) if self.weight else None

    def project(self, R: SparseRows, n_threads: int = 1) -> np.ndarray:
        """Coordinates of users by the chosen factors: their scores are those times these."""
        return self._projected(self.chosen, R, n_threads)

    def _projected(self, choice: int, R: SparseRows, n_threads: int = 1) -> np.ndarray:
        place, width = self._place(choice)
        weighted = R._replace(data=self.scales[place][R.indices])
        return np.ascontiguousarray(
            times_dense(weighted, self.factors[place], n_threads)[:, :width]
        )

    def add(self, choice, weight, R: SparseRows, rows, position_of, out, start, stop) -> None:
        """Add `weight` times the scores of ``rows[start:stop]`` to ``out[: stop - start]``."""
        factors = self._chosen(choice)
        users = self._projected(choice, R.take(rows[start:stop]))
        named = position_of >= 0
        out += np.float32(weight) * (users @ (factors if named.all() else factors[named]).T)


def _kinds(filters) -> list[tuple[float, float]]:
    """What they differ in beside the share of the factors, each once."""
    return list(dict.fromkeys((flat, exponent) for _, flat, exponent in filters))


def automatic_filters(n_items: int) -> tuple[Filter, ...]:
    """What there is to choose from."""
    return SOFT_FILTERS if n_items <= FEW_ITEMS else FILTERS


def automatic_factors(n_items: int) -> int:
    """How many factors are computed where nothing is said."""
    return FEW_ITEMS_FACTORS if n_items <= FEW_ITEMS else N_FACTORS


def limited(n_factors: int, n_users: int, n_items: int) -> int:
    """As many factors as the matrix may have and memory holds."""
    return max(1, min(n_factors, n_users, n_items, MAX_FACTORS // n_items))


def _orthonormal(image: np.ndarray) -> np.ndarray:
    """A basis of what the columns span.

    Tall matrices by Cholesky's factor of their Gram matrix, twice, since once squares the
    condition number (Y. Yamamoto et al., "Roundoff error analysis of the CholeskyQR2 algorithm",
    2015): a twentieth of the time of Householder's, which is left for what has no full rank.
    """
    basis = image
    try:
        for _ in range(2):
            factor = np.linalg.cholesky((basis.T @ basis).astype(np.float64))
            inverse = solve_triangular(factor, np.eye(len(factor)), lower=True)
            basis = basis @ inverse.T.astype(np.float32)
    except np.linalg.LinAlgError:
        return np.linalg.qr(image)[0]
    off = np.abs(basis.T @ basis - np.eye(basis.shape[1])).max(initial=0)
    return basis if off < NEARLY else np.linalg.qr(image)[0]  # NaN too


def _filtered(N: SparseRows, basis: np.ndarray, n_threads: int) -> np.ndarray:
    """``N^T N basis``, some users at a time."""
    n_items, out = basis.shape[0], np.zeros_like(basis)
    for start, stop in blocks(N.n_rows, USERS):
        first, last = N.indptr[start], N.indptr[stop]
        part = SparseRows(
            N.indptr[start : stop + 1] - first, N.indices[first:last], N.data[first:last]
        )
        users = times_dense(part, basis, n_threads)
        out += times_dense(SparseRows.from_matrix(part.to_matrix(n_items).T), users, n_threads)
    return out
