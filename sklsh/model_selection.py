"""scikit-learn's cross-validation helpers, for a y that is a sparse indicator.

scikit-learn's own split, index and score a CSR y correctly, but refuse it as an argument. These
are the same functions, called past that one check; for any other y they are scikit-learn's.
`GridSearchCV`, `RandomizedSearchCV` and the splitters (`KFold`, `ShuffleSplit`) take a CSR y as
they are. `tune_thresholds` says from which probability labels are worth naming.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from numbers import Integral

import scipy.sparse as sp
from sklearn import model_selection as sklearn_selection
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import KFold
from sklearn.utils._param_validation import validate_parameter_constraints

from sklsh._utils.containers import label_lists, plain
from sklsh.estimators.thresholds import tune_thresholds

__all__ = [
    "cross_val_predict",
    "cross_val_score",
    "cross_validate",
    "learning_curve",
    "tune_thresholds",
    "validation_curve",
]


def _takes_sparse_y(function: Callable) -> Callable:
    """`function` of scikit-learn, with all its checks but that of the type of y."""

    @wraps(function)
    def call(estimator, X, y=None, **params):
        if label_lists(y) is not None:
            params = _splits_of_lists(params)
        y = plain(y, "y")
        if not sp.issparse(y):
            return function(estimator, X, y, **params)
        _check_all_but_y(function, estimator, X, params)
        return function.__wrapped__(estimator, X, y.tocsr(), **params)  # type: ignore[attr-defined]

    call.__doc__ = (
        f"`sklearn.model_selection.{function.__name__}`, for any y that our classifiers take.\n\n"
        "    Parameters, shapes and errors are scikit-learn's; y may be a sparse indicator too,\n"
        "    which is split by rows (an integer `cv` is `KFold`) and never made dense.\n    "
    )
    del call.__wrapped__
    call.__signature__ = signature(function)  # type: ignore[attr-defined]
    return call


def _splits_of_lists(params: dict) -> dict:
    """With `KFold` where a number of splits is given: scikit-learn refuses to look at lists."""
    cv = params.get("cv")
    if cv is None or isinstance(cv, Integral):
        return params | {"cv": KFold(5 if cv is None else cv)}
    return params


class _Answering(BaseEstimator):
    """An estimator whose `predict` is another method of it."""

    def __init__(self, estimator, method):
        self.estimator = estimator
        self.method = method

    def fit(self, X, y, **params):
        self.estimator_ = clone(self.estimator).fit(X, y, **params)
        return self

    def predict(self, X):
        return getattr(self.estimator_, self.method)(X)

    def get_metadata_routing(self):
        return self.estimator.get_metadata_routing()  # weights go where they were to go


def _check_all_but_y(function, estimator, X, params) -> None:
    given = signature(function).bind(estimator, X, None, **params).arguments
    # Attached by the decorator that `__wrapped__` leaves out.
    constraints = function._skl_parameter_constraints
    others = {name: value for name, value in given.items() if name != "y"}
    validate_parameter_constraints(constraints, others, caller_name=function.__name__)


cross_validate = _takes_sparse_y(sklearn_selection.cross_validate)
learning_curve = _takes_sparse_y(sklearn_selection.learning_curve)
validation_curve = _takes_sparse_y(sklearn_selection.validation_curve)
_cross_val_predict = _takes_sparse_y(sklearn_selection.cross_val_predict)


@wraps(_cross_val_predict)
def cross_val_predict(estimator, X, y=None, *, method="predict", **params):
    if method != "predict" and label_lists(y) is not None:
        raise ValueError(
            f"y must be an indicator for method={method!r}, got lists of labels: splits of them "
            "need not have the same ones"
        )
    if method == "predict" or not sp.issparse(plain(y, "y")):
        return _cross_val_predict(estimator, X, y, method=method, **params)
    # scikit-learn, which makes each column dense otherwise, stacks what is called predictions.
    _check_all_but_y(sklearn_selection.cross_val_predict, estimator, X, {"method": method})
    return _cross_val_predict(_Answering(estimator, method), X, y, **params)


cross_val_predict.__signature__ = signature(  # type: ignore[attr-defined]
    sklearn_selection.cross_val_predict
)


def cross_val_score(estimator, X, y=None, *, scoring=None, **params):
    """`sklearn.model_selection.cross_val_score`, for any y that our classifiers take.

    Parameters
    ----------
    estimator : estimator
    X : array-like or sparse matrix (n_samples, n_features)
    y : array-like or sparse indicator (n_samples, n_labels), default=None
    scoring : str, callable or None, default=None
        Such as `sklsh.metrics.precision_at_1_scorer`.
    **params
        `cv`, `groups`, `n_jobs` and the others of scikit-learn's.

    Returns
    -------
    ndarray (n_splits,)

    Examples
    --------
    >>> from sklsh import SparseLSHMLPClassifier
    >>> from sklsh.datasets import make_extreme_classification
    >>> from sklsh.metrics import precision_at_1_scorer
    >>> from sklsh.model_selection import cross_val_score
    >>> X, Y = make_extreme_classification(300, 200, 50, random_state=0)   # CSR both
    >>> model = SparseLSHMLPClassifier((16,), random_state=0)
    >>> cross_val_score(model, X, Y, cv=3, scoring=precision_at_1_scorer).shape
    (3,)
    """
    if label_lists(y) is not None:
        params = _splits_of_lists(params)
    y = plain(y, "y")
    if not sp.issparse(y):
        return sklearn_selection.cross_val_score(estimator, X, y, scoring=scoring, **params)
    _check_all_but_y(
        sklearn_selection.cross_val_score, estimator, X, {"scoring": scoring, **params}
    )
    scorer = {"score": check_scoring(estimator, scoring=scoring)}
    return cross_validate(estimator, X, y, scoring=scorer, **params)["test_score"]
