"""`FederatedTraining`: rounds of training, with rows that are here or elsewhere; a mixin."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sklsh._utils.locks import changes
from sklsh.estimators.device_params import check_groups, numbered
from sklsh.estimators.federated_run import FederatedRun
from sklsh.estimators.federated_tasks import Task, new_task
from sklsh.estimators.federated_unused import unused_in_federation, unused_on_devices
from sklsh.estimators.unused import warn_unused
from sklsh.federated.cache import Cache


class FederatedTraining(BaseEstimator):
    """What `FederatedLSHClassifier` does between its parameters and its rounds."""

    estimator: BaseEstimator | None
    transport: Any
    random_state: object

    @changes(in_place=False)
    def fit_devices(self, n_features, labels):
        """Train from scratch with devices that have their rows elsewhere.

        Parameters
        ----------
        n_features : int
        labels : int or array-like (n_classes,)
            Number of labels that devices' rows are marked with (of items, with a
            recommender), or the classes of devices whose rows have one label each, which
            number them by their place in the sorted classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            `transport` is "joblib", which has no devices but the rows that `fit` is given.
        """
        if isinstance(self.transport, str):
            raise ValueError(
                "fit_devices needs a transport with devices of its own, got "
                f"transport={self.transport!r}"
            )
        self._validate_params()
        task = new_task(self.estimator)
        task.expect(n_features, labels)
        progress = FederatedRun.open(self, task).result(self.transport)
        return self._keep(task.estimator, progress, {}, np.array(list(progress.client_statistics)))

    def _train(self, task: Task, X, Y, groups, *, first):
        if first:
            warn_unused(self, unused_in_federation(self))
            not_sent = unused_on_devices(self, task.params(), task.n_labels)
            warn_unused(task.estimator, not_sent, f"{type(self).__name__}'s estimator")
        device_ids, places = check_groups(groups, X.n_rows)
        every, numbers = numbered(device_ids, None if first else self.device_ids_)
        run = FederatedRun.open(self, task, (*X, *Y, places), first=first)
        transport, caches = self.transport, dict[object, Cache]()
        if isinstance(transport, str):
            transport, caches = run.local_devices(X, Y, device_ids, numbers, places)
        progress = run.result(transport)
        if caches:
            caches = dict(zip(caches, transport.caches, strict=True))
        caches = caches if first else {**self.caches_, **caches}
        return self._keep(task.estimator, progress, caches, every)

    def _keep(self, estimator, progress, caches, device_ids):
        self.estimator_, self.server_, self.caches_ = estimator, progress.server, caches
        self.n_features_in_ = estimator.n_features_in_
        for name in ("classes_", "label_names_", "feature_names_in_"):
            self.__dict__.pop(name, None)  # of a fit before, to which it may have applied
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        self.device_ids_, self.ledger_ = device_ids, progress.ledger
        self.history_, self.n_rounds_ = progress.history, len(progress.history)
        return self
