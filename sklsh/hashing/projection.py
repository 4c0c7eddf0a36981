"""Base projections: the sketch ``B x`` of a vector, with far fewer coordinates than it.

The server of a federation sends ``B W`` instead of the head `W`, and every hash function of
PGHash is a random function of the sketch [1]_. All projections here put each coordinate,
times a weight, into at most one bin of the sketch:

=================== ============================ ==========================================
projection          bin and weight of i          E <Bx, By> for fixed x, y
=================== ============================ ==========================================
`PeriodicFold`      ``i mod sketch_dim``, 1      biased: + sum of x_i y_j over i != j in one
                                                 bin (the paper's)
`SignedFold`        random, a fair random sign   <x, y>: the count-sketch [2]_
`CoordinateSample`  random subset, sqrt(d / c)   <x, y> (PGHash-D's)
`Identity`          ``i``, 1                     <x, y>, exactly
=================== ============================ ==========================================

Given its bins b, the signed fold has Var <Bx, By> = sum over b of |x_b|^2 |y_b|^2 +
<x_b, y_b>^2 - 2 sum x_i^2 y_i^2. The bins are balanced (a random permutation, dealt out),
which changes neither: both hold for any bins, the randomness that matters is the signs'.

References
----------
.. [1] T. Rabbani, M. Bornstein, F. Huang. "Large-Scale Distributed Learning via Private
   On-Device Locality-Sensitive Hashing" (PGHash), NeurIPS 2023, arXiv 2306.02563, section 4.
.. [2] M. Charikar, K. Chen, M. Farach-Colton. "Finding frequent items in data streams",
   ICALP 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sklsh._utils.random import child_seed, random_permutation, random_signs
from sklsh._utils.validation import (
    INT32_MAX,
    check_choice,
    check_float32,
    check_int,
    check_n_jobs,
    check_sparse,
)
from sklsh.hashing._blocks import run_rows
from sklsh.kernels.folding import fold_rows, fold_rows_csr

ROW_BLOCK = 4096
"""Rows of one task: large enough to hide the cost of a call."""


def auto_sketch_dim(n_features: int) -> int:
    """``sketch_dim=None``: an eighth of the width, but 8 to 256 and never more than there is."""
    return min(n_features, max(8, min(256, n_features // 8)))


def check_rows(X, n_features: int, name: str = "X"):
    """`X` as the folding kernels take it: C-ordered floating point, or canonical CSR.

    Raises
    ------
    ValueError
        Not 2-d, another number of columns, entries beyond float32, or a corrupted sparse matrix.
    """
    # Checked before scipy walks it: astype alone may not return from a corrupted one.
    X = check_sparse(X, name) if sp.issparse(X) else np.asarray(X)
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real numbers, got dtype {X.dtype}")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float32)
    if sp.issparse(X):
        X = check_sparse(X.tocsr(), name)
    else:
        X = np.ascontiguousarray(X)
    if X.ndim != 2 or X.shape[1] != n_features:
        raise ValueError(f"{name} must have shape (n, {n_features}), got {X.shape}")
    return check_float32(X)


@dataclass(frozen=True, eq=False)
class Projection:
    """A base projection: frozen arrays, nothing else.

    Attributes
    ----------
    bins : ndarray (n_features,), int32
        Bin of the sketch that a coordinate is added to; -1 = none.
    weights : ndarray (n_features,), float32
        What it is multiplied by.
    sketch_dim : int
    """

    bins: np.ndarray
    weights: np.ndarray
    sketch_dim: int

    @classmethod
    def draw(cls, n_features: int, sketch_dim: int | None = None, seed: int = 0) -> Projection:
        """The projection of a seed; the same on every machine.

        Parameters
        ----------
        n_features : int
        sketch_dim : int or None
            At most `n_features`, which it need not divide. None: see `auto_sketch_dim`.
        seed : int, >= 0

        Raises
        ------
        TypeError, ValueError
            Naming the argument that is not as above.
        """
        n_features = check_int(n_features, "n_features", 1, INT32_MAX)
        seed = check_int(seed, "seed", 0)
        if sketch_dim is None:
            sketch_dim = auto_sketch_dim(n_features)
        why = f"there are {n_features} features"
        sketch_dim = check_int(sketch_dim, "sketch_dim", 1, n_features, why)
        bins, weights = cls._assign(n_features, sketch_dim, child_seed(seed, 0))
        return cls(bins.astype(np.int32), weights.astype(np.float32), sketch_dim)

    @staticmethod
    def _assign(n_features, sketch_dim, seed):
        """Bins and weights; what a projection of one's own defines."""
        raise NotImplementedError

    @property
    def n_features(self) -> int:
        return self.bins.shape[0]

    def matrix(self) -> sp.csr_array:
        """`B` itself, ``(sketch_dim, n_features)`` float32 CSR."""
        kept = np.flatnonzero(self.bins >= 0)
        shape = (self.sketch_dim, self.n_features)
        return sp.csr_array((self.weights[kept], (self.bins[kept], kept)), shape=shape)

    def apply(self, X, n_jobs: int | None = None) -> np.ndarray:
        """Sketch of rows: ``X @ B.T``.

        Parameters
        ----------
        X : ndarray or sparse matrix (n_samples, n_features)
        n_jobs : int or None
            Threads. Changes no bit of the result.

        Returns
        -------
        ndarray (n_samples, sketch_dim), float32
            The same for a row dense or sparse, alone or in a batch.

        Raises
        ------
        ValueError
            `X` of another shape, or a corrupted sparse matrix.

        Notes
        -----
        O(n_samples * n_features) dense, O(nnz + n_samples * sketch_dim) sparse.
        """
        X = check_rows(X, self.n_features)
        n_jobs = check_n_jobs(n_jobs)
        out = np.empty((X.shape[0], self.sketch_dim), dtype=np.float32)
        if sp.issparse(X):

            def task(start, stop):
                arrays = (X.indptr, X.indices, X.data)
                fold_rows_csr(*arrays, self.bins, self.weights, out, start, stop)

        else:
            kept = np.flatnonzero(self.bins >= 0)
            order = kept[np.argsort(self.bins[kept], kind="stable")].astype(np.uint32)
            starts = np.searchsorted(self.bins[order], np.arange(self.sketch_dim + 1))
            starts = starts.astype(np.uint64)
            weights = self.weights[order]

            def task(start, stop):
                fold_rows(X, order, starts, weights, out, start, stop)

        run_rows(task, X.shape[0], ROW_BLOCK, n_jobs)
        return out


class PeriodicFold(Projection):
    """The paper's ``B = [I | I | ...]``: coordinate i into bin ``i mod sketch_dim``.

    Biased for fixed vectors: activations and weights of non-zero mean pile up in the bins.
    """

    @staticmethod
    def _assign(n_features, sketch_dim, seed):
        return np.arange(n_features) % sketch_dim, np.ones(n_features)


class SignedFold(Projection):
    """Count-sketch with balanced bins: unbiased inner products at the same cost."""

    @staticmethod
    def _assign(n_features, sketch_dim, seed):
        bins = random_permutation(seed, 0, n_features) % sketch_dim
        return bins, random_signs(seed, 1, n_features)


class CoordinateSample(Projection):
    """`sketch_dim` random coordinates, scaled so that inner products are unbiased."""

    @staticmethod
    def _assign(n_features, sketch_dim, seed):
        rank = random_permutation(seed, 0, n_features)
        bins = np.where(rank < sketch_dim, rank, -1)
        return bins, np.full(n_features, np.sqrt(n_features / sketch_dim))


class Identity(Projection):
    """No compression: ``B = I``. `sketch_dim` is always `n_features`."""

    @classmethod
    def draw(cls, n_features: int, sketch_dim: int | None = None, seed: int = 0) -> Projection:
        n_features = check_int(n_features, "n_features", 1, INT32_MAX)
        if sketch_dim not in (None, n_features):
            raise ValueError(f"sketch_dim must be None or {n_features}, got {sketch_dim!r}")
        ones = np.ones(n_features, dtype=np.float32)
        return cls(np.arange(n_features, dtype=np.int32), ones, n_features)


PROJECTIONS: dict[str, type[Projection]] = {
    "signed": SignedFold,
    "periodic": PeriodicFold,
    "sample": CoordinateSample,
    "identity": Identity,
}
"""Name -> class; the names that `fold` takes are the first three."""


def make_projection(
    fold: str, n_features: int, sketch_dim: int | None = None, seed: int = 0
) -> Projection:
    """The base projection of a name and a seed: what a server draws and every device uses.

    Parameters
    ----------
    fold : {"signed", "periodic", "sample", "identity"}
    n_features, sketch_dim, seed
        See `Projection.draw`.
    """
    return PROJECTIONS[check_choice(fold, "fold", PROJECTIONS)].draw(n_features, sketch_dim, seed)
