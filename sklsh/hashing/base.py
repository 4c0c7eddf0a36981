"""The protocol of a hash family: draw functions by seed, sketch rows, pack codes.

A family is a recipe (a frozen dataclass of settings); what it draws is a `HashFunctions`
(frozen arrays). To add one, write `HashFunctions.hash_rows` and `HashFamily._draw`: see
the guide "Add a hash family".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sklsh._utils.random import child_seed
from sklsh._utils.threads import blocks
from sklsh._utils.validation import INT32_MAX, check_int, check_n_jobs
from sklsh.hashing._blocks import run_rows
from sklsh.hashing.projection import (
    ROW_BLOCK,
    Projection,
    auto_sketch_dim,
    make_projection,
)
from sklsh.kernels.probes import nearest_codes

MAX_CODE_BITS = 62
"""A code and its bound ``2^bits`` fit a signed 64-bit integer."""


def code_dtype(code_bits: int) -> np.dtype:
    """The narrowest integer type that holds codes of so many bits."""
    for bits in (8, 16, 32):
        if code_bits <= bits:
            return np.dtype(f"uint{bits}")
    return np.dtype(np.int64)


def check_sketch(sketch, sketch_dim: int) -> np.ndarray:
    """C-ordered float32 ``(n, sketch_dim)``; a ValueError for another shape or type."""
    sketch = np.asarray(sketch)
    if sketch.ndim != 2 or sketch.shape[1] != sketch_dim or sketch.dtype.kind != "f":
        raise ValueError(
            f"sketch must be floating point of shape (n, {sketch_dim}), "
            f"got {sketch.dtype} of shape {sketch.shape}"
        )
    return np.ascontiguousarray(sketch, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class HashFunctions:
    """Drawn hash functions of all tables, and the base projection before them.

    Attributes
    ----------
    projection : Projection
    n_tables : int
    code_bits : int
        Width of a code: codes are in ``[0, 2 ** code_bits)``.
    """

    projection: Projection
    n_tables: int
    code_bits: int

    def hash_rows(self, tables: np.ndarray) -> Callable[[np.ndarray, np.ndarray, int, int], None]:
        """The work of a family: a function that fills ``out[:, start:stop]``.

        Parameters
        ----------
        tables : ndarray (n_chosen,), int64

        Returns
        -------
        callable
            ``fill(sketch, out, start, stop)`` writes the code of ``sketch[i]`` in table
            ``tables[s]`` to ``out[s, i]``. It runs on several threads at once, and a row's
            code must not depend on the other rows.
        """
        raise NotImplementedError

    def flips(self, sketch: np.ndarray, tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What it would take to change a code: the margins that multiprobe orders probes by.

        Returns
        -------
        costs : ndarray (n, n_chosen, n_flips), float32
            Squared distance to the nearest place where this part of the code is another;
            inf where there is none.
        deltas : ndarray (n, n_chosen, n_flips), int64
            The change, to be XORed into the code.
        """
        raise TypeError(
            f"{type(self).__name__} has no flips(), which n_probes > 1 needs; use n_probes=1"
        )

    def sketch(self, X, n_jobs: int | None = None) -> np.ndarray:
        """``X @ B.T``, ``(n, sketch_dim)`` float32: see `Projection.apply`."""
        return self.projection.apply(X, n_jobs)

    def _tables(self, tables) -> np.ndarray:
        every = np.arange(self.n_tables)
        if tables is None:
            return every
        chosen = every[tables] if isinstance(tables, slice) else np.atleast_1d(tables)
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or np.setdiff1d(chosen, every).size:
            raise ValueError(f"tables must be in [0, {self.n_tables}), got {tables!r}")
        return chosen.astype(np.int64)

    def packed_codes(self, sketch, tables=None, n_jobs: int | None = None) -> np.ndarray:
        """Codes table by table in the narrowest type: what `HashTables` keeps.

        Parameters
        ----------
        sketch : ndarray (n, sketch_dim)
            As `sketch` returns it.
        tables : slice or array of int, optional
            Which tables; all by default.
        n_jobs : int or None
            Threads. Changes no bit of the result.

        Returns
        -------
        ndarray (n_chosen, n), of type `code_dtype`
        """
        sketch = check_sketch(sketch, self.projection.sketch_dim)
        chosen = self._tables(tables)
        n_jobs = check_n_jobs(n_jobs)
        out = np.empty((chosen.shape[0], sketch.shape[0]), dtype=code_dtype(self.code_bits))
        fill = self.hash_rows(chosen)

        def task(start, stop):
            fill(sketch, out, start, stop)

        run_rows(task, sketch.shape[0], ROW_BLOCK, n_jobs)
        return out

    def codes(self, sketch, tables=None, n_jobs: int | None = None) -> np.ndarray:
        """Codes row by row, ``(n, n_chosen)`` int64; parameters as for `packed_codes`."""
        packed = self.packed_codes(sketch, tables, n_jobs)
        return np.ascontiguousarray(packed.T).astype(np.int64)

    def probes(self, sketch, n_probes: int = 1, tables=None, n_jobs=None) -> np.ndarray:
        """Each code and the next likeliest ones, by margin (query-directed multiprobe [1]_).

        Parameters
        ----------
        sketch : ndarray (n, sketch_dim)
        n_probes : int
            Codes a table, the row's own included.
        tables, n_jobs
            As for `packed_codes`.

        Returns
        -------
        ndarray (n, n_chosen, n_probes), int64
            Different codes, the row's own first, then by ascending sum of squared
            distances to the boundaries crossed; -1 where there are no more codes.

        References
        ----------
        .. [1] Q. Lv, W. Josephson, Z. Wang, M. Charikar, K. Li. "Multi-probe LSH", VLDB 2007.
        """
        n_probes = check_int(n_probes, "n_probes", 1, 2**16)
        codes = self.codes(sketch, tables, n_jobs)
        if n_probes == 1:
            return codes[:, :, None]
        sketch = check_sketch(sketch, self.projection.sketch_dim)
        out = np.empty((*codes.shape, n_probes), dtype=np.int64)
        chosen = self._tables(tables)
        # In blocks: the margins of all rows at once would be the largest array around.
        for start, stop in blocks(sketch.shape[0], ROW_BLOCK):
            costs, deltas = self.flips(sketch[start:stop], chosen)
            nearest_codes(codes[start:stop], costs, deltas, out[start:stop])
        return out


@dataclass(frozen=True)
class HashFamily:
    """Settings of a hash family; `draw` turns them and a seed into functions.

    Parameters
    ----------
    n_tables : int
        Number L of tables.
    hash_length : int
        Length k of one table's code, in the family's own units.
    sketch_dim : int or None
        Width c of the sketch. None: an eighth of the features, but 8 to 256.
    fold : {"signed", "periodic", "sample"}
        Base projection: see `sklsh.hashing.projection`.

    Attributes
    ----------
    compresses : bool
        Of the class: whether it hashes a folded sketch. A server sends the whole head to
        families that don't.
    """

    compresses: ClassVar[bool] = True

    n_tables: int = 8
    hash_length: int = 8
    sketch_dim: int | None = None
    fold: str = "signed"

    @classmethod
    def auto_hash_length(cls, bits: float, fold: str, sketch_dim: int) -> int:
        """The `hash_length` whose codes have about so many bits: where "auto" asks for it.

        Parameters
        ----------
        bits : float
            log2 of the number of buckets that are wanted.
        fold : str
        sketch_dim : int
        """
        return int(bits)

    def _project(self, n_features: int, seed: int) -> Projection:
        """The base projection when `draw` is given none."""
        return make_projection(self.fold, n_features, self.sketch_dim, seed)

    def _draw(self, projection: Projection, seed: int) -> HashFunctions:
        """Functions of a sketch; what a family of one's own defines.

        Table t's should depend on (seed, t) only, so that more tables keep the first ones.
        """
        raise NotImplementedError

    def draw(
        self, n_features: int, seed: int = 0, projection: Projection | None = None
    ) -> HashFunctions:
        """Hash functions of a seed.

        Parameters
        ----------
        n_features : int
        seed : int, >= 0
        projection : Projection, optional
            Drawn elsewhere: a device hashes the server's sketch by its own seed. By
            default the family's own, from `seed`.

        Raises
        ------
        TypeError, ValueError
            Naming the setting or argument that is not as documented.
        """
        n_features = check_int(n_features, "n_features", 1, INT32_MAX)
        seed = check_int(seed, "seed", 0)
        check_int(self.n_tables, "n_tables", 1, 2**15)
        check_int(self.hash_length, "hash_length", 1, MAX_CODE_BITS)
        if projection is None:
            projection = self._project(n_features, seed)
        elif projection.n_features != n_features:
            raise ValueError(
                f"projection must be of n_features={n_features}, got {projection.n_features}"
            )
        return self._draw(projection, child_seed(seed, 1))


__all__ = [
    "HashFamily",
    "HashFunctions",
    "auto_sketch_dim",
    "check_sketch",
    "code_dtype",
]
