"""The protocol of codes: a family is fitted to a coder, which encodes rows and scores the codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklsh._utils.threads import one_blas_thread
from sklsh._utils.validation import INT32_MAX, check_int, check_n_jobs
from sklsh.hashing._blocks import run_rows

ROW_BLOCK = 4096
"""Rows of one task of encoding."""


def check_rows(rows, n_features: int | None, name: str) -> np.ndarray:
    """C-ordered finite float32 ``(n, n_features)``; a ValueError for anything else."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.dtype.kind != "f" or rows.shape[1] != (n_features or rows.shape[1]):
        wanted = "n_features" if n_features is None else n_features
        raise ValueError(
            f"{name} must be floating point of shape (n, {wanted}), got {rows.dtype} of shape "
            f"{rows.shape}"
        )
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} must be finite, got NaN or inf")
    return rows


def narrow(values: np.ndarray) -> np.ndarray:
    """Numbers as float16 where these can hold them, else as float32."""
    fits = not values.size or np.abs(values).max() < np.finfo(np.float16).max
    return values.astype(np.float16 if fits else np.float32)


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of some rows: what is stored, or sent.

    Attributes
    ----------
    packed : ndarray (n, width)
        uint8; of `SVDSketch` int8 or float16.
    scale : ndarray (n,) or (0,), float16
        Factor of each code's score; empty where the family needs none.
    bias : ndarray (n,), float16
        Added to a score: the row's bias, and what the row makes of the mean hidden vector.
        `scale` and `bias` are float32 where they are beyond float16.
    """

    packed: np.ndarray
    scale: np.ndarray
    bias: np.ndarray

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.packed.shape[0]

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes + self.scale.nbytes + self.bias.nbytes

    @property
    def bytes_per_row(self) -> float:
        return self.nbytes / max(1, self.n)

    def take(self, ids) -> Codes:
        """Codes of some rows (a slice or an array of int)."""
        scale = self.scale[ids] if self.scale.size else self.scale
        return Codes(self.packed[ids], scale, self.bias[ids])

    def replaced(self, ids, new: Codes) -> Codes:
        """A copy in which the rows `ids` have the codes `new`: of rows that have changed."""
        packed, scale, bias = self.packed.copy(), self.scale, self.bias
        packed[ids] = new.packed
        if scale.size:
            scale = scale.astype(np.promote_types(scale.dtype, new.scale.dtype))
            scale[ids] = new.scale
        bias = bias.astype(np.promote_types(bias.dtype, new.bias.dtype))
        bias[ids] = new.bias
        return Codes(packed, scale, bias)


@dataclass(frozen=True, eq=False)
class Coder:
    """What a family has drawn or learnt: encodes rows, scores codes against hidden vectors.

    The score estimates ``w @ h + b``. Rows and hidden vectors are centred first: a code
    carries ``(w - row_mean) @ (h - hidden_mean)`` alone, and the rest is exact.

    Attributes
    ----------
    row_mean, hidden_mean : ndarray (n_features,), float32
    """

    row_mean: np.ndarray
    hidden_mean: np.ndarray

    # What a family defines --------------------------------------------------------------------

    def _pack(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Packed codes and scales (or none, shape (0,)) of centred rows."""
        raise NotImplementedError

    def _unpack(self, packed: np.ndarray) -> np.ndarray:
        """Centred rows, up to the scale, that codes stand for, float32: an array of their own."""
        raise NotImplementedError

    def prepare(self, hidden: np.ndarray) -> np.ndarray:
        """What `score` needs of centred hidden vectors, one entry a vector."""
        raise NotImplementedError

    def score(self, codes: Codes, prepared: np.ndarray, start: int, stop: int, out) -> None:
        """Fill ``out[q, i - start]`` with scores of the codes ``start:stop``, less `shift`."""
        raise NotImplementedError

    # What comes with it -----------------------------------------------------------------------

    @property
    def n_features(self) -> int:
        return self.row_mean.shape[0]

    @property
    def learnt(self) -> tuple[np.ndarray, ...]:
        """What scoring needs beside the means and a seed: see `CodeFamily.coder`."""
        return ()

    @property
    def nbytes(self) -> int:
        """Bytes of everything drawn or learnt."""
        return sum(v.nbytes for v in vars(self).values() if isinstance(v, np.ndarray))

    def encode(self, rows, bias=None, n_jobs: int | None = None) -> Codes:
        """Codes of rows.

        Parameters
        ----------
        rows : ndarray (n, n_features)
        bias : ndarray (n,), optional
        n_jobs : int or None
            Threads. Changes no bit of the result.

        Raises
        ------
        ValueError
            Another shape, numbers that are not finite.
        """
        rows = check_rows(rows, self.n_features, "rows")
        if bias is None:
            bias = np.zeros(rows.shape[0], dtype=np.float32)
        bias = check_rows(np.asarray(bias).reshape(-1, 1), 1, "bias")[:, 0]
        if bias.shape[0] != rows.shape[0]:
            raise ValueError(f"bias must have shape ({rows.shape[0]},), got {bias.shape}")
        with one_blas_thread():
            parts: list = run_rows(
                lambda start, stop: self._encode(rows[start:stop], bias[start:stop]),
                rows.shape[0], ROW_BLOCK, check_n_jobs(n_jobs),
            )  # fmt: skip
        if not parts:
            parts = [self._encode(rows, bias)]
        packed, scale, shifted = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Codes(packed, narrow(scale), narrow(shifted))

    def _encode(self, rows, bias):
        centred = rows - self.row_mean
        packed, scale = self._pack(centred)
        return packed, scale, bias + centred @ self.hidden_mean

    def decode(self, codes: Codes) -> tuple[np.ndarray, np.ndarray]:
        """Rows ``(n, n_features)`` and biases ``(n,)``, float32, that codes stand for."""
        rows = self._unpack(codes.packed)
        if codes.scale.size:
            rows *= codes.scale.astype(np.float32)[:, None]
        bias = codes.bias.astype(np.float32) - rows @ self.hidden_mean
        rows += self.row_mean
        return rows, bias

    def queries(self, hidden) -> tuple[np.ndarray, np.ndarray]:
        """Hidden vectors as `score` takes them, and the shift to add to all their scores."""
        hidden = check_rows(hidden, self.n_features, "hidden")
        return self.prepare(hidden - self.hidden_mean), hidden @ self.row_mean


class CodeFamily:
    """Settings of a family of codes; `fit` makes a `Coder` of them."""

    def fit(
        self, rows, *, hidden_mean=None, hidden_moment=None, seed: int = 0,
        n_jobs: int | None = None,
    ) -> Coder:  # fmt: skip
        """Draw or learn a coder for rows like these.

        Parameters
        ----------
        rows : ndarray (n, n_features)
            The head's, or a sample of them.
        hidden_mean : ndarray (n_features,), optional
            A hidden vector near all; zeros by default.
        hidden_moment : ndarray (n_features, n_features), optional
            Mean of ``outer(h - hidden_mean, h - hidden_mean)``: directions in which hidden
            vectors differ are coded more finely. Families that draw take no notice.
        seed : int, >= 0
        n_jobs : int or None
            Threads. Changes no bit of the result.

        Raises
        ------
        TypeError, ValueError
            Naming the setting or argument that is not as documented.
        """
        rows = check_rows(rows, None, "rows")
        if not rows.size:
            raise ValueError(f"rows must not be empty, got shape {rows.shape}")
        seed = check_int(seed, "seed", 0)
        width = check_int(rows.shape[1], "rows' width", 1, INT32_MAX)
        if hidden_mean is None:
            hidden_mean = np.zeros(width, dtype=np.float32)
        hidden_mean = check_rows(np.asarray(hidden_mean)[None], width, "hidden_mean")[0]
        if hidden_moment is not None:
            hidden_moment = check_rows(hidden_moment, width, "hidden_moment")
            if hidden_moment.shape[0] != width:
                raise ValueError(
                    f"hidden_moment must have shape ({width}, {width}), got {hidden_moment.shape}"
                )
        row_mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        n_jobs = check_n_jobs(n_jobs)
        with one_blas_thread():
            return self._fit(rows, row_mean, hidden_mean, hidden_moment, seed, n_jobs)

    def _fit(self, rows, row_mean, hidden_mean, hidden_moment, seed, n_jobs) -> Coder:
        """What a family defines; arguments are checked."""
        raise NotImplementedError

    def coder(self, row_mean, hidden_mean, learnt: tuple = (), seed: int = 0) -> Coder:
        """The coder that `fit` has made, from what cannot be drawn again: for who is sent codes.

        Parameters
        ----------
        row_mean, hidden_mean : ndarray (n_features,), float32
        learnt : tuple of ndarray
            `Coder.learnt`, perhaps rounded.
        seed : int
            As of `fit`.

        Returns
        -------
        Coder
            Scores as the one fitted. It encodes as that does if no moment was given to `fit`.
        """
        raise NotImplementedError
