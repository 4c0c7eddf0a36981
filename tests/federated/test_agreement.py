"""What all hidden vectors have in common, how far neurons may be raised along it, and whose
changes say the same of the same labels."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated.agreement import FEWEST_ROWS, PARTNERS, common_direction, likeness
from sklsh.federated.defence import Defence
from sklsh.federated.limits import HIGH, LONGEST, high, lowered, rises
from sklsh.federated.messages import Update
from sklsh.federated.parts import HeadPart
from sklsh.federated.start import levelled

N, N_HIDDEN = 200, 16
COMMON = np.ones(N_HIDDEN) / np.sqrt(N_HIDDEN)


def device(i, *, meaning=None, ids=None, seed=0, up=1.0):
    """An update of a device whose hidden vectors have `COMMON` in common: half of its neurons are
    raised towards their label's rows, the others pushed down."""
    rng = np.random.default_rng([seed, i])
    ids = np.arange(N, dtype=np.int32) if ids is None else np.asarray(ids, np.int32)
    if meaning is None:
        meaning = np.random.default_rng(99).standard_normal((N, N_HIDDEN))
        meaning -= np.outer(meaning @ COMMON, COMMON)
    raised = rng.random(ids.shape[0]) < 0.5
    rows = meaning[ids] + rng.standard_normal((ids.shape[0], N_HIDDEN)) + up * COMMON
    weights = np.where(raised[:, None], rows, -3 * COMMON).astype(np.float32)
    bias = np.where(raised, 0.2, -0.5).astype(np.float32)
    states = np.ones((ids.shape[0], 2), np.float32)
    return Update(i, 0, 10, 1.0, HeadPart(ids, weights, bias, states), None)


def test_the_common_direction_is_found_from_what_is_pushed_down():
    found = common_direction([device(i) for i in range(6)])
    assert found @ COMMON > 0.99
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
    # Two of six say another.
    lie = [
        replace(u, head=replace(u.head, weights=-u.head.weights)) for u in (device(0), device(1))
    ]
    assert common_direction([*lie, *(device(i) for i in range(2, 6))]) @ COMMON > 0.95


def test_devices_with_nothing_in_common_have_no_common_direction():
    rng = np.random.default_rng(0)
    updates = []
    for i in range(8):
        weights = np.tile(rng.standard_normal(N_HIDDEN), (4, 1)).astype(np.float32)
        part = HeadPart(
            np.arange(4, dtype=np.int32), weights, np.full(4, -1, np.float32),
            np.zeros((4, 2), np.float32),
        )  # fmt: skip
        updates.append(Update(i, 0, 10, 1.0, part, None))
    assert common_direction(updates) is None


def naive_likeness(updates, direction):
    """Median over the others of the mean cosine, neuron by neuron."""
    found = np.full((len(updates),) * 2, np.nan)
    for i, one in enumerate(updates):
        for j, other in enumerate(updates):
            cosines = []
            for label in (
                set(one.head.ids.tolist()) & set(other.head.ids.tolist()) if i != j else ()
            ):
                rows = [u.head.weights[np.searchsorted(u.head.ids, label)] for u in (one, other)]
                if all(row @ direction > 0 for row in rows):
                    a, b = (row - (row @ direction) * direction for row in rows)
                    cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            if i != j and len(cosines) >= FEWEST_ROWS:
                found[i, j] = np.mean(cosines)
    return np.nanmedian(found, axis=1)


def test_likeness_is_the_median_of_pairs():
    rng = np.random.default_rng(0)
    updates = [device(i, ids=np.sort(rng.choice(N, 120, replace=False))) for i in range(7)]
    direction = common_direction(updates)
    found, errors = likeness(updates, direction)
    np.testing.assert_allclose(found, naive_likeness(updates, direction), atol=1e-5)
    raised = [int((u.head.weights @ direction > 0).sum()) for u in updates]
    assert (errors >= 1 / np.sqrt(np.array(raised) * N_HIDDEN)).all()


def test_standard_errors_are_those_of_rows_of_no_relation():
    """Each device's labels mean something of their own."""
    rng, found = np.random.default_rng(1), []
    for seed in range(20):
        updates = [
            device(i, seed=seed, meaning=5 * rng.standard_normal((N, N_HIDDEN))) for i in range(2)
        ]
        alike, errors = likeness(updates, COMMON.astype(np.float32))
        # Of two, about half of a device's neurons are compared.
        found.append(alike[0] / errors[0])
    assert 0.6 < np.std(found) < 1.6


def test_labels_exchanged_for_others_are_unlike_also_where_several_agree():
    """Three of eight have the same wrong labels."""
    other = np.random.default_rng(5).standard_normal((N, N_HIDDEN))
    updates = [device(i, meaning=other if i < 3 else None) for i in range(8)]
    found, _ = likeness(updates, common_direction(updates))
    assert found[:3].max() < 0.1 < 0.3 < found[3:].min()
    defence = Defence()
    for _ in range(2):
        _, weights = defence.judge(updates, rate=0.1)
        assert weights[:3] == [0.0] * 3 and weights[3:] == [10.0] * 5


def test_who_shares_too_few_neurons_is_not_judged_by_them():
    alone = device(0, ids=np.arange(5))
    updates = [alone, *(device(i) for i in range(1, 6))]
    found, _ = likeness(updates, common_direction(updates))
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all()
    assert Defence().judge(updates, rate=0.1)[1][0] > 0


def test_of_many_devices_each_is_compared_with_some():
    updates = [device(i) for i in range(3 * PARTNERS)]
    direction = common_direction(updates)
    some, others = (likeness(updates, direction, seed)[0] for seed in (0, 1))
    assert not np.array_equal(some, others)
    np.testing.assert_allclose(some, naive_likeness(updates[:8], direction).mean(), atol=0.1)


def test_a_neuron_is_raised_for_all_rows_as_far_as_a_few_usual_ones():
    updates = [device(i) for i in range(6)]
    pushed = updates[0].head
    weights, bias = pushed.weights.copy(), pushed.bias.copy()
    weights[7], bias[7] = 50 * COMMON, 9.0
    updates[0] = replace(updates[0], head=replace(pushed, weights=weights, bias=bias))
    direction = common_direction(updates)
    usual = [np.quantile(u.head.weights @ direction, HIGH) for u in updates]
    cut, _ = Defence().judge(updates, rate=1.0)
    up, up_bias = rises(cut[0], direction)
    assert up[7] <= 1.001 * LONGEST * np.median(usual)
    assert up_bias[7] <= 1.001 * LONGEST * 0.2
    for ours, theirs in zip(cut[1:], updates[1:], strict=True):
        assert ours is theirs
    # What all push back makes no room for more.
    back = [replace(u, head=replace(u.head, weights=np.where(
        np.arange(N)[:, None] == 7, -50 * COMMON, u.head.weights
    ).astype(np.float32))) for u in updates[1:]]  # fmt: skip
    again, _ = Defence().judge([updates[0], *back], rate=1.0)
    assert np.linalg.norm(again[0].head.weights[7]) <= np.linalg.norm(cut[0].head.weights[7]) * 1.1


@pytest.mark.parametrize("n", [1, 2, 100, 101, 1234])
def test_long_rows_are_a_quantile(n):
    values = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    assert high(values) == pytest.approx(np.quantile(values.astype(float), HIGH), rel=1e-6)
    assert high(values[:0]) == 0


def test_lowered_changes_what_is_too_far_up_and_nothing_else():
    update = device(0)
    direction = COMMON.astype(np.float32)
    found = rises(update, direction)
    assert lowered(update, direction, found, (1e9, 1e9)) is update
    out = lowered(update, direction, found, (0.5, 0.1))
    up, bias = rises(out, direction)
    np.testing.assert_allclose(up, np.minimum(found[0], 0.5), atol=1e-5)
    np.testing.assert_allclose(bias, np.minimum(found[1], 0.1), atol=1e-6)
    across = update.head.weights - np.outer(found[0], direction)
    np.testing.assert_allclose(out.head.weights - np.outer(up, direction), across, atol=1e-5)


def test_start_neurons_that_are_up_for_all_rows_are_levelled():
    rng = np.random.default_rng(0)
    neurons = rng.standard_normal((1000, N_HIDDEN)).astype(np.float32)
    neurons[:2] = 40 * COMMON
    before, centre = neurons.copy(), (3 * COMMON).astype(np.float32)
    out = levelled(neurons, centre)
    along = before @ COMMON
    limit = np.quantile(along, HIGH)
    np.testing.assert_allclose(out @ COMMON, np.minimum(along, limit), atol=1e-4)
    np.testing.assert_array_equal(out[along < limit], before[along < limit])
    np.testing.assert_array_equal(levelled(before.copy(), 0 * centre), before)
