"""Who holds which row: the data of a federation, made of one table."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from sklsh._utils.containers import plain
from sklsh._utils.numbers import check_number
from sklsh._utils.threads import blocks
from sklsh._utils.validation import INT32_MAX, check_choice, check_int, check_sparse, unique_inverse

# Entries of the (groups, devices) arrays that are held at a time.
BLOCK_ENTRIES = 1_000_000


def split_devices(y, n_devices, how="iid", *, alpha=0.3, random_state=None) -> np.ndarray:
    """Device ids of rows: `groups` for `FederatedLSHClassifier.fit`.

    Parameters
    ----------
    y : array-like (n_samples,), or indicator (n_samples, n_labels), dense or sparse
        Classes or labels of the rows. "iid" and "contiguous" use no more than its length.
    n_devices : int
    how : {"iid", "contiguous", "dirichlet"}, default="iid"
        "iid": at random, equal numbers of rows. "contiguous": blocks of equal size in the
        order of the rows, as in the PGHash paper's experiments. "dirichlet": each class is
        spread over devices by shares drawn from a Dirichlet distribution (Hsu, Qi, Brown
        2019); a multilabel row goes by the most frequent of its labels (of equally
        frequent ones the lowest), rows without labels are one class more.
    alpha : float, default=0.3
        Of the Dirichlet distribution: small values give a class to few devices, large ones
        spread it evenly.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    ndarray (n_samples,) of int64
        In ``[0, n_devices)``. Every device has a row if there are as many rows as devices
        ("dirichlet" takes rows from the largest devices for those that drew none).

    Raises
    ------
    ValueError, TypeError
        ``n_devices < 1``, an unknown `how`, an `alpha` that is not positive and finite, a
        `y` that is not 1-d or 2-d, or, for "dirichlet", has NaN or classes that cannot be
        sorted.

    Notes
    -----
    O(nnz + n_classes n_devices) time.

    Examples
    --------
    >>> from sklsh.datasets import split_devices
    >>> split_devices(["a", "a", "b", "b", "b"], 2, how="contiguous")
    array([0, 0, 0, 1, 1])
    """
    n_devices = check_int(n_devices, "n_devices", 1, INT32_MAX)
    check_choice(how, "how", ("iid", "contiguous", "dirichlet"))
    alpha = check_number(alpha, "alpha", 0, closed="neither")
    y = plain(y, "y")
    y = check_sparse(y, "y") if sp.issparse(y) else np.asarray(y)
    if y.ndim not in (1, 2):
        raise ValueError(f"y must be 1-d or 2-d, got shape {y.shape}")
    n_samples = y.shape[0]
    even = np.arange(n_samples, dtype=np.int64) * n_devices // max(n_samples, 1)
    if how == "contiguous":
        return even
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
    if how == "iid":
        return rng.permutation(even)
    devices = _dirichlet(_class_of_each_row(y), n_devices, alpha, rng)
    return _with_a_row_each(devices, n_devices, rng)


def _class_of_each_row(y) -> np.ndarray:
    if y.ndim == 1:
        return unique_inverse(y, "y")[1]
    Y = sp.csr_array(y, copy=True)
    Y.eliminate_zeros()
    counts = np.bincount(Y.indices, minlength=Y.shape[1])
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    order = np.lexsort((Y.indices, -counts[Y.indices], rows))
    filled = np.flatnonzero(np.diff(Y.indptr))
    chosen = np.full(Y.shape[0], Y.shape[1])
    chosen[filled] = Y.indices[order[Y.indptr[filled]]]
    return np.unique(chosen, return_inverse=True)[1]


def _dirichlet(classes, n_devices, alpha, rng) -> np.ndarray:
    devices = np.empty(classes.shape[0], dtype=np.int64)
    order = np.argsort(classes, kind="stable")
    n_classes = int(classes.max(initial=-1)) + 1
    for start, stop in blocks(n_classes, max(1, BLOCK_ENTRIES // n_devices)):
        shares = rng.dirichlet(np.full(n_devices, alpha), size=stop - start)
        # Class c's shares lie in (c, c + 1]: one sorted array, one binary search a row.
        edges = np.cumsum(shares, axis=1)
        edges = np.minimum(edges / edges[:, -1:], 1.0) + np.arange(stop - start)[:, None]
        rows = order[slice(*np.searchsorted(classes, (start, stop), sorter=order))]
        drawn = classes[rows] - start + rng.random(rows.shape[0])
        places = np.searchsorted(edges.ravel(), drawn, side="right")
        devices[rows] = np.minimum(places - (classes[rows] - start) * n_devices, n_devices - 1)
    return devices


def _with_a_row_each(devices, n_devices, rng) -> np.ndarray:
    counts = np.bincount(devices, minlength=n_devices)
    for empty in np.flatnonzero(counts == 0):
        largest = int(np.argmax(counts))
        if counts[largest] < 2:
            break
        row = rng.choice(np.flatnonzero(devices == largest))
        devices[row] = empty
        counts[largest] -= 1
        counts[empty] = 1
    return devices
