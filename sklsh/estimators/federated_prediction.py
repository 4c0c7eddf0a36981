"""What a trained federation answers: the methods of the wrapped estimator, or a device's own."""

from __future__ import annotations

from copy import copy, deepcopy

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.locks import answers
from sklsh.estimators.classifier import SparseLSHMLPClassifier
from sklsh.estimators.recommender import LSHRecommender
from sklsh.federated.device_state import DeviceStateStore
from sklsh.network.autoencoder import Autoencoder

OF_THE_FEDERATION = ("server_", "caches_", "ledger_", "device_ids_")
"""Attributes that further rounds need, and who is given the model does not."""
OF_THE_DEVICES = ("device_params", "cache_dir", "checkpoint_dir", "callback")
"""Parameters that say who they are, where things are, or run code."""


def _has(name):
    def check(self):
        getattr(self._wrapped(), name)
        return True

    return available_if(check)


def _model_name(estimator) -> str:
    """The attribute that holds what a fitted estimator has learnt."""
    return "autoencoder_" if isinstance(estimator, LSHRecommender) else "learner_"


class FederatedPrediction(ClassifierMixin):
    """Prediction with the server's model, and with that of one device."""

    def _wrapped(self):
        if hasattr(self, "estimator_"):
            return self.estimator_
        return SparseLSHMLPClassifier() if self.estimator is None else self.estimator

    @_has("predict")
    @answers
    def predict(self, X, *, thresholds=None):
        """As the estimator's `predict`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        thresholds : float or array-like (n_labels,), default=None
            Probabilities from which labels are named.

        Returns
        -------
        ndarray, or an indicator in the container of y
        """
        check_is_fitted(self)
        return self.estimator_.predict(X, thresholds=thresholds)

    @_has("predict_proba")
    @answers
    def predict_proba(self, X):
        """As the estimator's `predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples, n_labels)
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @_has("decision_function")
    @answers
    def decision_function(self, X):
        """As the estimator's `decision_function`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples, n_labels), or (n_samples,) of two classes
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @_has("predict_topk")
    @answers
    def predict_topk(self, X, k=5):
        """As the estimator's `predict_topk`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        k : int, default=5

        Returns
        -------
        labels, scores : ndarray (n_samples, k) each
            Best first, padded with -1 and -inf.
        """
        check_is_fitted(self)
        return self.estimator_.predict_topk(X, k)

    @_has("predict_topk_proba")
    @answers
    def predict_topk_proba(self, X, k=5):
        """As the estimator's `predict_topk_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        k : int, default=5

        Returns
        -------
        labels, probabilities : ndarray (n_samples, k) each
            Best first, padded with -1 and 0.
        """
        check_is_fitted(self)
        return self.estimator_.predict_topk_proba(X, k)

    @_has("score_labels")
    @answers
    def score_labels(self, X, labels):
        """As the estimator's `score_labels`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        labels : array-like (n_chosen,), or (n_samples, n_chosen)

        Returns
        -------
        ndarray (n_samples, n_chosen), float32
        """
        check_is_fitted(self)
        return self.estimator_.score_labels(X, labels)

    @_has("recommend")
    @answers
    def recommend(self, userid, user_items, N=10, **options):
        """As `LSHRecommender.recommend`.

        Parameters
        ----------
        userid : int or array-like of int
            Whoever asks, for the answer's shape.
        user_items : sparse matrix (n_users, n_items)
            A row of each of `userid`: the items that the user has.
        N : int, default=10
            Items a user.
        **options
            `filter_already_liked_items`, `filter_items` and `items`, as there.

        Returns
        -------
        ids, scores : ndarray (n_users, N) each, or (N,) of one user
        """
        check_is_fitted(self)
        return self.estimator_.recommend(userid, user_items, N, **options)

    @_has("similar_items")
    @answers
    def similar_items(self, itemid, N=10):
        """As `LSHRecommender.similar_items`.

        Parameters
        ----------
        itemid : item or array-like of items
        N : int, default=10

        Returns
        -------
        ids, scores : ndarray (n_asked, N) each, or (N,) of one item
        """
        check_is_fitted(self)
        return self.estimator_.similar_items(itemid, N)

    @_has("transform")
    @answers
    def transform(self, user_items):
        """As `LSHRecommender.transform`.

        Parameters
        ----------
        user_items : sparse matrix (n_users, n_items)

        Returns
        -------
        ndarray (n_users, n_hidden), float32
        """
        check_is_fitted(self)
        return self.estimator_.transform(user_items)

    @answers
    def score(self, X, y=None, sample_weight=None):
        """Accuracy of `predict`; of a recommender, its own `score`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        y : array-like (n_samples,) or indicator, default=None
            True labels; not used of a recommender.
        sample_weight : array-like (n_samples,), default=None

        Returns
        -------
        float
        """
        check_is_fitted(self)
        if isinstance(self.estimator_, LSHRecommender):
            return self.estimator_.score(X)
        return self.estimator_.score(X, y, sample_weight)

    @answers
    def device_estimator(self, device_id):
        """The model of one device: the shared head behind the body that never left it.

        Parameters
        ----------
        device_id : int or str
            One of `groups`.

        Returns
        -------
        estimator
            Like `estimator_`, fitted. Features that the device has not met are the server's.

        Raises
        ------
        ValueError
            All devices have one body (``body_exchange`` is not "local"); no such device; its
            cache has lost the body, or it runs elsewhere and its cache with it.
        """
        check_is_fitted(self)
        self._check_state()
        if self.body_exchange != "local":
            raise ValueError(
                'device_estimator needs body_exchange="local": with '
                f"{self.body_exchange!r} all devices have one model, estimator_"
            )
        if device_id not in self.caches_:
            raise ValueError(f"device_id must be a device trained on, got {device_id!r}")
        network = self.network_
        invite = self.server_.invite()
        body = DeviceStateStore(
            self.caches_[device_id], network.n_features, network.n_labels, invite.run
        ).body()
        if body is None:
            raise ValueError(f"the cache of device {device_id!r} has no body")
        own = copy(network)
        first = network.body_weights[0].copy()
        first[body.features] = body.rows
        own.body_weights = [first, *map(np.array, body.deep_weights)]
        own.body_biases = [*map(np.array, body.biases)]
        estimator = copy(self.estimator_)
        name = _model_name(estimator)
        # A copy of all but the network, whose head is the server's own.
        memo = {id(estimator.network_): own}
        setattr(estimator, name, deepcopy(getattr(estimator, name), memo))
        return estimator

    def _check_state(self) -> None:
        if hasattr(self, "estimator_") and not hasattr(self, "server_"):
            raise ValueError(
                "the federation's state must be there, and only the model is: it was saved "
                "without, by save_model(..., federation_state=False)"
            )

    @property
    def network_(self):
        """The server's model."""
        return self.estimator_.network_

    def _published(self):
        """A copy that holds the model alone, and nothing of the devices or of their rounds.

        What `history_` says is of all devices together, and stays.
        """
        out = copy(self)
        for name in OF_THE_FEDERATION:
            out.__dict__.pop(name, None)
        out.set_params(transport="joblib", **dict.fromkeys(OF_THE_DEVICES))
        if self.noise_multiplier > 0:
            out.set_params(random_state=None)  # who knows the seed knows the noise
        estimator = out.estimator_ = copy(self.estimator_)
        name = _model_name(estimator)
        model = learner = copy(getattr(estimator, name))
        setattr(estimator, name, model)
        if isinstance(model, Autoencoder):
            learner = model.learner = copy(model.learner)
        learner.optimizer = learner.optimizer.averaged()
        return out
