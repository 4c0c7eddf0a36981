"""A public set of neurons a round: what is asked for and sent back says nothing of labels."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklsh import FederatedLSHClassifier, LSHRecommender, SparseLSHMLPClassifier
from sklsh.federated import Ledger, run_round
from sklsh.federated.id_requests import public_ids
from sklsh.federated.messages import Invite
from sklsh.federated.parts import BodyPart, HeadPart
from sklsh.federated.policy import Refused
from sklsh.network.rows import SparseRows
from tests.federated.attackers import named_by_pattern
from tests.federated.problems import N_FEATURES, N_LABELS, Tampering, federation

PUBLIC = {"public_rows": 0.25}


def other_labels(device):
    """The same rows with all labels exchanged."""
    Y = device.Y.to_matrix(N_LABELS).tocsr()[:, np.random.default_rng(1).permutation(N_LABELS)]
    return replace(device, Y=SparseRows.from_matrix(Y.tocsr()))


@pytest.mark.parametrize(("n", "share", "k"), [(120, 0.25, 4), (121, 0.3, 3), (5, 1e-3, 5)])
def test_a_pass_has_each_neuron_once(n, share, k):
    parts = [public_ids(n, share, Invite(r, 1, 0.1, run=3)) for r in range(2 * k)]
    for first in (0, k):
        whole = np.concatenate(parts[first : first + k])
        np.testing.assert_array_equal(np.sort(whole), np.arange(n))
    assert not all(np.array_equal(a, b) for a, b in zip(parts[:k], parts[k:], strict=True))
    assert all((np.diff(ids) > 0).all() and ids.dtype == np.int32 for ids in parts)
    other = public_ids(n, share, Invite(0, 1, 0.1, run=4))
    assert not np.array_equal(parts[0], other)


@pytest.mark.parametrize("sampler", ["lsh", "labels", "random", "all"])
def test_requests_are_the_same_whatever_a_device_has(sampler):
    _, transport = federation(own={"sampler": sampler, **PUBLIC})
    for number in range(5):
        invite = Invite(number, 0.5, 0.1, run=9)
        devices = list(transport._devices.values())
        requests = [d.request(invite) for d in [*devices, *map(other_labels, devices)]]
        assert all(request.features is None for request in requests)
        for request in requests:
            np.testing.assert_array_equal(request.ids, public_ids(N_LABELS, 0.25, invite))


@pytest.mark.parametrize("local_optimizer", ["sent", "fresh"])
def test_updates_have_all_rows(local_optimizer):
    """Which have changed would name them; the values do, without secure aggregation."""
    few = {"local_steps": 1, "batch_size": 2, "least_rows": 1}  # rows, which lack some features
    server, transport = federation(own={**PUBLIC, **few}, local_optimizer=local_optimizer)
    seen = []

    def watch(question, replies):
        if question == "train":
            seen.extend(replies)
        return replies

    invite = server.invite()
    run_round(server, Tampering(transport, watch), np.random.default_rng(0), ledger=Ledger())
    assert len(seen) == 4
    for update in seen:
        np.testing.assert_array_equal(update.head.ids, public_ids(N_LABELS, 0.25, invite))
        np.testing.assert_array_equal(update.body.features, np.arange(N_FEATURES))


def test_rows_that_have_not_moved_are_not_held():
    had = np.arange(4, dtype=np.int32)
    weights, bias = np.zeros((4, 2), np.float16), np.zeros(4, np.float16)
    weights[1, 0], bias[2] = 1, 1
    state = np.zeros((4, 2), np.float32)
    state[3, 1] = 1
    head = HeadPart(had, weights, bias, state)
    assert head.moved().ids.tolist() == [1, 2, 3] and head.moved().state.tolist()[-1] == [0, 1]
    assert replace(head, state=state[:0]).moved().ids.tolist() == [1, 2]
    body = BodyPart(had, weights, state[:, 1], (bias,))
    assert body.moved().features.tolist() == [1, 3] and body.moved().dense == (bias,)
    assert replace(body, state=state[:0, 0]).moved().features.tolist() == [1]
    whole = body.moved()
    assert whole.moved() is whole


def named(n_rounds=6, **own):
    """Precision of the best attacker on what devices ask for and send, and chance."""
    server, transport = federation(n_samples=160, n_rounds=n_rounds, local_steps=0.5, own=own)
    asked = {device: [] for device in transport.devices}

    def watch(question, replies):
        for reply in replies:
            ids = {"request": lambda r: r.ids, "train": lambda r: r.head.ids}.get(question)
            if ids is not None:
                asked[reply.device].append(ids(reply))
        return replies

    for _ in range(n_rounds):
        run_round(server, Tampering(transport, watch), np.random.default_rng(0), ledger=Ledger())
    labels = [np.unique(transport._devices[d].Y.indices) for d in asked]
    found = [named_by_pattern(asked[d], own) for d, own in zip(asked, labels, strict=True)]
    return np.mean(found), np.mean([own.shape[0] for own in labels]) / N_LABELS


def test_an_attacker_names_no_more_labels_than_chance_does():
    precision, _ = named(sampler="labels")
    assert precision > 0.95
    precision, chance = named(sampler="labels", **PUBLIC)
    assert chance - 0.01 <= precision <= 1.1 * chance


def test_rows_with_a_public_label_come_first():
    _, transport = federation(own=PUBLIC)
    device, invite = transport._devices[0], Invite(1, 0.5, 0.1, run=9)
    order = device.order(invite)
    wanted = np.isin(device.Y.indices, public_ids(N_LABELS, 0.25, invite))
    named = np.unique(np.repeat(np.arange(device.Y.n_rows), device.Y.counts())[wanted])
    assert order.shape == (50,) and np.unique(order).shape == (50,)
    first = np.isin(order, named)
    assert 0 < first.sum() == min(50, named.shape[0]) and first[: first.sum()].all()
    assert not np.array_equal(order, device.order(replace(invite, round=2)))


def test_nothing_is_said_of_single_labels():
    server, transport = federation(own=PUBLIC)
    device = transport._devices[0]
    assert device.request_all().features is None
    for question, parts in (("counts", ()), ("prototypes", (server.body(), None))):
        with pytest.raises(Refused, match="public_rows"):
            getattr(device, question)(*parts)


def test_a_federation_of_public_rows_learns():
    X, y = load_digits(return_X_y=True)
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((16,)), n_rounds=8, local_steps=10, public_rows=0.5, random_state=0
    ).fit(X[:600], y[:600], groups=np.arange(600) % 4)
    assert model.score(X[600:], y[600:]) > 0.3  # a tenth by chance
    assert {kind for *_, kind, _ in model.ledger_.traffic}.isdisjoint({"prototypes", "counts"})


def test_not_for_a_recommender():
    model = FederatedLSHClassifier(LSHRecommender((8,)), public_rows=0.5)
    with pytest.raises(ValueError, match="public_rows must be 0 with an LSHRecommender"):
        model.fit(np.eye(6), groups=np.arange(6) % 2)
