"""`FederatedLSHClassifier`: trains a classifier on devices whose rows do not leave them."""

from __future__ import annotations

from copy import copy
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

from sklearn.base import MetaEstimatorMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sklsh._utils.locks import changes
from sklsh.estimators.federated_prediction import FederatedPrediction
from sklsh.estimators.federated_tasks import new_task, task_of
from sklsh.estimators.federated_training import FederatedTraining
from sklsh.estimators.recommender import LSHRecommender
from sklsh.federated.aggregation import AGGREGATIONS
from sklsh.federated.server_optimizers import SERVER_OPTIMIZERS
from sklsh.federated.settings import BODY_EXCHANGES, LOCAL_OPTIMIZERS, MAX_LOCAL_STEPS, PAYLOADS

POSITIVE = Interval(Integral, 1, None, closed="left")


class FederatedLSHClassifier(FederatedPrediction, MetaEstimatorMixin, FederatedTraining):
    """Trains a classifier or recommender over devices that keep their rows to themselves.

    The server holds the model, devices hold rows. In a round a device gets a sketch of the
    head, hashes it with functions and tables of its own, asks for the neurons it needs,
    trains them on its rows and sends what changed; the server averages, neuron by neuron,
    over the devices that had it. Here all devices run on this machine; `sklsh.federated`
    has the parts to run them elsewhere.

    Parameters
    ----------
    estimator : SparseLSHMLPClassifier or LSHRecommender, default=None
        What is trained, and predicts; None: a classifier with default settings. Its
        `sampler` says how a device picks neurons beside its labels: "lsh" with hash tables
        over the sketch; "random" or "uniform" at random, without a sketch; "labels" none;
        "all" the whole head, which is dense FedAvg. "auto": "all" up to 1,024 labels, "lsh"
        above. `n_active` is the number of these neurons a round ("auto": 1,024), and
        automatic `dropout` is .3 (a
        recommender's .5).
        `max_iter`, early stopping and k-NN scores are not used. A recommender's
        devices hold users: ``fit(user_items, groups=devices_of_users)``.
    n_rounds : int, default=20
    local_steps : int, float in (0, 1] or None, default=0.5
        What a device trains on in a round: so many batches (a million at most), or (float)
        that share of its rows; None: all its rows, once. Fewer rows have fewer neurons and
        features: a round takes less memory, and traffic goes further.
    device_params : dict, list of dict or dict of dicts, default=None
        Settings of devices that differ from the estimator's: one dict for all, a list in
        the order of the sorted device ids, or ``{device_id: dict}``. Beside the estimator's
        parameters: `local_steps`, `active_bytes` (in place of `n_active`), `n_decoys`,
        `include_labels`, `n_probes`, `selection` ("buckets": the paper's rule; "codes": scored
        codes), `code_family`, `code_bytes`, `batch_rule`, `local_sampler`, `cache_bytes`, and
        what it refuses: `least_rows` (16 a round), `most_steps`, `most_rounds`, `most_bytes`,
        `masked_only` (see `sklsh.federated.DeviceSettings`).
        They never leave the device, but for which codes it wants.
    aggregation : {"mean", "trimmed_mean", "median"}, default="mean"
        Over the devices that had a neuron; "mean" weighs by rows trained on.
    transport : {"joblib"} or object, default="joblib"
        "joblib" runs devices as joblib tasks: in threads, or as `joblib.parallel_config`
        says. An object of `sklsh.federated.Transport` brings its own devices.
    include_labels : bool, default=True
        Whether a request has the labels of the device's rows in it. False is the paper's.
    n_decoys : float, default=0
        For each label and feature of a device, so many others in its requests, that come and go
        from round to round as its own do. Of use with `prototypes=False` only: the
        prototypes name the device's labels before the first round.
    public_rows : float in [0, 1], default=0.0
        Above 0: in a round all devices ask for the same neurons, this share of all (to the
        nearest 1 / k), others in each round, and for all features, so that what is asked for and
        what is sent back name neither labels nor features. Prototypes are not used then; not for a
        recommender, whose devices send counts of their items.
    secure_aggregation : bool, default=False
        Devices mask their updates so that the server learns their sum alone, as long as it keeps
        to the protocol (`sklsh.federated.secure`). Needs `public_rows`, the mean as aggregation,
        no `clip_norm`, three devices in a round, and the extra ``secure``; devices weigh the
        same, and nothing of the defence against hostile devices applies.
    body_exchange : {"touched", "full", "local"}, default="touched"
        First-layer rows that travel: of features in the round's rows, or all. "local": the
        body never leaves a device, which begins with the server's and makes it its own;
        the head alone is shared. See `device_estimator`.
    payload : {"float16", "float32"}, default="float16"
        Type of weights, sketch and changes on the wire.
    sketch_rounds : int, default=1
        Rounds with one fold, or with the same rotation or codebooks of codes. Above 1 devices
        keep their last sketch or codes and are sent the rows that have changed since.
    sketch_tolerance : float in [0, 1), default=0.0
        Share of its length by which a row of the sketch, or what its code stands for, must
        change to be sent again.
    cache_dir : path, default=None
        Where devices keep sketch, body and accumulators, a folder each. None: in memory.
        `fit` empties the folders of its devices. What is missing or damaged is asked for
        anew, and `history_` counts it.
    checkpoint_dir : path, default=None
        Folder that the server is kept in after each round. `fit` resumes from what is there,
        at the next round and with the same history; of another training it is refused. What
        is finished stays as it is: name another folder, or empty it, to train anew.
    server_optimizer : {"avg", "adam"}, default="avg"
        How the server moves a row by its devices' averaged change: by it, or by Adam with
        one second moment a row (FedAdam; `contributor_power` is of no effect then).
    local_optimizer : {"sent", "fresh", "kept"}, default="sent"
        Adagrad's accumulators on a device: they come and go with the rows, averaged over
        devices; are fresh in each round; or stay in the device's cache.
    prototypes : bool, default=True
        Start neurons as the mean hidden vector of their label's rows, from sums that
        devices send; costs about a round's traffic.
    fraction : float in (0, 1], default=1.0
        Share of the devices invited to a round.
    server_learning_rate : float, default=1.0
        Factor of the averaged change, beside `contributor_power`.
    contributor_power : (float, float), default=(0.4, 0.25)
        A neuron's averaged change is multiplied by its number of contributing devices, eight
        at most, to the first power, a first-layer row's to the second. (0, 0) is plain federated
        averaging.
    callback : callable or None, default=None
        Called after each round as ``callback(network, entry)`` with the server's
        `WideNetwork` (not to be changed) and what will be in `history_`.
    clip_norm : float or None, default=None
        Longest change of one device, all parameters together; longer ones are scaled down.
    noise_multiplier : float, default=0.0
        Above 0: device-level differential privacy, by noise of standard deviation
        ``noise_multiplier * clip_norm`` on the sum of changes. Needs `clip_norm`, the mean
        as aggregation, and the package dp-accounting; not for a recommender, whose devices
        send exact counts. Prototypes are not used then, devices are not asked for their sizes
        (see `public_statistics`), and `history_` and `ledger_` say nothing of these rounds but
        their epsilon. Noise and invitations come from the
        operating system's randomness; with an integer `random_state` whoever knows it knows
        the noise (and can try all 2^32): for experiments only.
    delta : float in (0, 1), default=1e-5
        For the epsilon that `history_` reports, of all rounds so far.
    public_statistics : dict or None, default=None
        What is known of a typical device's rows without asking: ``n_samples``, ``row_norm`` (the
        median of their Euclidean norms) and ``labels_per_row``, each above 0. They set the scale
        of the first layer, the threshold, and what an update may be. None: devices say; with
        noise they must be given.
    n_jobs : int, default=None
        Devices at a time. Never changes a result.
    random_state : int, RandomState instance or None, default=None
    verbose : bool or int, default=False
        Print a line a round.
    holder_power : deprecated
        Former name of `contributor_power`, until 0.2.

    Attributes
    ----------
    estimator_ : SparseLSHMLPClassifier or LSHRecommender
        Holds the trained network; `predict`, `predict_proba`, `predict_topk` ... are its.
    classes_, label_names_, n_features_in_, feature_names_in_
        As the estimator has them.
    device_ids_ : ndarray
        Different values of `groups`, sorted; those that `partial_fit` brings come behind
        the old ones. Device i of the ledger is ``device_ids_[i]``.
    history_ : list of dict
        A round each: the fields of `sklsh.federated.RoundReport`, ``bytes_up``,
        ``bytes_down`` and ``seconds``; ``start_faults`` in the first of a call, as `faults`
        of what was asked before it; ``epsilon`` with noise: of this round and all before,
        infinite if one had none. Of a round with noise, ``round`` and ``epsilon`` alone: the
        loss is NaN and the rest None, as they would tell more than epsilon says.
    ledger_ : Ledger
        Bytes by round, device, message and direction; not of rounds with noise.
    n_rounds_ : int
        Rounds run.
    caches_ : dict
        What each device has kept, by device id: its own business, here because the devices
        run on this machine.

    Notes
    -----
    The multilabel threshold names as many labels as rows have, which each device counts with its
    part of the model; the median over devices is used. Of private rounds alone it is half a
    row's even share (1 / (2 x labels a row)): devices are not asked.

    Threads: any number may predict at once, also while another one trains: `fit` and
    `partial_fit` work on a model of their own, and answers are those of the old one until the
    new one takes its place, whole. Training calls wait for one another. Not so
    `device_estimator`: it reads what the devices keep, as it is at the time.

    See Also
    --------
    sklsh.datasets.split_devices : makes `groups`.

    References
    ----------
    T. Rabbani, M. Bornstein, F. Huang. "Large-Scale Distributed Learning via Private
    On-Device Locality-Sensitive Hashing", NeurIPS 2023, arXiv 2306.02563, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import FederatedLSHClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> device_ids = np.arange(1000) % 4
    >>> model = FederatedLSHClassifier(random_state=0).fit(X[:1000], y[:1000], groups=device_ids)
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    >>> model.ledger_.total(direction="up") > 0
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [None, HasMethods(["fit"])],
        "n_rounds": [POSITIVE],
        "local_steps": [
            None,
            Interval(Integral, 1, MAX_LOCAL_STEPS, closed="both"),
            Interval(Real, 0, 1, closed="right"),
        ],
        "device_params": [None, dict, list],
        "aggregation": [StrOptions(AGGREGATIONS.keys())],
        "transport": [StrOptions({"joblib"}), HasMethods(["ask"])],
        "include_labels": ["boolean"],
        "n_decoys": [Interval(Real, 0, None, closed="left")],
        "public_rows": [Interval(Real, 0, 1, closed="both")],
        "secure_aggregation": ["boolean"],
        "body_exchange": [StrOptions(set(BODY_EXCHANGES))],
        "payload": [StrOptions(set(PAYLOADS))],
        "sketch_rounds": [POSITIVE],
        "sketch_tolerance": [Interval(Real, 0, 1, closed="left")],
        "cache_dir": [None, str, PathLike],
        "checkpoint_dir": [None, str, PathLike],
        "server_optimizer": [StrOptions(set(SERVER_OPTIMIZERS))],
        "local_optimizer": [StrOptions(set(LOCAL_OPTIMIZERS))],
        "prototypes": ["boolean"],
        "fraction": [Interval(Real, 0, 1, closed="right")],
        "server_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "contributor_power": [tuple, list],
        "holder_power": [StrOptions({"deprecated"}), tuple, list],
        "callback": [None, callable],
        "clip_norm": [None, Interval(Real, 0, None, closed="neither")],
        "noise_multiplier": [Interval(Real, 0, None, closed="left")],
        "delta": [Interval(Real, 0, 1, closed="neither")],
        "public_statistics": [None, dict],
        "n_jobs": [None, Interval(Integral, None, -1, closed="right"), POSITIVE],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    __metadata_request__fit: ClassVar[dict] = {"groups": True}
    __metadata_request__partial_fit: ClassVar[dict] = {"groups": True}

    def __init__(
        self,
        estimator=None,
        *,
        n_rounds=20,
        local_steps=0.5,
        device_params=None,
        aggregation="mean",
        transport="joblib",
        include_labels=True,
        n_decoys=0.0,
        public_rows=0.0,
        secure_aggregation=False,
        body_exchange="touched",
        payload="float16",
        sketch_rounds=1,
        sketch_tolerance=0.0,
        cache_dir=None,
        checkpoint_dir=None,
        server_optimizer="avg",
        local_optimizer="sent",
        prototypes=True,
        fraction=1.0,
        server_learning_rate=1.0,
        contributor_power=(0.4, 0.25),
        callback=None,
        clip_norm=None,
        noise_multiplier=0.0,
        delta=1e-5,
        public_statistics=None,
        n_jobs=None,
        random_state=None,
        verbose=False,
        holder_power="deprecated",
    ):
        self.estimator = estimator
        self.n_rounds = n_rounds
        self.local_steps = local_steps
        self.device_params = device_params
        self.aggregation = aggregation
        self.transport = transport
        self.include_labels = include_labels
        self.n_decoys = n_decoys
        self.public_rows = public_rows
        self.secure_aggregation = secure_aggregation
        self.body_exchange = body_exchange
        self.payload = payload
        self.sketch_rounds = sketch_rounds
        self.sketch_tolerance = sketch_tolerance
        self.cache_dir = cache_dir
        self.checkpoint_dir = checkpoint_dir
        self.server_optimizer = server_optimizer
        self.local_optimizer = local_optimizer
        self.prototypes = prototypes
        self.fraction = fraction
        self.server_learning_rate = server_learning_rate
        self.contributor_power = contributor_power
        self.callback = callback
        self.clip_norm = clip_norm
        self.noise_multiplier = noise_multiplier
        self.delta = delta
        self.public_statistics = public_statistics
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.holder_power = holder_power

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=False)
    def fit(self, X, y=None, groups=None):
        """Train from scratch for `n_rounds` rounds.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        y : array-like (n_samples,), or indicator (n_samples, n_labels), dense or sparse
            Not used with a recommender, whose `X` is users' items.
        groups : array-like (n_samples,), default=None
            Which device holds a row. None: one device holds them all.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `SparseLSHMLPClassifier.fit`; `groups` of another length; `device_params`
            that name no device, no setting, or one that must be the same everywhere, or give
            one a value that it cannot have; noise for a recommender.
        """
        task = new_task(self.estimator)
        return self._train(task, *task.read(X, y, first=True), groups, first=True)

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=False)
    def partial_fit(self, X, y=None, classes=None, groups=None):
        """`n_rounds` more rounds, from the model there is; the rate falls anew over them.

        Parameters
        ----------
        X, y : as in `fit`
            The devices of these rounds, the old ones or others. A recommender
            counts their users' items anew, on top of what it has counted.
        classes : array-like (n_classes,), default=None
            All classes; needed in the first call for 1-d y.
        groups : as in `fit`

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; the model comes from a folder that was saved without the federation's
            state.
        """
        self._check_state()
        first = not hasattr(self, "server_")
        task = new_task(self.estimator) if first else task_of(copy(self.estimator_))
        return self._train(task, *task.read(X, y, classes, first=first), groups, first=first)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        if isinstance(self.estimator, LSHRecommender):
            tags.target_tags.required = False
            tags.input_tags.positive_only = True
        return tags
