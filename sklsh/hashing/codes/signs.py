"""`SignCodes`: signs of random directions, scored against vectors that are not coded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh._utils.random import child_seed, random_normal
from sklsh._utils.validation import check_choice, check_int
from sklsh.hashing.codes._tables import TableCoder
from sklsh.hashing.codes.base import CodeFamily
from sklsh.hashing.families import FOLDS
from sklsh.hashing.projection import Projection, make_projection
from sklsh.kernels.codes import pack_signs, sign_tables

MAX_BITS = 1 << 14


def random_rotation(n: int, seed: int) -> np.ndarray:
    """A uniformly random orthogonal matrix, ``(n, n)`` float32; O(n^3)."""
    q, r = np.linalg.qr(random_normal(seed, 0, n * n).reshape(n, n))
    return (q * np.where(np.diag(r) < 0, -1.0, 1.0)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class SignCoder(TableCoder):
    """Drawn by `SignCodes`.

    Attributes
    ----------
    directions : ndarray (n_bits, width), float32
    projection : Projection or None
        Folds vectors to `width` before.
    """

    directions: np.ndarray
    projection: Projection | None = None

    def _seen(self, vectors) -> np.ndarray:
        if self.projection is not None:
            vectors = self.projection.apply(vectors, n_jobs=1)
        return vectors @ self.directions.T

    def _pack(self, rows):
        values = self._seen(rows)
        packed = np.empty((rows.shape[0], values.shape[1] // 8), dtype=np.uint8)
        sums = np.empty(rows.shape[0], dtype=np.float32)
        pack_signs(values, packed, sums, 0, rows.shape[0])
        if self.projection is not None:
            rows = self.projection.apply(rows, n_jobs=1)
        squares = np.einsum("ij,ij->i", rows, rows)
        # A row of zeros has scale 0; so has one whose bits are all of nothing.
        return packed, np.divide(squares, sums, out=np.zeros_like(sums), where=sums > 0)

    def _unpack(self, packed):
        signs = np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
        rows = signs @ self.directions
        if self.projection is not None:
            matrix = self.projection.matrix()
            rows = np.ascontiguousarray((matrix.T @ rows.T).T, dtype=np.float32)
        return rows

    def prepare(self, hidden):
        values = self._seen(hidden)
        tables = np.empty((hidden.shape[0], values.shape[1] // 8, 256), dtype=np.float32)
        sign_tables(values, tables, 0, hidden.shape[0])
        return tables


@dataclass(frozen=True)
class SignCodes(CodeFamily):
    """One bit a random direction, and a factor: SimHash that is scored, not bucketed.

    The score of a code with signs `s` is ``|w|^2 (s @ R h) / (s @ R w)``, where the rows of
    `R` are those of random rotations: exact for ``h = w``, and unbiased over rotations for
    every `w` and `h` [1]_. Nothing is learnt: who knows the seed knows the code.

    Parameters
    ----------
    n_bits : int
        A multiple of 8.
    sketch_dim : int or None
        Width of a fold before the signs, as a hash of a folded head sees it; None: no fold.
    fold : {"signed", "periodic", "sample"}
        See `sklsh.hashing.projection`.

    References
    ----------
    .. [1] J. Gao, C. Long. "RaBitQ: quantizing high-dimensional vectors with a theoretical error
       bound for approximate nearest neighbor search", SIGMOD 2024.
    """

    n_bits: int = 64
    sketch_dim: int | None = None
    fold: str = "signed"

    def _fit(self, rows, row_mean, hidden_mean, hidden_moment, seed, n_jobs):
        n_bits = check_int(self.n_bits, "n_bits", 8, MAX_BITS)
        if n_bits % 8:
            raise ValueError(f"n_bits must be a multiple of 8, got {n_bits}")
        return self.coder(row_mean, hidden_mean, (), seed)

    def coder(self, row_mean, hidden_mean, learnt=(), seed=0):
        n_bits, width, projection = self.n_bits, row_mean.shape[0], None
        check_choice(self.fold, "fold", FOLDS)
        if self.sketch_dim is not None:
            projection = make_projection(self.fold, width, self.sketch_dim, seed)
            width = projection.sketch_dim
        n_rotations = -(-n_bits // width)
        directions = np.concatenate(
            [random_rotation(width, child_seed(seed, 2 + i)) for i in range(n_rotations)]
        )[:n_bits]
        return SignCoder(row_mean, hidden_mean, np.ascontiguousarray(directions), projection)
