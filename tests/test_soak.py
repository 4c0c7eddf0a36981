"""Four readers beside one writer, for a minute each if `SKLSH_SOAK_SECONDS=60` says so.

Every answer is that of a state before a change or after one, in the order of the changes. What
states answer is known from a twin, which is changed first.
"""

import os
import threading
import time

import numpy as np
import pytest

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
    TextTagger,
)
from sklsh.datasets import make_extreme_classification
from sklsh.hashing import HashTables
from tests.test_locks import N_READERS, key

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("SKLSH_SOAK_SECONDS", "5"))

X, Y = make_extreme_classification(400, 60, 12, random_state=0)
CLASSES = np.asarray(Y.argmax(axis=1)).ravel()
ROWS = np.random.default_rng(0).standard_normal((100_000, 16)).astype(np.float32)
CODES = np.random.default_rng(1).integers(0, 2**6, (2000, 4))
TEXTS = ["red apple", "green apple", "fast car", "red car", "slow car", "green pear"]
TAGS = ["fruit", "fruit", "vehicle", "vehicle", "vehicle", "fruit"]


def part(i):
    start = 10 * (i % 40)
    return slice(start, start + 10)


def classifier(**params):
    return SparseLSHMLPClassifier((8,), max_iter=1, random_state=0, n_jobs=2, **params)


def federation():
    device = SparseLSHMLPClassifier((4,), random_state=0)
    return FederatedLSHClassifier(device, n_rounds=1, random_state=0, n_jobs=1)


def hasher_part(model, i):
    if i % 200 == 199:  # a stream for ever would be a memory for ever
        model.fit(ROWS[:100])
    else:
        model.partial_fit(ROWS[100 + 10 * i % 90_000 :][:10])


def tables_part(tables, i):
    ids = np.arange(20 * (i // 2), 20 * (i // 2) + 20) % 2000
    if i % 2:
        tables.update(ids, CODES[(ids + i) % 2000])
    else:
        tables.remove(ids)


SOAKS = {
    "classifier": (
        lambda: classifier().fit(X, Y),
        lambda model, i: model.partial_fit(X[part(i)], Y[part(i)]),
        lambda model: model.predict_topk(X, 3),
    ),
    "classifier, refits": (
        lambda: classifier().fit(X, CLASSES),
        lambda model, i: model.set_params(random_state=i + 1).fit(X, CLASSES % (12 - i % 2)),
        lambda model: model.predict_proba(X),
    ),
    "classifier with tables": (
        lambda: classifier(sampler="lsh", n_tables=4, hash_length=3, prediction="lsh").fit(X, Y),
        lambda model, i: model.partial_fit(X[part(i)], Y[part(i)]),
        lambda model: model.predict_topk(X, 3),
    ),
    "recommender": (
        lambda: LSHRecommender((8,), max_iter=1, random_state=0).fit(Y),
        lambda model, i: model.partial_fit(Y[part(i)]),
        lambda model: model.recommend(np.arange(400), Y, 4),
    ),
    "federation": (
        lambda: federation().fit(X, Y),
        lambda model, i: model.partial_fit(X, Y),
        lambda model: model.predict_topk(X, 3),
    ),
    "hasher": (
        lambda: CompressedLSHHasher(hash_length=12, random_state=0, n_jobs=1).fit(ROWS[:100]),
        hasher_part,
        lambda model: model.query(ROWS[:50]),
    ),
    "tagger": (
        lambda: TextTagger(classifier()).fit(TEXTS, TAGS),
        lambda model, i: model.set_params(classifier__random_state=i + 1).fit(TEXTS, TAGS),
        lambda model: model.predict_topk(TEXTS, 2),
    ),
    "tables": (
        lambda: HashTables.build(CODES, 6),
        tables_part,
        lambda tables: tables.query(CODES[:60], n_jobs=1),
    ),
}


@pytest.mark.parametrize("kind", SOAKS)
def test_every_answer_is_of_a_state(kind):
    make, change, ask = SOAKS[kind]
    model, twin, done = make(), make(), threading.Event()
    places = {key(ask(twin)): 0}
    counts, errors = [0] * N_READERS, []

    def read(number):
        last = 0
        try:
            while not done.is_set():
                place = places.get(key(ask(model)))
                assert place is not None, "an answer of no state"
                assert place >= last, "an older state after a newer one"
                last, counts[number] = place, counts[number] + 1
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(N_READERS)]
    for reader in readers:
        reader.start()
    end, n_changes = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end and not errors:
            change(twin, n_changes)
            # The same answer again is of the later state: an order could not be told.
            places[key(ask(twin))] = n_changes + 1
            change(model, n_changes)
            n_changes += 1
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not errors, errors[0]
    assert key(ask(model)) == key(ask(twin))
    print(f"{kind}: {n_changes} changes, {sum(counts)} answers in {SECONDS:.0f} s")
    assert n_changes > 1 and min(counts) > 0
