"""Blocks of rows on threads, without the cost of asking for them where one block does."""

from __future__ import annotations

from collections.abc import Callable

from sklsh._utils.threads import blocks, effective_n_threads, run_blocks


def run_rows(task: Callable[[int, int], object], n: int, block_size: int, n_jobs) -> list:
    """``task(start, stop)`` for blocks of ``range(n)``; results in order.

    Counting the usable cores takes longer than hashing the few rows that a training step
    asks about, so that is done only when there is something to share.
    """
    spans = blocks(n, block_size)
    return run_blocks(task, spans, effective_n_threads(n_jobs) if len(spans) > 1 else 1)
