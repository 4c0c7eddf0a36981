"""`Autoencoder`: a learner that reads a user's items and names them, beside item-item scores.

Part of the input is dropped in training, so that the network learns to name items that it
does not see (S. Sedhain et al., "AutoRec", WWW 2015; D. Liang et al., "Variational
autoencoders for collaborative filtering", WWW 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from sklsh._utils.arrays import own_arrays
from sklsh._utils.random import PASS, nth_seed
from sklsh._utils.threads import one_blas_thread
from sklsh.network.blending import ROUNDS, find_candidates
from sklsh.network.checkpoints import FitCheckpoint
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.fitting import STREAM_HISTORY, fit_epochs
from sklsh.network.growth import grown
from sklsh.network.head_index import candidates_of
from sklsh.network.interactions import (
    drawn_entries,
    hide_entries,
    keep_entries,
    leave_some_out,
    shortened,
)
from sklsh.network.item_scorer import ItemScorer
from sklsh.network.learner import Learner
from sklsh.network.lowpass import FEW_ITEMS, LowPass, automatic_factors, automatic_filters
from sklsh.network.prototypes import set_prototypes
from sklsh.network.regression import ItemRegression
from sklsh.network.rows import SparseRows
from sklsh.network.settings import Settings
from sklsh.network.smoothing import smooth_items
from sklsh.network.window import GROWTH, GROWTH_ANEW, RecentRows

PROTOTYPE_SCALE = 2.0
"""Length of a fresh neuron's row: shorter than a classifier's, whose rows do not name their own
features. Between 1 and 5 the network alone gains 1 point of recall, the whole nothing."""

HIDDEN_SHARE = 0.2
"""Share of a validation user's items that are hidden, to be found from the others."""

DEFAULTS = {"item-item": (0, 2.0), "regression": (1, 24.0), "low pass": (1, 8.0)}
"""Choice and weight of each source, where no user validated it, and weights that validated ones
are drawn towards: the best of some on most sets, whichever set is left out of the choice
(benchmarks/recommender_rules.py)."""

SOFT_DEFAULTS = DEFAULTS | {"low pass": (0, 16.0)}
"""The same where items are few."""

N_CENTRE = 4096
"""Users whose hidden vectors the tables centre by."""

N_VALIDATION_USERS, DECAY = 256, 0.9
"""Users of a stream's part that choose weights before they are learnt, and how fast their
choice fades from part to part."""

MAX_ROW = 2_000
"""Items of one user that are learnt from: the time that co-occurrences take grows with the
square. A user with more is most often a machine, and says little of each pair."""


def _n_neighbors(n_items: int, settings: Settings) -> int:
    return min(int(settings.n_neighbors), max(1, n_items - 1))


@dataclass
class Autoencoder(ItemScorer):
    """How it learns: from all users at once, or from new ones of a stream."""

    @classmethod
    def start(
        cls, n_items: int, settings: Settings, seed: int, n_factors: int | None = None
    ) -> Autoencoder:
        """`n_factors`: None: automatic."""
        unit = SparseRows.from_classes(np.zeros(1, dtype=np.int32))
        if n_factors is None:
            n_factors = automatic_factors(n_items)
        learner = Learner.start(unit, n_items, n_items, settings, seed)
        memory = None
        if settings.n_neighbors:
            memory = ItemMemory.empty(n_items, _n_neighbors(n_items, settings))
        return cls(learner, np.zeros(n_items, dtype=np.int64), memory=memory, n_factors=n_factors)

    def _count(self, R: SparseRows) -> None:
        self.counts = self.counts + np.bincount(R.indices, minlength=self.n_items)
        self.n_users += R.n_rows

    def _thinned(self, R: SparseRows, rate: float, pass_number: int) -> SparseRows:
        """Input rows without a share `rate` of the entries, others in each pass."""
        if not rate:
            return self.inputs(R)
        return self.inputs(keep_entries(R, ~drawn_entries(R, rate, self._seed(pass_number))))

    def _seed(self, number: int) -> int:
        return nth_seed(number, self.learner.seed, PASS)

    def fit(
        self, R: SparseRows, settings: Settings, input_dropout: float, *, n_threads=1,
        on_epoch=lambda epoch, history: None, checkpoint: FitCheckpoint | None = None,
    ) -> None:  # fmt: skip
        """Hide some items of a few users, train on the rest, fit the sources' weights on these.

        So the validation rows are known users, as most that ask will be, and the hidden items
        new. What `checkpoint` has of this fit is not trained again.
        """
        learner = self.learner
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None:
            learner.seed, learner.n_steps = saved.numbers["seed"], saved.numbers["first_step"]
        self._count(R)
        R = shortened(R, MAX_ROW, learner.seed)
        rng = np.random.default_rng([learner.seed, learner.n_steps])
        validation_rows = rng.permutation(R.n_rows)[: settings.n_validation]
        seen, visible, hidden = hide_entries(R, validation_rows, HIDDEN_SHARE, learner.seed)
        users = np.arange(R.n_rows, dtype=np.int32)
        if self.memory is not None:
            self.memory.update(seen, n_threads)
            smooth_items(learner.network, self.memory, self.known_items(), n_threads)
        with one_blas_thread():
            if saved is not None:
                saved.restore(learner)
            else:
                learner.network.see(R.indices, only=learner.n_steps == 0)
                set_prototypes(
                    learner.network, self.inputs(seen), seen, users,
                    learner.optimizer.untouched_neurons(), PROTOTYPE_SCALE, None, n_threads,
                )  # fmt: skip
            learner.sampler = None
            trainer = learner.trainer(settings, n_threads)
            first = learner.n_steps

            def save(state):
                if checkpoint is not None:
                    checkpoint.save(learner, trainer, state, rng)

            learner.history = fit_epochs(
                trainer, seen, seen, users, settings, rng=rng,
                validation=validation_rows[hidden.counts() > 0],
                corrupt=lambda epoch: self._thinned(seen, input_dropout, first + epoch),
                score=lambda: self.ndcg(visible, hidden, n_threads=n_threads, alone=True),
                on_epoch=on_epoch, save=save,
                state=None if saved is None else saved.resume(trainer, rng),
            )  # fmt: skip
            learner.n_steps, learner.sampler = trainer.step_count, None
        self._fit_sources(seen, n_threads)
        self._take_defaults()
        if hidden.indices.size:
            self._validate(visible, hidden, ROUNDS, 0.0, n_threads)
        if validation_rows.size and self.memory is not None:
            self.memory = self.memory.of(R, n_threads)
        self._settle(R if validation_rows.size else None, n_threads)
        self.window = RecentRows(due=R.indices.shape[0])
        if settings.prediction == "lsh":
            self._fit_index(R.take(rng.permutation(users)[:N_CENTRE]), settings, n_threads)

    def _fit_index(self, R: SparseRows, settings: Settings, n_threads: int) -> None:
        """Hash the trained head, centred by the hidden vectors of some users."""
        network = self.learner.network
        self.index = candidates_of(settings, self.learner.seed)
        self.index.build(network, network.hidden(self.inputs(R), None, n_threads), 0, n_threads)

    def _fit_sources(self, R: SparseRows, n_threads: int) -> None:
        """Regression and low pass of these rows, with the choices that there are by now."""
        if self.memory is not None:
            old = self.regression
            choices = None if old is None else old.choices
            self.regression = ItemRegression.fit(R, self.memory.ids, choices, n_threads)
            if old is not None:
                self.regression.choose(old.chosen, old.weight)
        if self.n_factors:
            before, n_factors = self.low_pass, self.n_factors
            filters = automatic_filters(self.n_items) if before is None else before.filters
            self.low_pass = LowPass.fit(
                R, self.n_items, n_factors, self._seed(0), n_threads, filters
            )
            if before is not None:
                self.low_pass.choose(before.chosen, before.weight)

    def _defaults(self) -> dict[str, tuple[int, float]]:
        """Choice and weight of each source."""
        return SOFT_DEFAULTS if self.n_items <= FEW_ITEMS else DEFAULTS

    def _take_defaults(self) -> None:
        defaults = self._defaults()
        for name, source in self.sources().items():
            source.choose(*defaults[name])

    def _settle(self, R: SparseRows | None, n_threads: int) -> None:
        """Keep what was chosen alone, computed anew from `R` if that is given."""
        if self.regression is not None:
            self.blend.settle("regression", self.regression.chosen)
            self.regression = self.regression.settle()
        if self.low_pass is not None:
            self.blend.settle("low pass", self.low_pass.chosen)
            self.n_factors //= self.low_pass.filters[self.low_pass.chosen][0]
            self.low_pass = self.low_pass.settle()
        if R is not None:
            self._fit_sources(R, n_threads)

    def _validate(self, visible, hidden, n_rounds: int, decay: float, n_threads: int) -> None:
        """Let users with some items hidden choose the weights of all sources."""
        sources = self.sources()
        if not sources:
            return
        candidates = find_candidates(
            self.learner.network, self.inputs(visible), sources, visible, hidden,
            self.known_items(), self.learner.network.head_bias, n_threads,
        )  # fmt: skip
        defaults = None if decay else {name: self._defaults()[name][1] for name in sources}
        self.blend = self.blend.joined(sources, candidates, n_rounds, decay, n_threads, defaults)

    def partial_fit(
        self, R: SparseRows, settings: Settings, input_dropout: float, *, n_threads=1,
        anew: Settings | None = None, n_factors: int | None = None,
    ) -> None:  # fmt: skip
        """One pass over new users. Costs what their rows cost, whatever came before.

        `anew`: of a `fit` on all rows that came with these; None: it is not fitted anew, however
        few they are. `n_factors` as of `start`. If it fails or is interrupted, learner and memory
        are as they were before.
        """
        learner = self.learner
        # The caller's weights are of the items before, and tables of a head that moves on.
        self.item_bonus = self.index = None
        learner.own()
        own_arrays(self)
        for source in self.sources().values():
            own_arrays(source)
        own_arrays(self.window)
        undo = self._undo_of(R)
        try:
            self._learn(R, settings, input_dropout, n_threads, anew, n_factors)
        except BaseException:
            undo()
            raise

    def _undo_of(self, R: SparseRows) -> Callable[[], None]:
        """What puts back what `_learn` changes in `memory`, and in the rows of new items."""
        items, memory = np.unique(R.indices), self.memory
        fresh, weights = items[self.counts[items] == 0], self.learner.network.body_weights[0]
        rows = weights[fresh]
        restore_memory = (lambda: None) if memory is None else memory.undo_of(items)
        chosen = [(source, source.chosen, source.weight) for source in self.sources().values()]

        def undo():
            weights[fresh] = rows
            for source, choice, weight in chosen:
                source.choose(choice, weight)
            restore_memory()

        return undo

    def _learn(
        self, R: SparseRows, settings: Settings, input_dropout: float, n_threads: int,
        anew: Settings | None, n_factors: int | None,
    ) -> None:  # fmt: skip
        learner, first_seen, first = self.learner, self.counts == 0, not self.n_users
        part = shortened(R, MAX_ROW, learner.seed)
        window = self.window.joined(part, self.n_items)
        if window.n_rows != self.n_users + R.n_rows:
            anew = None  # not all that came is there
        is_due = window.is_due(GROWTH if anew is None else GROWTH_ANEW)
        if is_due and anew is not None:
            self._fit_anew(window.rows(), anew, input_dropout, n_factors, n_threads)
            self._count(R)
            self.window = window
            return
        # A fit's validation users choose better than a few of a part: their choice stays.
        if not first and anew is None:
            validation_rows = R.take(np.arange(min(N_VALIDATION_USERS, R.n_rows)))
            visible, hidden = leave_some_out(validation_rows, HIDDEN_SHARE, learner.seed)
            if hidden.indices.size:
                self._validate(visible, hidden, 1, DECAY, n_threads)
        self._count(R)
        self.window = window
        if self.memory is not None:
            self.memory.update(part, n_threads)
        if is_due:
            self._fit_sources(window.rows(), n_threads)
        if first:
            self._take_defaults()
        if self.memory is not None:
            fresh = np.flatnonzero(first_seen & (self.counts > 0)).astype(np.int32)
            smooth_items(learner.network, self.memory, fresh, n_threads)
        inputs = self._thinned(part, input_dropout, learner.n_steps)
        # Last: only the learner itself can undo what it has learnt.
        learner.partial_fit(
            inputs, part, settings, n_threads=n_threads, prototype_scale=PROTOTYPE_SCALE
        )

    def _fit_anew(
        self, R: SparseRows, settings: Settings, input_dropout: float, n_factors, n_threads
    ):
        """Learn from all rows that came as `fit` does; learner and memory that there are stay.

        A network never gets over what few first users taught it: with 1,900 users in 20 parts, each
        passed over ten times, its recall is 12 % below that of one that was trained on all at once
        (J. Ash, R. Adams, "On warm-starting neural network training", NeurIPS 2020).
        """
        old = self.learner
        settings = replace(settings, early_stopping=False, prediction="exact")
        whole = Autoencoder.start(self.n_items, settings, old.seed, n_factors)
        whole.fit(R, settings, input_dropout, n_threads=n_threads)
        learner = whole.learner
        if learner.history.interrupted:
            raise KeyboardInterrupt
        history = deepcopy(old.history)
        history.add(learner.history.losses[-1], STREAM_HISTORY)
        learner.history, learner.n_steps = history, old.n_steps + learner.n_steps
        self.learner, self.blend, self.n_factors = learner, whole.blend, whole.n_factors
        self.memory, self.regression = whole.memory, whole.regression
        self.low_pass = whole.low_pass

    def grown(self, n_items: int, settings: Settings) -> Autoencoder:
        """One with room for the items that come with the next rows; this one stays as it is."""
        tail = np.zeros(n_items - self.n_items, dtype=np.int64)
        memory = self.memory
        if memory is not None:
            memory = memory.grow(n_items, _n_neighbors(n_items, settings))
        return replace(
            self, learner=grown(self.learner, n_items), memory=memory,
            counts=np.concatenate([self.counts, tail]),
            regression=None if self.regression is None else self.regression.grow(n_items),
            low_pass=None if self.low_pass is None else self.low_pass.grow(n_items),
        )  # fmt: skip
