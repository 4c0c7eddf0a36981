"""`ReliabilityDisplay`: what comes true of labels that are called as likely."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.containers import label_lists, plain
from sklsh.metrics._calibration import reliability
from sklsh.metrics._scorers import class_columns, ranked_classes
from sklsh.plotting._base import Display, take_panels


class ReliabilityDisplay(Display):
    """Share of labels that came true against their mean probability, bin by bin.

    Of a wide head the `k` best labels of each row are asked, so that scikit-learn's
    `CalibrationDisplay`, which wants a dense column for each label, is not needed.

    Parameters
    ----------
    probabilities, shares : array-like (n_bins,)
        Of bins that have labels: their mean probability, and what share came true.
    counts : array-like (n_bins,)
        Labels of each bin.
    name : str or None
        For the legend.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    lines_ : list of Line2D

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import SparseLSHMLPClassifier
    >>> from sklsh.plotting import ReliabilityDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseLSHMLPClassifier(random_state=0).fit(X[::2], y[::2])
    >>> display = ReliabilityDisplay.from_estimator(model, X[1::2], y[1::2])  # doctest: +SKIP
    """

    def __init__(self, probabilities, shares, counts, *, name=None):
        self.probabilities = probabilities
        self.shares = shares
        self.counts = counts
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, k=5, n_bins=15, name=None, ax=None):
        """Draw the curve of a fitted classifier.

        Parameters
        ----------
        estimator : SparseLSHMLPClassifier
            Or any other with `predict_topk_proba`, or a pipeline that ends in one.
        X : array-like or sparse matrix (n_samples, n_features)
        y : labels (n_samples,), lists of labels, or indicator matrix (n_samples, n_labels)
            What was true of rows that the estimator has not been trained on.
        k : int, default=5
            Labels of a row that are asked for.
        n_bins : int, default=15
        name : str or None
            For the legend. None: the class's name.
        ax : Axes or None

        Raises
        ------
        NotFittedError
        TypeError
            The estimator has no `predict_topk_proba`.
        ValueError
            As of `sklsh.metrics.expected_calibration_error`.
        """
        last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        if not hasattr(last, "predict_topk_proba"):
            raise TypeError(f"estimator must have predict_topk_proba, got {type(last).__name__}")
        check_is_fitted(last)
        if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
            X = estimator[:-1].transform(X)
        labels, probabilities = last.predict_topk_proba(X, k)
        true = plain(y, "y")
        if label_lists(y) is None and not sp.issparse(true) and np.ndim(true) == 1:
            labels = ranked_classes(last.classes_, labels)
            y, _ = class_columns(last.classes_, true)
        found = reliability(y, labels, probabilities, n_bins)
        return cls(*found, name=type(last).__name__ if name is None else name).plot(ax)

    def plot(self, ax=None):
        """Draw on `ax`, or on a new figure; returns self."""
        panels = take_panels(ax, 1, figsize=(4.2, 4))
        axes = panels[0]
        if not axes.lines:
            axes.plot([0, 1], [0, 1], color="#9498a0", lw=1, ls=":", label="calibrated")
        shares = np.asarray(self.counts) / max(1, np.sum(self.counts))
        lines = axes.plot(self.probabilities, self.shares, lw=1.5, label=self.name)
        axes.scatter(self.probabilities, self.shares, 4 + 150 * shares, color=lines[0].get_color())
        axes.set(xlabel="probability", ylabel="share that came true", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        return self._keep(panels, lines)
