"""`TextTagger`: texts in, names of labels out; vectorizer, labels and model in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.containers import as_list, is_missing
from sklsh._utils.locks import answers, changes
from sklsh._utils.validation import check_int
from sklsh.estimators.classifier import SparseLSHMLPClassifier


class TextTagger(BaseEstimator):
    """Gives texts their tags: TF-IDF of words, and a classifier of as many labels as there are.

    Parameters
    ----------
    classifier : SparseLSHMLPClassifier, default=None
        What is trained on the vectors; None: one with its defaults. Its `class_weight` is by
        name.
    ngram_range : (int, int), default=(1, 1)
        Words in a row that are a feature, as of `sklearn.feature_extraction.text.TfidfVectorizer`.
    min_df : int or float, default=1
        Texts (or share of them) that a feature must be in.
    max_features : int, default=None
        The commonest so many features; None: all.
    random_state : int, RandomState instance or None, default=None
        Of the classifier, if that has none of its own.

    Attributes
    ----------
    classes_ : ndarray (n_labels,) of str
        Names of the labels, sorted.
    terms_ : ndarray (n_features,) of str
        What the features are.
    idf_ : ndarray (n_features,)
        Their weights.
    classifier_ : SparseLSHMLPClassifier
        Trained on the vectors of texts; its labels are numbers of `classes_`.

    Notes
    -----
    `save_model` writes it whole, as text and arrays. Words are of two letters or more, in lower
    case, as `TfidfVectorizer` takes them; a text without any known word is answered by what
    labels have in common.

    Examples
    --------
    >>> from sklsh import TextTagger
    >>> texts = ["red apple", "green apple", "fast car", "red car"] * 10
    >>> tags = [["fruit", "red"], ["fruit"], ["vehicle"], ["vehicle", "red"]] * 10
    >>> tagger = TextTagger(random_state=0).fit(texts, tags)
    >>> labels, scores = tagger.predict_topk(["an apple"], k=1)
    >>> labels.tolist()
    [['fruit']]
    """

    _parameter_constraints: ClassVar[dict] = {
        "classifier": [None, HasMethods(["fit", "predict_topk"])],
        "ngram_range": [tuple, list],
        "min_df": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="both")],
        "max_features": [None, Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        classifier=None,
        *,
        ngram_range=(1, 1),
        min_df=1,
        max_features=None,
        random_state=None,
    ):
        self.classifier = classifier
        self.ngram_range = ngram_range
        self.min_df = min_df
        self.max_features = max_features
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    @changes(in_place=False)
    def fit(self, texts, labels):
        """Learn words, labels and the model.

        Parameters
        ----------
        texts : iterable of str (n_samples,)
            Empty ones, and None, are texts without words. A list, array or column of any library,
            or a frame of one column.
        labels : iterable (n_samples,) of str, or of iterables of str
            The tags of each text: a list, possibly empty, or the only one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Other numbers of texts than of labels; fewer than two different labels; a label that
            is empty text; no words.
        TypeError
            Texts or labels that are no text.
        """
        self._check_ngrams()
        texts, tags = checked_texts(texts), checked_labels(labels)
        if len(texts) != len(tags):
            raise ValueError(
                f"labels must be one list for each of the {len(texts)} texts, got {len(tags)}"
            )
        binarizer = MultiLabelBinarizer(sparse_output=True)
        Y = sp.csr_matrix(binarizer.fit_transform(tags), dtype=np.float32)
        if Y.shape[1] < 2:
            raise ValueError(f"labels must have at least 2 different names, got {Y.shape[1]}")
        vectorizer = self._vectorizer()
        try:
            X = vectorizer.fit_transform(texts)
        except ValueError as error:  # "empty vocabulary", "no terms remain"
            raise ValueError(f"texts must have words to learn from: {error}") from error
        model = SparseLSHMLPClassifier() if self.classifier is None else clone(self.classifier)
        if getattr(model, "random_state", 0) is None:
            model.set_params(random_state=self.random_state)
        if isinstance(getattr(model, "class_weight", None), Mapping):
            model.set_params(class_weight=_by_column(model.class_weight, binarizer.classes_))
        self.__dict__.pop("columns_", None)  # of a table before, as the command line keeps it
        self.classifier_ = model.fit(X, Y)
        self.classes_ = np.array(binarizer.classes_, dtype=str)
        self.terms_ = vectorizer.get_feature_names_out().astype(str)
        self.idf_ = vectorizer.idf_
        return self

    @property
    def label_names_(self):
        """The same as `classes_`, by the name under which scorers look for it."""
        return self.classes_

    def _check_ngrams(self) -> None:
        found = tuple(self.ngram_range)
        if len(found) != 2:
            raise ValueError(f"ngram_range must be two numbers, got {self.ngram_range!r}")
        check_int(found[1], "ngram_range[1]", check_int(found[0], "ngram_range[0]", 1))

    def _vectorizer(self, **learnt) -> TfidfVectorizer:
        limits = learnt or {"min_df": self.min_df, "max_features": self.max_features}
        return TfidfVectorizer(ngram_range=tuple(self.ngram_range), dtype=np.float32, **limits)

    @answers
    def transform(self, texts):
        """Vectors of texts.

        Parameters
        ----------
        texts : iterable of str (n_samples,)

        Returns
        -------
        csr_matrix (n_samples, n_features), float32
            TF-IDF, rows of unit length.
        """
        check_is_fitted(self)
        terms, vectorizer = vars(self).get("_ready", (None, None))
        if terms is not self.terms_:
            vectorizer = self._vectorizer(vocabulary=self.terms_.tolist())
            vectorizer.idf_ = self.idf_
            self._ready = self.terms_, vectorizer
        return sp.csr_matrix(vectorizer.transform(checked_texts(texts)))

    def __getstate__(self):
        # Made of the terms where it is needed: no class of ours, and no file has it.
        return {name: value for name, value in super().__getstate__().items() if name != "_ready"}

    @answers
    def encode(self, labels):
        """Labels as an indicator of `classes_`.

        Parameters
        ----------
        labels : iterable (n_samples,) of str, or of iterables of str
            As of `fit`; names that `fit` has not seen are left out.

        Returns
        -------
        csr_matrix (n_samples, n_labels), float32
        """
        check_is_fitted(self)
        column_of = {name: column for column, name in enumerate(self.classes_.tolist())}
        rows = [
            sorted({column_of[name] for name in tags if name in column_of})
            for tags in checked_labels(labels)
        ]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
        indices = np.array([column for row in rows for column in row], dtype=np.int32)
        data = np.ones(indices.shape[0], dtype=np.float32)
        return sp.csr_matrix((data, indices, indptr), shape=(len(rows), len(column_of)))

    @answers
    def predict_topk(self, texts, k=5):
        """The `k` best labels of each text, by name.

        Parameters
        ----------
        texts : iterable of str (n_samples,)
        k : int, default=5
            At most the number of labels, or 1,000 if that is more.

        Returns
        -------
        labels : ndarray (n_samples, k) of str
            Best first, padded with "".
        scores : ndarray (n_samples, k), float32
            Padded with -inf.
        """
        check_is_fitted(self)
        columns, scores = self.classifier_.predict_topk(self.transform(texts), k=k)
        return np.where(columns >= 0, self.classes_[columns], ""), scores

    @answers
    def predict(self, texts, *, thresholds=None):
        """The labels that the classifier's threshold lets through, by name.

        Parameters
        ----------
        texts : iterable of str (n_samples,)
        thresholds : float or array-like (n_labels,), default=None
            Probabilities from which labels are named, in the order of `classes_`.

        Returns
        -------
        list of list of str
            Of each text, in the order of `classes_`; may be empty.
        """
        check_is_fitted(self)
        X = self.transform(texts)
        Y = sp.csr_matrix(self.classifier_.predict(X, thresholds=thresholds))
        Y.sort_indices()
        parts = np.split(self.classes_[Y.indices], Y.indptr[1:-1])
        return [part.tolist() for part in parts][: Y.shape[0]]


def _by_column(class_weight: Mapping, names) -> dict:
    """Weights of labels by name as weights of columns."""
    column_of = {name: column for column, name in enumerate(names.tolist())}
    unknown = [name for name in class_weight if name not in column_of]
    if unknown:
        raise ValueError(f"class_weight must name labels, got {unknown[0]!r}")
    return {column_of[name]: weight for name, weight in class_weight.items()}


def _rows(values, name: str, what: str) -> list:
    """One element a row: of a list or column as they are, of a frame those of its only column."""
    shape: tuple[int, ...] = getattr(values, "shape", ())
    is_frame = hasattr(values, "columns") or (len(shape) > 1 and name == "texts")
    if is_frame and len(shape) == 2 and shape[1] == 1:
        values = np.asarray(values)[:, 0]
    elif is_frame:
        raise TypeError(
            f"{name} must be {what}: of a frame one column, got "
            f"{type(values).__name__} of shape {shape}"
        )
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be {what}, in the order of rows, got {type(values).__name__}")
    return as_list(values)


def checked_texts(texts) -> list[str]:
    """A list of str, "" for what is missing."""
    rows = _rows(texts, "texts", "a list of texts")
    found = ["" if is_missing(text) else text for text in rows]
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"texts must be of str, got {type(text).__name__} at {number}")
    if not found:
        raise ValueError("texts must be at least one, got none")
    return found


def checked_labels(labels) -> list[list[str]]:
    """A list of names of each row."""
    found = []
    for number, tags in enumerate(_rows(labels, "labels", "a list of lists of names")):
        if isinstance(tags, str):
            tags = [tags]
        elif is_missing(tags):
            tags = []
        if isinstance(tags, Mapping):
            raise TypeError(f"labels must be lists of names, got a {type(tags).__name__}")
        tags = list(tags) if isinstance(tags, Iterable) else [tags]
        wrong = [tag for tag in tags if not isinstance(tag, str)]
        if wrong:
            raise TypeError(f"labels must be names (str), got {wrong[0]!r} at {number}")
        if "" in tags:
            raise ValueError(
                f"labels must not be empty text, with which answers are padded, at {number}"
            )
        found.append(tags)
    return found
