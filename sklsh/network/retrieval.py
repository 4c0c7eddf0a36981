"""The best items of users: logits of the network plus item-item scores, some items left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sklsh._utils.scratch import zeros
from sklsh._utils.threads import blocks, one_blas_thread, run_blocks
from sklsh.kernels.candidates import rank_candidates
from sklsh.kernels.interactions import offset_rows
from sklsh.kernels.topk import select_topk_rows
from sklsh.network.cooccurrence import SHARPNESS, ItemMemory
from sklsh.network.lowpass import LowPass
from sklsh.network.model import WideNetwork
from sklsh.network.regression import ItemRegression
from sklsh.network.rows import SparseRows
from sklsh.network.topk import MASKED

ITEMS = 2048
"""Items of a block of logits, which stays in a core's share of the cache."""

ROWS, OFFSETS = (16, 256), 1 << 22
"""A task has so many rows, as keeps its rows' offsets - one an item - to 16 MB if it can."""

N_SCORED, A_PLACE = 128, 4
"""Items with the highest item-item scores that are candidates, at least and for each that is asked
for. On a set of 41,000 items all of the 20 best are among the first 128, 99.96 % among the first
64."""

QUERIES = 64
"""Rows of one task of re-ranking; each thread keeps scratch of two numbers an item."""

USERS = 4096
"""Rows whose hidden vectors are held at once."""

WHOLE = 0.5
"""Share of the items from which on all are scored, others masked: copies of the head's rows cost
a single user more than what they save."""


@one_blas_thread()
def best_items(
    network: WideNetwork,
    memory: ItemMemory | None,
    R: SparseRows,
    inputs: SparseRows,
    k: int,
    pool: np.ndarray,
    *,
    bias: np.ndarray,
    exclude: bool,
    regression: ItemRegression | None = None,
    low_pass: LowPass | None = None,
    scales: tuple[np.ndarray, np.ndarray] | None = None,
    n_threads: int = 1,
):
    """The `k` best of the items `pool` for each row.

    Parameters
    ----------
    R, inputs : SparseRows
        Users' items, and the rows that the network reads.
    pool : ndarray of int32
        Items that may be named, ascending.
    bias : ndarray (n_labels,), float32
        Of the logits: the head's own, and what else an item is to have.
    exclude : bool
        Leave out a row's own items.
    regression, low_pass : further scores, with their weights
    scales : pair of ndarray (n_labels,), default=None
        `memory.scales()`, if they are at hand.

    Returns
    -------
    items : ndarray (n_rows, k), int64
        Best first, padded with -1.
    scores : ndarray (n_rows, k), float32
        Padded with -inf.

    Notes
    -----
    O(n_rows * len(pool) * n_hidden) in blocks. Exact.
    """
    # Long: blocks of users and of items share scratch that is made once.
    items = np.full((R.n_rows, k), -1, dtype=np.int64)
    scores = np.full((R.n_rows, k), -np.inf, dtype=np.float32)
    if not pool.size:
        return items, scores
    if memory is None:
        memory = ItemMemory.empty(network.n_labels, 0)
    scales = memory.scales() if scales is None else scales
    pool, bias = _all_or_some(pool, bias, network.n_labels)
    n_items = pool.shape[0]
    position_of = np.full(network.n_labels, -1, dtype=np.int32)
    position_of[pool] = np.arange(n_items, dtype=np.int32)
    whole = n_items == network.n_labels
    row_block = int(np.clip(OFFSETS // n_items, *ROWS))
    factors = None if low_pass is None else low_pass.active()

    for begin, end in blocks(R.n_rows, USERS):
        rows = np.arange(begin, end, dtype=np.int32)
        hidden = network.hidden(inputs, rows, n_threads)
        users = _users(low_pass, R, begin, end, n_threads)
        found = items[begin:end], scores[begin:end]

        def task(start, stop, rows=rows, hidden=hidden, users=users, found=found):
            offsets = np.empty((stop - start, n_items), dtype=np.float32)
            offset_rows(
                rows, *R, memory.ids, memory.values, *scales, np.float32(memory.weight),
                SHARPNESS, position_of, exclude, MASKED,
                np.zeros(network.n_labels, dtype=np.float32),
                np.empty(network.n_labels, dtype=np.int32), offsets, start, stop,
            )  # fmt: skip
            if regression is not None and regression.weight:
                regression.add(
                    regression.chosen, regression.weight, R, rows, position_of, offsets, start, stop
                )
            # Few rows: wider blocks of as many logits.
            width = ITEMS * max(1, ROWS[0] // (stop - start)) if whole else ITEMS
            logits = np.empty((stop - start, width), dtype=np.float32)
            gathered = np.empty((0 if whole else width, network.n_hidden), dtype=np.float32)
            ranked, best = (part[start:stop] for part in found)
            for first, last in blocks(n_items, width):
                ids, part = pool[first:last], logits[:, : last - first]
                weights = network.head_weights[first:last]
                if not whole:
                    weights = gathered[: last - first]
                    np.take(network.head_weights, ids, axis=0, out=weights, mode="clip")
                np.matmul(hidden[start:stop], weights.T, out=part)
                if factors is not None:
                    part += users[start:stop] @ (factors[first:last] if whole else factors[ids]).T
                part += offsets[:, first:last]
                own_bias = bias[first:last] if whole else bias[ids]
                select_topk_rows(part, own_bias, ids, best, ranked, 0, stop - start)

        run_blocks(task, blocks(rows.shape[0], row_block), n_threads)
    masked = scores < MASKED / 2
    items[masked], scores[masked] = -1, -np.inf
    return items, scores


@one_blas_thread()
def likely_items(
    network: WideNetwork,
    memory: ItemMemory | None,
    name_items: Callable[[int, int, np.ndarray], tuple[np.ndarray, np.ndarray]] | None,
    R: SparseRows,
    inputs: SparseRows,
    k: int,
    allowed: np.ndarray,
    *,
    bias: np.ndarray,
    exclude: bool,
    regression: ItemRegression | None = None,
    low_pass: LowPass | None = None,
    scales: tuple[np.ndarray, np.ndarray] | None = None,
    n_threads: int = 1,
):
    """As `best_items`, among the items with the highest item-item scores, and those that are named.

    Scores are those of `memory` and of `regression`, weighed. ``name_items(begin, end, hidden)``
    gives candidates of rows ``begin:end``, as lists one after the other: ``indptr (end - begin +
    1,)`` and ``ids (indptr[-1],)``; None: nobody is named. Rows for which there are fewer than
    `k`, or where nobody is named fewer than are looked for, are answered by `best_items`.
    `allowed`: which items may be found, bool (n_labels,).

    Notes
    -----
    O(n_rows * (pairs of items + n_candidates * n_hidden)), independent of the number of items.
    """
    items = np.full((R.n_rows, k), -1, dtype=np.int64)
    scores = np.full((R.n_rows, k), -np.inf, dtype=np.float32)
    scorer = ItemMemory.empty(network.n_labels, 0) if memory is None else memory
    scales = scorer.scales() if scales is None else scales
    n_items = network.n_labels
    factors = None if low_pass is None else low_pass.active()
    factors = np.zeros((n_items, 0), dtype=np.float32) if factors is None else factors
    linear = _coefficients(regression, n_items)
    n_best = max(A_PLACE * k, N_SCORED)
    for begin, end in blocks(R.n_rows, USERS):
        rows = np.arange(begin, end, dtype=np.int32)
        hidden = network.hidden(inputs, rows, n_threads)
        users = _users(low_pass, R, begin, end, n_threads)
        if name_items is None:
            named_indptr, named = np.zeros(end - begin + 1, np.int64), np.empty(0, np.int32)
        else:
            named_indptr, named = name_items(begin, end, hidden)

        def task(
            start, stop, rows=rows, hidden=hidden, users=users, indptr=named_indptr, named=named,
            found=(items[begin:end], scores[begin:end]),
        ):  # fmt: skip
            with zeros(n_items) as sums, zeros(n_items) as added:
                rank_candidates(
                    hidden, network.head_weights, bias, rows, *R,
                    scorer.ids, scorer.values, *scales, np.float32(scorer.weight), SHARPNESS,
                    users, factors, *linear, allowed, exclude, indptr, named, n_best,
                    sums, np.empty(n_items, dtype=np.int32), added, *found, start, stop,
                )  # fmt: skip

        run_blocks(task, blocks(rows.shape[0], QUERIES), n_threads)
    short = np.flatnonzero((items[:, -1] < 0) & (R.counts() > 0))
    if short.size:
        pool = np.flatnonzero(allowed).astype(np.int32)
        items[short], scores[short] = best_items(
            network, memory, R.take(short), inputs.take(short), k, pool,
            bias=bias, exclude=exclude, regression=regression, low_pass=low_pass,
            scales=scales, n_threads=n_threads,
        )  # fmt: skip
    return items, scores


def _all_or_some(pool: np.ndarray, bias: np.ndarray, n_items: int):
    """Items to score and their bias: all, some masked, where `pool` is a good part of them."""
    if pool.shape[0] == n_items or pool.shape[0] < WHOLE * n_items:
        return pool, bias
    masked = np.full(n_items, MASKED)
    masked[pool] = bias[pool]
    return np.arange(n_items, dtype=np.int32), masked


def _users(low_pass: LowPass | None, R: SparseRows, begin: int, end: int, n_threads: int):
    """Weighted coordinates of rows ``begin:end``; none without a low pass."""
    if low_pass is None or not low_pass.weight:
        return np.zeros((end - begin, 0), dtype=np.float32)
    if (begin, end) != (0, R.n_rows):
        R = R.take(np.arange(begin, end, dtype=np.int32))
    return np.float32(low_pass.weight) * low_pass.project(R, n_threads)


def _coefficients(regression: ItemRegression | None, n_items: int):
    """Lists of coefficients and their weight, as the kernel takes them."""
    if regression is None or not regression.weight:
        nothing = np.zeros(n_items + 1, dtype=np.int64), np.empty(0, dtype=np.int32)
        return *nothing, np.empty(0, dtype=np.float32), np.float32(0)
    values = regression.values[regression.chosen]
    return regression.indptr, regression.items, values, np.float32(regression.weight)


def popular_items(counts: np.ndarray, k: int, pool: np.ndarray, bonus: np.ndarray | None = None):
    """The `k` items of `pool` with the most users, ``(k,)`` ids and log shares, padded.

    `bonus` is added to the logarithms.
    """
    items = np.full(k, -1, dtype=np.int64)
    scores = np.full(k, -np.inf, dtype=np.float32)
    # Ties of counts are ties of their logarithms: the smaller column comes first.
    values = np.log(np.maximum(counts[pool], 1e-300) / max(counts.sum(), 1))
    if bonus is not None:
        values += bonus[pool]
    best = np.arange(values.shape[0])
    if k < values.shape[0]:
        best = np.flatnonzero(values >= np.partition(values, -k)[-k])
    order = best[np.argsort(-values[best], kind="stable")][:k]
    items[: order.shape[0]], scores[: order.shape[0]] = pool[order], values[order]
    return items, scores


@one_blas_thread()
def similar_rows(
    network: WideNetwork, items: np.ndarray, k: int, pool: np.ndarray, norms: np.ndarray
):
    """The items of `pool` whose head rows have the largest cosines with those of `items`.

    `norms`, (n_labels,), are the lengths of the head's rows. ``(n, k)`` ids and cosines, best
    first, padded with -1 and -inf; a row of zeros is like none. O(n * len(pool) * n_hidden).
    """
    found = np.full((items.shape[0], k), -1, dtype=np.int64)
    scores = np.full((items.shape[0], k), -np.inf, dtype=np.float32)
    head, n_items = network.head_weights, network.n_labels
    pool = np.asarray(pool[norms[pool] > 0], dtype=np.int32)
    pool, bias = _all_or_some(pool, np.zeros(n_items, dtype=np.float32), n_items)
    whole = pool.shape[0] == n_items
    lengths = np.where(norms > 0, norms, np.float32(1))
    for start, stop in blocks(items.shape[0], ROWS[1]):
        queries = head[items[start:stop]] / lengths[items[start:stop], None]
        width = ITEMS * max(1, ROWS[0] // (stop - start))
        for first, last in blocks(pool.shape[0], width):
            own = slice(first, last) if whole else pool[first:last]
            cosines = queries @ head[own].T
            cosines /= lengths[own]
            select_topk_rows(
                cosines, bias[own], pool[first:last], scores[start:stop], found[start:stop],
                0, stop - start,
            )  # fmt: skip
    nothing = (scores < MASKED / 2) | (norms[items] == 0)[:, None]
    found[nothing], scores[nothing] = -1, -np.inf
    return found, scores
