"""Codes of bytes, each of which looks up a part of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh.hashing.codes.base import Coder, Codes
from sklsh.kernels.codes import score_codes


@dataclass(frozen=True, eq=False)
class TableCoder(Coder):
    """`prepare` gives tables ``(n_queries, n_bytes, 256)``: 1 kB a byte and query."""

    def score(self, codes: Codes, prepared, start: int, stop: int, out) -> None:
        scale = codes.scale[start:stop].astype(np.float32)
        bias = codes.bias[start:stop].astype(np.float32)
        packed = codes.packed[start:stop]
        score_codes(packed, prepared, scale, bias, out, 0, packed.shape[0])
