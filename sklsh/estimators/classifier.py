"""`SparseLSHMLPClassifier`: a multilayer perceptron with a very wide output layer."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions

from sklsh.estimators.classifier_prediction import ClassifierPrediction
from sklsh.estimators.classifier_training import ClassifierTraining
from sklsh.hashing.base import MAX_CODE_BITS, HashFamily
from sklsh.hashing.families import FOLDS
from sklsh.network.model import ACTIVATIONS
from sklsh.network.sampling import SAMPLERS

AUTO = StrOptions({"auto"})


class SparseLSHMLPClassifier(
    ClassifierTraining, ClassifierPrediction, ClassifierMixin, BaseEstimator
):
    """Multilayer perceptron for extreme multiclass and multilabel classification.

    Trains only the output neurons that are worth computing: a batch's own labels and the
    negatives that `sampler` proposes; updates only rows that a batch touched. Neurons start
    as the mean hidden vector of their label's rows. At prediction the labels of the nearest
    training rows add k-NN scores, and linear classifiers of the raw features what they find, with
    weights fitted on held-out rows.

    Parameters
    ----------
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Width of each hidden layer. "auto": one of 512, or of 256 with ``effort="fast"``, for more
        than 131,072 labels, and on the devices of a federation, where the head's bytes count.
    effort : {"best", "fast"}, default="best"
        What "auto" stands for in `hidden_layer_sizes` and `max_iter`, and how many trees a linear
        view has. "fast": half as wide, two epochs in place of three, one tree in place of three:
        half of the time or less, for up to a point of P@1.
    activation : {"relu", "identity", "tanh"}, default="relu"
        Of the hidden layers.
    sampler : str, default="auto"
        Who is active beside a batch's own labels. "codes": a few rows of the batch score 64-bit
        codes of all neurons (of 65,536 in turn), then the best exactly, and keep the best
        of these; neurons are coded again when they change. "lsh": the same among neurons that
        hash tables name. "random": among random neurons. "exact": among all neurons. "uniform":
        random neurons. "labels": none. "all": every neuron, the dense layer. "auto": "all" up to
        1,024 labels, "uniform" up to 8,192, "random" beyond, where hard negatives pay: hash
        tables find harder ones, at a higher cost and to no measurable gain in training.
    n_active : int, default="auto"
        Neurons that the sampler proposes a batch. "auto": 256.
    family, fold, n_tables, hash_length, sketch_dim
        Of the hash tables, as in `CompressedLSHHasher`; for ``sampler="lsh"`` and
        ``prediction="lsh"``; `fold` and `sketch_dim` for ``shuffle="lsh"`` too. An automatic
        `hash_length` leaves some 256 neurons a bucket.
    rehash_interval : int, default="auto"
        Steps before tables or codes are thrown away and new hash functions drawn. "auto": 100,
        or as many as make hashing a small part of the work on a very wide head.
    n_neighbors : int, default="auto"
        Nearest training rows that count at prediction; 0 keeps none (and no copy of the training
        rows in the model). "auto": 30, 60, 100 or 200, whichever is best on the held-out
        rows. How a score falls with the distance and what it weighs is always fitted there.
    linear : bool or "auto", default="auto"
        Whether linear classifiers of the raw features, in label trees, have a say: labels with
        characteristic features are found that the hidden layer forgets. Their weight is fitted
        on the validation rows, and they are dropped where it is 0. "auto": if rows are held
        out. True: with a fixed weight where none are. Not in `partial_fit`: the solver needs
        all rows at once.
    n_estimators : int, default=1
        Networks that `fit` trains, of different seeds and hash functions. Their mean logits are
        those of one network as wide as they are together (`network_`), which shares neighbours and
        linear view: three gain .2 points of P@1 where these are, for three times the time and the
        parameters. With `warm_start` and in streams that one network is trained on as it is.
    prediction : {"auto", "exact", "candidates", "lsh"}, default="auto"
        Where the best labels are looked for after `fit`. "exact": in the whole head.
        "candidates": among the labels of the neighbours and those that the linear view names,
        scored exactly; in the whole head for a row that has fewer than 50, or fewer than are
        asked for, and, as with tables, for all rows once a part of a stream has followed.
        "lsh": among these and the neurons that hash tables over the trained head name. "auto":
        "candidates" beyond 4,096 labels, if they keep 99.8 % of the exact P@1 and P@5 on
        held-out rows; "lsh" beyond 100,000, if that keeps 99 %. `decision_function` and
        `predict_proba` are always exact.
    dropout : float in [0, 1), default="auto"
        Of the last hidden layer. "auto": 0.1.
    alpha : float, default=0.0
        L2 penalty; a weight row pays when it is touched.
    batch_size : int, default="auto"
        "auto": the square root of the number of rows, at most 512; 128 in `partial_fit`.
    learning_rate_init : float, default="auto"
        Initial rate of row-wise Adagrad; it falls linearly over `max_iter` epochs. "auto":
        0.03 for batches of 128, with the square root of the batch; twice that in `fit` on
        dense X, of which a quarter of the entries or more are not zero.
    max_iter : int, default="auto"
        Epochs. "auto": 3, and more for small data: at least 400 steps, 600 without
        k-NN scores; on dense X twice as many.
    tol, n_iter_no_change : float, int, default=1e-4, 3
        Early stopping ends a fit whose validation P@1 has not improved by `tol` for so many
        epochs.
    early_stopping : bool, default=False
        Watch P@1 on the held-out rows and keep the best weights (costs a copy of them). Where
        no row can be held out, a warning, and all epochs are run.
    validation_fraction : float in (0, 1), default="auto"
        Rows held out to fit the k-NN scores' weight and the multilabel threshold. "auto": a
        tenth, at most 1,000 rows, and none if that is fewer than 50 and `early_stopping` does
        not ask for them: then there are no k-NN scores, and training rows fit the threshold. A
        number: that share, at least one row. They join the neighbours in the end, and where
        they are 7 % or more what label trees learn from.
    warm_start : bool, default=False
        Start `fit` from the weights of the fit before. Rows are held out by a hash of their
        features, so that a fit is validated on rows that no fit before has trained on; streams
        leave these rows out then, too.
    new_classes : {"error", "grow"}, default="error"
        What `partial_fit`, or `fit` with `warm_start`, does about classes that were not there
        before. "error": refuses them, as scikit-learn has it. "grow": takes them, and an
        indicator may have new columns behind the old ones; what was learnt of those before
        stays. `classes_` stays sorted, so that columns of answers may move. No `classes` are
        needed in the first call, but two different ones. A part with new ones costs
        O(n_labels * n_hidden) for a copy of the head.
    class_weight : dict, "balanced" or None, default=None
        What rows of each class weigh in training, beside `sample_weight`: by class (of a
        multilabel y by column, or by the label's name), 1 where none is given. "balanced": in
        inverse proportion to the rows of the class, not in `partial_fit`. A row of several labels
        weighs their mean.
    shuffle : bool or {"auto", "lsh"}, default="auto"
        Order of an epoch's rows. True: random. False: as they come. "lsh": random batches of
        rows whose hidden vectors lie on the same side of random hyperplanes in a sketch, so
        that a batch's labels are hard negatives of one another. "auto": "lsh" without
        k-NN scores (``n_neighbors=0``, streams), unless the sampler is "all"; else True.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, order, dropout, samplers and hash functions.
    checkpoint_dir : path, default=None
        Folder where `fit` keeps its state. After a kill or a power cut, `fit` with the same
        data and parameters resumes there and ends with the same weights, to the bit. A
        checkpoint of another training is refused. What is finished stays: name another
        folder, or delete it, to train anew.
    checkpoint_interval : int, default=1
        Epochs between two writes of weights and optimizer (and the best weights, with early
        stopping).
    n_jobs : int, default=None
        Threads. None: all cores, or what `joblib.parallel_config` says. Never changes a
        result.
    verbose : bool or int, default=False
        Show progress (a bar where `rich` is installed).

    Attributes
    ----------
    classes_ : ndarray (n_labels,)
        Class labels; for a multilabel y its column numbers.
    label_names_ : ndarray (n_labels,) of str or int, or None
        Of a multilabel y that has them: names of a frame's columns, or the labels in lists.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If X had names.
    coefs_, intercepts_ : list of ndarray
        As in `sklearn.neural_network.MLPClassifier`; the last matrix is a view.
    network_ : WideNetwork
        The same arrays, head row = neuron.
    memory_ : NeighborMemory or None
        The rows that k-NN scores are of.
    neighbor_weight_ : float
        Weight of the k-NN scores, as fitted.
    linear_ : LinearView or None
        The label trees, if they have a say.
    linear_weight_ : float
        Weight of the linear view, as fitted.
    table_stats_ : dict
        Of the candidates that prediction uses or has been offered: recall of the exact best 1
        and 5 on held-out rows, P@1 and P@5 of both (of "candidates" at 50 as well); of tables
        their occupancy. Empty for "exact".
    threshold_ : float
        Share of a row's score (softmax over its 50 best labels) from which `predict` names
        a label: the one with the best samples-averaged F1 on held-out rows; of a stream, the one
        that names as many labels as rows have. Multilabel only.
    n_iter_ : int
        Epochs run; each part of a stream is one more.
    loss_curve_ : list of float
        Mean sampled softmax loss of each epoch, of one network after another. After a part of a
        stream: of the last 100 parts and epochs at most.
    best_loss_ : float
        The smallest that there was, of all parts.
    validation_scores_ : list of float or None
        P@1 after each epoch, with early stopping.

    Notes
    -----
    A step on b rows costs O(nnz * n_hidden + b * active * n_hidden), whatever n_labels.
    Y is never made dense; `predict_topk` holds no n_samples x n_labels array, while
    `decision_function` and `predict_proba` return one, as scikit-learn has it.

    Threads: any number may predict at once, also while another one trains; each answer is
    that of the model before the training call or after it. During `fit` predictions go on
    from the old model. `partial_fit` writes into the arrays there are: it waits for
    predictions that have begun, and new ones wait for it, so pass it small parts. Training
    calls wait for one another; `save_model` is an answer like others. Fitted attributes are
    the arrays at work, and pickling reads them without a lock: do that between trainings.

    References
    ----------
    T. Rabbani, M. Bornstein, F. Huang. "Large-Scale Distributed Learning via Private
    On-Device Locality-Sensitive Hashing", NeurIPS 2023, arXiv 2306.02563.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import SparseLSHMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseLSHMLPClassifier(random_state=0).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    >>> labels, scores = model.predict_topk(X[1000:], k=3)
    >>> labels.shape
    (797, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": [AUTO, "array-like", Interval(Integral, 1, None, closed="left")],
        "effort": [StrOptions({"best", "fast"})],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "sampler": [AUTO, StrOptions(SAMPLERS.keys())],  # whatever it has by then
        "n_active": [AUTO, Interval(Integral, 1, None, closed="left")],
        "family": [str, HashFamily],  # whatever FAMILIES has by then: Settings.resolve checks
        "fold": [StrOptions(set(FOLDS))],
        "n_tables": [Interval(Integral, 1, 2**15, closed="both")],
        "hash_length": [AUTO, Interval(Integral, 1, MAX_CODE_BITS, closed="both")],
        "sketch_dim": [None, Interval(Integral, 1, None, closed="left")],
        "rehash_interval": [AUTO, Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [AUTO, Interval(Integral, 0, None, closed="left")],
        "linear": [AUTO, "boolean"],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "prediction": [StrOptions({"auto", "exact", "candidates", "lsh"})],
        "dropout": [AUTO, Interval(Real, 0, 1, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [AUTO, Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [AUTO, Interval(Real, 0, None, closed="neither")],
        "max_iter": [AUTO, Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [AUTO, Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "new_classes": [StrOptions({"error", "grow"})],
        "class_weight": [None, dict, StrOptions({"balanced"})],
        "shuffle": ["boolean", StrOptions({"auto", "lsh"})],
        "random_state": ["random_state"],
        "checkpoint_dir": [None, str, PathLike],
        "checkpoint_interval": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [
            None,
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes="auto",
        *,
        effort="best",
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
        linear="auto",
        n_estimators=1,
        prediction="auto",
        dropout="auto",
        alpha=0.0,
        batch_size="auto",
        learning_rate_init="auto",
        max_iter="auto",
        tol=1e-4,
        n_iter_no_change=3,
        early_stopping=False,
        validation_fraction="auto",
        warm_start=False,
        new_classes="error",
        class_weight=None,
        shuffle="auto",
        random_state=None,
        checkpoint_dir=None,
        checkpoint_interval=1,
        n_jobs=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.effort = effort
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
        self.linear = linear
        self.n_estimators = n_estimators
        self.prediction = prediction
        self.dropout = dropout
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.new_classes = new_classes
        self.class_weight = class_weight
        self.shuffle = shuffle
        self.random_state = random_state
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_interval = checkpoint_interval
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags
