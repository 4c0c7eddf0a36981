"""BLAS is limited while we compute, and only then."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread
from time import sleep

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sklsh._utils import threads
from sklsh._utils.threads import blocks, effective_n_threads, one_blas_thread, run_blocks


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


@pytest.fixture
def two_threads():
    """BLAS has two threads, also where the machine has one core."""
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("BLAS cannot be given two threads")
        yield


def test_nested(two_threads):
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_error_restores(two_threads):
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert blas_threads() == {2}


def test_decorator(two_threads):
    limited = one_blas_thread()(blas_threads)
    assert [limited(), limited()] == [{1}, {1}]
    assert blas_threads() == {2}


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_overlap_in_two_threads(first_leaves_first):
    """Whoever leaves first, the other one stays limited, and then nobody is."""
    before = blas_threads()
    steps = [Barrier(2, timeout=20) for _ in range(4)]

    def body(is_first):
        if not is_first:
            steps[0].wait()
        with one_blas_thread():
            if is_first:
                steps[0].wait()
            steps[1].wait()
            if is_first != first_leaves_first:
                steps[2].wait()
                assert blas_threads() == {1}
        if is_first == first_leaves_first:
            steps[2].wait()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(body, [True, False])) == [None, None]
    assert blas_threads() == before
    # And nobody owns the setting: it can be changed again.
    with threadpool_limits(1, user_api="blas"):
        assert blas_threads() == {1}
    assert blas_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_run_blocks_keeps_the_order(n_threads):
    spans = blocks(10, 3)
    assert spans == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert run_blocks(lambda start, stop: (start, stop), spans, n_threads) == spans
    assert run_blocks(lambda start, stop: 1 / 0, [], n_threads) == []
    with pytest.raises(ZeroDivisionError):
        run_blocks(lambda start, stop: 1 / (start - 3), spans, n_threads)
    total = np.zeros(10)

    def fill(start, stop):
        total[start:stop] += np.arange(start, stop)

    run_blocks(fill, spans, n_threads)
    assert total.tolist() == list(range(10))


@pytest.mark.parametrize("n_threads", [2, 4])
def test_after_an_error_no_task_runs(n_threads):
    """The slow one is awaited, whoever has it, and the error is that of the first span."""
    for _ in range(5):
        together, written = Barrier(n_threads, timeout=20), []

        def task(start, stop, together=together, written=written):
            together.wait()
            if stop < n_threads:
                raise KeyError(start)
            sleep(0.02)
            written.append(start)

        with pytest.raises(KeyError, match="0"):
            run_blocks(task, blocks(n_threads, 1), n_threads)
        assert written == [n_threads - 1]


def test_an_error_ends_the_work():
    """What is left is not begun: it would be for nothing."""
    begun, both_awake = [], Barrier(2, timeout=20)

    def task(start, stop):
        begun.append(start)
        if start < 2:
            both_awake.wait()
        if start == 0:
            raise KeyError
        sleep(0.002)

    with pytest.raises(KeyError):
        run_blocks(task, blocks(100, 1), 2)
    assert len(begun) < 50


def test_the_context_says_how_many_threads():
    """Also if that is 1, and whatever backend is preferred."""
    n_cores = effective_n_threads(-1)
    for n_jobs in (1, 3):
        for context in (
            {"backend": "loky"}, {}, {"prefer": "threads"}, {"require": "sharedmem"},
        ):  # fmt: skip
            with joblib.parallel_config(n_jobs=n_jobs, **context):
                assert effective_n_threads() == n_jobs
                assert effective_n_threads(2) == 2
    outside = effective_n_threads()
    for context in ({"backend": "loky"}, {"prefer": "threads"}, {"verbose": 1}):
        with joblib.parallel_config(**context):
            assert effective_n_threads() == outside
    with joblib.parallel_config(n_jobs=-1):
        assert effective_n_threads() == n_cores
    work = joblib.Parallel(n_jobs=2, backend="threading")
    assert work(joblib.delayed(effective_n_threads)() for _ in range(2)) == [1, 1]


def test_effective_n_threads():
    n_cores = effective_n_threads(-1)
    assert n_cores >= 1
    assert [effective_n_threads(n) for n in (1, 2, 5)] == [1, 2, 5]
    assert effective_n_threads(-n_cores - 5) == 1


LATE = """
import atexit, copy, threading, time
import numpy as np
from sklsh import SparseLSHMLPClassifier
X = np.random.default_rng(0).standard_normal((400, 8))
y = np.arange(400) % 5
model = SparseLSHMLPClassifier((4,), max_iter=1, random_state=0, n_jobs=2).fit(X, y)
expected = model.predict(X)

def ask(name, model):
    assert (model.predict(X) == expected).all()
    model.partial_fit(X, y)
    print(name, flush=True)

def late():
    while threading.main_thread().is_alive():
        time.sleep(0.01)
    time.sleep(0.1)
    ask("thread", copy.deepcopy(model))

threading.Thread(target=late).start()
atexit.register(ask, "exit", model)
"""


def test_a_model_answers_until_the_end():
    """In a thread that outlives the main one, and where the interpreter starts none any more."""
    run = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=300)
    assert (run.stdout.split(), run.stderr.strip(), run.returncode) == (["thread", "exit"], "", 0)


def test_a_helper_that_could_not_be_started_is_awaited_if_it_runs(monkeypatch):
    """A failed submission may have queued its task all the same."""
    begun = Event()

    class Failing:
        def submit(self, task):
            Thread(target=task).start()
            begun.wait(20)
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool", lambda *_: Failing())
    ended = []

    def task(start, stop):
        begun.set()
        sleep(0.05)
        ended.append(start)
        return start

    assert run_blocks(task, blocks(4, 1), 2) == [0, 1, 2, 3]
    assert sorted(ended) == [0, 1, 2, 3]
