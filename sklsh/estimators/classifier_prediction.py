"""What a fitted `SparseLSHMLPClassifier` answers: top k, classes, scores, its arrays."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import expit, softmax
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.containers import check_column_names, label_lists, plain
from sklsh._utils.locks import answers
from sklsh._utils.threads import effective_n_threads
from sklsh._utils.validation import check_depth, check_float32, check_X
from sklsh.estimators.targets import Targets
from sklsh.estimators.thresholds import check_thresholds
from sklsh.metrics._hits import row_weights
from sklsh.network.calibration import N_RIVALS, best_scores, chances_of, log_shares
from sklsh.network.chosen import chosen_scores
from sklsh.network.learner import Learner
from sklsh.network.rows import SparseRows


class ClassifierPrediction:
    """Predictions and fitted arrays, from what fitting leaves."""

    n_jobs: int | None
    learner_: Learner
    targets_: Targets
    classes_: np.ndarray
    threshold_: float

    @answers
    def predict_topk(self, X, k=5):
        """The `k` best labels of each row.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        k : int, default=5
            At most the number of labels, or 1,000 if that is more.

        Returns
        -------
        labels : ndarray (n_samples, k), int64 or text
            Best first, padded with -1 if there are fewer than `k` labels. Classes that are
            integers, or floats of whole numbers, as integers; text as it is, padded with "";
            booleans as 0 and 1. Of a multilabel y the columns, or their names (`label_names_`).
        scores : ndarray (n_samples, k), float32
            Logit, k-NN score and gains of the linear view, added; padded with -inf.

        Notes
        -----
        O(n_samples * n_labels * n_hidden) in blocks, or among candidates (`prediction`)
        O(n_samples * n_candidates * n_hidden): never an n_samples x n_labels array.
        """
        check_is_fitted(self)
        labels, scores = self._topk(X, check_depth(k, "k", self.classes_.shape[0]))
        return self.targets_.names(labels), scores

    @answers
    def predict_topk_proba(self, X, k=5):
        """The `k` best labels of each row, and how likely each is: for wide heads, too.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        k : int, default=5
            As of `predict_topk`.

        Returns
        -------
        labels : ndarray (n_samples, k)
            As of `predict_topk`.
        probabilities : ndarray (n_samples, k), float32
            As of `predict_proba`; 0 where padded. Of a multiclass model the softmax over the row's
            50 best scores.

        Notes
        -----
        Costs what `predict_topk` does.
        """
        check_is_fitted(self)
        k = check_depth(k, "k", self.classes_.shape[0])
        labels, probabilities = self._topk_proba(X, max(k, min(N_RIVALS, self.classes_.shape[0])))
        return self.targets_.names(labels[:, :k]), probabilities[:, :k]

    def _topk_proba(self, X, k):
        """Columns of the best labels, padded with -1, and probabilities; k as of `_topk`."""
        labels, scores = self._topk(X, k)
        scores /= self._temperature
        shares = scores - _log_total(scores[:, :N_RIVALS])
        return labels, np.where(labels >= 0, self._probabilities(shares), 0).astype(np.float32)

    def _topk(self, X, k):
        check_is_fitted(self)
        rows = SparseRows.from_matrix(check_float32(check_X(self, X, reset=False)))
        return self.learner_.predictor(effective_n_threads(self.n_jobs)).topk(rows, k)

    @answers
    def predict(self, X, *, thresholds=None):
        """The best class of each row, or the labels above `threshold_`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        thresholds : float or array-like (n_labels,), default=None
            Of a multilabel model, the probability (`predict_topk_proba`) from which a label is
            named: of all, or of each column of y, as `sklsh.model_selection.tune_thresholds`
            finds them, or costs say. None: a label's share of the row is held against `threshold_`.

        Returns
        -------
        ndarray (n_samples,), or an indicator (n_samples, n_labels)
            Classes; or, multilabel, in the container that y came in: of lists of labels an
            array of objects, a sorted list each; of frames an array. At most 50 labels a row.

        Raises
        ------
        ValueError
            `thresholds` outside [0, 1], of another length, or of a multiclass model.
        """
        check_is_fitted(self)
        if not self.targets_.multilabel:
            if thresholds is not None:
                raise ValueError("thresholds must be None for classes, of which the best is named")
            labels, _ = self._topk(X, 1)
            return self.classes_[labels[:, 0]]
        n_labels = self.classes_.shape[0]
        n_best = min(N_RIVALS, n_labels)
        if thresholds is None:
            labels, scores = self._topk(X, n_best)
            chosen = log_shares(scores / self._temperature) > np.log(self.threshold_)
        else:
            thresholds = check_thresholds(thresholds, n_labels)
            labels, probabilities = self._topk_proba(X, n_best)
            chosen = (labels >= 0) & (probabilities >= thresholds[labels])
        indptr = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))])
        answer = self.targets_.indicator(indptr, labels[chosen])
        if sp.issparse(answer):
            answer.sort_indices()
        return answer

    @answers
    def score_labels(self, X, labels):
        """Scores of chosen labels alone: what `predict_topk` gives them, wherever they rank.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        labels : array-like (n_chosen,), or (n_samples, n_chosen) of each row's own
            As `predict_topk` names them; its padding is none.

        Returns
        -------
        ndarray (n_samples, n_chosen), float32
            In the order of `labels`; -inf for none. Comparable within a row.

        Raises
        ------
        ValueError, TypeError
            A label that y has not had; another number of dimensions or of rows; a set.

        Notes
        -----
        O(n_samples * n_chosen * n_hidden), or with each row's own that times up to 256; beside it
        the search of neighbours and of the linear view, which has no say beyond its 50 best.
        """
        check_is_fitted(self)
        rows = SparseRows.from_matrix(check_float32(check_X(self, X, reset=False)))
        columns = self.targets_.columns(labels)
        if columns.ndim not in (1, 2) or (columns.ndim == 2 and len(columns) != rows.n_rows):
            raise ValueError(
                "labels must be (n_chosen,), or (n_samples, n_chosen) with a row for each of the "
                f"{rows.n_rows} of X, got shape {columns.shape}"
            )
        predictor = self.learner_.predictor(effective_n_threads(self.n_jobs))
        return chosen_scores(predictor, rows, columns)

    @answers
    def decision_function(self, X):
        """Scores of every class, a dense array: for narrow heads.

        For wide heads use `predict_topk`.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples, n_labels), or (n_samples,) of two classes
            Multiclass: logit plus k-NN scores. Multilabel: the logarithm of a label's share
            (softmax over the row's 50 best) over `threshold_`; positive means predicted.
        """
        check_is_fitted(self)
        rows = SparseRows.from_matrix(check_float32(check_X(self, X, reset=False)))
        scores = self.learner_.predictor(effective_n_threads(self.n_jobs)).logits(rows)
        if self.targets_.multilabel:
            scores /= self._temperature
            return scores - _log_total(best_scores(scores)) - np.float32(np.log(self.threshold_))
        if scores.shape[1] == 2:
            return scores[:, 1] - scores[:, 0]
        return scores

    @answers
    def predict_proba(self, X):
        """Probabilities of every class, a dense array: for narrow heads.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples, n_labels)
            Multiclass: softmax, at a temperature that makes it likeliest on held-out rows.
            Multilabel: as many of the held-out rows had labels of such a share, whatever
            `predict` names, which gains most F1 by another threshold than 1/2. Where none were held
            out, and in streams, the logistic function of `decision_function`, not calibrated.
        """
        scores = self.decision_function(X)
        if self.targets_.multilabel:
            return self._probabilities(scores + np.float32(np.log(self.threshold_)))
        if scores.ndim == 1:
            positive = expit(scores / self._temperature)
            return np.column_stack([1 - positive, positive])
        return softmax(scores / self._temperature, axis=1)

    def _probabilities(self, shares):
        """Of logarithms of shares."""
        if not self.targets_.multilabel:
            return np.exp(shares)
        if self.learner_.chances is None:
            return expit(shares - np.float32(np.log(self.threshold_)))
        return chances_of(shares, self.learner_.chances)

    @property
    def _temperature(self) -> np.float32:
        return np.float32(self.learner_.temperature)

    @answers
    def score(self, X, y, sample_weight=None):
        """Accuracy of `predict`; multilabel: the share of rows of which every label is right.

        For wide heads the metrics of `sklsh.metrics` on `predict_topk` say more.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        y : array-like (n_samples,) or indicator (n_samples, n_labels)
            True labels, in any container that `fit` takes.
        sample_weight : array-like (n_samples,), default=None

        Returns
        -------
        float

        Raises
        ------
        ValueError
            A frame whose columns are called otherwise, or in another order, than at fit.
        """
        check_is_fitted(self)
        check_column_names(y, self.label_names_)
        answer, lists = self.predict(X), label_lists(y)
        weights = None
        if sample_weight is not None:
            weights = row_weights(sample_weight, answer.shape[0])
        if (lists is not None) != (self.targets_.container == "lists"):
            raise ValueError(
                f"y must be {'no ' if lists is not None else ''}lists of labels as at fit"
            )
        if lists is not None:
            if len(lists) != answer.shape[0]:
                raise ValueError(
                    f"y must have one entry for each of the {answer.shape[0]} rows of X, "
                    f"got {len(lists)}"
                )
            found = zip(lists, answer, strict=True)
            right = [set(true) == set(answered) for true, answered in found]
            return float(np.average(right, weights=weights))
        y = plain(list(y) if isinstance(y, tuple) else y, "y")
        from sklearn.metrics import accuracy_score  # slow to load, as in ClassifierMixin.score

        return accuracy_score(y, answer, sample_weight=weights)

    # A model to carry ---------------------------------------------------------------------

    @answers
    def compress(self, bytes_per_label=128, *, body="codes", neighbors=True, linear=True):
        """A model of an eighth of the size that predicts nearly the same; this one stays.

        Parameters
        ----------
        bytes_per_label : int, default=128
            Of a neuron's product code, its factor and its bias. 64 loses half a point of
            P@1 on a head of 512, 128 a third of one.
        body : {"codes", "int8", "float16"}, default="codes"
            First layer: a byte for two numbers, one, or two bytes a number.
        neighbors : bool, default=True
            Keep the training rows for k-NN scores, if there are any.
        linear : bool, default=True
            Keep of the linear view, if there is one, the large weights: of more than
            a megabyte a quarter, which is worth nearly all of its points of P@1.

        Returns
        -------
        CompressedClassifier
            With `predict_topk`, `predict` and the like; `save_model` writes it.

        Raises
        ------
        ValueError
            Naming the argument that is not as documented; a stream that has had no label yet.

        Notes
        -----
        O((n_features + n_labels) * n_hidden * 256).
        """
        from sklsh.estimators.compressed import CompressedClassifier

        return CompressedClassifier.of(self, bytes_per_label, body, neighbors, linear)

    # Fitted state -------------------------------------------------------------------------

    @property
    def label_names_(self):
        """Names of a multilabel y's columns, None if it has none."""
        return getattr(self.targets_, "label_names", None)

    @property
    def network_(self):
        """The trained `WideNetwork`."""
        return self.learner_.network

    @property
    def coefs_(self):
        """Weight matrices, ``(n_in, n_out)`` each; the last is a view of the head.

        The first is a copy where training has scaled the rows: it takes them as they come.
        """
        network = self.network_
        first, *deeper = network.body_weights
        if network.input_scale != 1:
            first = first * np.float32(network.input_scale)
        return [first, *deeper, network.head_weights.T]

    @property
    def intercepts_(self):
        """Bias vectors."""
        return [*self.network_.body_biases, self.network_.head_bias]

    @property
    def memory_(self):
        """The rows that k-NN scores are of, None if there are none."""
        return self.learner_.memory

    @property
    def neighbor_weight_(self):
        """Weight of the k-NN scores, 0 if there are none."""
        return self.memory_.weight if self.memory_ else 0.0

    @property
    def linear_(self):
        """The label trees over the raw features, None if they have no say."""
        return self.learner_.linear

    @property
    def linear_weight_(self):
        """Weight of the linear view, 0 if it has no say."""
        return self.linear_.weight if self.linear_ else 0.0


def _log_total(best: np.ndarray) -> np.ndarray:
    """Logarithm of each row's sum of exponentials, (n, 1), of its best scores."""
    return best[:, :1] - log_shares(best)[:, :1]
