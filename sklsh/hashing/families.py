"""Hash families: SimHash, PGHash, DWTA, PGHash-D.

============ ====================== ========================================= ==============
family       base projection        one table's code                          code bits
============ ====================== ========================================= ==============
`SimHash`    identity               k signs of random planes [1]_             k
`PGHash`     fold                   k signs of random planes of the sketch,   k
                                    ``[S B x > 0]`` [2]_
`DWTA`       identity               winners of k bins of up to w              k ceil(log2 w)
                                    coordinates [3]_
`PGHashD`    fold, or a coordinate  winners of k bins of the folded sketch;   k ceil(log2 w),
             sample (the paper's)   or, with ``fold="sample"``, the winner    ceil(log2 k)
                                    among k of the sampled coordinates [2]_
============ ====================== ========================================= ==============

Two vectors collide in one bit of SimHash and PGHash with probability 1 - angle / pi, the
angle being that of their sketches; in k bits with p^k, in any of L tables with
1 - (1 - p^k)^L. Codes do not change when a vector is multiplied by a positive number. A zero
vector has code 0.

References
----------
.. [1] M. Charikar. "Similarity estimation techniques from rounding algorithms", STOC 2002.
.. [2] T. Rabbani, M. Bornstein, F. Huang. "Large-Scale Distributed Learning via Private
   On-Device Locality-Sensitive Hashing", NeurIPS 2023, arXiv 2306.02563.
.. [3] B. Chen, A. Shrivastava. "Densified winner take all (WTA) hashing for sparse datasets",
   UAI 2018. Here an empty bin borrows from another bin of the same vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from sklsh._utils.random import random_normal, random_permutation
from sklsh._utils.validation import check_choice, check_int
from sklsh.hashing.base import MAX_CODE_BITS, HashFamily, HashFunctions
from sklsh.hashing.projection import Identity, Projection
from sklsh.kernels.hashing import sign_codes, winner_codes
from sklsh.kernels.probes import winner_flips


@dataclass(frozen=True, eq=False)
class SignFunctions(HashFunctions):
    """Signs of random planes of the sketch.

    Attributes
    ----------
    planes : ndarray (n_tables, hash_length, width), float32
        `width` is `sketch_dim` rounded up to a multiple of 8; the columns beyond are 0.
    """

    planes: np.ndarray

    def hash_rows(self, tables):
        planes = np.ascontiguousarray(self.planes[tables])

        def fill(sketch, out, start, stop):
            sign_codes(sketch, planes, out, start, stop)

        return fill

    def flips(self, sketch, tables):
        planes = self.planes[tables, :, : sketch.shape[1]]
        lengths = np.linalg.norm(planes, axis=2)
        shape = (sketch.shape[0], *lengths.shape)
        costs = (sketch @ planes.reshape(-1, sketch.shape[1]).T).reshape(shape)
        costs /= lengths
        bits = np.int64(1) << np.arange(shape[2], dtype=np.int64)[::-1]
        return np.square(costs, out=costs), np.broadcast_to(bits, shape)


@dataclass(frozen=True, eq=False)
class WinnerFunctions(HashFunctions):
    """Winners of bins of coordinates of the sketch, all-zero bins densified.

    Attributes
    ----------
    coordinates : ndarray (n_tables, n_bins, bin_width), int32
    digit_bits : int
        Bits of one winner.
    seed : int
        Of the order in which empty bins try others.
    """

    coordinates: np.ndarray
    digit_bits: int
    seed: int

    def hash_rows(self, tables):
        def fill(sketch, out, start, stop):
            winner_codes(
                sketch,
                self.coordinates,
                tables,
                self.digit_bits,
                self.seed,
                out,
                start,
                stop,
            )

        return fill

    def flips(self, sketch, tables):
        shape = (sketch.shape[0], tables.shape[0], self.coordinates.shape[1])
        costs, deltas = (
            np.empty(shape, dtype=np.float32),
            np.empty(shape, dtype=np.int64),
        )
        winner_flips(sketch, self.coordinates, tables, self.digit_bits, costs, deltas)
        return costs, deltas


def draw_signs(projection: Projection, n_tables: int, hash_length: int, seed: int):
    """`SignFunctions` with iid N(0, 1) planes; table t's depend on (seed, t) only."""
    sketch_dim = projection.sketch_dim
    planes = np.zeros((n_tables, hash_length, -(-sketch_dim // 8) * 8), dtype=np.float32)
    for t in range(n_tables):
        normal = random_normal(seed, t, hash_length * sketch_dim)
        planes[t, :, :sketch_dim] = normal.reshape(hash_length, sketch_dim)
    return SignFunctions(projection, n_tables, hash_length, planes)


def draw_winners(projection: Projection, n_tables: int, n_bins: int, bin_width: int, seed: int):
    """`WinnerFunctions` with bins cut from random permutations of the sketch's coordinates.

    A permutation gives ``sketch_dim // bin_width`` disjoint bins; more take another one.
    """
    sketch_dim = projection.sketch_dim
    if sketch_dim < 2:
        raise ValueError(f"winner-take-all needs at least 2 coordinates, got {sketch_dim}")
    why = f"one bin or more for each of {sketch_dim} coordinates is too many"
    check_int(n_bins, "hash_length", 1, sketch_dim, why)
    bin_width = min(bin_width, sketch_dim)
    digit_bits = (bin_width - 1).bit_length()
    if n_bins * digit_bits > MAX_CODE_BITS:
        raise ValueError(
            f"hash_length must be at most {MAX_CODE_BITS // digit_bits} with bins of "
            f"{bin_width} coordinates ({digit_bits} bits each, {MAX_CODE_BITS} in all), "
            f"got {n_bins}"
        )
    per_permutation = sketch_dim // bin_width
    n_permutations = -(-n_bins // per_permutation)
    coordinates = np.empty((n_tables, n_bins, bin_width), dtype=np.int32)
    for t in range(n_tables):
        permutations = [
            # 64 streams a table: no table has more than 62 bins.
            random_permutation(seed, 64 * t + p, sketch_dim)[: per_permutation * bin_width]
            for p in range(n_permutations)
        ]
        bins = np.concatenate(permutations).reshape(-1, bin_width)
        coordinates[t] = bins[:n_bins]
    return WinnerFunctions(projection, n_tables, n_bins * digit_bits, coordinates, digit_bits, seed)


class SimHash(HashFamily):
    """Signs of `hash_length` random planes of the vector itself.

    `sketch_dim` and `fold` are not used: nothing is folded.
    """

    compresses = False

    def _project(self, n_features, seed):
        return Identity.draw(n_features)

    def _draw(self, projection, seed):
        return draw_signs(projection, self.n_tables, self.hash_length, seed)


class PGHash(HashFamily):
    """Signs of `hash_length` random planes of the sketch: ``[S B x > 0]``."""

    def _draw(self, projection, seed):
        return draw_signs(projection, self.n_tables, self.hash_length, seed)


@dataclass(frozen=True)
class DWTA(HashFamily):
    """Winners of `hash_length` bins of the vector itself.

    `sketch_dim` and `fold` are not used: nothing is folded.

    Parameters
    ----------
    bin_width : int
        Coordinates of one bin, or all of them where the vector has fewer.
    """

    bin_width: int = 8
    compresses: ClassVar[bool] = False

    @classmethod
    def auto_hash_length(cls, bits, fold, sketch_dim):
        return round(bits / 3)  # the winner of eight coordinates is three bits

    def _project(self, n_features, seed):
        return Identity.draw(n_features)

    def _draw(self, projection, seed):
        bin_width = check_int(self.bin_width, "bin_width", 2)
        return draw_winners(projection, self.n_tables, self.hash_length, bin_width, seed)


@dataclass(frozen=True)
class PGHashD(DWTA):
    """Winner-take-all on a compressed vector, in two senses.

    ``fold="signed"`` or ``"periodic"``: DWTA on the folded sketch, `hash_length` bins of
    `bin_width` coordinates. ``fold="sample"``: the paper's PGHash-D. The server samples
    `sketch_dim` coordinates, a table `hash_length` of those; the code is the position of
    the largest, `bin_width` is not used.
    """

    compresses: ClassVar[bool] = True

    @classmethod
    def auto_hash_length(cls, bits, fold, sketch_dim):
        if fold == "sample":  # one winner, of as many coordinates as the code is long
            return min(2 ** int(bits), sketch_dim)
        return super().auto_hash_length(bits, fold, sketch_dim)

    def _project(self, n_features, seed):
        return HashFamily._project(self, n_features, seed)

    def _draw(self, projection, seed):
        if self.fold != "sample":
            return super()._draw(projection, seed)
        why = f"of {projection.sketch_dim} sampled coordinates; one alone always wins"
        bin_width = check_int(self.hash_length, "hash_length", 2, projection.sketch_dim, why)
        return draw_winners(projection, self.n_tables, 1, bin_width, seed)


FAMILIES: dict[str, type[HashFamily]] = {
    "pghash": PGHash,
    "pghash_d": PGHashD,
    "simhash": SimHash,
    "dwta": DWTA,
}
"""Name -> class. Put a family of your own in, and every estimator takes its name."""

FOLDS = ("signed", "periodic", "sample")


def find_family(family: str | HashFamily) -> HashFamily | type[HashFamily]:
    """The class that a name stands for, or the instance itself; what both know of the family.

    Raises
    ------
    ValueError
        A name that `FAMILIES` lacks, or something else.
    """
    if isinstance(family, HashFamily):
        return family
    return FAMILIES[check_choice(family, "family", FAMILIES)]


def make_family(
    family: str | HashFamily = "pghash",
    *,
    n_tables: int = 8,
    hash_length: int = 8,
    sketch_dim: int | None = None,
    fold: str = "signed",
) -> HashFamily:
    """A hash family by name, or by an instance that has settings of its own.

    Parameters
    ----------
    family : {"pghash", "pghash_d", "simhash", "dwta"} or HashFamily
        Or a name added to `FAMILIES`. Of an instance, such as ``DWTA(bin_width=4)``, the four
        settings below are replaced.
    n_tables, hash_length, sketch_dim, fold
        See `HashFamily`. "simhash" and "dwta" hash the full width and use neither of the
        last two.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed. Those that depend on the number
        of features are raised by `draw`.

    Examples
    --------
    >>> import numpy as np
    >>> functions = make_family("pghash", n_tables=3, sketch_dim=4).draw(n_features=10, seed=0)
    >>> sketch = functions.sketch(np.eye(10, dtype=np.float32))
    >>> sketch.shape, functions.codes(sketch).shape
    ((10, 4), (10, 3))
    """
    kind = find_family(family)
    check_choice(fold, "fold", FOLDS)
    check_int(n_tables, "n_tables", 1, 2**15)
    check_int(hash_length, "hash_length", 1, MAX_CODE_BITS)
    if sketch_dim is not None:
        check_int(sketch_dim, "sketch_dim", 1)
    settings: dict[str, Any] = {
        "n_tables": n_tables, "hash_length": hash_length, "sketch_dim": sketch_dim, "fold": fold,
    }  # fmt: skip
    return replace(kind, **settings) if isinstance(kind, HashFamily) else kind(**settings)
