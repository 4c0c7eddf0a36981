"""Data with many labels: a real set that comes along, files, synthetic sets, devices."""

from sklsh.datasets._devices import split_devices
from sklsh.datasets._events import Interactions
from sklsh.datasets._interactions import split_by_time, split_interactions
from sklsh.datasets._synthetic import make_extreme_classification
from sklsh.datasets._wordnet import load_wordnet
from sklsh.datasets._xc import load_xc, save_xc

__all__ = [
    "Interactions",
    "load_wordnet",
    "load_xc",
    "save_xc",
    "make_extreme_classification",
    "split_devices",
    "split_by_time",
    "split_interactions",
]
