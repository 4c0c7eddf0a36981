"""`LSHRecommender`: interactions in, recommendations out."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from sklsh._utils.locks import changes
from sklsh._utils.progress import EpochProgress
from sklsh._utils.threads import effective_n_threads
from sklsh._utils.validation import check_hidden_layer_sizes
from sklsh.estimators.checkpointing import checkpoint_of
from sklsh.estimators.classifier import AUTO, SparseLSHMLPClassifier
from sklsh.estimators.item_ids import ItemIds
from sklsh.estimators.item_weights import check_item_weight, item_weights
from sklsh.estimators.recommender_prediction import RecommenderPrediction
from sklsh.estimators.unused import unused_in_training, warn_unused
from sklsh.network.autoencoder import Autoencoder
from sklsh.network.head_index import check_hashing
from sklsh.network.rows import SparseRows
from sklsh.network.settings import STREAM_ROWS, Settings

N_NEIGHBORS, MAX_NEIGHBORS, DROPOUT = (128, 512), 1 << 26, 0.5

OTHERS = (
    "effort", "warm_start", "new_classes", "class_weight", "prediction", "linear", "n_estimators",
)  # fmt: skip
"""Parameters of the classifier that a recommender has otherwise, or not at all."""

MAX_ANEW = 1 << 20
"""Interactions of a stream up to which it is fitted anew now and then: a minute's work."""

N_VALIDATION_USERS = 500, 4_000
"""At least, of a quarter of the users, and at most: what 100 users choose differs by 5 % nDCG
from seed to seed."""


def check_some_interaction(rows: SparseRows) -> None:
    if not rows.indices.size:
        raise ValueError("user_items must have at least one positive entry, got none")


class LSHRecommender(RecommenderPrediction, BaseEstimator):
    """Recommender for interactions of users with items: a new user is just a row.

    An autoencoder over the items - a user's items in, a distribution over all items out -
    trained like `SparseLSHMLPClassifier` on the neurons that are worth computing, plus the
    item-item scores of the items that a user's occur with. Their weight is fitted
    on hidden items of some users. Users are not stored: whoever asks brings a row.

    Parameters
    ----------
    hidden_layer_sizes, activation, sampler, n_active, family, fold, n_tables, hash_length
        As of `SparseLSHMLPClassifier`.
    sketch_dim, rehash_interval
        The same.
    n_neighbors : int, default="auto"
        Items kept as each item's neighbours, whose item-item scores are added, and on the nearest
        128 of which it is regressed; 0: neither. "auto": 512, with more than 131,072 items fewer,
        but at least 128.
    n_factors : int, default="auto"
        Singular vectors of the interactions whose low-pass filter is added; 0: none. "auto":
        256, up to 4,096 items 512.
    item_weight : "propensity" or array-like (n_items,), default=None
        What naming each item is worth: its odds are multiplied by this, the logarithm added
        to its score. "propensity": the inverse propensities of `sklsh.metrics`, which bring
        up rare items at the cost of common ones. None: all alike. Training is the same.
    prediction : {"auto", "exact", "lsh"}, default="auto"
        Where recommendations are looked for. "exact": among all items. "auto": with more than
        8,192 items, for `N` up to 100, among the `4 * N` items, at least 128, of which
        item-item scores and regression say most, scored exactly; all items for who has not so
        many. "lsh": after `fit`, among these and those that hash tables over the trained head name;
        as "auto" after `partial_fit`, which moves the head, and among few items (`items`).
    input_dropout : float in [0, 1), default=0.3
        Share of a user's items that the network does not see in a pass, and names.
    dropout : float in [0, 1), default="auto"
        Of the last hidden layer. "auto": 0.5.
    alpha, batch_size, learning_rate_init, max_iter
        As of `SparseLSHMLPClassifier`.
    tol, n_iter_no_change, early_stopping
        The same, of nDCG@20 on hidden items of some users.
    validation_fraction : float in (0, 1), default="auto"
        Users of whom a fifth of the items is hidden in training, to fit the weight of
        item-item scores on it. "auto": a tenth, at least 500 but of a quarter of the users, at most
        4,000; with fewer than 500 users, unless `early_stopping` asks for them, none are, and
        weights are defaults. A number: that share, at least one user.
    shuffle : bool or {"auto", "lsh"}, default=True
    random_state, checkpoint_dir, checkpoint_interval, n_jobs, verbose
        As of `SparseLSHMLPClassifier`.

    Attributes
    ----------
    n_features_in_ : int
        Number of items.
    item_ids_ : ndarray (n_items,)
        What items are called: as given to `fit`, or the column numbers.
    item_counts_ : ndarray (n_items,) of int64
        Users that had each item.
    item_weight_ : ndarray (n_items,) or None
        Of `item_weight`; propensities follow the counts.
    network_ : WideNetwork
    neighbor_weight_ : float
        Weight of the item-item scores.
    n_iter_ : int
        Epochs run; each part of a stream is one more.
    loss_curve_ : list of float
        Of each epoch; after a part of a stream, of the last 100 parts and epochs at most.
    validation_scores_ : list of float or None
        nDCG@20 after each epoch, with early stopping.

    Notes
    -----
    Entries must be positive or 0: how much a user has had of an item, in any unit, as each
    user's are divided by their mean. They weigh what the network reads and the co-occurrences;
    every item of a row is an equal target. A row without items is answered by popularity. The
    item axis may grow in `partial_fit`.

    Threads: as of `SparseLSHMLPClassifier`. Any number may ask at once, also while another
    one trains: an answer is that of the model before the training call or after it.

    References
    ----------
    D. Liang et al. "Variational autoencoders for collaborative filtering", WWW 2018.
    F. Christoffel et al. "Blockbusters and wallflowers: accurate, diverse, and scalable
    recommendations with random walks", RecSys 2015 (item-item scores).
    H. Jain, Y. Prabhu, M. Varma. "Extreme multi-label loss functions for recommendation,
    tagging, ranking & other missing label applications", KDD 2016 (propensities).

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh import LSHRecommender
    >>> user_items = np.kron(np.eye(2), np.ones((30, 4)))  # two tastes, four items each
    >>> user_items[0, 3] = 0
    >>> model = LSHRecommender((16,), random_state=0).fit(user_items)
    >>> ids, scores = model.recommend(0, user_items[:1], N=1)
    >>> ids
    array([3])
    """

    _parameter_constraints: ClassVar[dict] = {
        **{
            name: constraint
            for name, constraint in SparseLSHMLPClassifier._parameter_constraints.items()
            if name not in OTHERS
        },
        "n_factors": [AUTO, Interval(Integral, 0, None, closed="left")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "item_weight": [None, StrOptions({"propensity"}), "array-like"],
        "prediction": [StrOptions({"auto", "exact", "lsh"})],
    }

    def __init__(
        self,
        hidden_layer_sizes=(256,),
        *,
        activation="relu",
        sampler="auto",
        n_active="auto",
        family="pghash",
        fold="signed",
        n_tables=16,
        hash_length="auto",
        sketch_dim=None,
        rehash_interval="auto",
        n_neighbors="auto",
        n_factors="auto",
        item_weight=None,
        prediction="auto",
        input_dropout=0.3,
        dropout="auto",
        alpha=0.0,
        batch_size="auto",
        learning_rate_init="auto",
        max_iter="auto",
        tol=1e-4,
        n_iter_no_change=3,
        early_stopping=False,
        validation_fraction="auto",
        shuffle=True,
        random_state=None,
        checkpoint_dir=None,
        checkpoint_interval=1,
        n_jobs=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.sampler = sampler
        self.n_active = n_active
        self.family = family
        self.fold = fold
        self.n_tables = n_tables
        self.hash_length = hash_length
        self.sketch_dim = sketch_dim
        self.rehash_interval = rehash_interval
        self.n_neighbors = n_neighbors
        self.n_factors = n_factors
        self.item_weight = item_weight
        self.prediction = prediction
        self.input_dropout = input_dropout
        self.dropout = dropout
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.random_state = random_state
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_interval = checkpoint_interval
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=False)
    def fit(self, user_items, y=None, item_ids=None):
        """Learn from users' items.

        Parameters
        ----------
        user_items : array-like or sparse matrix (n_users, n_items)
            How much each user had of each item, at least 0.
        y : ignored
        item_ids : array-like (n_items,) of int or str, default=None
            What the items are called in and out. None: their column numbers.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Negative, NaN or infinite entries; no positive one; a corrupted sparse matrix;
            `item_ids` or `item_weight` that are not one an item; ids that repeat; a
            checkpoint that is damaged or of another training.

        Notes
        -----
        O(epochs * nnz * n_hidden + sum of squared row lengths). Of a user with more than 2,000
        items (a crawler, say) so many are learnt from, drawn at random: nobody costs more
        than 2,000 squared. All items are counted, and the draw follows from `random_state`.
        """
        rows, n_items = self._rows(user_items, reset=True)
        check_some_interaction(rows)
        names = ItemIds.learn(item_ids, n_items)
        settings = self._settings(rows.n_rows, n_items)
        warn_unused(self, unused_in_training(settings, n_items, self.get_params()))
        autoencoder = self._start(n_items, settings)
        checkpoint = checkpoint_of(self, rows)
        with EpochProgress(self.verbose, settings.max_iter, score="nDCG@20") as progress:
            autoencoder.fit(
                rows, settings, float(self.input_dropout),
                n_threads=effective_n_threads(self.n_jobs), on_epoch=progress,
                checkpoint=checkpoint,
            )  # fmt: skip
        return self._keep(autoencoder, names)

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=True)
    def partial_fit(self, user_items, y=None, item_ids=None):
        """One pass over new users of a stream, or new rows of old ones.

        Parameters
        ----------
        user_items : array-like or sparse matrix (n_users, n_items)
            May have more columns than before: new items come behind the old ones, and what
            was learnt of those stays.
        y : ignored
        item_ids : array-like (n_items,), default=None
            Needed where items have names and there are new ones; begins with the old names.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; fewer columns than before; other names for old items. The model is then as
            it was before the call, as after an interrupt.

        Notes
        -----
        Costs what the new rows cost, O(nnz * n_hidden + sum of squared row lengths), with 2,000
        items a user at most as in `fit`, and
        O(n_items * n_hidden) for some of them, which are asked for hidden items before they
        are learnt: the weights of all parts of the score follow from their answers. How many
        parts came before costs nothing, but for two things. Whenever half as many interactions
        came as there were, regression and low pass are computed anew from the last 8 million:
        three times what they cost once. And of a stream without a `fit` before it, of 500 users
        or more and a million interactions at most by then, everything is fitted anew on all that
        came, as `fit` would, whenever there are 1.3 times as many: 4.3 fits in all.
        """
        first = not hasattr(self, "autoencoder_")
        grows = (
            not first
            and np.ndim(user_items) == 2
            and (np.shape(user_items)[1] > self.n_features_in_)
        )
        rows, n_items = self._rows(user_items, reset=first or grows)
        settings = self._settings(STREAM_ROWS, n_items)
        if first:
            check_some_interaction(rows)
            names, autoencoder = ItemIds.learn(item_ids, n_items), self._start(n_items, settings)
        else:
            names = self.ids_.extend(item_ids, n_items)
            # If it fails, the one at hand still fits its names and counts.
            autoencoder = (
                self.autoencoder_.grown(n_items, settings) if grows else replace(self.autoencoder_)
            )
        autoencoder.partial_fit(
            rows, settings, float(self.input_dropout), n_threads=effective_n_threads(self.n_jobs),
            anew=self._whole(autoencoder, rows, n_items),
            n_factors=self._n_factors(),
        )  # fmt: skip
        return self._keep(autoencoder, names)

    def _settings(self, n_users: int, n_items: int) -> Settings:
        check_hidden_layer_sizes(self.hidden_layer_sizes)
        check_item_weight(self.item_weight, n_items)
        params = {name: getattr(self, name) for name in self._parameter_constraints}
        automatic = {
            "n_neighbors": int(np.clip(MAX_NEIGHBORS // n_items, *N_NEIGHBORS)), "dropout": DROPOUT,
        }  # fmt: skip
        params |= {name: value for name, value in automatic.items() if params[name] == "auto"}
        least, most = N_VALIDATION_USERS
        settings = Settings.resolve(
            params, n_users, n_items, max_validation=most, least_validation=least
        )
        check_hashing(settings, n_items)
        return settings

    def _start(self, n_items: int, settings: Settings) -> Autoencoder:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return Autoencoder.start(n_items, settings, seed, self._n_factors())

    def _n_factors(self) -> int | None:
        return None if self.n_factors == "auto" else int(self.n_factors)

    def _whole(self, autoencoder: Autoencoder, rows: SparseRows, n_items: int) -> Settings | None:
        """Of a fit on a stream's users, with these: None where so few choose no weights, and where
        there is too much to begin anew with."""
        if autoencoder.window.n_entries + rows.indices.shape[0] > MAX_ANEW:
            return None
        settings = self._settings(autoencoder.n_users + rows.n_rows, n_items)
        return settings if settings.n_validation else None

    def _keep(self, autoencoder: Autoencoder, names: ItemIds):
        history = autoencoder.learner.history
        self.item_weight_ = item_weights(self.item_weight, autoencoder.counts, autoencoder.n_users)
        autoencoder.set_item_weights(self.item_weight_)
        self.autoencoder_, self.ids_, self.item_ids_ = autoencoder, names, names.names
        self.item_counts_ = autoencoder.counts
        self.loss_curve_, self.n_iter_ = history.losses, history.n_epochs
        self.validation_scores_ = history.validation_scores or None
        return self

    # Fitted state -------------------------------------------------------------------------

    @property
    def network_(self):
        """The trained `WideNetwork`; row of the head = item."""
        return self.autoencoder_.learner.network

    @property
    def neighbor_weight_(self):
        """Weight of the item-item scores, 0 if there are none."""
        return self.autoencoder_.memory.weight if self.autoencoder_.memory else 0.0

    @property
    def _n_features_out(self):
        return self.network_.n_hidden

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
