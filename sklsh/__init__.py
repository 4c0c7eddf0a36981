"""Large-output learning on small machines, in the manner of scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklsh.estimators.classifier import SparseLSHMLPClassifier
    from sklsh.estimators.federated import FederatedLSHClassifier
    from sklsh.estimators.hasher import CompressedLSHHasher
    from sklsh.estimators.recommender import LSHRecommender
    from sklsh.estimators.text import TextTagger
    from sklsh.warming import warm_up

__version__ = "0.1.0"

__all__ = [
    "CompressedLSHHasher",
    "FederatedLSHClassifier",
    "LSHRecommender",
    "SparseLSHMLPClassifier",
    "TextTagger",
    "warm_up",
]

# Estimators are loaded when they are asked for: a device of a federation, a new process for
# each message, has no use for them and would wait for scikit-learn, the better part of its life.
_HOMES = {
    "CompressedLSHHasher": "sklsh.estimators.hasher",
    "FederatedLSHClassifier": "sklsh.estimators.federated",
    "LSHRecommender": "sklsh.estimators.recommender",
    "SparseLSHMLPClassifier": "sklsh.estimators.classifier",
    "TextTagger": "sklsh.estimators.text",
    "warm_up": "sklsh.warming",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
