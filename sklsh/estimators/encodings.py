"""What codes of rows become in `CompressedLSHHasher.transform`: bits, or indicators of buckets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class Buckets(NamedTuple):
    """Which buckets have rows.

    `codes` (n_buckets,) int64, table by table, ascending; `starts` (n_tables + 1,): table t has
    ``codes[starts[t]:starts[t + 1]]``.
    """

    codes: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray) -> Buckets:
        """Of codes (n_tables, n_samples)."""
        occupied = [np.unique(of_table).astype(np.int64) for of_table in codes]
        sizes = [buckets.shape[0] for buckets in occupied]
        return cls(np.concatenate(occupied), np.concatenate([[0], np.cumsum(sizes)]))

    def indicators(self, codes: np.ndarray, dtype) -> sp.csr_matrix:
        """CSR with a 1 at each (row, bucket) of `codes` (n_samples, n_tables).

        O(n_samples * n_tables * log n_buckets). A bucket that is not known has no column.
        """
        columns = np.empty(codes.shape, dtype=np.int32)
        for t in range(codes.shape[1]):
            start, stop = self.starts[t], self.starts[t + 1]
            known = self.codes[start:stop]
            place = np.minimum(np.searchsorted(known, codes[:, t]), known.shape[0] - 1)
            columns[:, t] = np.where(known[place] == codes[:, t], start + place, -1)
        found = columns >= 0
        indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
        indices = columns[found]
        shape = (codes.shape[0], self.codes.shape[0])
        return sp.csr_matrix((np.ones(indices.shape[0], dtype=dtype), indices, indptr), shape=shape)

    def names(self) -> list[str]:
        """Of the columns."""
        tables = np.repeat(np.arange(self.starts.shape[0] - 1), np.diff(self.starts))
        return [f"table{t}_code{code}" for t, code in zip(tables, self.codes, strict=True)]


def bits(codes: np.ndarray, code_bits: int, dtype) -> np.ndarray:
    """Bits of each row's codes, highest first, (n_samples, n_tables * code_bits)."""
    places = np.arange(code_bits)[::-1]
    return ((codes[:, :, None] >> places) & 1).reshape(codes.shape[0], -1).astype(dtype)
