"""How likely codes are to collide, by theory: what measured collisions are held against."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, ndtr, owens_t

from sklsh._utils.validation import check_int
from sklsh.hashing.base import HashFunctions
from sklsh.hashing.families import SignFunctions, WinnerFunctions

N_FRAMES = 1 << 15
"""Random planes that a sketch's angle is averaged over: an error below .003."""

N_NODES = 80
"""Of each axis of the quadrature; even, so that no node is 0."""


def collision_probability(
    functions: HashFunctions, angles, *, n_tables: int = 1
) -> np.ndarray | None:
    """Chance that two vectors of random directions share a code in one of `n_tables` tables.

    Parameters
    ----------
    functions : HashFunctions
    angles : array-like (n,)
        Between the two vectors, in radians, from 0 to pi.
    n_tables : int, default=1
        Tables that count as one collision: ``1 - (1 - p) ** n_tables``.

    Returns
    -------
    ndarray (n,) or None
        None where there is no formula: families of one's own; winners in several tables,
        which see the same coordinates; bins of winners that overlap.

    Raises
    ------
    ValueError
        An angle outside [0, pi].

    Notes
    -----
    Signs of planes collide with ``1 - angle / pi`` a bit [1]_. Of a sketch the angle is that
    of the two sketches, and they vary: its mean is taken over random pairs of vectors, for
    which B is a coordinate projection (its rows are orthogonal and of one length if
    `sketch_dim` divides `n_features`, nearly so otherwise). The winner among w coordinates
    is the same with ``w * E[Phi_2(a, b)^(w - 1)]``, (a, b) being normal with correlation
    cos(angle); exact for normal coordinates, close for vectors much longer than a bin.

    References
    ----------
    .. [1] M. Charikar. "Similarity estimation techniques from rounding algorithms", STOC 2002.
    """
    n_tables = check_int(n_tables, "n_tables", 1)
    angles = np.asarray(angles, dtype=float)
    if angles.ndim != 1 or not ((angles >= 0) & (angles <= np.pi)).all():
        raise ValueError(f"angles must be 1-d and in [0, pi], got {angles!r}")
    if isinstance(functions, SignFunctions):
        seen = sketch_angles(
            angles, functions.projection.n_features, functions.projection.sketch_dim
        )
        one = (1 - seen / np.pi) ** functions.planes.shape[1]
        return (1 - (1 - one) ** n_tables).mean(axis=1)
    if isinstance(functions, WinnerFunctions) and n_tables == 1:
        _, n_bins, width = functions.coordinates.shape
        if n_bins * width <= functions.projection.sketch_dim:
            return same_winner_probability(angles, width) ** n_bins
    return None


def sketch_angles(angles, n_features: int, sketch_dim: int) -> np.ndarray:
    """Angles between the sketches of random pairs of vectors, ``(n_angles, n_draws)``.

    The plane that the pair spans is drawn: an orthonormal frame ``Q = Z L^-T``, Z being a
    matrix of normal numbers and ``L L^T = Z^T Z``. Of Z only its products are needed, two
    Wishart matrices, made by Bartlett's decomposition. Nothing is drawn for a sketch of full
    width, which keeps angles.
    """
    angles = np.asarray(angles, dtype=float)[:, None]
    if sketch_dim == n_features:
        return angles
    rng = np.random.default_rng(0)

    def wishart(degrees):
        root = np.zeros((N_FRAMES, 2, 2))
        root[:, 0, 0] = np.sqrt(rng.chisquare(degrees, N_FRAMES))
        root[:, 1, 0] = rng.standard_normal(N_FRAMES)
        if degrees > 1:
            root[:, 1, 1] = np.sqrt(rng.chisquare(degrees - 1, N_FRAMES))
        return root @ root.transpose(0, 2, 1)

    kept = wishart(sketch_dim)
    inverse = np.linalg.inv(np.linalg.cholesky(kept + wishart(n_features - sketch_dim)))
    seen = inverse @ kept @ inverse.transpose(0, 2, 1)
    uu, uv, vv = seen[:, 0, 0], seen[:, 0, 1], seen[:, 1, 1]
    cos, sin = np.cos(angles), np.sin(angles)
    xy = cos * uu + sin * uv
    yy = cos**2 * uu + 2 * cos * sin * uv + sin**2 * vv
    # Rounding may take a length of 0 below it, and a cosine beyond 1.
    lengths = np.sqrt(np.maximum(uu * yy, np.finfo(float).tiny))
    return np.arccos(np.clip(xy / lengths, -1, 1))


def same_winner_probability(angles, bin_width: int) -> np.ndarray:
    """Chance that the largest of `bin_width` coordinates is the same of both vectors.

    Integral over the winner's values a of one vector and b = a cos + z sin of the other.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
    weights = weights / weights.sum()
    a, z = points[:, None], points[None, :]
    out = np.empty(len(angles))
    for i, angle in enumerate(angles):
        cos, sin = np.cos(angle), np.sin(angle)
        if sin < 1e-6:
            out[i] = float(cos > 0)
            continue
        below = _both_below(a, cos * a + sin * z, cos, sin)
        out[i] = bin_width * np.einsum("a,z,az->", weights, weights, below ** (bin_width - 1))
    return out


def _both_below(h, k, cos, sin):
    """The standard normal distribution function in two dimensions (Owen, 1956)."""
    # Owen's formula divides by h and k, and holds in the limit where one of them is 0.
    opposite = (h * k < 0) | ((h * k == 0) & (h + k < 0))
    both = (ndtr(h) + ndtr(k) - opposite) / 2
    with np.errstate(divide="ignore"):
        both = both - owens_t(h, (k - cos * h) / (h * sin)) - owens_t(k, (h - cos * k) / (k * sin))
    return np.clip(both, 0, 1)


def sign_code_variance(n_features: int, n_bits: int) -> float:
    """Variance of a sign code's estimate, in units of ``|w|^2 |h|^2 sin(angle)^2``.

    Of `sklsh.hashing.codes.SignCodes`, over random rotations: with z the coordinates of
    ``R w / |w|`` in `n_bits` directions and S the sum of their absolute values, the estimate is
    ``w @ h`` plus ``|w| / S`` times what the signs make of the part of h at right angles to w,
    which has a random direction among ``n_features - 1``: ``E[(n_bits - sum S_r^2) /
    (S^2 (n_features - 1))]`` over the rotations r. The mean of the fraction is taken as the
    fraction of the means, which is within some per cent for 32 bits or more.

    Parameters
    ----------
    n_features : int
        At least 2.
    n_bits : int
        More than `n_features`: of several independent rotations.
    """
    d = check_int(n_features, "n_features", 2)
    n_bits = check_int(n_bits, "n_bits", 1)
    sizes = np.full(-(-n_bits // d), d, dtype=float)
    sizes[-1] = n_bits - d * (len(sizes) - 1)
    # A coordinate of a random direction: E|z| and, of two of them, E|z_1 z_2|.
    one = np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.sqrt(np.pi)
    squares = sizes / d + sizes * (sizes - 1) * 2 / (np.pi * d)
    means = sizes * one
    square = squares.sum() + means.sum() ** 2 - np.square(means).sum()
    return float((n_bits - squares.sum()) / (square * (d - 1)))


def most_flips(changes, lengths) -> np.ndarray:
    """Bound of the chance that a bit ``[g @ x > 0]`` flips when x moves by d.

    ``arcsin(|d| / |x|) / pi``, and 1, which says nothing, where d is as long as x or longer. The
    angle between x and x + d is largest where d is at right angles to x + d. For hashes of
    sketches, lengths are those of ``B d`` and ``B x``.

    Parameters
    ----------
    changes, lengths : array-like
        ``|d|`` and ``|x|``, broadcast.
    """
    changes, lengths = np.asarray(changes, dtype=float), np.asarray(lengths, dtype=float)
    near = changes < lengths
    share = np.divide(changes, lengths, out=np.ones(near.shape), where=near)
    return np.where(near, np.arcsin(share) / np.pi, 1.0)
