"""Parameters that were set and that a fit does not read: a warning that names what would."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from inspect import signature

import numpy as np

from sklsh._utils.validation import is_auto
from sklsh.hashing import find_family
from sklsh.network.head_index import WIDE_HEAD
from sklsh.network.item_scorer import MANY
from sklsh.network.label_tree import LEAF
from sklsh.network.sampling import N_CANDIDATES
from sklsh.network.settings import Settings

TABLES = ("family", "n_tables", "hash_length")
FOLD = ("fold", "sketch_dim")
OF_EFFORT = ("hidden_layer_sizes", "max_iter")


def warn_unused(estimator, used_by: Mapping[str, str], owner: str = "") -> None:
    """Warn of parameters that differ from their defaults and are not in use.

    Parameters
    ----------
    estimator : BaseEstimator
    used_by : mapping of str
        For each parameter that is not in use, what would use it.
    owner : str
        Who does not use them, if not the estimator.
    """
    found = [name for name in used_by if name in given(estimator)]
    if found:
        reasons = "; ".join(f"{name} (used with {used_by[name]})" for name in found)
        owner = owner or type(estimator).__name__
        warnings.warn(
            f"{owner}: parameters that are set and not in use: {reasons}",
            UserWarning,
            stacklevel=2,
        )


def given(estimator) -> set[str]:
    """Names of the parameters that are not as they are by default."""
    defaults = {p.name: p.default for p in signature(type(estimator)).parameters.values()}
    return {
        name for name, default in defaults.items() if _differs(getattr(estimator, name), default)
    }


def _differs(value, default) -> bool:
    if value is default or (value is None) != (default is None):
        return value is not default
    return bool(np.any(value != default))


def unused_in_training(settings: Settings, n_labels: int, params: Mapping) -> dict[str, str]:
    """Of a classifier or a recommender: what this fit does not read, and what would."""
    prediction = settings.prediction
    least = MANY * N_CANDIDATES if "item_weight" in params else 0  # items of a recommender
    searched = prediction == "lsh" and n_labels > least
    searched |= prediction == "auto" and n_labels > WIDE_HEAD and "item_weight" not in params
    unused = {}
    if prediction == "lsh" and not searched:
        unused["prediction"] = f"more than {least} items"
    if prediction == "candidates" and not (settings.n_neighbors or settings.n_trees):
        unused["prediction"] = "n_neighbors or linear"
    if settings.sampler not in ("lsh", "codes"):
        unused["rehash_interval"] = 'sampler of "lsh" or "codes"'
    tables = settings.sampler == "lsh" or searched
    if not tables:
        unused |= dict.fromkeys(TABLES, 'sampler="lsh" or prediction="lsh"')
    if settings.shuffle != "lsh":
        unused |= unused_fold(tables, settings.family, 'sampler, prediction or shuffle of "lsh"')
    if settings.sampler in ("labels", "all"):
        unused["n_active"] = 'sampler of "lsh", "codes", "random", "uniform" or "exact"'
    if not settings.early_stopping:
        unused |= dict.fromkeys(("tol", "n_iter_no_change"), "early_stopping=True")
    if params["checkpoint_dir"] is None:
        unused["checkpoint_interval"] = "checkpoint_dir"
    trees = settings.n_trees > 0 and n_labels > LEAF  # fewer are one leaf
    by_effort = trees or any(is_auto(params[name]) for name in OF_EFFORT)
    if "effort" in params and not by_effort:
        unused["effort"] = f'{" or ".join(OF_EFFORT)} of "auto", or a linear view'
    if "linear" in params and settings.n_neighbors != 0 and not settings.n_validation:
        unused["n_neighbors"] = "rows that are held out: validation_fraction"
    return unused


def unused_fold(tables: bool, family, would: str) -> dict[str, str]:
    """Parameters of a fold, where no family folds; `would`: what would build tables."""
    if tables and find_family(family).compresses:
        return {}
    return dict.fromkeys(FOLD, 'family of "pghash" or "pghash_d"' if tables else would)


def unused_in_hashing(family, encode: str) -> dict[str, str]:
    """Of a hasher."""
    unused = unused_fold(True, family, "")
    return unused if encode == "onehot" else unused | {"sparse_output": 'encode="onehot"'}
