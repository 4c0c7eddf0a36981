"""`LSHRecommender`: interactions in, recommendations out."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, check_non_negative

from sklsh._classifier import SparseLSHMLPClassifier
from sklsh._item_ids import ItemIds
from sklsh._progress import EpochProgress
from sklsh._threads import effective_n_threads
from sklsh._validation import (
    all_or_nothing,
    check_float32,
    check_hidden_layer_sizes,
    check_int,
    check_X,
)
from sklsh.network.autoencoder import Autoencoder
from sklsh.network.interactions import leave_some_out
from sklsh.network.retrieval import similar_rows
from sklsh.network.rows import SparseRows
from sklsh.network.settings import STREAM_ROWS, Settings

N_NEIGHBORS, DROPOUT = 128, 0.5
SCORE_DEPTH, SCORE_HIDDEN, SCORE_SEED = 10, 0.2, 0


def check_some_interaction(rows: SparseRows) -> None:
    if not rows.indices.size:
        raise ValueError("user_items must have at least one positive entry, got none")


class LSHRecommender(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Recommender for interactions of users with items: a new user is just a row.

    An autoencoder over the items - a user's items in, a distribution over all items out -
    trained like `SparseLSHMLPClassifier` on the neurons that are worth computing, plus the
    votes of a user's items for the items they occur with. The weight of the votes is fitted
    on hidden items of held-out users. Users are not stored: whoever asks brings a row.

    Parameters
    ----------
    hidden_layer_sizes, activation, sampler, n_active, family, fold, n_tables, hash_length
        As of `SparseLSHMLPClassifier`.
    sketch_dim, rehash_interval, alpha, batch_size, learning_rate_init, max_iter
        The same.
    dropout : float in [0, 1), default="auto"
        Of the last hidden layer. "auto": 0.5.
    tol, n_iter_no_change, early_stopping
        The same, of nDCG@20 on hidden items of held-out users.
    input_dropout : float in [0, 1), default=0.3
        Share of a user's items that the network does not see in a pass, and names.
    n_neighbors : int, default="auto"
        Items kept as each item's neighbours, whose votes are added; 0: none. "auto": 128.
    prediction : {"exact", "lsh"}, default="exact"
        Where recommendations are looked for after `fit`. "exact": among all items. "lsh":
        among those with the most votes and those that hash tables over the trained head
        name, scored exactly; worth it with hundreds of thousands of items. After
        `partial_fit`, which moves the head, and among few items (`items`), exact again.
    validation_fraction : float in (0, 1), default="auto"
        Users held out to fit the votes' weight. "auto": a tenth, at most 1,000; with fewer
        than 50 none are, and the weight is 4.
    shuffle, random_state, n_jobs, verbose
        As of `SparseLSHMLPClassifier`.

    Attributes
    ----------
    n_features_in_ : int
        Number of items.
    item_ids_ : ndarray (n_items,)
        What items are called: as given to `fit`, or the column numbers.
    item_counts_ : ndarray (n_items,) of int64
        Users that had each item.
    network_ : WideNetwork
    neighbor_weight_ : float
        Weight of the votes.
    n_iter_ : int
        Epochs run.
    loss_curve_ : list of float
    validation_scores_ : list of float or None
        nDCG@20 after each epoch, with early stopping.

    Notes
    -----
    Entries must be positive or 0: how much a user has had of an item. They weigh what the
    network reads and the co-occurrences; every item of a row is an equal target. A row
    without items is answered by popularity. The item axis may grow in `partial_fit`.

    References
    ----------
    D. Liang et al. "Variational autoencoders for collaborative filtering", WWW 2018.
    F. Christoffel et al. "Blockbusters and wallflowers: accurate, diverse, and scalable
    recommendations with random walks", RecSys 2015 (the votes).

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
            if name not in ("warm_start", "prediction")
        },
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "prediction": [StrOptions({"exact", "lsh"})],
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
        prediction="exact",
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
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @all_or_nothing
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
            `item_ids` that repeat or are not one an item.

        Notes
        -----
        O(epochs * nnz * n_hidden + sum of squared row lengths).
        """
        rows, n_items = self._rows(user_items, reset=True)
        check_some_interaction(rows)
        names = ItemIds.learn(item_ids, n_items)
        settings = self._settings(rows.n_rows, n_items)
        engine = self._start(n_items, settings)
        with EpochProgress(self.verbose, settings.max_iter) as progress:
            engine.fit(
                rows, settings, float(self.input_dropout),
                n_threads=effective_n_threads(self.n_jobs), on_epoch=progress,
            )  # fmt: skip
        return self._keep(engine, names)

    @_fit_context(prefer_skip_nested_validation=True)
    @all_or_nothing
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
            As `fit`; fewer columns than before; other names for old items.

        Notes
        -----
        Costs what the new rows cost, O(nnz * n_hidden + sum of squared row lengths), and
        O(n_items * n_hidden) where items are new. The weight of the votes stays as `fit`
        left it, or is 4.
        """
        first = not hasattr(self, "engine_")
        grows = (
            not first
            and np.ndim(user_items) == 2
            and (np.shape(user_items)[1] > self.n_features_in_)
        )
        rows, n_items = self._rows(user_items, reset=first or grows)
        settings = self._settings(STREAM_ROWS, n_items)
        if first:
            check_some_interaction(rows)
            names, engine = ItemIds.learn(item_ids, n_items), self._start(n_items, settings)
        else:
            names, engine = self.ids_.extend(item_ids, n_items), self.engine_
            if grows:
                engine.grow(n_items, settings)
        engine.partial_fit(
            rows, settings, float(self.input_dropout), n_threads=effective_n_threads(self.n_jobs)
        )
        return self._keep(engine, names)

    def _rows(self, user_items, *, reset: bool) -> tuple[SparseRows, int]:
        """Checked rows of positive entries, and the number of items."""
        X = check_float32(check_X(self, user_items, reset=reset))
        check_non_negative(X, type(self).__name__)
        X = sp.csr_array(X)
        if not X.data.all():
            X = X.copy()
            X.eliminate_zeros()
        return SparseRows.from_matrix(X), X.shape[1]

    def _settings(self, n_users: int, n_items: int) -> Settings:
        check_hidden_layer_sizes(self.hidden_layer_sizes)
        params = {name: getattr(self, name) for name in self._parameter_constraints}
        for name, automatic in (("n_neighbors", N_NEIGHBORS), ("dropout", DROPOUT)):
            if isinstance(params[name], str):
                params[name] = automatic
        settings = Settings.resolve(params, n_users, n_items)
        if settings.sampler == "lsh" and self.sketch_dim is not None:
            width = settings.hidden_layer_sizes[-1]
            check_int(self.sketch_dim, "sketch_dim", 1, width, "the last hidden layer's width")
        return settings

    def _start(self, n_items: int, settings: Settings) -> Autoencoder:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return Autoencoder.start(n_items, settings, seed)

    def _keep(self, engine: Autoencoder, names: ItemIds):
        history = engine.learner.history
        self.engine_, self.ids_, self.item_ids_ = engine, names, names.names
        self.item_counts_ = engine.counts
        self.loss_curve_, self.n_iter_ = history.losses, len(history.losses)
        self.validation_scores_ = history.validation_scores or None
        return self

    # Answers ------------------------------------------------------------------------------

    def recommend(
        self,
        userid,
        user_items,
        N=10,
        filter_already_liked_items=True,
        filter_items=None,
        items=None,
    ):
        """The best items for users, in the manner of `implicit`.

        Parameters
        ----------
        userid : int or array-like (n_users,) of int
            Names the rows of `user_items`, no more: users are not stored, so that any
            integer will do, and a new user is served as a known one.
        user_items : array-like or sparse matrix (n_users, n_items)
            The users' items, one row for each `userid`.
        N : int, default=10
        filter_already_liked_items : bool, default=True
            Leave out a row's own items.
        filter_items : array-like of item ids, default=None
            Items to leave out for everybody.
        items : array-like of item ids, default=None
            The only items that may be named. Not together with `filter_items`.

        Returns
        -------
        ids : ndarray (N,), or (n_users, N) if `userid` is an array
            Best first. Padded with -1 (names that are text: "") if there are too few. Items
            that nobody has had are never named.
        scores : ndarray of float32, of the same shape
            Logit plus votes; of a row without items the logarithm of the popularity. Padded
            with -inf.

        Raises
        ------
        ValueError, TypeError
            `userid` of another length than `user_items`, or no integers; an id that is no
            item's; both `filter_items` and `items`.

        Notes
        -----
        O(n_users * n_items * n_hidden) in blocks, or with hash tables (`prediction`)
        O(n_users * n_candidates * n_hidden): never an n_users x n_items array.
        """
        check_is_fitted(self)
        users = np.asarray(userid)
        if users.dtype.kind not in "iu":
            raise TypeError(f"userid must be an integer or integers, got dtype {users.dtype}")
        if users.ndim > 1:
            raise ValueError(f"userid must be a scalar or 1-d, got shape {users.shape}")
        if filter_items is not None and items is not None:
            raise ValueError("only one of filter_items and items may be given, got both")
        N = check_int(N, "N", 1)
        rows, n_items = self._rows(user_items, reset=False)
        if rows.n_rows != users.size:
            raise ValueError(
                f"user_items must have one row for each of the {users.size} userid, "
                f"got {rows.n_rows}"
            )
        pool = None
        if items is not None:
            pool = np.unique(self.ids_.columns(items, "items")).astype(np.int32)
        elif filter_items is not None:
            unwanted = self.ids_.columns(filter_items, "filter_items")
            pool = np.setdiff1d(np.arange(n_items, dtype=np.int32), unwanted)
        columns, scores = self._topk(rows, N, pool, exclude=bool(filter_already_liked_items))
        ids = self.ids_.names_of(columns)
        return (ids, scores) if users.ndim else (ids[0], scores[0])

    def predict_topk(self, user_items, k=5):
        """The `k` best new items of each row, as column numbers.

        Parameters
        ----------
        user_items : array-like or sparse matrix (n_users, n_items)
        k : int, default=5

        Returns
        -------
        items : ndarray (n_users, k), int64
            Columns, best first, without the row's own, padded with -1: what the metrics of
            `sklsh.metrics` take.
        scores : ndarray (n_users, k), float32
        """
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        return self._topk(rows, check_int(k, "k", 1), None, exclude=True)

    def _topk(self, rows, k, pool, *, exclude):
        n_threads = effective_n_threads(self.n_jobs)
        return self.engine_.topk(rows, k, pool, exclude=exclude, n_threads=n_threads)

    def similar_items(self, itemid, N=10):
        """The items whose neurons are most like that of an item.

        Parameters
        ----------
        itemid : item id, or array-like (n_ids,) of them
        N : int, default=10

        Returns
        -------
        ids : ndarray (N,), or (n_ids, N)
            Best first, as in `implicit` the item itself foremost; padded as in `recommend`.
            An item that nobody has had is like none.
        scores : ndarray of float32, of the same shape
            Cosines of head rows.
        """
        check_is_fitted(self)
        columns = self.ids_.columns(itemid, "itemid")
        found, scores = similar_rows(
            self.network_, np.atleast_1d(columns), check_int(N, "N", 1),
            self.engine_.known_items(),
        )  # fmt: skip
        ids = self.ids_.names_of(found)
        return (ids, scores) if columns.ndim else (ids[0], scores[0])

    def transform(self, user_items):
        """Vectors of users: the last hidden layer, ``(n_users, n_hidden)`` float32."""
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        engine = self.engine_
        n_threads = effective_n_threads(self.n_jobs)
        return engine.learner.network.hidden(engine.inputs(rows), None, n_threads)

    def score(self, user_items, y=None):
        """nDCG@10 of a hidden fifth of each row's items, given the others.

        Which items are hidden follows from a hash of row and column: the same rows are
        always split alike, for whatever parameters. Rows of which nothing is hidden do not
        count; 0 if there are no others. For model selection score users that `fit` has not
        seen, as `GridSearchCV` does: of others it may have memorised what is hidden.
        """
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        visible, hidden = leave_some_out(rows, SCORE_HIDDEN, SCORE_SEED)
        return self.engine_.ndcg(
            visible, hidden, effective_n_threads(self.n_jobs), depth=SCORE_DEPTH
        )

    # Fitted state -------------------------------------------------------------------------

    @property
    def network_(self):
        """The trained `WideNetwork`; row of the head = item."""
        return self.engine_.learner.network

    @property
    def neighbor_weight_(self):
        """Weight of the votes, 0 if there are none."""
        return self.engine_.memory.weight if self.engine_.memory else 0.0

    @property
    def _n_features_out(self):
        return self.network_.n_hidden

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
