"""Replies that are missing, late, repeated or hostile: counted, dropped, nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated import Ledger, run_round, set_prototypes, take_client_statistics
from sklsh.federated.messages import Counts, Update
from sklsh.federated.rounds import count_labels
from tests.federated.problems import N_FEATURES, N_LABELS, Tampering, federation

BAD = 2
"""The device that misbehaves."""


def one_round(change, n_before=0, **settings):
    """Server and report after a round whose replies went through `change`."""
    server, transport = federation(**settings)
    rng, ledger = np.random.default_rng(0), Ledger()
    set_prototypes(server, transport, ledger, 5.0)
    for _ in range(n_before):
        run_round(server, transport, rng, ledger=ledger)
    report = run_round(server, Tampering(transport, change), rng, ledger=ledger)
    return server, report


def without_bad(question, replies):
    """What the same round is if the bad device has sent nothing at `question` "train"."""
    return [r for r in replies if not (question == "train" and r.device == BAD)]


def on_update(change):
    """A change of the bad device's update alone."""

    def tamper(question, replies):
        if question != "train":
            return replies
        return [change(r) if r.device == BAD else r for r in replies]

    return tamper


def head(update, **changes):
    return replace(update, head=replace(update.head, **changes))


def body(update, **changes):
    return replace(update, body=replace(update.body, **changes))


def spoilt(array, value):
    out = np.array(array, dtype=np.float32)
    out.flat[0] = value
    return out


HOSTILE = {
    "nan": (lambda u: head(u, weights=spoilt(u.head.weights, np.nan)), "nonfinite"),
    "inf": (lambda u: head(u, bias=spoilt(u.head.bias, np.inf)), "nonfinite"),
    "nan in state": (lambda u: head(u, state=spoilt(u.head.state, np.nan)), "nonfinite"),
    "nan in body": (lambda u: body(u, rows=spoilt(u.body.rows, np.nan)), "nonfinite"),
    "nan loss": (lambda u: replace(u, loss=float("nan")), "nonfinite"),
    "narrow": (lambda u: head(u, weights=u.head.weights[:, 1:]), "shape"),
    "short": (lambda u: head(u, bias=u.head.bias[1:]), "shape"),
    "dense missing": (lambda u: body(u, dense=u.body.dense[1:]), "shape"),
    "no body": (lambda u: replace(u, body=None), "type"),
    "text": (lambda u: head(u, bias=np.array(["x"] * len(u.head.bias))), "type"),
    "not an update": (lambda u: "model", "type"),
    "no head": (lambda u: replace(u, head=None), "type"),
    "a scale": (lambda u: body(u, input_scale=2.0), "range"),
    "scales": (lambda u: body(u, input_scale=np.ones(3)), "range"),
    "large id": (lambda u: head(u, ids=u.head.ids + np.int32(N_LABELS)), "range"),
    "negative id": (lambda u: head(u, ids=u.head.ids - np.int32(N_LABELS)), "range"),
    "repeated id": (lambda u: head(u, ids=np.zeros_like(u.head.ids)), "range"),
    "large feature": (lambda u: body(u, features=u.body.features + np.int32(N_FEATURES)), "range"),
    "float ids": (lambda u: head(u, ids=u.head.ids.astype(float)), "type"),
    "huge": (lambda u: head(u, weights=u.head.weights * 1e6), "norm bound exceeded"),
    "huge bias": (lambda u: head(u, bias=u.head.bias * 1e6), "norm bound exceeded"),
    "huge body": (lambda u: body(u, rows=u.body.rows * 1e6), "norm bound exceeded"),
    "huge state": (lambda u: head(u, state=u.head.state + 1e30), "norm bound exceeded"),
    "negative state": (lambda u: head(u, state=-1.0 - u.head.state), "norm bound exceeded"),
    "no samples": (lambda u: replace(u, n_samples=0), "range"),
    "old round": (lambda u: replace(u, round=u.round - 1), "stale"),
    "a round to come": (lambda u: replace(u, round=u.round + 1), "stale"),
    "nobody's id": (lambda u: replace(u, device=77), "unknown device"),
}


@pytest.fixture(scope="module")
def silence():
    """Server and report of a round in which the bad device has sent nothing."""
    return one_round(without_bad, n_before=1)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_update_is_as_if_it_had_not_come(name, silence):
    change, reason = HOSTILE[name]
    server, report = one_round(on_update(change), n_before=1)
    expected, silent = silence
    assert report.faults == {reason: 1} and silent.faults == {"missing": 1}
    assert report.n_used == silent.n_used == 3
    for ours, theirs in zip(
        server.network.parameters(), expected.network.parameters(), strict=True
    ):
        assert np.isfinite(ours).all()
        np.testing.assert_array_equal(ours, theirs)


def test_only_what_was_sent_can_be_changed():
    asked = {}

    def change(question, replies):
        if question == "select":
            asked.update({r.device: r.ids for r in replies})
        if question != "train":
            return replies
        return [swap(r) if r.device == BAD else r for r in replies]

    def swap(update):
        free = np.setdiff1d(np.arange(N_LABELS, dtype=np.int32), asked[BAD])
        return head(update, ids=np.sort(np.append(update.head.ids[1:], free[:1])).astype(np.int32))

    _, report = one_round(
        change, own={"n_active": 1, "batch_size": 4, "least_rows": 1}, local_steps=1
    )
    assert report.faults == {"range": 1} and report.n_used == 3


def test_only_features_that_were_sent_can_be_changed():
    asked = {}

    def change(question, replies):
        if question == "request":
            asked.update({r.device: r.features for r in replies})
        return on_update(swap)(question, replies)

    def swap(update):
        free = np.setdiff1d(np.arange(N_FEATURES, dtype=np.int32), asked[BAD])
        features = np.sort(np.append(update.body.features[1:], free[:1])).astype(np.int32)
        return body(update, features=features)

    _, report = one_round(change, own={"batch_size": 2, "least_rows": 1}, local_steps=1)
    assert report.faults == {"range": 1} and report.n_used == 3


def test_label_counts_add_up():
    server, _ = federation()
    ids = np.array([1, 4], np.int32), np.array([4], np.int32)
    server.count([Counts(0, -1, 10, ids[0], np.array([3, 2], np.int32))])
    server.count([Counts(1, -1, 5, ids[1], np.array([5], np.int32))] * 2)
    assert server.n_counted == 20
    assert server.label_counts.tolist() == np.bincount([1, 4], [3, 12], N_LABELS).tolist()


def test_another_devices_id_does_not_push_its_update_out():
    """The first answer under a device's id counts, so one claim spoils one reply, no more."""
    server, report = one_round(on_update(lambda u: replace(u, device=1)))
    assert report.faults == {"duplicate": 1} or report.faults == {"range": 1}
    assert report.n_used == 3
    assert all(np.isfinite(array).all() for array in server.network.parameters())


def test_a_reply_twice_counts_once():
    server, report = one_round(
        lambda question, replies: replies + [r for r in replies if r.device == BAD]
    )
    expected, _ = one_round(lambda question, replies: replies)
    assert report.n_used == 4 and set(report.faults) == {"duplicate"}
    np.testing.assert_array_equal(server.network.head_weights, expected.network.head_weights)


def test_a_claimed_number_of_rows_cannot_outweigh_the_others():
    server, _ = one_round(on_update(lambda u: replace(u, n_samples=10**9)))
    expected, _ = one_round(lambda question, replies: replies)
    np.testing.assert_array_equal(server.network.head_weights, expected.network.head_weights)


def test_late_replies_are_dropped():
    held = []

    def late(question, replies):
        if question != "train":
            return replies
        out = [r for r in replies if r.device != BAD] + held
        held[:] = [r for r in replies if r.device == BAD]
        return out

    server, transport = federation()
    rng, ledger = np.random.default_rng(0), Ledger()
    reports = [run_round(server, Tampering(transport, late), rng, ledger=ledger) for _ in range(2)]
    assert reports[0].faults == {"missing": 1}
    assert reports[1].faults == {"stale": 1}


@pytest.mark.parametrize("question", ["request", "select", "train"])
def test_nobody_answers(question):
    server, report = one_round(lambda asked, replies: [] if asked == question else replies)
    assert report.n_used == 0 and np.isnan(report.loss)
    assert report.faults["missing"] == 4
    assert server.round == 1


@pytest.mark.parametrize("question", ["request", "select"])
def test_bad_requests_are_dropped(question):
    def change(asked, replies):
        if asked != question:
            return replies
        name = "features" if question == "request" else "ids"
        bad = np.array([0, N_LABELS + N_FEATURES], dtype=np.int32)
        return [replace(r, **{name: bad}) if r.device == BAD else r for r in replies]

    _, report = one_round(change)
    assert report.faults == {"range": 1} and report.n_used == 3


def without(asked):
    """A change by which the bad device does not answer one question."""

    def change(question, replies):
        return [r for r in replies if question != asked or r.device != BAD]

    return change


@pytest.mark.parametrize("question", ["request_all", "hidden_mean", "prototypes", "counts"])
def test_who_drops_out_of_the_start_is_counted(question):
    server, transport = federation()
    channel = Tampering(transport, without(question))
    if question == "counts":
        count_labels(server, channel, Ledger())
    else:
        set_prototypes(server, channel, Ledger(), 5.0)
    assert server.start_faults == {"missing": 1}


def test_client_statistics_are_checked_and_what_is_wrong_with_it_counted():
    _, transport = federation()

    def change(question, replies):
        good = [r for r in replies if r.device != BAD]
        wrong = replace(replies[BAD], n_samples=0)
        return [*good, good[0], replace(good[0], device=77), wrong, "client_statistics"]

    client_statistics, faults = take_client_statistics(Tampering(transport, change), Ledger())
    assert sorted(client_statistics) == [0, 1, 3]
    assert faults == {"duplicate": 1, "unknown device": 1, "range": 1, "type": 1}
    client_statistics, faults = take_client_statistics(
        Tampering(transport, without("client_statistics")), Ledger()
    )
    assert sorted(client_statistics) == [0, 1, 3] and faults == {"missing": 1}


def test_a_third_of_replies_missing_each_round_still_learns():
    def losses(change):
        server, transport = federation(n_devices=8, n_rounds=8)
        rng, ledger = np.random.default_rng(0), Ledger()
        set_prototypes(server, transport, ledger, 5.0)
        channel = Tampering(transport, change)
        return [run_round(server, channel, rng, ledger=ledger).loss for _ in range(8)]

    drop = np.random.default_rng(1)
    whole = losses(lambda question, replies: replies)
    holed = losses(
        lambda question, replies: [
            r for r in replies if not isinstance(r, Update) or drop.random() > 0.3
        ]
    )
    assert holed[-1] < whole[0]
    assert abs(holed[-1] - whole[-1]) < 0.15 * whole[-1]
