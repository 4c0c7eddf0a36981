"""What a fitted recommender answers: recommendations and why, similar items, vectors, a score."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import scipy.sparse as sp
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_non_negative

from sklsh._utils.containers import one_row, plain_ids
from sklsh._utils.locks import answers
from sklsh._utils.numbers import check_number
from sklsh._utils.threads import blocks, effective_n_threads
from sklsh._utils.validation import check_depth, check_float32, check_X
from sklsh.estimators.recommendation_files import WritesRecommendations
from sklsh.network.diversity import CANDIDATES, diversified
from sklsh.network.interactions import leave_some_out, without_each
from sklsh.network.retrieval import similar_rows
from sklsh.network.rows import SparseRows

SCORE_DEPTH, SCORE_HIDDEN, SCORE_SEED = 10, 0.2, 0

SCORED = 256
"""Chosen items scored at a time."""

MAX_POPULARITY = 1e6
"""Beyond, nothing would be left of the scores in float32."""

MAX_EXPLAINED = 2_000
"""Items of a row that is explained: the cost grows with their square."""


def _relative_entries(X: sp.csr_array) -> sp.csr_array:
    """Each user's entries in units of their mean: `X` itself where all are 1."""
    counts = np.diff(X.indptr)
    sums = np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()
    means = np.repeat(sums / np.maximum(counts, 1), counts)
    return X if (means == 1).all() else sp.csr_array((X.data / means, X.indices, X.indptr), X.shape)


class RecommenderPrediction(
    WritesRecommendations, ClassNamePrefixFeaturesOutMixin, TransformerMixin
):
    """Answers from the parts that fitting leaves: `autoencoder_` and the items' names, `ids_`."""

    def _rows(self, user_items, *, reset: bool) -> tuple[SparseRows, int]:
        """Checked rows of positive entries, and the number of items."""
        X = check_float32(check_X(self, user_items, reset=reset))
        check_non_negative(X, type(self).__name__)
        X = sp.csr_array(X)
        if not X.data.all():
            X = X.copy()
            X.eliminate_zeros()
        return SparseRows.from_matrix(_relative_entries(X)), X.shape[1]

    @answers
    def recommend(
        self,
        userid,
        user_items,
        N=10,
        filter_already_liked_items=True,
        filter_items=None,
        items=None,
        popularity=0.0,
        diversity=0.0,
    ):
        """The best items for users, in the manner of `implicit`.

        Parameters
        ----------
        userid : int or array-like (n_users,) of int
            Names the rows of `user_items`, no more: users are not stored, so that any
            integer will do, and a new user is served as a known one.
        user_items : array-like or sparse matrix (n_users, n_items)
            The users' items, one row for each `userid`. For a scalar one a row in one
            dimension will do, such as ``user_items[userid]``.
        N : int, default=10
            At most the number of items, or 1,000 if that is more.
        filter_already_liked_items : bool, default=True
            Leave out a row's own items.
        filter_items : array-like or set of item ids, or bool (n_items,), default=None
            Items to leave out for everybody; of bool, a flag for each column.
        items : array-like or set of item ids, or bool (n_items,), default=None
            The only items that may be named. Not together with `filter_items`. Many ids that
            stay the same are best made flags once: ids are looked up in every call.
        popularity : float, default=0.0
            So many times the logarithm of an item's users is added to its score: below 0 brings up
            what few know, above 0 what is sure to be known.
        diversity : float in [0, 1], default=0.0
            How much items are to differ. Above 0 the list is chosen from the best ``5 * N`` items
            by maximal marginal relevance: each item for its score, between 0 of the last of these
            and 1 of the best, times ``1 - diversity``, less `diversity` times its largest cosine
            (of `similar_items`) to those before it.

        Returns
        -------
        ids : ndarray (N,), or (n_users, N) if `userid` is an array
            Best first. Padded with -1 (names that are text: "") if there are too few. Items
            that nobody has had are never named.
        scores : ndarray of float32, of the same shape
            Logit plus what the other parts add; of a row without items the logarithm of the
            popularity. Padded with -inf. With `diversity` they need not fall.

        Raises
        ------
        ValueError, TypeError
            `userid` of another length than `user_items`, or no integers; an id that is no
            item's; both `filter_items` and `items`; `popularity` beyond a million; `diversity`
            outside [0, 1].

        Notes
        -----
        O(n_users * n_items * n_hidden) in blocks, or among candidates (`prediction`)
        O(n_users * n_candidates * n_hidden): never an n_users x n_items array.

        References
        ----------
        J. Carbonell, J. Goldstein. "The use of MMR, diversity-based reranking for reordering
        documents and producing summaries", SIGIR 1998.
        """
        check_is_fitted(self)
        users = plain_ids(userid, "userid")
        if users.dtype.kind not in "iu":
            raise TypeError(f"userid must be an integer or integers, got dtype {users.dtype}")
        if users.ndim > 1:
            raise ValueError(f"userid must be a scalar or 1-d, got shape {users.shape}")
        if filter_items is not None and items is not None:
            raise ValueError("only one of filter_items and items may be given, got both")
        N = check_depth(N, "N", self.n_features_in_)
        popularity = check_number(popularity, "popularity", -MAX_POPULARITY, MAX_POPULARITY, "both")
        if not isinstance(filter_already_liked_items, bool | np.bool_ | int):
            raise TypeError(
                "filter_already_liked_items must be True or False, "
                f"got {filter_already_liked_items!r}"
            )
        diversity = check_number(diversity, "diversity", 0, 1, closed="both")
        rows, _ = self._rows(user_items if users.ndim else one_row(user_items), reset=False)
        if rows.n_rows != users.size:
            raise ValueError(
                f"user_items must have one row for each of the {users.size} userid, "
                f"got {rows.n_rows}"
            )
        allowed = None
        if items is not None:
            allowed = self.ids_.flags(items, "items")
        elif filter_items is not None:
            allowed = ~self.ids_.flags(filter_items, "filter_items")
        columns, scores = self._topk(
            rows, N, allowed, exclude=bool(filter_already_liked_items), popularity=popularity,
            diversity=diversity,
        )  # fmt: skip
        ids = self.ids_.names_of(columns)
        return (ids, scores) if users.ndim else (ids[0], scores[0])

    @answers
    def predict_topk(self, user_items, k=5):
        """The `k` best new items of each row, as column numbers.

        Parameters
        ----------
        user_items : array-like or sparse matrix (n_users, n_items)
        k : int, default=5
            As `N` of `recommend`.

        Returns
        -------
        items : ndarray (n_users, k), int64
            Columns, best first, without the row's own, padded with -1: what the metrics of
            `sklsh.metrics` take.
        scores : ndarray (n_users, k), float32
        """
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        k = check_depth(k, "k", self.n_features_in_)
        return self._topk(rows, k, None, exclude=True)

    def _topk(self, rows, k, allowed, *, exclude, popularity=0.0, diversity=0.0):
        n_threads, autoencoder = effective_n_threads(self.n_jobs), self.autoencoder_
        bonus = None
        if popularity:
            bonus = (popularity * np.log(np.maximum(autoencoder.counts, 1))).astype(np.float32)
        depth = max(k, min(CANDIDATES * k, self.n_features_in_)) if diversity else k
        found = autoencoder.topk(
            rows, depth, allowed, exclude=exclude, n_threads=n_threads, bonus=bonus,
            exact=self.prediction == "exact",
        )  # fmt: skip
        if not diversity:
            return found
        head, norms = self.network_.head_weights, autoencoder.serving().head_norms
        ids, scores = found
        return diversified(ids, scores, k, diversity, head, norms, n_threads)

    @answers
    def score_items(self, user_items, items):
        """Scores of chosen items alone, whether users have them or not.

        Parameters
        ----------
        user_items : array-like or sparse matrix (n_users, n_items)
        items : array-like (n_chosen,) of item ids
            Each once.

        Returns
        -------
        ndarray (n_users, n_chosen), float32
            In the order of `items`, as `recommend` gives them; -inf for an item that nobody has
            had.

        Raises
        ------
        ValueError, TypeError
            An id that is no item's, or twice; a set, which has no order.

        Notes
        -----
        O(n_users * n_chosen * (n_hidden + n_chosen)).
        """
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        return self._chosen_scores(rows, np.atleast_1d(self._columns_once(items, "items")))

    def _columns_once(self, ids, name: str) -> np.ndarray:
        """Columns of items that differ, in the shape and order of their ids."""
        if isinstance(ids, Set):
            raise TypeError(f"{name} must be in the order of their scores, got a set")
        columns = self.ids_.columns(ids, name)
        unique, counts = np.unique(columns, return_counts=True)
        if unique.size < columns.size:
            twice = self.ids_.names_of(unique[counts > 1][:1])[0]
            raise ValueError(f"{name} must differ, got {twice.item()!r} twice")
        return columns

    def _chosen_scores(self, rows: SparseRows, columns: np.ndarray) -> np.ndarray:
        """Scores of different columns, ``(n_rows, n_columns)``."""
        out = np.full((rows.n_rows, columns.shape[0]), -np.inf, dtype=np.float32)
        place = np.zeros(self.n_features_in_, dtype=np.int64)
        place[columns] = np.arange(columns.shape[0])
        for start, stop in blocks(columns.shape[0], SCORED):
            allowed = np.zeros(self.n_features_in_, dtype=bool)
            allowed[columns[start:stop]] = True
            found, scores = self.autoencoder_.topk(
                rows, stop - start, allowed, exclude=False, exact=True,
                n_threads=effective_n_threads(self.n_jobs),
            )  # fmt: skip
            user, at = np.nonzero(found >= 0)
            out[user, place[found[user, at]]] = scores[user, at]
        return out

    @answers
    def similar_items(self, itemid, N=10):
        """The items whose neurons are most like that of an item.

        Parameters
        ----------
        itemid : item id, or array-like (n_ids,) of them
            A set is asked in ascending order.
        N : int, default=10
            As in `recommend`.

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
        N = check_depth(N, "N", self.n_features_in_)
        serving = self.autoencoder_.serving()
        found, scores = similar_rows(
            self.network_, np.atleast_1d(columns), N, serving.known, serving.head_norms
        )
        ids = self.ids_.names_of(found)
        return (ids, scores) if columns.ndim else (ids[0], scores[0])

    @answers
    def explain(self, userid, user_items, itemid, N=10):
        """Which of a user's items speak for an item, and by how much.

        Parameters
        ----------
        userid : int
            As in `recommend`; users are not stored.
        user_items : array-like or sparse matrix (1, n_items), or a row (n_items,)
            The user's items.
        itemid : item id, or array-like (n_ids,) of them
            What is to be explained, each once, one of the user's own too.
        N : int, default=10
            At most the number of items, or 1,000 if that is more.

        Returns
        -------
        score : float, or ndarray (n_ids,) of float32
            Of the item for this user, as `recommend` gives it.
        ids : ndarray (N,), or (n_ids, N)
            The user's items, the one that speaks most for it first; padded as in `recommend`.
        contributions : ndarray of float32, of the same shape
            The score less what it is without that item in the row: negative where an item
            speaks against it. They need not add up to the score. Padded with -inf.

        Raises
        ------
        ValueError, TypeError
            As `recommend`; more than one row; an id that is no item's, or twice; an item that
            nobody has had; a row of less than two items, which leaves nothing to compare with,
            or of more than 2,000.

        Notes
        -----
        Exact for all parts of the score, network and item-item scores too: the row is asked
        without each of its items in turn. Costs as many rows of `score_items`.
        """
        check_is_fitted(self)
        rows, _ = self._rows(one_row(user_items), reset=False)
        if plain_ids(userid, "userid").ndim or rows.n_rows != 1:
            raise ValueError(
                f"explain takes one userid and its row of user_items, got {rows.n_rows} rows"
            )
        N = check_depth(N, "N", self.n_features_in_)
        asked = self._columns_once(itemid, "itemid")
        columns = np.atleast_1d(asked)
        is_known = self.autoencoder_.serving().is_known[columns]
        if not is_known.all():
            first = self.ids_.names_of(columns[~is_known])[0]
            raise ValueError(
                f"itemid must be of an item that somebody has had, got {first.item()!r}"
            )
        n_own = rows.indices.shape[0]
        if not 2 <= n_own <= MAX_EXPLAINED:
            raise ValueError(f"user_items must have 2 to {MAX_EXPLAINED} items, got {n_own}")
        scores = self._chosen_scores(without_each(rows), columns)
        contributions = (scores[0] - scores[1:]).T
        order = np.argsort(-contributions, axis=1, kind="stable")[:, :N]
        items = np.full((columns.size, N), -1, dtype=np.int64)
        found = np.full((columns.size, N), -np.inf, dtype=np.float32)
        items[:, : order.shape[1]] = rows.indices[order]
        found[:, : order.shape[1]] = np.take_along_axis(contributions, order, axis=1)
        ids = self.ids_.names_of(items)
        return (scores[0], ids, found) if asked.ndim else (float(scores[0, 0]), ids[0], found[0])

    @answers
    def transform(self, user_items):
        """Vectors of users: the last hidden layer.

        Parameters
        ----------
        user_items : sparse matrix (n_users, n_items)
            The items that each user has.

        Returns
        -------
        ndarray (n_users, n_hidden), float32
        """
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        autoencoder = self.autoencoder_
        n_threads = effective_n_threads(self.n_jobs)
        return autoencoder.learner.network.hidden(autoencoder.inputs(rows), None, n_threads)

    @answers
    def score(self, user_items, y=None):
        """nDCG@10 of a hidden fifth of each row's items, given the others.

        Which items are hidden follows from a hash of row and column: the same rows are
        always split alike, for whatever parameters. Rows of which nothing is hidden do not
        count; 0 if there are no others. For model selection score users that `fit` has not
        seen, as `GridSearchCV` does: of others it may have memorised what is hidden.

        Parameters
        ----------
        user_items : sparse matrix (n_users, n_items)
        y : None
            Not used; scikit-learn's helpers pass it.

        Returns
        -------
        float in [0, 1]
        """
        check_is_fitted(self)
        rows, _ = self._rows(user_items, reset=False)
        visible, hidden = leave_some_out(rows, SCORE_HIDDEN, SCORE_SEED)
        return self.autoencoder_.ndcg(
            visible, hidden, n_threads=effective_n_threads(self.n_jobs), depth=SCORE_DEPTH
        )
