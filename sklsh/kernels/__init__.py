"""Numba kernels: arrays in, arrays out. They trust their input and never raise.

==================  ==============================================================================
training            `layers`, `updates`, `active` sets, `prototypes`
hashing             `folding`, `hashing`, `tables`, `collisions`, `probes`; `codes` that are scored
ranking             `topk`, `heaps`; `neighbors` and `knn_scores`; label trees: `splits`,
                    `tree_training`, `tree_search`
recommenders        `interactions`, `regression`, `candidates`, `blending`
federated rounds    `agreement` of devices
for all             `flags` of compilation, random numbers by `counter`, `sorting`, `sparse`
==================  ==============================================================================
"""

import atexit
import shutil
import tempfile

import numba as nb

from sklsh.kernels import _cache

_cache.install()


def _probe():
    """Never called."""


try:
    nb.njit(cache=True)(_probe)
except RuntimeError:
    # Neither the package's folder nor a home can be written, and numba refuses to decorate:
    # compiled code lives as long as the process.
    nb.config.CACHE_DIR = tempfile.mkdtemp(prefix="sklsh-kernels-")
    atexit.register(shutil.rmtree, nb.config.CACHE_DIR, ignore_errors=True)
