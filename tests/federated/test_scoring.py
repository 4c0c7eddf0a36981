"""Neurons by scores of a sketch, in turn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.federated import Ledger, run_round
from sklsh.federated.messages import Sketch
from sklsh.federated.scoring import best_of_sketch, by_mass, chosen_neurons, round_robin
from tests.federated.problems import federation

seeds = st.integers(0, 2**32 - 1)


def naive_turns(lists, n_chosen, taken):
    chosen = []
    for depth in range(lists.shape[1]):
        for row in lists:
            if row[depth] >= 0 and row[depth] not in [*chosen, *taken]:
                chosen.append(int(row[depth]))
    return sorted(chosen[:n_chosen])


@given(seeds, st.integers(1, 6), st.integers(1, 8), st.integers(1, 12))
def test_round_robin(seed, n_rows, depth, n_chosen):
    rng = np.random.default_rng(seed)
    lists = rng.integers(-1, 15, (n_rows, depth))
    taken = rng.integers(0, 15, 3)
    found = round_robin(lists, None, n_chosen, taken)
    assert found.dtype == np.int32
    assert found.tolist() == naive_turns(lists, n_chosen, taken.tolist())


def naive_mass(lists, scores, n_chosen, taken):
    sums = {}
    for row, values in zip(lists.tolist(), scores.tolist(), strict=True):
        total = sum(np.exp(v - max(values)) for v in values)
        for neuron, value in zip(row, values, strict=True):
            if neuron >= 0 and neuron not in taken:
                sums[neuron] = sums.get(neuron, 0.0) + np.exp(value - max(values)) / total
    return sorted(sorted(sums, key=lambda neuron: (-round(sums[neuron], 9), neuron))[:n_chosen])


@given(seeds, st.integers(1, 6), st.integers(1, 8), st.integers(1, 12))
def test_by_mass(seed, n_rows, depth, n_chosen):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(15)[:depth] for _ in range(n_rows)])
    scores = -np.sort(-rng.standard_normal((n_rows, depth)), axis=1)
    lists[0, -1], scores[0, -1] = (-1, -np.inf) if depth > 1 else (lists[0, 0], scores[0, 0])
    taken = rng.integers(0, 15, 3)
    found = by_mass(lists, scores, n_chosen, taken)
    assert found.dtype == np.int32
    assert found.tolist() == naive_mass(lists, scores, n_chosen, taken.tolist())


@pytest.mark.parametrize("n_active", [1, 40, 400])
def test_of_a_sketch_of_full_width_they_are_the_rows_best_logits(n_active):
    """Also where so many are asked for that lists must be made longer, or all are named."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((300, 6)).astype(np.float32)
    bias = rng.standard_normal(300).astype(np.float32)
    hidden = np.abs(rng.standard_normal((9, 6))).astype(np.float32)
    # Blind to no coordinate: every row of the head folds to itself, up to order and sign.
    from sklsh.hashing import make_projection

    values = make_projection("signed", 6, 6, 5).apply(weights)
    sketch = Sketch(0, "signed", 5, 6, values, bias, values.mean(axis=0))
    taken = np.array([3, 7, 11], dtype=np.int32)
    order = np.argsort(-(hidden @ weights.T + bias), axis=1, kind="stable")
    expected = naive_turns(order, n_active, taken.tolist())
    assert (
        chosen_neurons(best_of_sketch(sketch, hidden), n_active, taken, "turn").tolist() == expected
    )


def test_a_federation_of_devices_that_score():
    server, transport = federation(own={"sampler": "lsh", "selection": "scores", "n_active": 4})
    report = run_round(server, transport, np.random.default_rng(0), ledger=Ledger())
    assert report.n_used == len(transport.devices) and report.faults == {}


def test_the_choice_is_checked():
    with pytest.raises(ValueError, match="device_params' selection must be one of"):
        federation(own={"selection": "best"})
