"""`LowPass`: what the largest singular vectors of the interactions say of a user's row.

With the matrix of users and items normalised on both sides, ``N = D_u^-1/2 X D_i^-1/2``, and V
its first right singular vectors, a row x scores the items by ``x D_i^-1/2 V V^T D_i^1/2``: an
ideal low-pass filter on the graph of items (Y. Shen et al., "How powerful is graph convolution
for recommendation?", CIKM 2021, GF-CF; its linear filter is a vote of neighbours). Where data is
sparse it sees likeness beyond items that occur together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh._utils.threads import blocks, one_blas_thread
from sklsh.network.products import times_dense
from sklsh.network.rows import SparseRows

N_FACTORS = 256
MAX_FACTORS = 1 << 25
"""Items times factors: with more than 131,072 items there are fewer factors."""

SHARES = (4, 1)
"""Of which validation users choose: a quarter of the factors, or all."""

OVERSAMPLING, N_ITERATIONS = 16, 3
"""Of the randomised decomposition (N. Halko, P.-G. Martinsson, J. Tropp, SIAM Review 2011)."""

USERS = 1 << 16
"""Rows multiplied at a time."""


@dataclass
class LowPass:
    """Factors of items.

    Attributes
    ----------
    factors : ndarray (n_items, n_factors), float32
        ``D_i^1/2 V``, by falling singular value.
    scales : ndarray (n_items,), float32
        ``1 / d_i``; 0 for items that nobody has.
    weight : float
        In the final score.
    chosen : int
        Which of `shares` answers.
    shares : tuple of int
        Of how many factors one is used, by choice.
    """

    factors: np.ndarray
    scales: np.ndarray
    weight: float = 0.0
    chosen: int = 0
    shares: tuple[int, ...] = SHARES

    @classmethod
    @one_blas_thread()
    def fit(
        cls, R: SparseRows, n_items: int, n_factors: int, seed: int, n_threads: int = 1
    ) -> LowPass:
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
            basis = np.linalg.qr(_filtered(N, basis, n_threads))[0]
        image = _filtered(N, basis, n_threads)
        _, vectors = np.linalg.eigh((basis.T @ image).astype(np.float64))
        vectors = np.ascontiguousarray(vectors[:, ::-1][:, :n_factors], dtype=np.float32)
        factors = (basis @ vectors) * np.sqrt(counts).astype(np.float32)[:, None]
        return cls(np.ascontiguousarray(factors), inverse**2)

    def grow(self, n_items: int) -> LowPass:
        """The same with more items, of which it knows nothing yet."""
        n_new = n_items - self.factors.shape[0]
        factors = np.concatenate(
            [self.factors, np.zeros((n_new, self.factors.shape[1]), dtype=np.float32)]
        )
        scales = np.concatenate([self.scales, np.zeros(n_new, dtype=np.float32)])
        return replace(self, factors=factors, scales=scales)

    @property
    def n_choices(self) -> int:
        return len(self.shares)

    def choose(self, choice: int, weight: float) -> None:
        self.chosen, self.weight = choice, weight

    def settle(self) -> LowPass:
        """With the chosen factors alone."""
        factors = np.ascontiguousarray(self._chosen(self.chosen))
        return LowPass(factors, self.scales, self.weight, shares=(1,))

    def _chosen(self, choice: int) -> np.ndarray:
        return self.factors[:, : max(1, self.factors.shape[1] // self.shares[choice])]

    def active(self) -> np.ndarray | None:
        """The chosen factors; None with weight 0."""
        return np.ascontiguousarray(self._chosen(self.chosen)) if self.weight else None

    def project(self, R: SparseRows, n_threads: int = 1) -> np.ndarray:
        """Coordinates of users by the chosen factors: their scores are those times these."""
        users = times_dense(R._replace(data=self.scales[R.indices]), self.factors, n_threads)
        return np.ascontiguousarray(users[:, : self._chosen(self.chosen).shape[1]])

    def add(self, choice, weight, R: SparseRows, rows, position_of, out, start, stop) -> None:
        """Add `weight` times the scores of ``rows[start:stop]`` to ``out[: stop - start]``."""
        factors = self._chosen(choice)
        part = R.take(rows[start:stop])
        users = times_dense(part._replace(data=self.scales[part.indices]), self.factors)
        users = users[:, : factors.shape[1]]
        named = position_of >= 0
        out += np.float32(weight) * (users @ (factors if named.all() else factors[named]).T)


def limited(n_factors: int, n_users: int, n_items: int) -> int:
    """As many factors as the matrix may have and memory holds."""
    return max(1, min(n_factors, n_users, n_items, MAX_FACTORS // n_items))


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
