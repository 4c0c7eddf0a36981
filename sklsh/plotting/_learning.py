"""`LearningCurveDisplay`: loss and validation score by epoch."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklsh.plotting._base import Display, take_panels


class LearningCurveDisplay(Display):
    """Loss and validation score, epoch by epoch.

    Parameters
    ----------
    loss : array-like (n_epochs,)
    validation_scores : array-like (n_epochs,) or None
        None: the loss alone is drawn.
    estimator_name : str or None
        For the legend.

    Attributes
    ----------
    ax_ : Axes, or ndarray (2,) of Axes
        Of the loss, and of the validation score if there is one.
    figure_ : Figure
    lines_ : list of Line2D

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import SparseLSHMLPClassifier
    >>> from sklsh.plotting import LearningCurveDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseLSHMLPClassifier(early_stopping=True, random_state=0).fit(X, y)
    >>> display = LearningCurveDisplay.from_estimator(model)  # doctest: +SKIP
    """

    def __init__(self, loss, validation_scores=None, *, estimator_name=None):
        self.loss = loss
        self.validation_scores = validation_scores
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None):
        """Draw the curves of a fitted classifier or recommender.

        Parameters
        ----------
        estimator : SparseLSHMLPClassifier or LSHRecommender
            Or any other with `loss_curve_` and, where it has them, `validation_scores_`.
        name : str or None
            For the legend. None: the class's name.
        ax : Axes, or two of them, or None
            One: the loss alone is drawn there.

        Raises
        ------
        NotFittedError
        TypeError
            The estimator keeps no `loss_curve_`.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise TypeError(
                f"estimator must have loss_curve_, got {type(estimator).__name__}; "
                "of a federation see RoundLedgerDisplay"
            )
        display = cls(
            np.asarray(estimator.loss_curve_, dtype=float),
            getattr(estimator, "validation_scores_", None),
            estimator_name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure; returns self."""
        scores = self.validation_scores
        n_panels = 1 if scores is None else 2
        panels = take_panels(ax, n_panels, figsize=(4.5 * n_panels, 3.4))
        curves = [(self.loss, "mean loss of the epoch")]
        if scores is not None:
            curves.append((scores, "P@1 of held-out rows"))
        lines = []
        for panel, (values, label) in zip(panels, curves):
            epochs = np.arange(1, len(values) + 1)
            lines += panel.plot(epochs, values, marker="o", ms=4, label=self.estimator_name)
            panel.set(xlabel="epoch", ylabel=label)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(axis="y", alpha=0.3)
        if self.estimator_name is not None:
            panels[0].legend(frameon=False)
        return self._keep(panels, lines)
