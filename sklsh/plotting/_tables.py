"""`TableOccupancyDisplay`: how full the buckets of hash tables are."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklsh.hashing import HashTables
from sklsh.plotting._base import Display, take_panels


class TableOccupancyDisplay(Display):
    """How many rows are in buckets of which size, beside what an even spread would give.

    A query costs what is in its buckets: few large ones are what to look for.

    Parameters
    ----------
    share_of_rows : ndarray (n_sizes,)
        Entry i: rows, of all tables, in buckets of 2^i to 2^(i+1) - 1 rows.
    even_share : ndarray (n_sizes,)
        The same if every code were equally likely.
    candidates : float
        Mean rows in the bucket of a row.
    name : str or None
        For the legend.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    stairs_ : StepPatch
        The measured shares.
    lines_ : list of Line2D
        The even spread.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import CompressedLSHHasher
    >>> from sklsh.plotting import TableOccupancyDisplay
    >>> hasher = CompressedLSHHasher(random_state=0).fit(load_digits().data)
    >>> display = TableOccupancyDisplay.from_estimator(hasher)  # doctest: +SKIP
    """

    def __init__(self, share_of_rows, even_share, candidates, *, name=None):
        self.share_of_rows = share_of_rows
        self.even_share = even_share
        self.candidates = candidates
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None):
        """Draw the tables of a fitted `CompressedLSHHasher`, or `HashTables` as they are.

        Parameters
        ----------
        estimator : CompressedLSHHasher or HashTables
        name : str or None
            For the legend.
        ax : Axes or None

        Raises
        ------
        NotFittedError
        TypeError
            Something without tables.
        ValueError
            Tables without rows.
        """
        if isinstance(estimator, HashTables):
            tables = estimator
        else:
            check_is_fitted(estimator)
            found = getattr(estimator, "tables_", None)
            if not isinstance(found, HashTables):
                raise TypeError(
                    "estimator must be a CompressedLSHHasher or HashTables, got "
                    f"{type(estimator).__name__}"
                )
            tables = found
        if not tables.n_present:
            raise ValueError("estimator must have rows in its tables, got none")
        from scipy.stats import binom

        sizes = np.concatenate([tables.sizes(t) for t in range(tables.n_tables)])
        n_rows = tables.n_present
        places = np.frexp(sizes)[1] - 1
        edges = 2.0 ** np.arange(n_rows.bit_length() + 1)
        measured = np.bincount(places, weights=sizes, minlength=len(edges) - 1)
        # A row's bucket holds the row, and each other one by chance.
        even = np.diff(binom.cdf(edges - 2, n_rows - 1, 2.0**-tables.code_bits))
        candidates = float((sizes.astype(float) ** 2).sum() / sizes.sum())
        return cls(measured / sizes.sum(), even, candidates, name=name).plot(ax)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure; returns self."""
        panels = take_panels(ax, 1, figsize=(5.5, 3.4))
        (axes,) = panels
        places = np.arange(len(self.share_of_rows))
        label = f"{self.candidates:.0f} rows in a row's bucket"
        label = label if self.name is None else f"{self.name}: {label}"
        edges = np.arange(len(places) + 1) - 0.5
        self.stairs_ = axes.stairs(self.share_of_rows, edges, fill=True, alpha=0.35, lw=0)
        color = self.stairs_.get_facecolor()[:3]
        axes.stairs(self.share_of_rows, edges, color=color, lw=1.5, label=label)
        even = "codes equally likely"
        known = axes.get_legend_handles_labels()[1]
        lines = axes.plot(
            places, self.even_share, "o--", ms=3, lw=1.2, color="0.35",
            label=None if even in known else even,
        )  # fmt: skip
        names = ["1"] + [f"{2**i}-{2 ** (i + 1) - 1}" for i in places[1:]]
        axes.set_xticks(places, names, rotation=40, ha="right", fontsize="small")
        axes.set(xlabel="rows in the bucket", ylabel="share of rows")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        return self._keep(panels, lines)
