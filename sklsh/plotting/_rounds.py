"""`RoundLedgerDisplay`: quality and bytes of a federation's rounds."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklsh.plotting._base import Display, take_panels

BIG_KINDS = {
    "head": "#4269d0", "body": "#97bbf5", "sketch": "#efb118", "prototypes": "#3ca951",
    "request": "#a463f2", "select": "#ff725c",
}  # fmt: skip
"""Messages that can be most of the traffic, in the order and the colours of their bars."""

OTHER_COLOR = "#9498a0"

SMALL = 0.01
"""Kinds below this share of the bytes are drawn with the others."""


class RoundLedgerDisplay(Display):
    """What a federation has learnt for the bytes it has sent, and what these bytes were.

    Parameters
    ----------
    sent : ndarray (n_rounds,)
        Bytes up to the end of each round, both ways, prototype initialisation included.
    quality : ndarray (n_rounds,)
    kinds : dict
        Bytes by kind of message.
    quality_name : str
        Label of the axis.
    name : str
        For the legend, and of the bar.

    Attributes
    ----------
    ax_ : Axes, or ndarray (2,) of Axes
        Of the quality, and of the kinds of messages.
    figure_ : Figure
    lines_ : list of Line2D
        Quality against bytes.

    Examples
    --------
    Several methods in one picture:

    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
    >>> from sklsh.plotting import RoundLedgerDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> groups, ax = np.arange(len(X)) % 4, None
    >>> for sampler in ("labels", "all"):
    ...     model = FederatedLSHClassifier(SparseLSHMLPClassifier(sampler=sampler))
    ...     model = model.fit(X, y, groups=groups)
    ...     display = RoundLedgerDisplay.from_estimator(
    ...         model, name=sampler, ax=ax
    ...     )  # doctest: +SKIP
    ...     ax = display.ax_  # doctest: +SKIP
    """

    def __init__(self, sent, quality, kinds, *, quality_name="mean training loss", name="rounds"):
        self.sent = sent
        self.quality = quality
        self.kinds = kinds
        self.quality_name = quality_name
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator, *, scores=None, score_name="score", name=None, ax=None
    ):  # fmt: skip
        """Draw the ledger of a fitted `FederatedLSHClassifier`.

        Parameters
        ----------
        estimator : FederatedLSHClassifier
        scores : array-like (n_rounds,), default=None
            Quality after each round, such as a `callback` has measured it on held-out rows.
            None: the training loss of `history_`.
        score_name : str
            What `scores` are: label of the axis.
        name : str or None
            For the legend. None: the sampler.
        ax : Axes, or two of them, or None
            Those of another display, so that both are compared. One: the quality alone.

        Raises
        ------
        NotFittedError
        TypeError
            An estimator without a ledger.
        ValueError
            `scores` of another length than there are rounds.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "ledger_"):
            raise TypeError(
                f"estimator must be a FederatedLSHClassifier, got {type(estimator).__name__}"
            )
        by_round = estimator.ledger_.by("round")
        rounds = [entry["round"] for entry in estimator.history_]
        start = sum(count for number, count in by_round.items() if number not in rounds)
        sent = start + np.cumsum([by_round.get(number, 0) for number in rounds])
        if scores is None:
            quality = np.array([entry["loss"] for entry in estimator.history_])
            score_name = "mean training loss"
        else:
            quality = np.asarray(scores, dtype=float)
            if quality.shape != sent.shape:
                raise ValueError(
                    f"scores must have one number for each of {len(rounds)} rounds, got shape "
                    f"{quality.shape}"
                )
        if name is None:
            name = f"sampler={estimator.estimator_.sampler}"
        display = cls(
            sent, quality, estimator.ledger_.by("kind"), quality_name=score_name, name=name
        )
        return display.plot(ax)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure; returns self."""
        panels = take_panels(ax, 2, figsize=(10, 3.8), width_ratios=(3, 2))
        axes = panels[0]
        lines = axes.plot(self.sent / 1e6, self.quality, marker="o", ms=4, label=self.name)
        axes.set(xlabel="megabytes sent, all devices, both ways", ylabel=self.quality_name)
        axes.set_xlim(left=0, auto=True)  # the next method may need more room
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        if len(panels) == 2:
            self._bar(panels[1])
        return self._keep(panels, lines)

    def _bar(self, axes):
        """One more bar: a method's bytes, split by kind."""
        total = sum(self.kinds.values())
        large = [kind for kind in BIG_KINDS if self.kinds.get(kind, 0) >= SMALL * total]
        parts = {kind: self.kinds[kind] for kind in large}
        parts["other"] = total - sum(parts.values())
        known, left = set(axes.get_legend_handles_labels()[1]), 0.0
        for kind, count in parts.items():
            axes.barh(
                [self.name], [count / 1e6], left=left, height=0.6,
                color=BIG_KINDS.get(kind, OTHER_COLOR),
                label=kind if kind not in known else None,
            )  # fmt: skip
            left += count / 1e6
        axes.set(xlabel="megabytes by kind of message")
        if not axes.yaxis_inverted():
            axes.invert_yaxis()  # the first method on top
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend(
            frameon=False, fontsize="small", ncols=3, loc="lower left", bbox_to_anchor=(0, 1)
        )
