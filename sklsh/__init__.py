"""Large-output learning on small machines, in the manner of scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklsh._classifier import SparseLSHMLPClassifier
    from sklsh._federated import FederatedLSHClassifier
    from sklsh._hasher import CompressedLSHHasher
    from sklsh._recommender import LSHRecommender

__all__ = [
    "CompressedLSHHasher",
    "FederatedLSHClassifier",
    "LSHRecommender",
    "SparseLSHMLPClassifier",
]

# Estimators are loaded when they are asked for: a device of a federation, a new process for
# each message, has no use for them and would wait for scikit-learn, the better part of its life.
_HOMES = {
    "CompressedLSHHasher": "sklsh._hasher",
    "FederatedLSHClassifier": "sklsh._federated",
    "LSHRecommender": "sklsh._recommender",
    "SparseLSHMLPClassifier": "sklsh._classifier",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
