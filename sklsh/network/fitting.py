"""The fit loop: epochs with a decaying rate, validation, early stopping, Ctrl-C."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from sklsh.network.batching import similar_order
from sklsh.network.calibration import hits
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import falling_rate
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows
from sklsh.network.settings import Settings
from sklsh.network.trainer import Trainer

STREAM_HISTORY = 100
"""Parts of a stream whose losses are kept: a stream may have millions."""


@dataclass
class History:
    """What happened in a fit, epoch by epoch, or in the last parts of a stream.

    Attributes
    ----------
    losses, validation_scores : list of float
    n_epochs : int
        All there were, those too whose losses are forgotten.
    best_loss : float
        The smallest of all losses; inf if there was none, or NaN alone.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    losses: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    n_epochs: int = 0
    best_loss: float = np.inf
    interrupted: bool = False

    @classmethod
    def of(cls, losses, validation_scores=()) -> History:
        """The history of whole fits, from their losses."""
        history = cls(validation_scores=list(validation_scores))
        for loss in losses:
            history.add(loss)
        return history

    def followed_by(self, other: History) -> History:
        """The history of two fits, one after the other."""
        return History(
            self.losses + other.losses,
            self.validation_scores + other.validation_scores,
            self.n_epochs + other.n_epochs,
            min(self.best_loss, other.best_loss),
        )

    def add(self, loss: float, most: int | None = None) -> None:
        """One more epoch; only the last `most` losses are kept."""
        self.losses.append(loss)
        self.n_epochs += 1
        self.best_loss = min(self.best_loss, loss)  # NaN, as the second of two, is never less
        if most is not None:
            del self.losses[:-most]


@dataclass
class FitState:
    """Where a fit is between two epochs, beside its network.

    Attributes
    ----------
    history : History
    best_score : float
        With early stopping: of the weights to be put back.
    best_weights : list of ndarray or None
    n_worse : int
        Epochs since the score has improved by `tol`.
    """

    history: History = field(default_factory=History)
    best_score: float = -np.inf
    best_weights: list[np.ndarray] | None = None
    n_worse: int = 0


def epoch_order(network, X: SparseRows, rows, settings: Settings, rng, n_threads: int = 1):
    """The order in which an epoch reads `rows`: as `settings.shuffle` says."""
    if settings.shuffle == "lsh":
        return similar_order(network, X, rows, settings.batch_size, settings, rng, n_threads)
    return rng.permutation(rows) if settings.shuffle else rows


def check_finite(value: float) -> float:
    """A loss or weight, if it is finite; a ValueError otherwise: training has diverged."""
    if not np.isfinite(value):
        raise ValueError(
            f"training has diverged: loss and weights must be finite, got {value}; "
            "learning_rate_init, the entries of X or sample_weight are too large"
        )
    return value


def precision_at_1(predictor: Predictor, X: SparseRows, Y: SparseRows, rows) -> float:
    """Share of `rows` whose best-scored label is one of theirs."""
    return float(hits(predictor.topk(X, 1, rows)[0], Y, rows).mean())


def fit_epochs(
    trainer: Trainer,
    X: SparseRows,
    Y: SparseRows,
    rows: np.ndarray,
    settings: Settings,
    *,
    validation: np.ndarray,
    sample_weight: np.ndarray | None = None,
    rng: np.random.Generator,
    corrupt: Callable[[int], SparseRows] | None = None,
    score: Callable[[], float] | None = None,
    on_epoch: Callable[[int, History], None] = lambda epoch, history: None,
    state: FitState | None = None,
    save: Callable[[FitState], None] = lambda state: None,
) -> History:
    """Train on ``X[rows]`` until `max_iter` epochs, early stopping or Ctrl-C.

    With early stopping, P@1 on the rows `validation` decides, or `score` if given, and the
    best weights are put back at the end (they cost a copy of the parameters meanwhile); the
    weights that a trained network comes with are among those to choose from. Where
    `validation` is empty nothing can decide: a warning, and all epochs are run.
    ``corrupt(epoch)``, if given, makes the rows that an epoch reads in the stead of `X`. A
    loss or weight that is not finite is a ValueError. The fit resumes from `state`, and hands it to
    `save` after each epoch.
    """
    # Long: a line for each parameter, and a loop that an interrupt may leave anywhere.
    if settings.early_stopping and not validation.size:
        warnings.warn(
            f"early_stopping needs held-out rows, and of {rows.shape[0]} rows none can be held "
            f"out: training runs for {settings.max_iter} epochs.",
            stacklevel=2,
        )
        settings = replace(settings, early_stopping=False)
    state = state or FitState()
    history = state.history
    n_threads = trainer.n_threads
    predictor = Predictor(trainer.network, n_threads=n_threads)

    def score_now() -> float:
        now = score() if score else precision_at_1(predictor, X, Y, validation)
        if now > state.best_score:
            state.best_score, state.best_weights = now, copy_weights(trainer.network)
        return now

    try:
        if settings.early_stopping and trainer.step_count and not history.losses:
            score_now()
        for epoch in range(len(history.losses), settings.max_iter):
            if state.n_worse >= settings.n_iter_no_change:
                break
            seen = X if corrupt is None else corrupt(epoch)
            order = epoch_order(trainer.network, seen, rows, settings, rng, n_threads)

            def rate(position, epoch=epoch):
                done = (epoch + position) / settings.max_iter
                return falling_rate(settings.learning_rate_init, done)

            loss = trainer.epoch(seen, Y, order, settings.batch_size, rate, sample_weight)
            history.add(check_finite(loss))
            if settings.early_stopping:
                to_beat = state.best_score + settings.tol
                history.validation_scores.append(score_now())
                improved = history.validation_scores[-1] > to_beat
                state.n_worse = 0 if improved else state.n_worse + 1
            save(state)
            on_epoch(epoch, history)
    except KeyboardInterrupt:
        history.interrupted = True
        warnings.warn(
            f"Training interrupted by the user after {len(history.losses)} whole epochs.",
            stacklevel=2,
        )
    if state.best_weights is not None:
        restore_weights(trainer.network, state.best_weights)
    for array in trainer.network.parameters():
        # The last step comes after the last loss; a NaN is both smallest and largest.
        check_finite(float(array.min()))
        check_finite(float(array.max()))
    return history


def copy_weights(network: WideNetwork) -> list[np.ndarray]:
    """All parameters, copied."""
    return [array.copy() for array in network.parameters()]


def restore_weights(network: WideNetwork, weights: list[np.ndarray]) -> None:
    """Put back what `copy_weights` took."""
    for array, saved in zip(network.parameters(), weights, strict=True):
        array[...] = saved
