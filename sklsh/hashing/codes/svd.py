"""`SVDSketch`: the head's own principal directions, in few bits each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh._utils.validation import check_choice, check_int
from sklsh.hashing.codes.base import CodeFamily, Coder, Codes
from sklsh.hashing.codes.weighting import weighting

SAMPLE = 1 << 16
"""Rows that directions are learnt from: more change them little."""


@dataclass(frozen=True, eq=False)
class SVDCoder(Coder):
    """Learnt by `SVDSketch`.

    Attributes
    ----------
    to_code, to_query : ndarray (n_features, sketch_dim), float32
        ``(w @ to_code) @ (h @ to_query)`` is close to ``w @ h``.
    dtype : str
    """

    to_code: np.ndarray
    to_query: np.ndarray
    dtype: str

    @property
    def learnt(self):
        return (self.to_query,)

    def _pack(self, rows):
        values = rows @ self.to_code
        if self.dtype == "float16":
            return values.astype(np.float16), np.empty(0, np.float32)
        scale = np.abs(values).max(axis=1, initial=0.0) / 127
        scale[scale == 0] = 1.0
        return np.rint(values / scale[:, None]).astype(np.int8), scale

    def _unpack(self, packed):
        return packed.astype(np.float32) @ self.to_query.T

    def prepare(self, hidden):
        return hidden @ self.to_query

    def score(self, codes: Codes, prepared, start, stop, out):
        part = codes.take(slice(start, stop))
        np.matmul(prepared, part.packed.astype(np.float32).T, out=out)
        if part.scale.size:
            out *= part.scale.astype(np.float32)
        out += part.bias.astype(np.float32)


@dataclass(frozen=True)
class SVDSketch(CodeFamily):
    """The truncated singular value decomposition of the head, in int8 or float16.

    No projection to `sketch_dim` directions loses less of the rows; with `hidden_moment`, of
    their products with hidden vectors, on average. Learnt from the head alone.

    Parameters
    ----------
    sketch_dim : int
        At most the width of the rows.
    dtype : {"int8", "float16"}
        int8: with a factor a row, the largest of its numbers over 127.
    """

    sketch_dim: int = 32
    dtype: str = "int8"

    def _fit(self, rows, row_mean, hidden_mean, hidden_moment, seed, n_jobs):
        width = rows.shape[1]
        sketch_dim = check_int(self.sketch_dim, "sketch_dim", 1, width, f"rows have {width}")
        check_choice(self.dtype, "dtype", ("int8", "float16"))
        forth, back = weighting(hidden_moment, width)
        sample = (rows[:: max(1, rows.shape[0] // SAMPLE)] - row_mean) @ forth
        _, directions = np.linalg.eigh(sample.T @ sample)
        kept = directions[:, ::-1][:, :sketch_dim].astype(np.float32)
        return SVDCoder(row_mean, hidden_mean, forth @ kept, back @ kept, self.dtype)

    def coder(self, row_mean, hidden_mean, learnt=(), seed=0):
        (to_query,) = (np.asarray(array, dtype=np.float32) for array in learnt)
        return SVDCoder(row_mean, hidden_mean, to_query, to_query, self.dtype)
