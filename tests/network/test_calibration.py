"""What is fitted on held-out rows is the best of its grid."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh.network.calibration import (
    POWERS,
    TEMPERATURES,
    THRESHOLDS,
    WEIGHTS,
    LabelCounts,
    Rivals,
    fit_neighbors,
    fit_temperature,
    fit_threshold,
    hits,
    log_shares,
)
from sklsh.network.merging import merge_topk
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows
from sklsh.network.topk import exact_topk
from sklsh.network.validation_rows import ValidationRows
from tests.network.problems import labels_of, random_labels, random_network, random_rows

seeds = st.integers(0, 2**32 - 1)


def problem(seed, n_rows=40, n_labels=12, least=0):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n_rows, 10)
    return X, random_labels(rng, n_rows, n_labels, least=least), random_network(
        rng, 10, n_labels=n_labels
    )  # fmt: skip


def test_hits():
    _, Y, _ = problem(0)
    rows = np.array([3, 0, 7], dtype=np.int32)
    labels = np.random.default_rng(0).integers(-1, 12, (3, 5))
    expected = [[j in of_row for j in row] for row, of_row in zip(labels, labels_of(Y, rows))]
    np.testing.assert_array_equal(hits(labels, Y, rows), expected)


def test_log_shares():
    scores = -np.sort(-np.random.default_rng(0).standard_normal((4, 6)) * 30)
    scores[2, 3:] = -np.inf
    shares = np.exp(log_shares(scores))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares[1] / shares[1, 0], np.exp(scores[1] - scores[1, 0]))
    assert (shares[2, 3:] == 0).all()


def samples_f1(shares, true, threshold):
    """Mean over rows of F1, by sets."""
    total = 0.0
    for of_row, wanted in zip(shares, true, strict=True):
        predicted = {j for j, share in enumerate(of_row) if share >= threshold}
        wanted = set(wanted)
        both = len(predicted) + len(wanted)
        total += 2 * len(predicted & wanted) / both if both else 1.0
    return total / len(true)


@given(seeds, st.sampled_from([2, 12]))
def test_threshold_has_the_best_f1_of_the_grid(seed, n_labels):
    X, Y, network = problem(seed, n_labels=n_labels, n_rows=30)
    if n_labels == 2:
        Y = random_labels(np.random.default_rng(seed), 30, 2, most=2)
    rows = np.arange(0, 30, 2, dtype=np.int32)
    threshold = fit_threshold(Rivals.of(ValidationRows(network, X, Y, rows)))
    logits = Predictor(network).logits(X)[rows].astype(float)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    scores = [samples_f1(shares, labels_of(Y, rows), t) for t in THRESHOLDS]
    # A share within rounding of a threshold may fall on either side of it.
    assert samples_f1(shares, labels_of(Y, rows), threshold) >= max(scores) - 0.02
    assert np.float32(threshold) in THRESHOLDS


@settings(max_examples=30)
@given(seeds)
def test_knn_weights_are_the_best_of_the_grid(seed):
    X, Y, network = problem(seed, least=1)
    held_out = np.arange(25, 40, dtype=np.int32)
    memory = NeighborMemory.build(X, Y, 10, 1)
    n_neighbors = (2, 5, 9)
    validation_rows = ValidationRows(network, X, Y, held_out)
    weight = fit_neighbors(validation_rows, memory, n_neighbors)
    chosen = memory.n_neighbors
    power = memory.power
    # They are not looked for again.
    for known, looked_up in zip(
        validation_rows.nearest, validation_rows.neighbors(memory), strict=True
    ):
        np.testing.assert_array_equal(known, looked_up)
    assert weight in WEIGHTS and memory.weight == weight and chosen in n_neighbors
    hidden = network.hidden(X, held_out)
    found = exact_topk(network, hidden, 12)
    discounts = 1 / np.log2(np.arange(12) + 2)

    def gain(n, power, weight):
        memory.n_neighbors, memory.power, memory.weight = n, power, weight
        neighbors = memory.nearest(X, held_out, excluded=held_out)
        labels, _ = merge_topk(network.head, hidden, found, 12, memory, neighbors)
        return (hits(labels, Y, held_out) @ discounts).mean()

    best = max(gain(*trial) for trial in product(n_neighbors, POWERS, WEIGHTS))
    assert gain(chosen, power, weight) == pytest.approx(best)


def test_where_all_is_one_the_fewest_neighbors_are_asked():
    """Two labels are all there are: every ranking finds both of a row's."""
    X, _, network = problem(0, n_labels=2)
    Y = SparseRows(np.arange(0, 81, 2), np.tile(np.arange(2, dtype=np.int32), 40), None)
    memory = NeighborMemory.build(X, Y, 10, 1)
    rows = np.arange(40, dtype=np.int32)
    assert fit_neighbors(ValidationRows(network, X, Y, rows), memory, (3, 6)) == 0.0
    assert memory.n_neighbors == 3


def test_neighbors_that_are_noise_get_no_weight():
    """The network is right and neighbours have wrong labels only."""
    X, Y, network = problem(3, least=1)
    rows = np.arange(40, dtype=np.int32)
    best = Predictor(network).topk(X, 3, rows)[0]
    Y = Y._replace(
        indptr=np.arange(0, 121, 3), indices=np.sort(best, axis=1).ravel().astype(np.int32)
    )
    wrong = Y._replace(indices=(Y.indices + 5) % 12)
    memory = NeighborMemory.build(X, wrong, 10, 5)
    assert fit_neighbors(ValidationRows(network, X, Y, rows), memory, (5, 10)) == 0.0


@given(seeds, st.floats(0.3, 8))
def test_temperature_is_the_likeliest_of_the_grid(seed, scale):
    X, Y, network = problem(seed, least=1)
    network.head_weights *= np.float32(scale)
    rows = np.arange(40, dtype=np.int32)
    found = fit_temperature(Rivals.of(ValidationRows(network, X, Y, rows)))
    logits = Predictor(network).logits(X).astype(float)

    def likelihood(temperature):
        shares = logits / temperature
        shares -= np.log(np.exp(shares).sum(axis=1, keepdims=True))
        return sum(
            shares[i, of_row].mean() for i, of_row in enumerate(labels_of(Y, rows)) if of_row
        )

    assert likelihood(found) >= max(likelihood(t) for t in TEMPERATURES) - 1e-3


@given(seeds)
def test_counts_of_a_stream_fade_and_choose_the_threshold(seed):
    rng = np.random.default_rng(seed)
    parts = []
    for n_rows in (1, 40, 256):
        scores = -np.sort(-rng.standard_normal((n_rows, 8)).astype(np.float32) * 3)
        scores[0, 5:] = -np.inf
        parts.append((scores, rng.integers(0, 4, n_rows)))
    counts = LabelCounts()
    named, true = np.zeros(THRESHOLDS.shape[0]), 0.0
    for scores, n_true in parts:
        counts = counts.joined(scores, n_true)
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        kept = 0.5 ** (n_true.shape[0] / 256)
        now = [(shares >= threshold).sum() for threshold in THRESHOLDS]
        named, true = kept * named + now, kept * true + n_true.sum()
    # A share within rounding of a threshold may fall on either side of it.
    np.testing.assert_allclose(counts.named, named, atol=2)
    assert counts.true == pytest.approx(true)
    errors = np.abs(named - true)
    chosen = np.flatnonzero(np.float32(counts.threshold()) == THRESHOLDS)[0]
    assert errors[chosen] <= errors.min() + 4


def test_threshold_of_rows_without_labels_names_none():
    none = np.full((3, 5), -np.inf, dtype=np.float32)
    assert LabelCounts().joined(none, np.zeros(3, dtype=int)).threshold() >= 0.9 - 1e-6
