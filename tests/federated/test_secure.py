"""Secure aggregation: the sum of the updates, and nothing of one; who drops out costs no more."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.federated import Ledger, run_round
from sklsh.federated.cache import CacheMiss
from sklsh.federated.defence import Defence
from sklsh.federated.messages import SubModel
from sklsh.federated.policy import Refused
from sklsh.federated.secure.messages import MaskedUpdate, PassedShares, Peers, Survivors
from tests.federated.problems import Tampering, federation

pytest.importorskip("cryptography")
pytest.importorskip("Crypto")
from sklsh.federated.secure import masking, vector

SHARE = 0.5


def five(**plan):
    own = {"public_rows": SHARE, "sampler": "labels"}
    return federation(n_devices=5, own=own, payload="float32", secure_rows=SHARE, **plan)


def one_round(server, transport, change=lambda question, replies: replies):
    return run_round(
        server, Tampering(transport, change), np.random.default_rng(0), ledger=Ledger()
    )


def without(device, question):
    """A change of replies: the device is gone from that question on."""
    gone = []

    def change(asked, replies):
        if asked == question:
            gone.append(device)
        return [reply for reply in replies if reply.device not in gone]

    return change


def plain_mean(server, updates):
    """What `vector.unpacked` should find, by float64 sums, over those that moved a row."""
    n = server.network.n_labels
    total, held = np.zeros((n, server.network.n_hidden)), np.zeros(n, int)
    for update in updates:
        moved = update.head.moved()
        total[moved.ids] += moved.weights
        held[moved.ids] += 1
    some = np.flatnonzero(held)
    return some, total[some] / held[some, None], held[some]


# Parts ----------------------------------------------------------------------------------------


def test_masks_cancel_and_shares_join():
    (one, public_one), (two, public_two) = masking.key_pair(), masking.key_pair()
    key = masking.agreed_key(one, public_two, b"mask")
    assert key == masking.agreed_key(two, public_one, b"mask") and len(key) == 32
    assert key != masking.agreed_key(one, public_two, b"seal")
    values = np.arange(600_000, dtype=np.uint32)
    before = values.copy()
    masking.add_mask(values, key, 1)
    assert (values != before).mean() > 0.999
    # Bits as of chance: four deviations of a fair coin.
    assert abs(np.unpackbits(values.view(np.uint8)).mean() - 0.5) < 4 * 0.5 / np.sqrt(32 * 6e5)
    masking.add_mask(values, key, -1)
    np.testing.assert_array_equal(values, before)
    shares = masking.split(key, 3, 5)
    assert masking.joined([4, 0, 2], [shares[4], shares[0], shares[2]]) == key
    assert masking.joined([4, 0], [shares[4], shares[0]]) != key
    sealed = masking.seal(key, b"text", b"about")
    assert masking.unseal(key, sealed, b"about") == b"text"
    for wrong in ((key, sealed, b"other"), (key[::-1], sealed, b"about")):
        with pytest.raises(ValueError, match="sealed by another key"):
            masking.unseal(*wrong)


@pytest.mark.parametrize("local_optimizer", ["sent", "fresh"])
def test_a_sum_is_the_plain_one_to_rounding(local_optimizer):
    server, transport = five(local_optimizer=local_optimizer)
    invite, updates = server.invite(), []
    for device in transport._devices.values():
        request = device.request(invite)
        parts = server.head(request.ids), server.body(request.features)
        updates.append(device.train(invite, SubModel(0, parts[0]), parts[1]))
    rate, ids = invite.learning_rate, updates[0].head.ids
    total = np.zeros(vector.size(server.shape, ids.shape[0]), np.uint32)
    for update in updates:
        total += vector.packed(update, 5, server.shape, rate)
    mean = vector.unpacked(total, 5, 5, ids, server.shape, rate)
    some, expected, contributors = plain_mean(server, updates)
    np.testing.assert_array_equal(mean.head.ids, some)
    np.testing.assert_array_equal(mean.head_contributors, contributors)
    step = vector.CLIP * rate / (vector.RANGE // 5)
    assert 0 < contributors.min() < contributors.max() == 5
    np.testing.assert_allclose(mean.head.weights, expected, rtol=1e-6, atol=5 * step)
    dense = np.mean([u.body.dense[0] for u in updates], axis=0)
    np.testing.assert_allclose(mean.body.dense[0], dense, rtol=1e-6, atol=step)
    assert mean.loss == pytest.approx(np.mean([u.loss for u in updates]), abs=1e-6)
    said = [u.threshold for u in updates if u.threshold is not None]
    assert mean.threshold == pytest.approx(np.mean(said), abs=1e-6)
    if local_optimizer == "sent":
        grown = np.array([u.body.dense_state[0] for u in updates], np.float64)
        expected = np.log2(np.maximum(grown, 2.0**vector.LOWEST)).mean(axis=0)
        np.testing.assert_allclose(np.log2(mean.body.dense_state[0]), expected, atol=1e-5)


# Rounds ---------------------------------------------------------------------------------------


def test_a_masked_round_is_a_plain_one_of_equal_weights(monkeypatch):
    monkeypatch.setattr(Defence, "judge", lambda self, u, rate, seed=0: (u, [1.0] * len(u)))
    masked, transport = five(local_optimizer="fresh")
    plain, others = five(local_optimizer="fresh")
    plain.plan = replace(plain.plan, secure_rows=0.0)
    for _ in range(2):
        report, other = one_round(masked, transport), one_round(plain, others)
        assert report.n_used == other.n_used == 5 and not report.faults
        assert report.loss == pytest.approx(other.loss, rel=0.02)  # of unequal numbers of rows
        for ours, theirs in zip(
            masked.network.parameters(), plain.network.parameters(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6)
    assert masked.network.head_weights.any()


@pytest.mark.parametrize("question", ["masking_keys", "masking_shares", "train_masked"])
def test_of_five_devices_one_drops_out(question):
    """The round is that of the other four, wherever the fifth has stopped."""
    server, transport = five()
    report = one_round(server, transport, without(2, question))
    four, others = five()
    one_round(four, others, without(2, "request"))
    assert report.n_used == 4 and report.faults == {"missing": 1}
    for ours, theirs in zip(server.network.parameters(), four.network.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_who_is_gone_after_its_update_still_counts():
    server, transport = five()
    assert one_round(server, transport, without(2, "unmask")).n_used == 5


def test_a_round_that_has_been_summed_up_is_not_done_again():
    """Sums of the same rows over other devices would differ by one device's update."""
    server, transport = five()
    again = deepcopy(server)
    assert one_round(server, transport).n_used == 5
    report = one_round(again, transport)
    assert report.n_used == 0 and report.faults == {"missing": 5}
    assert one_round(again, transport).n_used == 5


@pytest.mark.parametrize("question", ["masking_shares", "train_masked", "unmask"])
def test_fewer_than_half_change_nothing(question):
    server, transport = five()
    before = [array.copy() for array in server.network.parameters()]

    def change(asked, replies):
        return replies if asked != question else replies[:2]

    report = one_round(server, transport, change)
    assert report.n_used == 0 and np.isnan(report.loss) and report.faults["missing"] == 3
    for ours, theirs in zip(server.network.parameters(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one_round(server, transport).n_used == 5


def test_what_the_server_sees_of_one_device_is_noise():
    """Masked updates of two rounds' starts of the same rows have nothing in common."""
    seen = []

    def watch(question, replies):
        seen.extend(reply for reply in replies if question == "train_masked")
        return replies

    for _ in range(2):
        server, transport = five()
        one_round(server, transport, watch)
    one, other = (reply.values for reply in (seen[0], seen[5]))
    assert isinstance(seen[0], MaskedUpdate) and seen[0].device == seen[5].device == 0
    assert (one == other).mean() < 1e-3
    for values in (one, one - other):
        bits = np.unpackbits(np.ascontiguousarray(values).view(np.uint8))
        assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


def test_a_sum_that_is_none_is_not_used():
    server, transport = five()
    before = server.network.head_weights.copy()

    def change(question, replies):
        if question != "train_masked":
            return replies
        return [replace(replies[0], values=replies[0].values + np.int32(7)), *replies[1:]]

    report = one_round(server, transport, change)
    assert report.n_used == 0 and report.faults == {"norm bound exceeded": 1}
    np.testing.assert_array_equal(server.network.head_weights, before)


def test_keys_of_low_order_are_dropped():
    server, transport = five()

    def change(question, replies):
        if question != "masking_keys":
            return replies
        return [replace(replies[0], masking=np.zeros(32, np.uint8)), *replies[1:]]

    report = one_round(server, transport, change)
    assert report.n_used == 4 and report.faults == {"range": 1}


@pytest.mark.parametrize("question", ["masking_keys", "masking_shares", "train_masked", "unmask"])
def test_replies_of_another_size_are_dropped(question):
    server, transport = five()

    def change(asked, replies):
        if asked != question:
            return replies
        name = {"masking_keys": "masking", "masking_shares": "sealed", "train_masked": "values",
                "unmask": "shares"}[question]  # fmt: skip
        return [replace(replies[0], **{name: getattr(replies[0], name)[:-1]}), *replies[1:]]

    report = one_round(server, transport, change)
    assert report.faults == {"shape": 1}
    assert report.n_used == (5 if question == "unmask" else 4)


# What a device refuses ------------------------------------------------------------------------


def at_stage(stage):
    """A device of three that has answered so many questions, and what goes on from there."""
    server, transport = federation(
        n_devices=3, own={"public_rows": SHARE}, secure_rows=SHARE, payload="float32"
    )
    invite, devices = server.invite(), list(transport._devices.values())
    keys = [device.masking_keys(invite) for device in devices]
    sealing, masks = (np.stack([getattr(k, n) for k in keys]) for n in ("sealing", "masking"))
    peers = [Peers(place, 2, sealing, masks) for place in range(3)]
    if stage == 1:
        return devices[0], invite, peers[0]
    shares = [d.masking_shares(invite, p) for d, p in zip(devices, peers, strict=True)]
    places = np.arange(3, dtype=np.int32)
    passed = PassedShares(places, np.stack([s.sealed[0] for s in shares]))
    request = devices[0].request(invite)
    model = SubModel(0, server.head(request.ids)), server.body(request.features)
    return devices[0], invite, (*model, passed)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 1}, {"threshold": 3}, {"place": 1}, {"place": 3},
        {"only": [0, 1]}, {"masking": [0, 1, 1]}, {"sealing": [1, 0, 2]}, {"low": 1},
    ],
)  # fmt: skip
def test_keys_that_cannot_be_right_are_refused(change):
    device, invite, peers = at_stage(1)
    if (kept := change.pop("only", None)) is not None:
        change = {"sealing": kept, "masking": kept}
    if (low := change.pop("low", None)) is not None:
        keys = peers.sealing.copy()
        keys[low] = 0
        change = {"place": 0, "threshold": 2}
        peers, right = replace(peers, sealing=keys), peers
    else:
        right = peers
    change = {n: getattr(peers, n)[v] if n.endswith("ing") else v for n, v in change.items()}
    with pytest.raises(Refused):
        device.masking_shares(invite, replace(peers, **change))
    assert device.masking_shares(invite, right).sealed.any(axis=1).tolist() == [False, True, True]


def test_other_rows_or_shares_are_refused():
    device, invite, (model, body, passed) = at_stage(2)
    fewer = replace(model, head=model.head.__class__(
        model.head.ids[1:], model.head.weights[1:], model.head.bias[1:], model.head.state[1:]
    ))  # fmt: skip
    changed = passed.sealed.copy()
    changed[1, -1] ^= 1
    alone = PassedShares(passed.places[:1], passed.sealed[:1])
    for wrong in (
        (fewer, body, passed),
        (model, body, replace(passed, sealed=changed)),
        (model, body, replace(passed, sealed=passed.sealed[[0, 2, 1]])),
        (model, body, replace(passed, places=np.array([0, 1, 7], np.int32))),
        (model, body, alone),
    ):
        with pytest.raises(Refused):
            device.train_masked(invite, *wrong)


def test_each_question_is_answered_once_and_in_order():
    """Who had both secrets of a device could take all masks off its update."""
    device, invite, parts = at_stage(2)
    everybody = Survivors(np.arange(3, dtype=np.int32))
    with pytest.raises(Refused, match="out of order"):
        device.unmask(invite, everybody)
    device.train_masked(invite, *parts)
    with pytest.raises(Refused, match="out of order"):
        device.train_masked(invite, *parts)
    with pytest.raises(Refused, match="masks shared"):
        device.unmask(invite, Survivors(np.array([0], np.int32)))
    with pytest.raises(Refused, match="masks shared"):
        device.unmask(invite, Survivors(np.array([1, 2], np.int32)))
    assert device.unmask(invite, everybody).shares.shape == (3, 32)
    with pytest.raises(Refused, match="out of order"):
        device.unmask(invite, Survivors(np.array([0, 1], np.int32)))
    with pytest.raises(Refused, match="round 0 has been summed up"):
        device.masking_keys(invite)
    with pytest.raises(CacheMiss):
        device.unmask(replace(invite, round=1), everybody)
    device.cache.clear()
    with pytest.raises(CacheMiss):
        device.unmask(invite, everybody)


def test_masked_updates_need_public_rows():
    server, transport = federation()
    with pytest.raises(Refused, match="public_rows"):
        transport._devices[0].masking_keys(server.invite())


# The estimator --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"public_rows": 0.0}, "needs public_rows above 0"),
        ({"aggregation": "median"}, 'needs aggregation="mean": a median is of updates'),
        ({"aggregation": "trimmed_mean"}, "got aggregation='trimmed_mean'"),
        ({"clip_norm": 1.0}, "without clip_norm"),
        ({"device_params": {"public_rows": 0.1}}, "must not set 'public_rows'"),
    ],
)
def test_what_does_not_go_together_is_an_error(params, word):
    model = FederatedLSHClassifier(**{"public_rows": 0.5, "secure_aggregation": True, **params})
    with pytest.raises(ValueError, match=word):
        model.fit(np.eye(6), np.arange(6) % 3, groups=np.arange(6) % 3)


def test_a_federation_is_the_same_again_though_keys_are_not():
    _, transport = federation(n_devices=1, n_samples=200)
    (rows,) = transport._devices.values()
    X, Y = rows.X.to_matrix(150), rows.Y.to_matrix(120)
    models = [
        FederatedLSHClassifier(
            SparseLSHMLPClassifier((8,)), n_rounds=2, public_rows=0.5, secure_aggregation=True,
            device_params={"masked_only": masked_only}, random_state=0,
        ).fit(X, Y, groups=np.arange(200) % 3)
        for masked_only in (False, True)
    ]  # fmt: skip
    assert [entry["n_used"] for entry in models[0].history_] == [3, 3]
    for ours, theirs in zip(models[0].estimator_.coefs_, models[1].estimator_.coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert models[0].ledger_.by("kind")["maskedupdate"] > 0


@pytest.mark.parametrize(("n_devices", "fraction"), [(1, 1.0), (2, 1.0), (6, 0.3)])
def test_a_sum_of_two_is_no_secret(n_devices, fraction):
    model = FederatedLSHClassifier(public_rows=0.5, secure_aggregation=True, fraction=fraction)
    with pytest.raises(ValueError, match=r"needs 3 devices in a round, got [12] of"):
        model.fit(np.eye(12), np.arange(12) % 3, groups=np.arange(12) % n_devices)
