"""What a learner fits once its network is trained: all that validation rows decide on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sklsh.network.calibration import (
    NEIGHBORS,
    Rivals,
    fit_chances,
    fit_neighbors,
    fit_temperature,
    fit_threshold,
)
from sklsh.network.head_index import fit_search
from sklsh.network.linear import LinearView
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.ranking import fit_ranking, label_frequency
from sklsh.network.settings import Settings
from sklsh.network.validation_rows import ValidationRows

if TYPE_CHECKING:
    from sklsh.network.learner import Learner

UNFITTED_WEIGHT = 4.0
"""Of the linear view, if it is wanted where no rows are held out to fit it on."""

HELD_SHARE = 0.07
"""From this share of held-out rows on, the linear view is trained again on all rows once all is
fitted: a tenth of the rows is worth .21 (standard error .05), .10 (.02) and .08 (.01) points of
P@1, P@3 and P@5 (64 pairs of fits on eight data sets), a twentieth nothing."""


def finish(
    learner: Learner, validation_rows: ValidationRows, settings: Settings, *, train,
    held_out: bool, multilabel: bool, sample_weight=None,
) -> None:  # fmt: skip
    """Fit neighbours, linear view, their weights, threshold, probabilities and tables.

    Parameters
    ----------
    learner : Learner
        Its network stays as it is.
    validation_rows : ValidationRows
    settings : Settings
    train : ndarray of int32
        Rows that the network was trained on.
    held_out : bool
        Whether the validation rows are others than these: else weights are not fitted on them.
    multilabel : bool
        Whether a row may have any number of labels: else no threshold is fitted.
    sample_weight : ndarray (n_samples,) or None
        Of all rows, relative.
    """
    learner.memory = learner.linear = learner.label_counts = None
    learner.chances = learner.threshold = None
    if settings.n_neighbors and held_out:
        _fit_memory(learner, validation_rows, settings)
    if settings.n_trees:
        learner.linear = _view(learner, validation_rows, settings, train, sample_weight)
    _fit_ranking(learner, validation_rows, train, held_out, sample_weight)
    learner.index, learner.named_only, learner.table_stats = fit_search(
        validation_rows, settings, learner.seed, held_out
    )
    learner.hidden_mean = validation_rows.hidden.mean(axis=0)
    learner.temperature = 1.0
    if held_out or multilabel:
        rivals = Rivals.of(validation_rows, learner.named_only)
        _fit_probabilities(learner, rivals, held_out, multilabel)
    n_held = validation_rows.rows.shape[0]
    if learner.linear is not None and held_out and n_held >= HELD_SHARE * (n_held + train.shape[0]):
        weight, rows = learner.linear.weight, np.union1d(train, validation_rows.rows)
        learner.linear = _view(learner, validation_rows, settings, rows, sample_weight)
        learner.linear.weight = weight


def _view(
    learner: Learner, validation_rows: ValidationRows, settings: Settings, rows, sample_weight
) -> LinearView:
    """The linear view of some rows of all."""
    return LinearView.build(
        validation_rows.X, validation_rows.Y, rows, learner.network.n_features,
        learner.network.n_labels, settings.n_trees, sample_weight=sample_weight,
        seed=learner.seed, n_threads=validation_rows.n_threads,
    )  # fmt: skip


def _fit_probabilities(learner: Learner, rivals: Rivals, held_out: bool, multilabel: bool) -> None:
    """Temperature and chances on rows held out, as training rows would say too much; threshold."""
    if held_out:
        learner.temperature = fit_temperature(rivals)
    if multilabel:
        learner.threshold = fit_threshold(rivals, learner.temperature)
        if held_out:
            learner.chances = fit_chances(rivals, learner.temperature)


def _fit_memory(learner: Learner, validation_rows: ValidationRows, settings: Settings) -> None:
    """Keep the training rows, if k-NN scores help on rows held out of training."""
    memory = NeighborMemory.build(
        validation_rows.X, validation_rows.Y, learner.network.n_features, 0
    )
    given = settings.n_neighbors
    choices = NEIGHBORS if given == "auto" else (int(given),)
    if fit_neighbors(validation_rows, memory, choices) > 0:
        learner.memory = validation_rows.memory = memory


def _fit_ranking(
    learner: Learner, validation_rows: ValidationRows, train, held_out: bool, sample_weight
) -> None:
    """What adds up to a score, weighed on rows held out of training."""
    learner.adjust(None)
    if held_out:
        frequency = label_frequency(
            validation_rows.Y, train, learner.network.n_labels, sample_weight
        )
        tau = fit_ranking(validation_rows, learner.linear, frequency)
        if tau:
            learner.adjust(np.float32(tau) * frequency)
            validation_rows.switch(learner.ranking_network())
    elif learner.linear is not None:
        # Its own training rows would find it better than it is.
        learner.linear.weight = UNFITTED_WEIGHT
        validation_rows.gains = learner.linear.gains(
            validation_rows.X, validation_rows.rows, validation_rows.n_threads
        )
    if learner.memory is not None and not learner.memory.weight:
        learner.memory = validation_rows.memory = None
    if learner.linear is not None and not learner.linear.weight:
        learner.linear = None
