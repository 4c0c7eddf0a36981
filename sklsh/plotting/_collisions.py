"""`CollisionDisplay`: chance of a collision against angle."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.validation import check_int
from sklsh.hashing.theory import collision_probability
from sklsh.plotting._base import Display, take_panels

THEORY_POINTS = 91


class CollisionDisplay(Display):
    """Chance that two vectors collide against the angle between them, measured and by theory.

    Parameters
    ----------
    angles : ndarray (n_angles,)
        In radians.
    measured, error : ndarray (n_angles,)
        Share of pairs that collided, and its standard error.
    theory : ndarray (n_points,) or None
        Of `n_points` angles from 0 to pi; see `sklsh.hashing.theory`. None: no formula.
    name : str or None
        For the legend.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    lines_ : list of Line2D
        The measured points and, where there is one, the curve of the theory.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh import CompressedLSHHasher
    >>> from sklsh.plotting import CollisionDisplay
    >>> hasher = CompressedLSHHasher("simhash", random_state=0).fit(np.eye(64))
    >>> display = CollisionDisplay.from_estimator(hasher)  # doctest: +SKIP
    """

    def __init__(self, angles, measured, error, theory=None, *, name=None):
        self.angles = angles
        self.measured = measured
        self.error = error
        self.theory = theory
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator, *, any_table=False, n_angles=17, n_pairs=500, random_state=0, name=None,
        ax=None,
    ):  # fmt: skip
        """Hash random pairs of vectors with a fitted `CompressedLSHHasher`, and draw.

        Parameters
        ----------
        estimator : CompressedLSHHasher
        any_table : bool, default=False
            A collision is equal codes in any one of all tables, instead of in one table.
        n_angles : int, default=17
            Evenly from 0 to 180 degrees, the ends left out.
        n_pairs : int, default=500
            Pairs of each angle, in random directions.
        random_state : int, RandomState instance or None, default=0
        name : str or None
            For the legend. None: the family and its settings.
        ax : Axes or None

        Raises
        ------
        NotFittedError
        TypeError
            No hasher.
        ValueError
            Fewer than two pairs or features.
        """
        check_is_fitted(estimator)
        functions = getattr(estimator, "functions_", None)
        if functions is None:
            raise TypeError(
                f"estimator must be a CompressedLSHHasher, got {type(estimator).__name__}"
            )
        n_angles = check_int(n_angles, "n_angles", 1)
        n_pairs = check_int(n_pairs, "n_pairs", 2)
        n_features = functions.projection.n_features
        if n_features < 2:
            raise ValueError("estimator must have at least 2 features for an angle, got 1")
        angles = np.linspace(0, np.pi, n_angles + 2)[1:-1]
        n_tables = functions.n_tables if any_table else 1
        theory = collision_probability(
            functions, np.linspace(0, np.pi, THEORY_POINTS), n_tables=n_tables
        )
        x, z = _orthonormal_pairs(n_pairs, n_features, check_random_state(random_state))
        codes_x = functions.codes(functions.sketch(x))
        shares = np.empty((n_angles, n_pairs))
        for i, angle in enumerate(angles):
            y = (np.cos(angle) * x + np.sin(angle) * z).astype(np.float32)
            equal = codes_x == functions.codes(functions.sketch(y))
            shares[i] = equal.any(axis=1) if any_table else equal.mean(axis=1)
        error = shares.std(axis=1, ddof=1) / np.sqrt(n_pairs)
        if name is None:
            name = f"{estimator.family}, k={estimator.hash_length}"
            if functions.projection.sketch_dim < n_features:
                name += f", c={functions.projection.sketch_dim}"
            if any_table:
                name += f", L={functions.n_tables}"
        return cls(angles, shares.mean(axis=1), error, theory, name=name).plot(ax)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure; returns self."""
        panels = take_panels(ax, 1, figsize=(5.5, 3.8))
        (axes,) = panels
        points = axes.errorbar(
            np.degrees(self.angles), self.measured, yerr=2 * self.error, fmt="o", ms=4.5,
            elinewidth=1, mec="white", mew=0.5, label=self.name, zorder=3,
        )  # fmt: skip
        lines = [points.lines[0]]
        if self.theory is not None:
            degrees = np.linspace(0, 180, len(self.theory))
            lines += axes.plot(
                degrees, self.theory, lw=1.5, alpha=0.7, color=points.lines[0].get_color()
            )
        axes.set(
            xlabel="angle between the vectors", ylabel="chance of a collision",
            xlim=(0, 180), ylim=(-0.02, 1.02), xticks=range(0, 181, 30),
        )  # fmt: skip
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}°")
        axes.grid(alpha=0.3)
        if self.name is not None:
            axes.legend(frameon=False)
        return self._keep(panels, lines)


def _orthonormal_pairs(n_pairs, n_features, rng):
    """Pairs of unit vectors at a right angle, in random directions; float32."""
    x, z = rng.standard_normal((2, n_pairs, n_features))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z -= np.einsum("ij,ij->i", x, z)[:, None] * x
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return x.astype(np.float32), z.astype(np.float32)
