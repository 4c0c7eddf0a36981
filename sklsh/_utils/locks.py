"""Many readers or one writer: what keeps an estimator's answers whole while it is trained.

Predictions are `answers`, fitting methods `changes`. An answer is given from the state before a
change or from the one after it, never from between. Locks belong to estimators without being
in them, so that pickles, clones and comparisons know nothing of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from threading import Condition, Lock, RLock, get_ident, local
from typing import ClassVar
from weakref import WeakKeyDictionary


class ReadWriteLock:
    """Shared by readers, or held by one writer; nobody waits for ever.

    Who comes to read while a writer waits is let in when that one is done, before the next
    writer (B. Brandenburg, J. Anderson, "Reader-writer synchronization for shared-memory
    multiprocessor real-time systems", ECRTS 2009). Calls nest: a thread that is in may come in
    again, but not to write while it reads.

    Attributes
    ----------
    changing : RLock
        For writers that prepare aside what they then `write`: one at a time.
    """

    def __init__(self):
        self.changing = RLock()
        self._turn = Condition(Lock())
        self._n_readers = self._n_waiting = self._n_writers_waiting = self._phase = 0
        self._writer: int | None = None
        self._mine = local()

    @contextmanager
    def read(self) -> Iterator[None]:
        """The body runs beside other readers."""
        depth = getattr(self._mine, "depth", 0)
        if not depth and self._writer != get_ident():
            self._enter()
        elif not depth:
            yield  # the writer itself reads
            return
        self._mine.depth = depth + 1
        try:
            yield
        finally:
            self._mine.depth = depth
            if not depth:
                self._leave()

    def _enter(self) -> None:
        with self._turn:
            if self._writer is None and not self._n_writers_waiting:
                self._n_readers += 1
                return
            self._n_waiting += 1
            phase = self._phase
            try:
                while self._phase == phase:
                    self._turn.wait()
            except BaseException:  # a Ctrl-C: let in meanwhile, or not
                if self._phase == phase:
                    self._n_waiting -= 1
                else:
                    self._n_readers -= 1
                    self._turn.notify_all()
                raise

    def _leave(self) -> None:
        with self._turn:
            self._n_readers -= 1
            if not self._n_readers:
                self._turn.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        """The body runs alone."""
        if self._writer == get_ident():
            yield
            return
        if getattr(self._mine, "depth", 0):
            raise RuntimeError("a prediction must not change the estimator that makes it")
        with self._turn:
            self._n_writers_waiting += 1
            try:
                while self._writer is not None or self._n_readers:
                    self._turn.wait()
                self._writer = get_ident()
            finally:
                self._n_writers_waiting -= 1
                if self._writer is None and not self._n_writers_waiting:
                    self._admit()  # an interrupted writer keeps nobody waiting
        try:
            yield
        finally:
            with self._turn:
                self._writer = None
                self._admit()

    def _admit(self) -> None:
        self._n_readers += self._n_waiting
        self._n_waiting = 0
        self._phase += 1
        self._turn.notify_all()


class _Locks:
    """The lock of each estimator, as long as that lives."""

    guard = Lock()
    by_estimator: ClassVar[WeakKeyDictionary] = WeakKeyDictionary()


def _after_fork() -> None:
    # Threads that held a lock are not in the child.
    _Locks.guard, _Locks.by_estimator = Lock(), WeakKeyDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def lock_of(estimator) -> ReadWriteLock:
    """The lock of an estimator; of each object its own, copies included."""
    with _Locks.guard:
        found = _Locks.by_estimator.get(estimator)
        if found is None:
            found = _Locks.by_estimator[estimator] = ReadWriteLock()
        return found


def answers(method):
    """Decorate a method that reads fitted state: it sees one state from beginning to end."""

    @wraps(method)
    def answer(self, *args, **kwargs):
        with lock_of(self).read():
            return method(self, *args, **kwargs)

    return answer


def changes(*, in_place: bool):
    """Decorate a fitting method: attributes change all at once when it is done, or not at all.

    The method runs on a shallow copy, whose attributes the estimator then takes over. If it
    raises, the estimator is as before. One change runs at a time.

    Parameters
    ----------
    in_place : bool
        The method writes into arrays that the estimator has: no answer is given meanwhile.
        Otherwise answers from the old state go on until the end.
    """

    def decorate(method):
        @wraps(method)
        def change(self, *args, **kwargs):
            lock = lock_of(self)
            with lock.changing, lock.write() if in_place else nullcontext():
                before = dict(vars(self))
                twin = object.__new__(type(self))
                vars(twin).update(before)
                method(twin, *args, **kwargs)
                with lock.write():
                    _take_over(self, before, vars(twin))
            return self

        return change

    return decorate


def _take_over(estimator, before: dict, after: dict) -> None:
    """What the method has set or deleted; what others have set meanwhile stays."""
    for name in before.keys() - after.keys():
        vars(estimator).pop(name, None)
    for name, value in after.items():
        if name not in before or value is not before[name]:
            vars(estimator)[name] = value
