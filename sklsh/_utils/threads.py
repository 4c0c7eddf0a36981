"""Threads for kernels that release the GIL: the package's one level of parallelism.

Work is cut by the *size of the problem*, never by the number of threads, so that `n_jobs`
changes the time a call takes and nothing else. Kernels themselves are sequential: a
`prange` kernel entered from two Python threads would abort the process under numba's
workqueue layer.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from time import sleep
from typing import Any

import joblib
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController


def effective_n_threads(n_jobs: int | None = None) -> int:
    """Number of threads that `n_jobs` stands for, here and now.

    `None` is what the surrounding `joblib.parallel_config` says, one thread inside a
    joblib worker (parallel at one level), and every usable core otherwise, as in
    scikit-learn's OpenMP estimators; ``OMP_NUM_THREADS`` caps it. Negative numbers count
    back from the number of cores, as everywhere in joblib.
    """
    # Without the context's hints about a backend: they would turn its n_jobs into 1.
    backend, context_n_jobs = get_active_backend(prefer=None, require=None)
    if getattr(backend, "nesting_level", 0):
        return 1
    if n_jobs is None:
        n_jobs = context_n_jobs  # None outside of any context
    if n_jobs is not None and n_jobs > 0:
        # Counting cores takes 0.1 ms: too much for a call inside a training step.
        return n_jobs
    n_cores = joblib.cpu_count()
    if n_jobs is None:
        cap = os.environ.get("OMP_NUM_THREADS", "")
        return max(1, min(n_cores, int(cap) if cap.isdigit() else n_cores))
    return max(1, n_cores + 1 + n_jobs)


@lru_cache(maxsize=8)
def _pool(n_threads: int, pid: int) -> ThreadPoolExecutor:
    # The process id is part of the key: a pool does not survive a fork.
    return ThreadPoolExecutor(n_threads, thread_name_prefix="sklsh")


def _submit(task, n_threads: int, n_helpers: int) -> tuple[list, bool]:
    """Helpers that run `task`, and whether these are all: at times no thread can be had."""
    helpers: list = []
    try:
        pool = _pool(n_threads, os.getpid())
        for _ in range(n_helpers):
            helpers.append(pool.submit(task))  # noqa: PERF401 those before a failure stay
    except RuntimeError:
        # The interpreter is shutting down (a thread that outlives the main one, an atexit
        # handler), or the system gives no more threads: who calls does what is left.
        return helpers, False
    return helpers, True


def blocks(n: int, block_size: int) -> list[tuple[int, int]]:
    """`[start, stop)` pairs that cut `range(n)` into blocks of `block_size`."""
    return [(start, min(start + block_size, n)) for start in range(0, n, block_size)]


def run_blocks(
    task: Callable[[int, int], object], spans: Iterable[tuple[int, int]], n_threads: int = 1
) -> list:
    """Call ``task(start, stop)`` for each span, on `n_threads` threads; results in order.

    Tasks write to disjoint parts of shared arrays or return what is then merged in order,
    so the result does not depend on `n_threads`. A task must not call `run_blocks`.

    If tasks raise, the error of the first span that does is raised, when no task runs any
    more: the arrays are the caller's again.
    """
    spans = list(spans)
    if n_threads <= 1 or len(spans) <= 1:
        return [task(start, stop) for start, stop in spans]
    results: list = [None] * len(spans)
    errors: list[tuple[int, BaseException]] = []
    ended: list[int] = []
    turns = itertools.count()  # next() is atomic: each span is taken once

    def drain() -> None:
        i = -1
        try:
            # Spans are taken in order: all before one that fails have been taken, and end.
            while not errors and (i := next(turns)) < len(spans):
                results[i] = task(*spans[i])
                ended.append(i)
        except BaseException as error:
            errors.append((i, error))
            ended.append(i)

    # The calling thread works too, and a helper that has not woken by the end is let sleep:
    # a training step comes here seven times in some milliseconds.
    helpers, complete = _submit(drain, n_threads, min(n_threads, len(spans)) - 1)
    drain()
    running = [helper for helper in helpers if not helper.cancel()]
    try:
        wait(running)
    finally:
        wait(running)  # after a Ctrl-C in the first one; otherwise all are done
        # One whose submission failed may have been queued all the same, and run.
        n_taken = 0 if complete else min(next(turns), len(spans))
        while len(ended) < n_taken:
            sleep(1e-4)
    if errors:
        raise min(errors)[1]
    return results


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    # Looking for the libraries takes milliseconds: once. Ours are loaded with numpy and scipy.
    return ThreadpoolController().select(user_api="blas")


class _BlasLimit:
    """How many bodies of `one_blas_thread` are running, and what to restore after the last."""

    lock = Lock()
    n_users = 0
    limiter: Any = None


def _release_blas() -> None:
    # From threadpoolctl 3.8 on, only the thread that has set a limit may set another one.
    for library in _blas().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the body with BLAS on one thread; the parallel level is `run_blocks`.

    Twice the threads that there are cores make a prediction two to four times slower, and
    sums that BLAS splits differ in their last bits from those that it does not: without
    this, results would depend on how many threads BLAS happens to have. Bodies may nest and
    overlap in several threads, where threadpoolctl's own limits would end too early for one
    and stay in force after all: the last to leave restores what the first one found.
    """
    with _BlasLimit.lock:
        if _BlasLimit.n_users == 0:
            _BlasLimit.limiter = _blas().limit(limits=1)
        _BlasLimit.n_users += 1
    try:
        yield
    finally:
        with _BlasLimit.lock:
            _BlasLimit.n_users -= 1
            if _BlasLimit.n_users == 0:
                _release_blas()
                _BlasLimit.limiter.restore_original_limits()
                _release_blas()
