"""`ProductCodes`: product quantisation, with a learnt rotation and a metric of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh._utils.random import child_seed, random_permutation
from sklsh._utils.validation import check_choice, check_int
from sklsh.hashing.codes._tables import TableCoder
from sklsh.hashing.codes.base import CodeFamily
from sklsh.hashing.codes.centroids import moved, nearest
from sklsh.hashing.codes.signs import random_rotation
from sklsh.hashing.codes.weighting import weighting
from sklsh.kernels.codes import gather_centroids, product_tables

SAMPLE = 1 << 14
"""Rows that codebooks are learnt from, 64 a centroid."""

MAX_BYTES = 4096


@dataclass(frozen=True, eq=False)
class ProductCoder(TableCoder):
    """Learnt by `ProductCodes`.

    Attributes
    ----------
    to_code, to_query : ndarray (n_features, n_features), float32
        ``(w @ to_code) @ (h @ to_query) = w @ h``; of shape (0, 0) where they are identities.
    centroids : ndarray (n_blocks, n_centroids, width), float32
        Of blocks of coordinates of ``w @ to_code``; a narrower block ends in zeros.
    edges : ndarray (n_blocks + 1,), int64
        Where blocks of coordinates begin.
    """

    to_code: np.ndarray
    to_query: np.ndarray
    centroids: np.ndarray
    edges: np.ndarray
    scaled: bool

    @property
    def _columns(self) -> list[tuple[int, int]]:
        return list(zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), strict=True))

    @property
    def learnt(self):
        return (self.to_query, self.centroids)

    @property
    def four_bits(self) -> bool:
        """Whether a byte is two codes; also of bytes learnt from few rows, that can be paired."""
        n_blocks, n_centroids, _ = self.centroids.shape
        return n_centroids <= 16 and n_blocks % 2 == 0

    def _pack(self, rows):
        parts = [self.centroids[s, :, : b - a] for s, (a, b) in enumerate(self._columns)]
        seen = _turned(rows, self.to_code)
        codes = nearest(seen, self._columns, parts)
        scale = np.empty(0, np.float32)
        if self.scaled:
            coded = np.concatenate([part[codes[:, s]] for s, part in enumerate(parts)], axis=1)
            along = np.einsum("ij,ij->i", coded, seen)
            squares = np.einsum("ij,ij->i", seen, seen)
            # A code at right angles to its row, or beyond, is left as it is.
            scale = np.divide(squares, along, out=np.ones_like(along), where=along > squares / 4)
        if self.four_bits:
            codes = codes[:, ::2] << np.uint8(4) | codes[:, 1::2]
        return np.ascontiguousarray(codes), scale

    def _unpack(self, packed):
        seen = np.empty((packed.shape[0], self.edges[-1]), dtype=np.float32)
        gather_centroids(packed, self.centroids, self.edges, seen, 0, packed.shape[0])
        return _turned(seen, self.to_query.T)

    def prepare(self, hidden):
        seen = np.ascontiguousarray(_turned(hidden, self.to_query))
        parts = np.zeros((hidden.shape[0], self.centroids.shape[0], 256), dtype=np.float32)
        product_tables(seen, self.centroids, self.edges, parts, 0, hidden.shape[0])
        if not self.four_bits:
            return parts
        # A byte is two codes of four bits: its table has the sums of both.
        high, low = parts[:, ::2, :16], parts[:, 1::2, :16]
        return (high[:, :, :, None] + low[:, :, None, :]).reshape(hidden.shape[0], -1, 256)


def _edges(n_blocks: int, width: int) -> np.ndarray:
    return np.arange(n_blocks + 1) * width // n_blocks


def _turned(rows, matrix) -> np.ndarray:
    return rows @ matrix if matrix.size else rows


@dataclass(frozen=True)
class ProductCodes(CodeFamily):
    """The nearest of 256 (or 16) centroids in each block of coordinates [1]_.

    Codebooks, and with ``rotation="learnt"`` a rotation that makes blocks easy to code [2]_,
    are learnt from the rows alone. With `hidden_moment` errors count as they change scores.

    Parameters
    ----------
    n_bytes : int
        Of a row's code.
    code_bits : {8, 4}
        4: two blocks a byte, of 16 centroids each. Learnt and encoded eight times as fast,
        and less exact.
    rotation : {"learnt", "random", "none"}
    n_iter : int
        Steps of Lloyd's algorithm, each with one of the rotation.
    scaled : bool
        A factor of two bytes with each code, that makes estimates exact for hidden vectors along
        the row, as those of `SignCodes` are: means of rows are shorter than the rows.

    Notes
    -----
    Fitting costs O(n_iter * (SAMPLE * n_features * (256 + n_features) + n_features^3)), encoding
    O(n_features * (256 + n_features)) a row.

    References
    ----------
    .. [1] H. Jégou, M. Douze, C. Schmid. "Product quantization for nearest neighbor search",
       TPAMI 2011.
    .. [2] T. Ge, K. He, Q. Ke, J. Sun. "Optimized product quantization", TPAMI 2014.
    """

    n_bytes: int = 16
    code_bits: int = 8
    rotation: str = "learnt"
    n_iter: int = 10
    scaled: bool = False

    def _fit(self, rows, row_mean, hidden_mean, hidden_moment, seed, n_jobs):
        check_choice(self.rotation, "rotation", ("learnt", "random", "none"))
        if self.code_bits not in (4, 8):
            raise ValueError(f"code_bits must be 4 or 8, got {self.code_bits!r}")
        check_int(self.n_iter, "n_iter", 1, 1000)
        n_blocks = check_int(self.n_bytes, "n_bytes", 1, MAX_BYTES) * (8 // self.code_bits)
        width = rows.shape[1]
        if n_blocks > width:
            raise ValueError(
                f"n_bytes must be at most {width * self.code_bits // 8} for rows of {width}, "
                f"got {self.n_bytes}"
            )
        forth, back = weighting(hidden_moment, width)
        order = random_permutation(child_seed(seed, 1), 0, rows.shape[0])[:SAMPLE]
        sample = (rows[np.sort(order)] - row_mean) @ forth
        rotation = np.eye(width, dtype=np.float32)
        if self.rotation == "random":
            rotation = random_rotation(width, child_seed(seed, 2))
        edges = _edges(n_blocks, width)
        books, rotation = self._learn(sample, rotation, edges, seed, n_jobs)
        to_code, to_query = forth @ rotation, back @ rotation
        if self.rotation == "none" and hidden_moment is None:
            to_code = to_query = np.empty((0, 0), dtype=np.float32)
        return ProductCoder(row_mean, hidden_mean, to_code, to_query, books, edges, self.scaled)

    def coder(self, row_mean, hidden_mean, learnt=(), seed=0):
        to_query, centroids = (np.asarray(array, dtype=np.float32) for array in learnt)
        edges = _edges(centroids.shape[0], row_mean.shape[0])
        return ProductCoder(
            row_mean, hidden_mean, to_query, to_query, centroids, edges, self.scaled
        )

    def _learn(self, sample, rotation, edges, seed, n_jobs):
        """Centroids, and the rotation that goes with them."""
        columns = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        k = min(2**self.code_bits, sample.shape[0])
        seen = sample @ rotation
        starts = [random_permutation(child_seed(seed, 3), s, len(sample))[:k]
                  for s in range(len(columns))]  # fmt: skip
        books = [seen[rows, a:b].copy() for rows, (a, b) in zip(starts, columns, strict=True)]
        for _ in range(self.n_iter):
            codes = nearest(seen, columns, books, n_jobs)
            books = [moved(seen[:, a:b], codes[:, s], books[s])
                     for s, (a, b) in enumerate(columns)]  # fmt: skip
            if self.rotation == "learnt":
                # The rotation that brings the rows nearest to what they are coded as.
                coded = np.concatenate([book[codes[:, s]] for s, book in enumerate(books)], axis=1)
                left, _, right = np.linalg.svd((sample.T @ coded).astype(np.float64))
                rotation = (left @ right).astype(np.float32)
                seen = sample @ rotation
        out = np.zeros((len(columns), k, int(np.diff(edges).max())), dtype=np.float32)
        for s, book in enumerate(books):
            out[s, :, : book.shape[1]] = book
        return out, rotation
