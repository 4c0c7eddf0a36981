"""`FederatedRun`: from a federation's parameters to a trained model, wherever its devices are."""

from __future__ import annotations

import json
import warnings
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklsh._utils.archive import fingerprint
from sklsh._utils.random import nth_seed
from sklsh._utils.threads import effective_n_threads
from sklsh.estimators.device_params import (
    check_privacy,
    check_public_statistics,
    check_secure,
    check_secure_rounds,
    device_settings,
    make_caches,
    make_devices,
    own_params,
    plan_of,
    round_limits,
)
from sklsh.estimators.federated_tasks import Task
from sklsh.federated.checkpoint import Checkpoint, Progress
from sklsh.federated.ledger import Ledger
from sklsh.federated.plan import Plan
from sklsh.federated.privacy import epsilon_spent
from sklsh.federated.rounds import (
    count_labels,
    run_rounds,
    set_prototypes,
    summary,
    take_client_statistics,
)
from sklsh.federated.server import Server
from sklsh.federated.start import public_client_statistics, total_rows, typical_row_norm
from sklsh.federated.training_config import TrainingConfig
from sklsh.federated.transports import JoblibTransport, Transport
from sklsh.network.model import MAX_INPUT_SCALE
from sklsh.network.settings import Settings
from sklsh.network.units import moved_scale

NOT_COMPARED = (
    "transport", "cache_dir", "checkpoint_dir", "checkpoint_interval", "callback", "n_jobs",
    "verbose",
)  # fmt: skip
"""Parameters that may differ when a federation resumes: none changes what is computed."""

NOT_SENT = ("random_state", "n_jobs", "verbose", "checkpoint_dir", "checkpoint_interval")
"""The estimator's parameters that are no business of a device."""


def check_federation(federation, task: Task) -> None:
    """What parameters must be to each other."""
    check_public_statistics(federation.public_statistics)
    if federation.public_rows and task.counts_items:
        raise ValueError(
            "public_rows must be 0 with an LSHRecommender, whose devices send exact counts of "
            f"their users' items, got {federation.public_rows!r}"
        )
    check_secure(federation)
    if federation.noise_multiplier > 0:
        if task.counts_items:
            raise ValueError(
                "noise_multiplier must be 0 with an LSHRecommender, whose devices send exact "
                f"counts of their users' items, got {federation.noise_multiplier!r}"
            )
        check_privacy(federation.clip_norm, federation.aggregation, federation.public_statistics)
        epsilon_spent([(federation.noise_multiplier, federation.fraction)], federation.delta)


def training_config_of(federation, task: Task) -> TrainingConfig:
    """What devices elsewhere must be told."""
    params = {
        name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        for name, value in task.params().items()
        if name not in NOT_SENT
    }
    try:
        json.dumps(params)
    except TypeError as error:
        raise TypeError(
            f"the estimator's parameters must be plain values to be sent to devices: {error}"
        ) from error
    return TrainingConfig(
        params, options_of(federation), task.n_features, task.n_labels, task.settings(1).activation,
        federation.body_exchange, federation.payload, federation.local_optimizer,
    )  # fmt: skip


def checkpoint_of(federation, task: Task, arrays=()) -> Checkpoint | None:
    """Where the federation is kept between rounds, if it is to be.

    Parameters
    ----------
    arrays : iterable of ndarray
        Data that must be the same when it resumes.
    """
    if federation.checkpoint_dir is None:
        return None
    params = {
        name: repr(value)
        for name, value in sorted(federation.get_params().items())
        if name.rpartition("__")[2] not in NOT_COMPARED and not isinstance(value, BaseEstimator)
    }
    for name in ("random_state", "estimator__random_state"):
        # The seed that was drawn is in the checkpoint.
        if not isinstance(federation.get_params().get(name), Integral):
            params.pop(name, None)
    settings = [type(task).__name__, params, task.n_features, task.n_labels]
    return Checkpoint(Path(federation.checkpoint_dir), fingerprint(settings, arrays))


def options_of(federation) -> dict:
    """Defaults of devices' options."""
    return {
        "include_labels": bool(federation.include_labels), "n_decoys": float(federation.n_decoys),
        "public_rows": float(federation.public_rows),
    }  # fmt: skip


@dataclass(frozen=True)
class FederatedRun:
    """One call of `fit`, `partial_fit` or `fit_devices`, from its devices to a trained model.

    Parameters
    ----------
    federation : FederatedLSHClassifier
        Its parameters; not `first`, also what it has been trained to. It is not changed.
    task : Task
    seed : int
    first : bool
        From scratch.
    checkpoint : Checkpoint or None
        Where the run is kept between rounds.
    saved : Progress or None
        What was kept there: the run resumes.
    """

    federation: Any
    task: Task
    seed: int
    first: bool = True
    checkpoint: Checkpoint | None = None
    saved: Progress | None = None

    @classmethod
    def open(cls, federation, task: Task, arrays=(), *, first: bool = True) -> FederatedRun:
        """A new run, or the one that is in the federation's `checkpoint_dir`.

        Parameters
        ----------
        arrays : iterable of ndarray
            Data that must be the same for a run to resume.

        Raises
        ------
        ValueError
            Parameters that do not go together; a checkpoint of another run.
        """
        check_federation(federation, task)
        checkpoint = checkpoint_of(federation, task, arrays) if first else None
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None:
            return cls(federation, task, saved.server.seed, first, checkpoint, saved)
        seed = int(check_random_state(federation.random_state).randint(2**31 - 1))
        return cls(federation, task, seed, first, checkpoint)

    def local_devices(self, X, Y, device_ids, numbers, places) -> tuple[JoblibTransport, dict]:
        """A transport to devices on this machine, and their caches by id."""
        federation, task = self.federation, self.task
        own = device_settings(
            task.params(), own_params(federation.device_params, device_ids), places, task.n_labels,
            options_of(federation), task.estimator._parameter_constraints,
        )  # fmt: skip
        found = make_caches(federation.cache_dir, device_ids, own)
        caches = dict(zip(device_ids.tolist(), found, strict=True))
        if not self.first:
            # Copies: rounds that fail leave what devices have kept in memory as it was.
            caches |= {d: copy(c) for d, c in federation.caches_.items() if d in caches}
        elif self.saved is None:
            for cache in caches.values():
                cache.clear()
        seed = nth_seed(self.seed, 0 if self.first else federation.n_rounds_)
        devices = make_devices(
            X, Y, numbers, places, (task.n_features, task.n_labels), task.settings(1).activation,
            own, list(caches.values()), seed,
            body_exchange=federation.body_exchange, payload=federation.payload,
            local_optimizer=federation.local_optimizer,
        )  # fmt: skip
        return JoblibTransport(devices, effective_n_threads(federation.n_jobs)), caches

    def result(self, transport: Transport) -> Progress:
        """Begin or resume, run the rounds that are left, and let the task keep the model.

        Raises
        ------
        ValueError
            No device has answered.
        """
        progress = self.saved
        if progress is None:
            progress = self._begin(transport) if self.first else self._continue(transport)
            self._save(progress)
        self._rounds(progress, transport)
        statistics, history = progress.client_statistics, progress.history
        self.task.keep(progress.server, statistics, history, first=self.first)
        return progress

    def _begin(self, transport: Transport) -> Progress:
        """Everything before the first round: the devices' sizes, a fresh model, its prototypes."""
        task, ledger = self.task, Ledger()
        client_statistics, faults = self._client_statistics(transport, ledger)
        settings = task.settings(total_rows(list(client_statistics.values())))
        norm = task.row_norm or typical_row_norm(list(client_statistics.values())) or 1.0
        server = Server.begin(
            task.n_features, task.n_labels, settings, self._plan(settings, client_statistics),
            self.seed, norm,
        )  # fmt: skip
        server.start_faults = faults
        if task.counts_items:
            count_labels(server, transport, ledger)
        federation = self.federation
        if federation.prototypes and not server.plan.private and not federation.public_rows:
            set_prototypes(server, transport, ledger, task.prototype_scale)
        rng = np.random.default_rng([self.seed, 0])
        return Progress(server, client_statistics, ledger, [], rng)

    def _continue(self, transport: Transport) -> Progress:
        """From a copy of the trained federation, with the parameters and devices of now."""
        federation, task = self.federation, self.task
        ledger, history = deepcopy(federation.ledger_), list(federation.history_)
        client_statistics, faults = self._client_statistics(transport, ledger)
        settings = task.settings(total_rows(list(client_statistics.values())))
        server = federation.server_.resume(self._plan(settings, client_statistics))
        server.start_faults = faults
        norm = typical_row_norm(list(client_statistics.values()))
        if norm and task.row_norm is None:
            scale = moved_scale(server.network.input_scale, 1 / norm)
            server.network.input_scale = min(scale, MAX_INPUT_SCALE)
        if task.counts_items:
            # As the recommender's own `partial_fit`: rows that come again count again.
            count_labels(server, transport, ledger)
        rng = np.random.default_rng([self.seed, len(history)])
        return Progress(server, client_statistics, ledger, history, rng)

    def _rounds(self, progress: Progress, transport: Transport) -> None:
        """The rounds that are left, each saved when it is done."""
        federation = self.federation
        rounds = run_rounds(
            progress, transport, fraction=float(federation.fraction),
            delta=float(federation.delta), random_state=federation.random_state,
        )  # fmt: skip
        used = False
        for entry in rounds:
            # None of a private round, which says nothing of its devices, and noise moves the model.
            used = used or entry["n_used"] != 0
            self._save(progress)
            if federation.callback is not None:
                federation.callback(progress.server.network, entry)
            if federation.verbose:
                print(summary(entry), flush=True)
        if not used and self.saved is None:
            warnings.warn(
                "no device's update was of use in any round, so that the model is as it began: "
                "history_ says what devices answered",
                UserWarning,
                stacklevel=2,
            )

    def _save(self, progress: Progress) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(progress)

    def _client_statistics(self, transport: Transport, ledger: Ledger):
        """What is known of devices' rows, or what they say of them, and faults."""
        public = self.federation.public_statistics
        if public is not None:
            client_statistics = public_client_statistics(sorted(transport.devices), public)
            faults: dict = {}
        else:
            client_statistics, faults = take_client_statistics(transport, ledger)
        if not client_statistics:
            raise ValueError("transport must reach at least one device, got no usable answer")
        if self.federation.secure_aggregation:
            check_secure_rounds(len(client_statistics), self.federation.fraction)
        return client_statistics, faults

    def _plan(self, settings: Settings, client_statistics: dict) -> Plan:
        federation = self.federation
        limits = round_limits(
            client_statistics, settings, federation.local_steps, federation.fraction
        )
        return replace(plan_of(federation, settings), **limits)
