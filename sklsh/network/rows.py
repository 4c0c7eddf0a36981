"""CSR rows as the kernels take them: one layout, so that each kernel is compiled once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sklsh._utils.threads import blocks

DENSE = 0.25
"""Share of entries from which on rows are dense: as a matrix they take at most twice the memory,
and multiplying them is some twenty times faster an entry."""

TAKEN = 4096
"""Rows copied at a time: places of their entries are 16 bytes each."""


class SparseRows(NamedTuple):
    """Rows of a CSR matrix: int64 `indptr`, int32 `indices`, float32 `data`."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray

    @classmethod
    def from_matrix(cls, X) -> SparseRows:
        """Rows of a dense or CSR matrix; arrays that fit already are not copied."""
        X = sp.csr_array(X) if not sp.issparse(X) else X.tocsr()
        return cls(
            X.indptr.astype(np.int64, copy=False),
            X.indices.astype(np.int32, copy=False),
            X.data.astype(np.float32, copy=False),
        )

    @classmethod
    def from_classes(cls, codes: np.ndarray) -> SparseRows:
        """One entry a row: the indicator matrix of class codes."""
        n_samples = codes.shape[0]
        return cls(
            np.arange(n_samples + 1, dtype=np.int64),
            codes.astype(np.int32, copy=False),
            np.ones(n_samples, dtype=np.float32),
        )

    @property
    def n_rows(self) -> int:
        return self.indptr.shape[0] - 1

    def is_dense(self, n_features: int) -> bool:
        """Whether so many features are in a row, on average, that a matrix serves better."""
        return self.indices.shape[0] >= DENSE * self.n_rows * n_features

    def counts(self) -> np.ndarray:
        """Number of entries of each row."""
        return np.diff(self.indptr)

    def take(self, rows: np.ndarray) -> SparseRows:
        """The given rows, copied: O(what they have), however many others there are."""
        counts = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.zeros(rows.shape[0] + 1, dtype=np.int64)
        np.cumsum(counts, out=indptr[1:])
        indices = np.empty(indptr[-1], dtype=self.indices.dtype)
        data = np.empty(indptr[-1], dtype=self.data.dtype)
        shifts = self.indptr[rows] - indptr[:-1]
        for start, stop in blocks(rows.shape[0], TAKEN):
            part = slice(indptr[start], indptr[stop])
            places = np.arange(part.start, part.stop)
            places += np.repeat(shifts[start:stop], counts[start:stop])
            indices[part], data[part] = self.indices[places], self.data[places]
        return SparseRows(indptr, indices, data)

    def among(self, columns: np.ndarray) -> SparseRows:
        """Entries in ascending `columns`, and these by their places there."""
        places = np.searchsorted(columns, self.indices)
        kept = columns[np.minimum(places, columns.shape[0] - 1)] == self.indices
        indptr = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])[self.indptr]
        return SparseRows(indptr, places[kept].astype(np.int32), self.data[kept])

    def to_matrix(self, n_columns: int) -> sp.csr_array:
        """The same arrays as a scipy matrix."""
        return sp.csr_array(
            (self.data, self.indices, self.indptr), shape=(self.n_rows, n_columns), copy=False
        )


def without_weightless(X: SparseRows, Y: SparseRows, weights: np.ndarray | None):
    """``X, Y, weights`` less the rows of weight 0."""
    if weights is None or weights.all():
        return X, Y, weights
    kept = np.flatnonzero(weights)
    return X.take(kept), Y.take(kept), weights[kept]
