"""Codes that follow the head: always of its rows as they are, found in windows."""

import numpy as np
import pytest

from sklsh.network import coded_head
from sklsh.network.coded_head import FAMILY, CodedCandidates
from sklsh.network.sampling import FreshProbe
from tests import reference
from tests.network.problems import random_labels, random_network, random_rows
from tests.network.test_trainer import trainer_of

N_LABELS = 300


def problem(n_rows=20, n_hidden=24):
    rng = np.random.default_rng(0)
    network = random_network(rng, sizes=(n_hidden,), n_labels=N_LABELS)
    return network, rng.standard_normal((n_rows, n_hidden)).astype(np.float32)


def candidates_of_row(found, i):
    indptr, ids = found
    return ids[indptr[i] : indptr[i + 1]].tolist()


def estimated(candidates, hidden):
    """Scores of all neurons for a hidden vector, byte by byte, up to a constant."""
    coder = candidates.coder
    prepared, _ = coder.queries(hidden[None])
    return [
        reference.code_score(packed.tolist(), prepared[0].tolist(), scale, bias)
        for packed, scale, bias in zip(candidates.packed, candidates.scale, candidates.bias)
    ]


def test_the_best_codes_are_found(monkeypatch):
    monkeypatch.setattr(coded_head, "N_CANDIDATES", 9)
    network, hidden = problem()
    candidates = CodedCandidates(100, seed=3)
    found = candidates.find(network, hidden, 2, 0, 1)
    for i in range(2):
        expected, _ = reference.top_k(estimated(candidates, hidden[i]), 9)
        assert candidates_of_row(found, i) == list(expected)


def test_codes_name_high_scorers():
    """64 random neurons would hold 21 % of the best 16."""
    network, hidden = problem()
    indptr, ids = CodedCandidates(100, seed=0).find(network, hidden, 20, 0, 1)
    scores = hidden @ network.head_weights.T + network.head_bias
    best = np.argsort(-scores, axis=1)[:, :16]
    rows = np.split(ids, indptr[1:-1])
    recall = np.mean([np.isin(b, row).mean() for b, row in zip(best, rows, strict=True)])
    assert recall > 0.7


@pytest.mark.parametrize("rehash_interval", [4, 1000])
def test_codes_are_of_the_head_as_it_is(rehash_interval):
    """After each step, what will be scored next is what coding the whole head anew gives."""
    rng = np.random.default_rng(1)
    X, Y = random_rows(rng, 60, 20), random_labels(rng, 60, N_LABELS, least=1)
    network = random_network(rng, n_labels=N_LABELS)
    candidates = CodedCandidates(rehash_interval, seed=0)
    trainer = trainer_of(network, FreshProbe(candidates, 16))
    before = network.head_weights.copy()
    for step in range(6):
        trainer.step(X, Y, np.arange(10 * step, 10 * step + 10, dtype=np.int32), 0.5)
        coder, changed = candidates.coder, candidates.changed
        moved = np.flatnonzero((network.head_weights != before).any(axis=1))
        assert np.isin(moved, changed).all()
        before = network.head_weights.copy()
        if step + 1 == rehash_interval:
            continue  # drawn anew in the next step
        candidates._encode(network, coder, changed, 1)
        codes = coder.encode(network.head_weights, network.head_bias)
        np.testing.assert_array_equal(candidates.packed, codes.packed)
        np.testing.assert_array_equal(candidates.scale, codes.scale)
        np.testing.assert_array_equal(candidates.bias, codes.bias)


def test_a_new_rotation_after_the_interval():
    network, hidden = problem()
    candidates = CodedCandidates(3, seed=0)
    drawn = []
    for step in range(7):
        candidates.find(network, hidden, 1, step, 1)
        drawn.append(candidates.coder.directions)
    assert [drawn[i] is drawn[i + 1] for i in range(6)] == [True, True, False, True, True, False]
    assert not np.array_equal(drawn[0], drawn[3]) and not np.array_equal(drawn[3], drawn[6])


def test_windows_take_turns(monkeypatch):
    """Of more codes than a step scores, each step another part: none is left out."""
    monkeypatch.setattr(coded_head, "WINDOW", 120)
    network, hidden = problem()
    candidates = CodedCandidates(100, seed=0)
    every = CodedCandidates(100, seed=0)
    steps = [candidates_of_row(candidates.find(network, hidden, 2, s, 1), 1) for s in range(4)]
    for i, (low, high) in enumerate(((0, 100), (100, 200), (200, 300), (0, 100))):
        every.find(network, hidden, 2, i, 1)
        scores = estimated(every, hidden[1])[low:high]
        expected, _ = reference.top_k(scores, coded_head.N_CANDIDATES)
        assert steps[i] == [low + j for j in expected]


def test_neurons_without_a_row_are_not_named():
    network, hidden = problem()
    network.see(np.arange(0, N_LABELS, 6), only=True)
    candidates = CodedCandidates(100, seed=0)
    _, ids = candidates.find(network, hidden, 4, 0, 1)
    assert set(ids.tolist()) == set(network.observed_ids.tolist())  # 50: fewer than are asked for
    network.see(np.array([1]))
    candidates.will_change(np.array([1], dtype=np.int32))
    _, ids = candidates.find(network, hidden, 4, 1, 1)
    assert set(ids.tolist()) == set(network.observed_ids.tolist())


def test_a_snapshot_is_all_there_is():
    network, hidden = problem()
    candidates, other = CodedCandidates(3, seed=5), CodedCandidates(3, seed=5)
    assert candidates.snapshot() == {}
    for step in range(2):
        candidates.find(network, hidden, 3, step, 1)
    candidates.will_change(np.array([7, 20], dtype=np.int32))
    network.head_weights[[7, 20]] *= -2
    other.restore(network, {name: np.array(v) for name, v in candidates.snapshot().items()})
    for step in range(2, 5):  # drawn anew at 3
        ours = candidates.find(network, hidden, 3, step, 1)
        theirs = other.find(network, hidden, 3, step, 2)
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, two)


def test_what_it_keeps():
    """16 bytes a neuron, as the docstring says."""
    network, hidden = problem()
    candidates = CodedCandidates(3, seed=5)
    candidates.find(network, hidden, 3, 0, 1)
    kept = candidates.packed, candidates.scale, candidates.bias
    assert sum(array.nbytes for array in kept) == 16 * N_LABELS
    assert candidates.packed.shape[1] == FAMILY.n_bits // 8
