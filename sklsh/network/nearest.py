"""Nearest training rows: an inverted index of sparse rows, or a matrix of dense ones.

Both answer `nearest` alike: the rows of largest positive cosine, of equal ones the smaller id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sklsh._utils.scratch import zeros
from sklsh._utils.threads import blocks, one_blas_thread, run_blocks
from sklsh.kernels.neighbors import inverse_norms_csr, invert_rows_csr, nearest_rows_csr
from sklsh.network.rows import SparseRows
from sklsh.network.topk import topk_of_head

QUERIES = 256
"""Queries of one task; each task has its own scratch of one float a training row."""

MAX_POSTINGS = 10_000
"""Index entries through which a query finds rows, rarest features first. A row that shares
only commoner features is not among the nearest, and to list it costs most of the time."""

MAX_READ = 50_000
"""Index entries after which a query begins no further feature: what nearly every row has makes
rows look alike that are not (of 303,000 entries a row 116,000 gave 1.6 points more P@1)."""


class RowIndex(Protocol):
    """Training rows that can be searched."""

    @property
    def nbytes(self) -> int: ...

    def nearest(self, X: SparseRows, rows, excluded, k: int, n_threads: int):
        """Ids (n, k) int32, padded with -1, and cosines (n, k) float32, best first.

        ``excluded[i]`` is a training row that is no neighbour of ``X[rows[i]]``; -1: none.
        """


def index_rows(X: SparseRows, n_features: int) -> RowIndex:
    """The index that suits the density of `X`; O(nnz), or O(n_rows * n_features) if dense."""
    kind = DenseRows if X.is_dense(n_features) else InvertedRows
    return kind.build(X, n_features)


@dataclass
class InvertedRows:
    """Rows of unit norm, feature-major.

    Attributes
    ----------
    postings : SparseRows
        Row `f` lists the training rows that have feature `f`, with their values.
    n_rows : int
    """

    postings: SparseRows
    n_rows: int

    @classmethod
    def build(cls, X: SparseRows, n_features: int) -> InvertedRows:
        """Index all rows of `X`; O(nnz) time, and no memory beyond the index itself."""
        indptr = np.zeros(n_features + 1, dtype=np.int64)
        np.cumsum(np.bincount(X.indices, minlength=n_features), out=indptr[1:])
        postings = SparseRows(indptr, np.empty_like(X.indices), np.empty_like(X.data))
        invert_rows_csr(*X, _inverse_norms(X), indptr[:-1].copy(), postings.indices, postings.data)
        return cls(postings, X.n_rows)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.postings)

    def nearest(self, X: SparseRows, rows, excluded, k: int, n_threads: int = 1):
        """See `RowIndex`. O(`MAX_READ` + entries of the feature that passes it) a query."""
        n_queries = rows.shape[0]
        ids = np.empty((n_queries, k), dtype=np.int32)
        cosines = np.empty((n_queries, k), dtype=np.float32)

        def task(start, stop):
            touched = np.empty(self.n_rows, dtype=np.int32)
            with zeros(self.n_rows) as sums:
                nearest_rows_csr(
                    *self.postings, *X, rows, excluded, MAX_POSTINGS, MAX_READ, sums, touched,
                    ids, cosines, start, stop,
                )  # fmt: skip

        run_blocks(task, blocks(n_queries, QUERIES), n_threads)
        return ids, cosines


@dataclass
class DenseRows:
    """Rows of unit norm as a matrix.

    Attributes
    ----------
    rows : ndarray (n_rows, n_features), float32
    """

    rows: np.ndarray

    @classmethod
    def build(cls, X: SparseRows, n_features: int) -> DenseRows:
        return cls(_unit(X, np.arange(X.n_rows), n_features))

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes

    def nearest(self, X: SparseRows, rows, excluded, k: int, n_threads: int = 1):
        """See `RowIndex`. O(n_rows * n_features) a query, by matrix products."""
        n_rows = self.rows.shape[0]
        no_bias = np.zeros(n_rows, dtype=np.float32)
        queries = _unit(X, rows, self.rows.shape[1])
        with one_blas_thread():  # one more than asked for: the excluded row may be among them
            ids, cosines = topk_of_head((self.rows, no_bias), None, queries, k + 1, n_threads)
        others = np.argsort(ids == np.asarray(excluded)[:, None], axis=1, kind="stable")[:, :k]
        ids = np.take_along_axis(ids, others, axis=1).astype(np.int32)
        cosines = np.take_along_axis(cosines, others, axis=1)
        unlike = cosines <= 0
        ids[unlike], cosines[unlike] = -1, 0
        return ids, cosines


def _unit(X: SparseRows, rows, n_features: int) -> np.ndarray:
    """Some rows as a matrix of rows of unit norm; rows of zeros stay so."""
    chosen = X.to_matrix(n_features)[rows]
    out = chosen.toarray()
    out *= _inverse_norms(chosen)[:, None]
    return out


def _inverse_norms(rows) -> np.ndarray:
    """One over the norm of each CSR row; 0 for rows of zeros."""
    out = np.empty(rows.indptr.shape[0] - 1, dtype=np.float32)
    inverse_norms_csr(rows.indptr, rows.data, out)
    return out
