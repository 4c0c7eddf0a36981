"""Who is active: budgets, the batch's own labels, and the true top neurons."""

import numpy as np
import pytest

from sklsh.hashing import make_family
from sklsh.network.lsh import LSHCandidates
from sklsh.network.sampling import (
    SAMPLERS,
    BestOfPool,
    Probe,
    make_sampler,
)
from tests import reference
from tests.network.problems import random_network

N_LABELS, N_ACTIVE = 400, 40


def sampler_of(name, seed=0):
    family = make_family("pghash", n_tables=8, hash_length=4)
    return make_sampler(name, N_ACTIVE, N_LABELS, seed, LSHCandidates(family, 100, 5, seed))


def problem(n_rows=20):
    rng = np.random.default_rng(0)
    network = random_network(rng, n_labels=N_LABELS)
    slots = np.full(N_LABELS, -1, dtype=np.int32)
    slots[::7] = np.arange(len(slots[::7]))
    return network, rng.random((n_rows, network.n_hidden)).astype(np.float32), slots


def proposed(sampler, network, hidden, slots, step=0, n_threads=1):
    found = sampler.propose(network, hidden, slots, step, n_threads)
    return np.concatenate([np.empty(0, np.int32), *[ids for ids, _ in found]])


@pytest.mark.parametrize("name", SAMPLERS)
def test_budget_and_range(name):
    network, hidden, slots = problem()
    sampler, before = sampler_of(name), slots.copy()
    sizes = []
    for step in range(20):
        ids = proposed(sampler, network, hidden, slots, step)
        assert ids.dtype == np.int32
        sizes.append(len(ids))
        assert ((ids >= 0) & (ids < N_LABELS)).all()
    assert max(sizes) <= sampler.n_active
    expected = {"labels": 0, "all": N_LABELS, "lsh": max(sizes)}.get(name, N_ACTIVE)
    assert max(sizes) == expected
    if name == "lsh":
        assert min(sizes) > N_ACTIVE / 2
    np.testing.assert_array_equal(slots, before)


@pytest.mark.parametrize("name", ["lsh", "codes", "random", "exact"])
def test_probing_wastes_nothing_on_active_neurons(name):
    network, hidden, slots = problem()
    assert (slots[proposed(sampler_of(name), network, hidden, slots)] == -1).all()


@pytest.mark.parametrize("name", ["lsh", "random", "uniform"])
def test_seeds_and_steps(name):
    """Stateless: step 3 is step 3 whatever came before; other steps and seeds are others."""
    network, hidden, slots = problem()
    first, later = sampler_of(name), sampler_of(name)
    # Copies: a sampler may reuse its array in the next step.
    at_3 = proposed(first, network, hidden, slots, 3).copy()
    if name != "lsh":  # Tables are rebuilt only now and then.
        proposed(later, network, hidden, slots, 0)
    np.testing.assert_array_equal(proposed(later, network, hidden, slots, 3), at_3)
    other_seed = proposed(sampler_of(name, seed=1), network, hidden, slots, 3)
    assert sorted(other_seed) != sorted(at_3)
    if name != "lsh":
        assert sorted(proposed(first, network, hidden, slots, 4)) != sorted(at_3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_is_added_to_logits(name):
    """Negatives that were drawn are not corrected for: see `Uniform`."""
    network, hidden, slots = problem()
    found = sampler_of(name).propose(network, hidden, slots, 0, 1)
    assert [offset for _, offset in found] == ([] if name == "labels" else [0.0])


def test_every_place_of_a_pool_is_scored():
    """The best neurons at the ends of the blocks that are scored at a time, and neuron 0."""
    network, hidden, slots = problem()
    slots[:] = -1
    best = np.array([0, 255, 256, 399])
    network.head_weights[best] = 10 * hidden[0]
    assert sorted(proposed(BestOfPool(4, None, 0, n_probes=1), network, hidden, slots)) == [
        *best.tolist()
    ]
    slots[[0, 256]] = 0, 1
    left = proposed(BestOfPool(4, None, 0, n_probes=1), network, hidden, slots)
    assert np.isin([255, 399], left).all() and not np.isin([0, 256], left).any()


@pytest.mark.parametrize("n_probes", [1, 4])
def test_exact_returns_the_true_top_neurons(n_probes):
    network, hidden, slots = problem()
    sampler = BestOfPool(N_ACTIVE, None, 0, n_probes=n_probes)
    ids = proposed(sampler, network, hidden, slots)
    logits = hidden[:n_probes].astype(float) @ network.head_weights.T + network.head_bias
    logits[:, slots >= 0] = -np.inf
    expected = [j for z in logits for j in reference.top_k(z.tolist(), N_ACTIVE // n_probes)[0]]
    assert sorted(ids.tolist()) == sorted(expected)


def test_a_random_pool_is_scored_exactly():
    network, hidden, slots = problem()
    pool = set(reference.uniform_integers(9, 2, N_LABELS, 50))
    allowed = sorted(j for j in pool if slots[j] < 0)
    ids = proposed(BestOfPool(12, 50, 9, n_probes=3), network, hidden, slots, 2)
    expected = []
    for i in range(3):
        logits = network.head_weights[allowed] @ hidden[i] + network.head_bias[allowed]
        expected += [allowed[p] for p in reference.top_k(logits.tolist(), 4)[0]]
    assert sorted(ids.tolist()) == sorted(expected)


class Given:
    """Candidates as they are given, the same for each row."""

    def __init__(self, ids):
        self.ids = np.asarray(ids, dtype=np.int32)

    def find(self, network, hidden, n_probes, step, n_threads):
        self.asked = n_probes
        size = self.ids.shape[0]
        return np.arange(n_probes + 1) * size, np.tile(self.ids, n_probes)


def test_each_row_keeps_the_best_of_its_candidates():
    network, hidden, slots = problem()
    candidates = np.arange(0, N_LABELS, 3)
    source = Given(candidates)
    ids = proposed(Probe(source, 12, n_probes=3), network, hidden, slots)
    assert source.asked == 3
    allowed = candidates[slots[candidates] < 0]
    expected = []
    for i in range(3):
        logits = network.head_weights[allowed] @ hidden[i] + network.head_bias[allowed]
        expected += [int(allowed[p]) for p in reference.top_k(logits.tolist(), 4)[0]]
    assert sorted(ids.tolist()) == sorted(expected)


@pytest.mark.parametrize("sampler", [Probe, BestOfPool])
def test_fewer_rows_than_probes_and_budgets_below_the_probes(sampler):
    network, hidden, slots = problem(n_rows=2)

    def found(n_active):
        if sampler is Probe:
            built = Probe(Given(np.arange(N_LABELS)), n_active)
        else:
            built = BestOfPool(n_active, None, 0)
        return proposed(built, network, hidden, slots)

    assert 0 < len(found(40)) <= 40
    for n_active in (1, 3):
        assert 1 <= len(found(n_active)) <= n_active


@pytest.mark.parametrize("name", ["lsh", "codes", "random", "exact"])
def test_threads_do_not_matter(name):
    network, hidden, slots = problem()
    alone = proposed(sampler_of(name), network, hidden, slots, 1)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(
            proposed(sampler_of(name), network, hidden, slots, 1, n_threads), alone
        )
