"""A device that answers within the letter of the protocol and against its purpose."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated import Ledger, run_round, set_prototypes
from sklsh.federated.agreement import agreement
from sklsh.federated.defence import FULL, OFFENCES, Defence
from sklsh.federated.limits import LONGEST, row_lengths
from sklsh.federated.merging import Merger
from sklsh.federated.messages import ClientStatistics, Counts, HiddenMean, Prototypes, Update
from sklsh.federated.parts import HeadPart
from sklsh.federated.start import (
    LARGEST,
    bounded_counts,
    common_centre,
    summed_prototypes,
    total_rows,
    typical_labels,
)
from sklsh.federated.undo import Undo
from tests.federated.problems import Tampering, federation
from tests.federated.test_faults import BAD, head, on_update

IDS = np.arange(4, dtype=np.int32)


def update(device, weights, *, n_samples=10, bias=0.0, state=0.0):
    weights = np.asarray(weights, dtype=np.float32)
    n = weights.shape[0]
    part = HeadPart(
        IDS[:n], weights, np.full(n, bias, np.float32), np.full((n, 2), state, np.float32)
    )
    return Update(device, 0, n_samples, 1.0, part, None)


def like(rng, n_devices, noise=0.3):
    """Updates that agree but for noise."""
    common = rng.standard_normal((4, 6))
    return [
        update(i, common + noise * rng.standard_normal((4, 6)), bias=0.1) for i in range(n_devices)
    ]


def test_lengths_are_cut_to_medians_and_what_is_shorter_is_left_as_it_is():
    updates = like(np.random.default_rng(0), 5)
    long = replace(updates[0], head=replace(updates[0].head, weights=updates[0].head.weights * 50))
    cut, _ = Defence().judge([long, *updates[1:]], rate=0.1)
    for ours, theirs in zip(cut[1:], updates[1:], strict=True):
        assert ours is theirs
    longest = [row_lengths(u.head.weights).max() for u in [long, *updates[1:]]]
    assert row_lengths(cut[0].head.weights).max() <= 1.001 * LONGEST * np.median(longest)
    whole = [np.sqrt(np.square(u.head.weights).sum() + 4 * 0.01) for u in updates]
    assert np.linalg.norm(cut[0].head.weights) <= 1.001 * LONGEST * np.median([*whole[1:], 1e9])
    # The direction stays: rows of one length each are cut by one factor.
    np.testing.assert_allclose(
        cut[0].head.weights / row_lengths(cut[0].head.weights)[:, None],
        long.head.weights / row_lengths(long.head.weights)[:, None],
        rtol=1e-5,
    )


def test_accumulators_are_cut_too():
    updates = [replace(u, head=replace(u.head, state=np.full((4, 2), 0.1, np.float32)))
               for u in like(np.random.default_rng(0), 5)]  # fmt: skip
    grown = replace(updates[0], head=replace(updates[0].head, state=np.full((4, 2), 9, np.float32)))
    cut, _ = Defence().judge([grown, *updates[1:]], rate=0.1)
    np.testing.assert_allclose(cut[0].head.state, LONGEST * 0.1, rtol=1e-5)


def test_rounds_before_count_where_a_round_has_few_devices():
    defence, rng = Defence(), np.random.default_rng(0)
    for _ in range(3):
        defence.judge(like(rng, 5), rate=0.1)
    normal = like(rng, 1)[0]
    long = replace(normal, head=replace(normal.head, weights=normal.head.weights * 50))
    (cut,), _ = defence.judge([long], rate=0.1)
    assert np.linalg.norm(cut.head.weights) < 4 * np.linalg.norm(normal.head.weights)


def test_changes_are_compared_in_learning_rates():
    defence, updates = Defence(), like(np.random.default_rng(0), 5)
    defence.judge(updates, rate=0.001)
    # A hundred times the rate, a hundred times the change: not too long.
    larger = [replace(u, head=replace(u.head, weights=u.head.weights * 100,
                                      bias=u.head.bias * 100)) for u in updates]  # fmt: skip
    for ours, theirs in zip(defence.judge(larger, rate=0.1)[0], larger, strict=True):
        assert ours is theirs


def test_weights_are_the_median_claimed_at_most():
    updates = [replace(u, n_samples=n) for u, n in zip(
        like(np.random.default_rng(0), 5), (10**9, 10, 20, 30, 40), strict=True)]  # fmt: skip
    _, weights = Defence().judge(updates, rate=0.1)
    assert weights == [30, 10, 20, 30, 30]


def test_agreement_is_the_cosine_with_the_sum_of_the_others():
    rng = np.random.default_rng(1)
    updates = like(rng, 5, noise=1.0)
    flat = [(u.head.weights.ravel(), u.head.bias) for u in updates]
    found = agreement(updates)
    assert set(found) == {"head", "bias"}
    for part, ours in enumerate(found.values()):
        units = [f[part] / np.linalg.norm(f[part]) for f in flat]
        for i in range(5):
            rest = np.sum([u for j, u in enumerate(units) if j != i], axis=0)
            assert ours[i] == pytest.approx(units[i] @ rest / np.linalg.norm(rest), abs=1e-5)


def test_devices_are_compared_over_the_rows_that_each_has():
    one, two = update(0, np.ones((4, 3))), update(1, np.ones((2, 3)))
    found = agreement([one, two])["head"]
    np.testing.assert_allclose(found, [np.sqrt(0.5), 1], atol=1e-6)
    apart = replace(two, head=replace(two.head, ids=np.array([8, 9], np.int32)))
    assert agreement([one, apart])["head"].tolist() == [0, 0]


def test_who_goes_against_all_others_loses_its_say_and_is_left_out():
    defence, rng = Defence(), np.random.default_rng(2)
    for number in range(OFFENCES):
        assert defence.left_out == []
        updates = like(rng, 6)
        turned = replace(updates[0], head=replace(
            updates[0].head, weights=-updates[0].head.weights, bias=-updates[0].head.bias
        ))  # fmt: skip
        _, weights = defence.judge([turned, *updates[1:]], rate=0.1)
        assert weights[0] < 0.1 and weights[1:] == [10.0] * 5, number
    assert defence.left_out == [0]
    again = Defence.from_dict(defence.to_dict())
    assert again == defence


def test_where_the_others_do_not_agree_nothing_is_concluded():
    """Each device has neurons of its own to push up, and pushes all others down."""
    defence = Defence()
    for _ in range(5):
        updates = [update(i, np.eye(4)[:, [i]] * 2 - 0.5, bias=0.0) for i in range(4)]
        _, weights = defence.judge(updates, rate=0.1)
        assert weights == [10.0] * 4
    assert defence.left_out == []


def test_updates_of_no_rows():
    nothing = [update(i, np.empty((0, 6))) for i in range(5)]
    cut, weights = Defence().judge(nothing, rate=0.1)
    assert cut == nothing and weights == [10.0] * 5


def test_trust_comes_back():
    defence, rng = Defence(trust={0: 0.0}), np.random.default_rng(3)
    shares = [defence.judge(like(rng, 6), rate=0.1)[1][0] / 10 for _ in range(3)]
    assert shares[0] == pytest.approx(1.0, abs=0.2) or shares[0] < shares[-1]
    assert shares[-1] == 1 and defence.trust[0] > FULL


# The protocol ---------------------------------------------------------------------------------


def rounds(change, n_rounds=5, n_devices=5, **settings):
    """Server and reports of some rounds whose replies went through `change`."""
    server, transport = federation(n_devices=n_devices, **settings)
    channel, rng, ledger = Tampering(transport, change), np.random.default_rng(0), Ledger()
    set_prototypes(server, channel, ledger, 5.0)
    return server, [run_round(server, channel, rng, ledger=ledger) for _ in range(n_rounds)]


def test_rejected_replies_leave_a_device_out_and_history_names_it():
    _, reports = rounds(on_update(lambda u: head(u, bias=u.head.bias * np.float32(np.nan))))
    assert [report.left_out for report in reports] == [[], [], [BAD], [BAD], [BAD]]
    assert [report.n_invited for report in reports] == [5, 5, 5, 4, 4]


def test_a_late_reply_is_no_offence():
    _, reports = rounds(on_update(lambda u: replace(u, round=u.round - 1)))
    assert reports[-1].left_out == [] and reports[-1].faults == {"stale": 1}


class Angry:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    __hash__ = None


@pytest.mark.parametrize("name", ["device", "round", "n_samples", "loss", "head", "body"])
@pytest.mark.parametrize("value", [Angry(), 10**400, [1], np.ones(3)], ids=lambda v: type(v))
def test_a_field_that_is_no_such_thing_costs_that_reply(name, value):
    _, (report,) = rounds(on_update(lambda u: replace(u, **{name: value})), n_rounds=1)
    assert sum(report.faults.values()) == 1 + (name == "device") * report.faults.get("missing", 0)
    assert report.n_used == 4


def test_what_is_no_message_costs_that_reply():
    _, (report,) = rounds(on_update(lambda u: Angry()), n_rounds=1)
    assert report.faults == {"type": 1} and report.n_used == 4


def test_a_round_after_which_the_model_is_not_finite_is_undone(monkeypatch):
    server, transport = federation(server_optimizer="adam")
    rng, ledger = np.random.default_rng(0), Ledger()
    run_round(server, transport, rng, ledger=ledger)
    before = [array.copy() for array in server.network.parameters()]
    moments = server.server_optimizer.moments["head_weights"][0].copy()
    states = server.optimizer.head_weights.copy()
    original = Merger._move

    def broken(self, part, array):
        if part.name == "body_0":
            part = replace(part, change=part.change * np.float32(np.nan))
        original(self, part, array)

    monkeypatch.setattr(Merger, "_move", broken)
    report = run_round(server, transport, rng, ledger=ledger)
    assert report.n_used == 0 and report.faults == {"undone": 1}
    for ours, theirs in zip(server.network.parameters(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(server.server_optimizer.moments["head_weights"][0], moments)
    np.testing.assert_array_equal(server.optimizer.head_weights, states)


def test_undo():
    array, undo = np.ones(4), Undo()
    undo.save(array, [1, 2])
    array[1] = 5
    assert not undo.undo_unless_finite() and array.tolist() == [1, 5, 1, 1]
    undo.save(array, [1])
    array[1] = np.inf
    assert undo.undo_unless_finite() and array.tolist() == [1, 1, 1, 1]


# The start ------------------------------------------------------------------------------------


def test_sizes_of_one_device_count_for_a_few_medians():
    sizes = [ClientStatistics(i, -1, n, 1.0, 2.0) for i, n in enumerate((10, 20, 30, 10**9))]
    assert total_rows(sizes) == 60 + int(LARGEST * 25)
    lying = [*sizes[:3], replace(sizes[3], labels_per_row=1e30)]
    assert typical_labels(lying[:2] + lying[3:]) in (2.0, 1e30)
    several = [ClientStatistics(i, -1, 10, 1.0, float(i)) for i in range(4)]
    assert typical_labels([*several, ClientStatistics(9, -1, 10, 1.0, 1e30)]) == 2
    # Two of eight that act together, beside devices of unequal sizes.
    honest = [ClientStatistics(i, -1, n, 1.0, 2.0) for i, n in enumerate((7, 8, 9, 10, 11, 12))]
    liars = [ClientStatistics(i, -1, 10**9, 1.0, 1e4) for i in (6, 7)]
    assert typical_labels([*honest, *liars]) == 2


def test_the_centre_is_a_median():
    means = [HiddenMean(i, -1, 10, np.full(3, i, np.float32)) for i in range(4)]
    lie = HiddenMean(9, -1, 2**31 - 1, np.full(3, -3e38, np.float32))
    assert common_centre([*means, lie]).tolist() == [1, 1, 1]


def test_prototypes_of_one_device_are_bounded_by_label_and_in_all():
    def sums(device, rows):
        rows = np.asarray(rows, dtype=np.float32)
        return Prototypes(device, -1, 1000, IDS[: rows.shape[0]], rows)

    honest = [sums(i, [[3.0, 0.0], [0.0, 2.0]]) for i in range(2)]
    np.testing.assert_allclose(summed_prototypes(honest, 4, 2), [[6, 0], [0, 4], [0, 0], [0, 0]])
    lie = sums(2, np.tile([-1000.0, 0.0], (4, 1)))
    found = summed_prototypes([*honest, lie], 4, 2)
    # Twice 3 to the right, and the liar's in all 3 medians of 5: 3.75 a label, cut to 3.
    np.testing.assert_allclose(found[0], [3, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1], [-2, 4], rtol=1e-6)
    np.testing.assert_allclose(found[2:, 0], -LARGEST * 5 / 4, rtol=1e-6)


def test_counts_of_one_device_are_bounded():
    def counts(device, n, values):
        return Counts(device, -1, n, IDS[: len(values)], np.array(values, np.int32))

    honest = [counts(i, 10, [10, 5]) for i in range(3)]
    for reply, (ids, of_ids, n) in zip(honest, bounded_counts(honest), strict=True):
        assert ids is reply.ids and of_ids is reply.counts and n == 10
    _, of_ids, n = bounded_counts([*honest, counts(3, 10**9, [10**9] * 4)])[-1]
    assert n == LARGEST * 10 and of_ids.tolist() == [30] * 4


def test_changes_too_short_for_a_direction_agree_with_nobody():
    updates = []
    server, transport = federation()

    def look(question, replies):
        updates.extend(replies if question == "train" else [])
        return replies

    run_round(server, Tampering(transport, look), np.random.default_rng(0), ledger=Ledger())
    head = updates[0].head
    for weights in (np.zeros_like(head.weights), np.full_like(head.weights, 1e-45)):
        short = replace(updates[0], head=replace(head, weights=weights))
        found, full = agreement([short, *updates[1:]]), agreement(updates)
        assert all(np.isfinite(part).all() for part in found.values())
        assert found["head"][0] < full["head"][0]
