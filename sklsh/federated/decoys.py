"""Decoys: ids that come and go in a device's requests exactly as its own do.

A device's rows are taken in a random order, so an id is in a request when some of the round's
rows have it. Decoys that were always there, or drawn anew each time, would be told from it by
that. So there are phantom rows: each of the device's rows lends its ids, renamed to ids that
the device has not, to another row of the device's. Whoever sees requests sees several sets of
ids with one law; which is the device's own, requests do not tell.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.random import random_permutation
from sklsh.network.rows import SparseRows


def decoys(of: SparseRows, rows: np.ndarray, n: int, seed: int, share: float) -> np.ndarray:
    """Ids of the phantoms of some rows, ascending int32.

    Parameters
    ----------
    of : SparseRows
        All rows of the device.
    rows : ndarray of int
        Those of the round.
    n : int
        Ids are of ``range(n)``.
    seed : int
        The device's own: one seed, one renaming.
    share : float
        Decoys for each id of the device. Fewer if it has most ids there are.

    Notes
    -----
    O(entries of the device + n).
    """
    if not share:
        return np.empty(0, dtype=np.int32)
    own = np.unique(of.indices)
    order = random_permutation(seed, 0, n)
    free = order[~np.isin(order, own)]
    count = min(free.shape[0], int(np.ceil(share * own.shape[0])))
    # Which ids get one decoy more than the others follows from the seed too.
    ranks = np.argsort(random_permutation(seed, 1, own.shape[0]), kind="stable")
    out = []
    for copy in range(-(-count // max(1, own.shape[0]))):
        other = np.random.default_rng([seed, copy]).permutation(of.n_rows)[rows]
        places = ranks[np.searchsorted(own, np.unique(of.take(other).indices))]
        places = places + copy * own.shape[0]
        out.append(free[places[places < count]])
    return np.unique(np.concatenate(out or [free[:0]])).astype(np.int32)
