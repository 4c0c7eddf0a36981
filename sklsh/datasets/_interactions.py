"""Users' items, split: some of each row hidden, or all of them by time."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from sklsh._utils.containers import plain
from sklsh._utils.numbers import check_number
from sklsh._utils.validation import check_int, check_sparse


def split_interactions(user_items, hidden_share=0.2, *, random_state=None):
    """Hide some of each user's items, to ask a recommender for them.

    Parameters
    ----------
    user_items : sparse matrix or array-like (n_users, n_items)
        Entries other than 0 are interactions.
    hidden_share : float in [0, 1], default=0.2
        The chance of each interaction to be hidden.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    visible, hidden : csr_matrix or csr_array (n_users, n_items)
        Add up to `user_items`. csr_matrix where that came, csr_array otherwise.

    Raises
    ------
    ValueError, TypeError
        Not 2-d; a corrupted sparse matrix; a share out of range.

    Notes
    -----
    O(nnz). `LSHRecommender.score` hides a fifth of each row by itself, always the same one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.datasets import split_interactions
    >>> visible, hidden = split_interactions(np.ones((50, 40)), 0.25, random_state=0)
    >>> visible.nnz + hidden.nnz, 450 < hidden.nnz < 550
    (2000, True)
    """
    hidden_share = check_number(hidden_share, "hidden_share", 0, 1, closed="both")
    rows = _interactions(user_items)
    hidden = check_random_state(random_state).random_sample(rows.nnz) < hidden_share
    return _entries(rows, ~hidden), _entries(rows, hidden)


def split_by_time(user_items, times, n_parts, *, shape=None):
    """Cut interactions into parts that follow each other: a stream for `partial_fit`.

    Parameters
    ----------
    user_items : sparse matrix or array-like (n_users, n_items), or a tuple of columns
        Entries other than 0 are interactions. A tuple ``(users, items)`` or ``(users, items,
        weights)`` of columns (n_events,) has a row for each event, so that an item that a user
        had several times keeps all its times: a matrix has one entry for it, and one time.
    times : sparse matrix or array-like (n_users, n_items), or (n_events,)
        When each was: an entry wherever `user_items` has one (of dense arrays, any number;
        a sparse entry may be 0 if it is stored), or a column. Real, finite, of any unit.
    n_parts : int
        Parts of nearly equal numbers of interactions. Those of one time stay together, in
        the part that the middle of them falls in, so that a part may be empty.
    shape : (int, int), default=None
        Of the parts, where columns come. None: as far as the largest numbers go.

    Returns
    -------
    list of csr_matrix or csr_array (n_users, n_items)
        `n_parts` of them, which add up to `user_items`; the weights (1 each) of events of the same
        user, item and part are summed. Every row is there in every part:
        ``part[numpy.diff(part.indptr) > 0]`` are the users who did something.

    Raises
    ------
    ValueError, TypeError
        Not 2-d; another shape of `times`; an interaction without a time, or with one that
        is NaN or infinite; ``n_parts < 1``; columns of different lengths, or with numbers that are
        negative or outside `shape`.

    Notes
    -----
    O(nnz log nnz). `Interactions.stream` does so with names, from a frame of events.

    Examples
    --------
    >>> import numpy as np
    >>> from sklsh.datasets import split_by_time
    >>> user_items = np.array([[1, 1, 0], [0, 1, 1]])
    >>> times = np.array([[30, 10, 0], [0, 20, 40]])
    >>> [part.toarray().tolist() for part in split_by_time(user_items, times, 2)]
    [[[0, 1, 0], [0, 1, 0]], [[1, 0, 0], [0, 0, 1]]]
    >>> users, items, times = [0, 0, 1], [1, 1, 0], [10, 40, 20]  # one of them twice
    >>> [part.toarray().tolist() for part in split_by_time((users, items), times, 3)]
    [[[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 1], [0, 0]]]
    """
    n_parts = check_int(n_parts, "n_parts", 1)
    if isinstance(user_items, tuple):
        return _split_columns(user_items, times, n_parts, shape)
    if shape is not None:
        raise ValueError(f"shape must be None where user_items is a matrix, got {shape!r}")
    rows = _interactions(user_items)
    part_of = parts_by_time(_times_of(rows, times), n_parts)
    return [_entries(rows, part_of == part) for part in range(n_parts)]


def parts_by_time(when: np.ndarray, n_parts: int) -> np.ndarray:
    """The part of each time, int64: nearly as many in each, those of one time in one."""
    _, moment, counts = np.unique(when, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    part_of = np.minimum(n_parts * middle / max(when.shape[0], 1), n_parts - 1)
    return part_of.astype(np.int64)[moment]


def _split_columns(columns: tuple, times, n_parts: int, shape):
    """`split_by_time` of events, a row each."""
    if len(columns) not in (2, 3):
        raise ValueError(
            "user_items must be (users, items) or (users, items, weights), "
            f"got {len(columns)} columns"
        )
    names = ("users", "items", "weights")
    arrays = [np.asarray(plain(c, name)) for c, name in zip(columns, names, strict=False)]
    when = _finite(np.asarray(plain(times, "times")))
    lengths = [array.shape for array in (*arrays, when)]
    if len({*lengths}) > 1 or when.ndim != 1:
        raise ValueError(f"columns and times must be 1-d, of one length, got shapes {lengths}")
    users, items = arrays[:2]
    for name, array in zip(names, (users, items), strict=False):
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    if shape is None:
        shape = tuple(int(array.max(initial=-1)) + 1 for array in (users, items))
    for name, array, end in zip(names, (users, items), shape, strict=False):
        if array.size and (array.min() < 0 or array.max() >= end):
            raise ValueError(f"{name} must be in [0, {end}), got {array.min()} to {array.max()}")
    weights = arrays[2] if len(arrays) == 3 else np.ones(users.shape[0], dtype=np.int64)
    part_of = parts_by_time(when, n_parts)
    parts = []
    for part in range(n_parts):
        mine = np.flatnonzero(part_of == part)
        coo = sp.coo_array((weights[mine], (users[mine], items[mine])), shape=shape)
        parts.append(_interactions(coo.tocsr()))
    return parts


def _interactions(user_items):
    """Canonical CSR without stored zeros; the caller's matrix is left alone."""
    rows = _canonical(user_items, "user_items")
    if not rows.data.all():
        rows = rows.copy()
        rows.eliminate_zeros()
    return rows


def _canonical(X, name):
    X = plain(X, name)
    if not sp.issparse(X):
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"{name} must be 2-d, got shape {X.shape}")
        return sp.csr_array(X)
    return check_sparse(check_sparse(X, name).tocsr(), name)


def _times_of(rows, times) -> np.ndarray:
    """The time of each entry of `rows`, in their order."""
    times = plain(times, "times")
    if not sp.issparse(times):
        times = np.asarray(times)
    if times.shape != rows.shape:
        raise ValueError(
            f"times must have the shape of user_items, {rows.shape}, got {times.shape}"
        )
    owners = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    if not sp.issparse(times):
        when = times[owners, rows.indices]
    else:
        stored = _canonical(times, "times")
        keys, wanted = (
            np.repeat(np.arange(m.shape[0], dtype=np.int64), np.diff(m.indptr)) * m.shape[1]
            + m.indices
            for m in (stored, rows)
        )
        at = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
        missing = np.flatnonzero(keys[at] != wanted) if keys.size else np.arange(wanted.size)
        if missing.size:
            first = missing[0]
            raise ValueError(
                "times must have an entry for each interaction, got none for user "
                f"{owners[first]} and item {rows.indices[first]}"
            )
        when = stored.data[at] if keys.size else np.empty(0)
    return _finite(when)


def _finite(when: np.ndarray) -> np.ndarray:
    if when.dtype.kind not in "iufb":
        raise TypeError(f"times must be numbers, got dtype {when.dtype}")
    if not np.isfinite(when).all():
        raise ValueError("times must be finite, got NaN or infinity")
    return when


def _entries(rows, kept: np.ndarray):
    """The entries of a canonical CSR matrix where `kept` is true, copied."""
    before = np.concatenate([[0], np.cumsum(kept)]).astype(rows.indptr.dtype)
    arrays = (rows.data[kept], rows.indices[kept], before[rows.indptr])
    return type(rows)(arrays, shape=rows.shape)
