"""Large-output learning on small machines, in the manner of scikit-learn."""

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
