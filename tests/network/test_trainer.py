"""One training step against float64 backpropagation, and what it must not do."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklsh.hashing import make_family
from sklsh.network.lsh import LSHCandidates
from sklsh.network.optimizers import INITIAL_ACCUMULATOR, RowwiseAdagrad
from sklsh.network.sampling import All, LabelsOnly, Uniform, make_sampler
from sklsh.network.trainer import Trainer
from tests import reference
from tests.network.problems import (
    arrays_of,
    assert_same_bits,
    labels_of,
    random_labels,
    random_network,
    random_rows,
)

seeds = st.integers(0, 2**32 - 1)
N_FEATURES, N_LABELS = 14, 11
RATE = 0.05


def problem(seed, n_rows=12, sizes=(8,), activation="relu", n_labels=N_LABELS, least=0):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_rows, N_FEATURES, positive=False)
    Y = random_labels(rng, n_rows, n_labels, least=least)
    return X, Y, random_network(rng, N_FEATURES, sizes, n_labels, activation), rng


def trainer_of(network, sampler=None, **options):
    sampler = sampler or All(network.n_labels)
    return Trainer(network, sampler, RowwiseAdagrad.for_network(network), **options)


def batch_of(X, Y, rows):
    return reference.dense(reference.csr_rows(X, rows), N_FEATURES), labels_of(Y, rows)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
@pytest.mark.parametrize("sizes", [(5,), (5, 4)])
def test_the_reference_has_the_right_gradient(sizes, activation):
    """Explicit backpropagation of the twin against central differences of its loss."""
    X, Y, network, rng = problem(0, sizes=sizes, activation=activation)
    X, labels = batch_of(X, Y, range(12))
    weights = rng.random(12)
    twin = reference.DenseNetwork(network)
    gradients = twin.gradients(X, labels, weights)
    for arrays, found in zip(
        (twin.body, twin.body_bias, [twin.head], [twin.head_bias]),
        (gradients[0], gradients[1], [gradients[2]], [gradients[3]]),
        strict=True,
    ):
        for array, gradient in zip(arrays, found, strict=True):
            for at in rng.permutation(array.size)[:6]:
                place = np.unravel_index(at, array.shape)
                value, losses = array[place], []
                for step in (1e-6, -1e-6):
                    array[place] = value + step
                    losses.append(np.mean(twin.losses(X, labels, weights)))
                array[place] = value
                assert gradient[place] == pytest.approx(
                    (losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8
                )


def assert_step_is_the_reference(trainer, X, Y, rows, row_weights, alpha):
    """Loss, weights and accumulators after a step are those of the twin."""
    network, state = trainer.network, trainer.optimizer
    twin, batch = reference.DenseNetwork(network), batch_of(X, Y, rows)
    factors = np.ones(len(rows)) if row_weights is None else row_weights[rows]
    body, body_bias, head, head_bias = twin.gradients(*batch, factors)
    before = [a.copy() for a in (*state.body_weights, state.head_weights)]
    biases_before = [a.copy() for a in (*state.body_biases, state.head_bias)]
    loss = trainer.step(X, Y, rows, RATE, row_weights)
    assert loss == pytest.approx(np.sum(twin.losses(*batch, factors)), rel=1e-4, abs=1e-5)

    touched = [np.unique(np.nonzero(batch[0])[1])]
    touched += [np.arange(len(w)) for w in (*twin.body[1:], twin.head)]
    for old, gradient, new, accumulators, sums, ids in zip(
        [*twin.body, twin.head],
        [*body, head],
        [*network.body_weights, network.head_weights],
        [*state.body_weights, state.head_weights],
        before,
        touched,
        strict=True,
    ):
        expected, expected_sums = old.copy(), sums.astype(float)
        expected[ids], expected_sums[ids] = reference.adagrad_rows(
            old[ids], expected_sums[ids], gradient[ids] + alpha * old[ids], RATE
        )
        np.testing.assert_allclose(new, expected, atol=2e-3 * RATE, rtol=1e-5)
        np.testing.assert_allclose(accumulators, expected_sums, rtol=1e-3, atol=1e-10)
    for old, gradient, new, accumulators, sums in zip(
        [*twin.body_bias, twin.head_bias],
        [*body_bias, head_bias],
        [*network.body_biases, network.head_bias],
        [*state.body_biases, state.head_bias],
        biases_before,
        strict=True,
    ):
        expected, expected_sums = reference.adagrad_entries(old, sums.astype(float), gradient, RATE)
        np.testing.assert_allclose(new, expected, atol=1e-2 * RATE, rtol=1e-5)
        np.testing.assert_allclose(accumulators, expected_sums, rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
@pytest.mark.parametrize("sizes", [(8,), (8, 6)])
@pytest.mark.parametrize(("weighted", "alpha"), [(False, 0.0), (True, 0.1)])
def test_step(activation, sizes, weighted, alpha):
    """Two steps in a row, so that accumulators and buffers are carried over."""
    for seed in range(5):
        X, Y, network, rng = problem(seed, sizes=sizes, activation=activation)
        weights = (3 * rng.random(12)).astype(np.float32) if weighted else None
        trainer = trainer_of(network, alpha=alpha)
        for n in (9, 5):
            rows = rng.permutation(12)[:n].astype(np.int32)
            assert_step_is_the_reference(trainer, X, Y, rows, weights, np.float32(alpha))
            assert (trainer._slots == -1).all() and (trainer._feature_slots == -1).all()


def test_dropped_units_take_no_part():
    """With dropout a step is the step of a network without the dropped units, row by row."""
    X, Y, network, _ = problem(0, n_rows=1, least=1)
    rows = np.zeros(1, dtype=np.int32)
    kept = reference.dropout(7, rows, 0.5, np.ones((1, 8), dtype=np.float32))[0]
    assert 0 < np.count_nonzero(kept) < 8
    twin = reference.DenseNetwork(network)
    twin.head = twin.head * kept
    batch = batch_of(X, Y, rows)
    body, _, head, _ = twin.gradients(*batch, np.ones(1))
    before = arrays_of(network)
    loss = trainer_of(network, dropout=0.5, seed=7).step(X, Y, rows, RATE)
    assert loss == pytest.approx(twin.losses(*batch, np.ones(1))[0], rel=1e-4)
    expected, _ = reference.adagrad_rows(
        before[2].astype(float), np.full(N_LABELS, INITIAL_ACCUMULATOR), head * kept, RATE
    )
    np.testing.assert_allclose(network.head_weights, expected, atol=2e-3 * RATE)
    touched = np.unique(np.nonzero(batch[0])[1])
    expected, _ = reference.adagrad_rows(
        before[0][touched].astype(float), np.full(len(touched), INITIAL_ACCUMULATOR),
        body[0][touched], RATE,
    )  # fmt: skip
    np.testing.assert_allclose(network.body_weights[0][touched], expected, atol=2e-3 * RATE)


@pytest.mark.parametrize("name", ["lsh", "codes", "random", "uniform", "labels", "exact", "all"])
@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_do_not_matter(name, n_threads):
    """More rows, neurons and features than a block has; dropout and two hidden layers."""
    results = []
    for threads in (1, n_threads):
        rng = np.random.default_rng(0)
        X = random_rows(rng, 150, 700, 0.05)
        Y = random_labels(rng, 150, 900)
        network = random_network(rng, 700, (40, 30), 900)
        lsh = LSHCandidates(make_family("pghash", n_tables=6, hash_length=4), 300, 2, 5)
        sampler = make_sampler(name, 300, 900, 1, lsh)
        trainer = trainer_of(network, sampler, dropout=0.3, alpha=0.01, n_threads=threads)
        losses = [trainer.epoch(X, Y, np.arange(150, dtype=np.int32), 70, 0.05) for _ in range(2)]
        results.append([*arrays_of(network, trainer.optimizer), np.array(losses)])
    assert_same_bits(*results)


@pytest.mark.parametrize("sampler", [LabelsOnly(), Uniform(4, seed=3)])
def test_only_active_neurons_change(sampler):
    X, Y, network, _ = problem(1, n_rows=3, n_labels=60, least=1)
    rows = np.arange(3, dtype=np.int32)
    before, trainer = arrays_of(network), trainer_of(network, sampler)
    proposed = [ids.copy() for ids, _ in sampler.propose(network, None, None, 0, 1)]
    allowed = np.unique(np.concatenate([Y.indices, *proposed]))
    assert len(allowed) < 60
    trainer.step(X, Y, rows, RATE)
    changed = (network.head_weights != before[2]).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed), allowed)
    np.testing.assert_array_equal(
        trainer.optimizer.untouched_neurons(), ~np.isin(np.arange(60), allowed)
    )
    features = np.isin(np.arange(N_FEATURES), X.indices)
    assert (network.body_weights[0] == before[0])[~features].all()


def test_rows_without_labels_or_features():
    X, Y, network, _ = problem(2)
    no_labels = Y._replace(indptr=np.zeros(13, np.int64))
    rows = np.arange(12, dtype=np.int32)
    for sampler in (LabelsOnly(), All(N_LABELS)):
        before = arrays_of(network)
        assert trainer_of(network, sampler).step(X, no_labels, rows, RATE) == 0
        assert_same_bits(arrays_of(network), before)
    empty = X._replace(indptr=np.zeros(13, np.int64))
    assert np.isfinite(trainer_of(network).step(empty, Y, rows, RATE))
    assert all(np.isfinite(a).all() for a in arrays_of(network))


@given(seeds, st.integers(1, 7))
def test_an_epoch_is_its_steps(seed, batch_size):
    X, Y, network, rng = problem(seed)
    order = rng.permutation(12)[:10].astype(np.int32)
    one, rates = trainer_of(network, dropout=0.2), []

    def rate(position):
        rates.append(position)
        return RATE * (1 - position)

    mean = one.epoch(X, Y, order, batch_size, rate)
    assert rates == [start / 10 for start in range(0, 10, batch_size)]
    *_, again, _ = problem(seed)
    two, total = trainer_of(again, dropout=0.2), 0.0
    for start in range(0, 10, batch_size):
        total += two.step(X, Y, order[start : start + batch_size], RATE * (1 - start / 10))
    assert one.step_count == two.step_count == len(rates)
    assert mean == pytest.approx(total / 10)
    assert_same_bits(arrays_of(network, one.optimizer), arrays_of(again, two.optimizer))


def test_a_step_allocates_nothing_the_size_of_the_head():
    """Nor of the first layer: the second step of 40,000 labels takes a few kB."""
    rng = np.random.default_rng(0)
    X = random_rows(rng, 20, 3_000, 0.01)
    Y = random_labels(rng, 20, 40_000)
    network = random_network(rng, 3_000, (16,), 40_000)
    trainer = trainer_of(network, make_sampler("random", 64, 40_000, 0))
    rows = np.arange(20, dtype=np.int32)
    trainer.step(X, Y, rows, RATE)
    tracemalloc.start()
    trainer.step(X, Y, rows, RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * network.head_weights.nbytes
