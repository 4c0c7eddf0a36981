"""Answers beside a writer: each is the old state's or the new one's."""

import copy
import gc
import pickle
import threading
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
)
from sklsh._utils.locks import ReadWriteLock, _Locks, changes, lock_of
from sklsh.datasets import make_extreme_classification
from sklsh.hashing import HashTables
from sklsh.persistence import load_model, save_model

N_READERS = 4


def key(answer):
    """An answer as something that can be compared."""
    if sp.issparse(answer):
        answer = (answer.indptr, answer.indices, answer.data, np.array(answer.shape))
    if isinstance(answer, tuple):
        return tuple(map(key, answer))
    return answer.shape, answer.tobytes()


def assert_old_or_new(make, change, ask, n_changes):
    """Readers beside `change(model, i)` get what `ask` answers before or after one, in order."""
    model = make()
    states = [key(ask(model))]
    for i in range(n_changes):
        change(model, i)
        states.append(key(ask(model)))
    assert len(set(states)) == n_changes + 1
    place = {state: i for i, state in enumerate(states)}
    model, done = make(), threading.Event()
    begun = threading.Barrier(N_READERS + 1, timeout=60)
    seen, errors = [[] for _ in range(N_READERS)], []

    def read(mine):
        try:
            begun.wait()
            while not done.is_set():
                mine.append(key(ask(model)))
            mine.append(key(ask(model)))
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read, args=(mine,)) for mine in seen]
    for reader in readers:
        reader.start()
    try:
        begun.wait()
        for i in range(n_changes):
            change(model, i)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not errors
    for mine in seen:
        between = [answer for answer in mine if answer not in place]
        assert not between
        order = [place[answer] for answer in mine]
        assert order[-1] == n_changes and all(a <= b for a, b in pairwise(order))


X, Y = make_extreme_classification(400, 60, 12, random_state=0)
CLASSES = np.asarray(Y.argmax(axis=1)).ravel()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_stream_of_a_classifier(n_jobs):
    assert_old_or_new(
        lambda: SparseLSHMLPClassifier((8,), max_iter=1, random_state=0, n_jobs=n_jobs).fit(X, Y),
        lambda model, i: model.partial_fit(X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]),
        lambda model: model.predict_topk(X, 3),
        n_changes=40,
    )


def test_refits_of_a_classifier_to_other_classes():
    assert_old_or_new(
        lambda: SparseLSHMLPClassifier((4,), max_iter=1, random_state=0).fit(X, CLASSES),
        lambda model, i: model.set_params(random_state=i + 1).fit(X, CLASSES % (12 - i % 2)),
        lambda model: model.predict_proba(X),
        n_changes=10,
    )


def test_stream_of_a_recommender_with_new_items():
    def part(model, i):
        width = 8 + i // 10
        model.partial_fit(Y[10 * i : 10 * i + 10, :width])

    assert_old_or_new(
        lambda: LSHRecommender((8,), max_iter=1, random_state=0).fit(Y[:, :8]),
        part,
        lambda model: model.similar_items(np.arange(8), 6),
        n_changes=30,
    )
    assert_old_or_new(
        lambda: LSHRecommender((8,), max_iter=1, random_state=0).fit(Y),
        lambda model, i: model.partial_fit(Y[10 * i : 10 * i + 10]),
        lambda model: model.recommend(np.arange(400), Y, 4),
        n_changes=30,
    )


def test_rounds_of_a_federation():
    def make():
        device = SparseLSHMLPClassifier((4,), random_state=0)
        return FederatedLSHClassifier(device, n_rounds=1, random_state=0, n_jobs=1).fit(X, Y)

    assert_old_or_new(
        make, lambda model, i: model.partial_fit(X, Y), lambda model: model.predict_topk(X, 3),
        n_changes=5,
    )  # fmt: skip


ROWS = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)


@pytest.mark.parametrize("ask", ["query", "transform"])
def test_hasher_that_is_added_to(ask):
    assert_old_or_new(
        lambda: CompressedLSHHasher(hash_length=12, random_state=0, n_jobs=1).fit(ROWS[:100]),
        lambda model, i: model.partial_fit(ROWS[100 + 10 * i : 110 + 10 * i]),
        lambda model: getattr(model, ask)(ROWS[:50]),
        n_changes=60,
    )


@pytest.mark.parametrize("code_bits", [6, 30])
def test_tables_that_are_added_to_and_taken_from(code_bits):
    codes = np.random.default_rng(1).integers(0, 2**6, (2000, 4))

    def change(tables, i):
        ids = np.arange(10 * i, 10 * i + 10)
        if i % 3 == 0:
            tables.update(ids + 1000, codes[ids + 1000])
        elif i % 3 == 1:
            tables.remove(ids)
        else:
            tables.update(ids, codes[ids[::-1]])

    assert_old_or_new(
        lambda: HashTables.build(codes[:1000], code_bits), change,
        lambda tables: tables.query(codes[:60], n_jobs=1), n_changes=90,
    )  # fmt: skip


def test_a_folder_is_of_one_state(tmp_path):
    """`save_model` is an answer: what it writes is no model in the middle of a part."""
    model = SparseLSHMLPClassifier((8,), max_iter=1, random_state=0).fit(X, Y)
    twin = SparseLSHMLPClassifier((8,), max_iter=1, random_state=0).fit(X, Y)
    states = {key(twin.predict_topk(X, 3))}
    for _ in range(30):
        states.add(key(twin.partial_fit(X, Y).predict_topk(X, 3)))
    thread = threading.Thread(target=lambda: [model.partial_fit(X, Y) for _ in range(30)])
    thread.start()
    while thread.is_alive():
        save_model(model, tmp_path / "model")
        assert key(load_model(tmp_path / "model").predict_topk(X, 3)) in states
    thread.join()


class Counter:
    """Fits by raising what it is told to."""

    def __init__(self):
        self.total_ = 0

    @changes(in_place=False)
    def fit(self, n, error=None):
        self.total_ = n
        self.half_done_ = True
        if error:
            raise error
        del self.half_done_
        return "ignored"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_change_that_fails_leaves_nothing_behind(error):
    model = Counter()
    assert model.fit(3) is model and vars(model) == {"total_": 3}
    with pytest.raises(error):
        model.fit(4, error)
    assert vars(model) == {"total_": 3}
    assert model.fit(5).total_ == 5


def test_lock_nests_and_takes_turns():
    lock, log, inside = ReadWriteLock(), [], threading.Event()

    def write(name):
        with lock.write(), lock.write(), lock.read():
            log.append(name)

    def read(name):
        with lock.read():
            log.append(name)

    with lock.read():
        first = threading.Thread(target=write, args=("first writer",))
        first.start()
        while not lock._n_writers_waiting:
            pass
        late = threading.Thread(target=read, args=("late reader",))
        late.start()
        while not lock._n_waiting:
            pass
        second = threading.Thread(target=write, args=("second writer",))
        second.start()
        while lock._n_writers_waiting < 2:
            pass
        with lock.read():  # in spite of the writers
            inside.set()
        with pytest.raises(RuntimeError, match="must not change"), lock.write():
            pass
        assert not log
    for thread in (first, late, second):
        thread.join(timeout=20)
    assert inside.is_set()
    # The reader that waited comes between the writers, whichever of these was first.
    assert log[1] == "late reader" and {log[0], log[2]} == {"first writer", "second writer"}


def test_locks_are_no_part_of_the_estimator():
    model = LSHRecommender()
    lock = lock_of(model)
    assert lock_of(model) is lock and lock_of(copy.copy(model)) is not lock
    assert pickle.dumps(model) == pickle.dumps(LSHRecommender())
    n_locks = len(_Locks.by_estimator)
    del model
    gc.collect()
    assert len(_Locks.by_estimator) < n_locks
