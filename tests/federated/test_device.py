"""What a device answers, against formulas: before the first round, and what it asks for."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sklsh.federated.decoys import decoys
from sklsh.federated.messages import Centre, Invite, SubModel
from sklsh.federated.policy import Policy, Refused
from sklsh.network.rows import SparseRows
from tests.federated.problems import N_FEATURES, N_LABELS, federation


def parts(own=None, **plan):
    server, transport = federation(own=own, **plan)
    return server, transport._devices[0]


def dense_rows(device):
    return device.X.to_matrix(N_FEATURES).toarray(), device.Y.to_matrix(N_LABELS).toarray()


def hidden_of(server, X):
    network = server.network
    inputs = X.astype(float) * network.input_scale
    return np.maximum(inputs @ network.body_weights[0] + network.body_biases[0], 0)


def test_statistics_are_those_of_the_rows():
    _, device = parts()
    X, Y = dense_rows(device)
    found = device.client_statistics()
    assert (found.device, found.round, found.n_samples) == (0, -1, len(X))
    assert found.row_norm == pytest.approx(np.sqrt((X**2).sum(axis=1).mean()), rel=1e-5)
    assert found.labels_per_row == pytest.approx((Y > 0).sum(axis=1).mean())


def test_counts_are_rows_by_label():
    _, device = parts()
    _, Y = dense_rows(device)
    found, of_label = device.counts(), (Y > 0).sum(axis=0)
    assert (found.device, found.round, found.n_samples) == (0, -1, len(Y))
    np.testing.assert_array_equal(found.ids, np.flatnonzero(of_label))
    np.testing.assert_array_equal(found.counts, of_label[found.ids])


def test_prototypes_are_sums_of_centred_unit_hidden_vectors():
    server, device = parts()
    X, Y = dense_rows(device)
    hidden = hidden_of(server, X)
    body = server.body(device.request_all().features)
    mean = device.hidden_mean(body)
    assert (mean.device, mean.round, mean.n_samples) == (0, -1, len(X))
    np.testing.assert_allclose(mean.mean, hidden.mean(axis=0), rtol=1e-4, atol=1e-6)
    centre = mean.mean + np.float32(0.1)
    centre[0] = 0
    found = device.prototypes(body, Centre(centre))
    units = hidden - centre
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert (found.device, found.round, found.n_samples) == (0, -1, len(X))
    np.testing.assert_array_equal(found.ids, np.flatnonzero(Y.any(axis=0)))
    np.testing.assert_allclose(found.sums, ((Y > 0).T @ units)[found.ids], rtol=1e-3, atol=1e-5)


def test_a_row_at_the_centre_adds_nothing():
    server, device = parts()
    body = server.body(device.request_all().features)
    one = replace(device, X=device.X.take(np.array([0])), Y=device.Y.take(np.array([0])))
    found = one.prototypes(body, Centre(one.hidden_mean(body).mean))
    assert found.ids.size and not found.sums.any()


@pytest.mark.parametrize("n_decoys", [0.0, 0.7])
def test_features_asked_for_are_those_of_the_rows_and_decoys(n_decoys):
    _, device = parts({"n_decoys": n_decoys})
    rows = np.unique(device.order(Invite(4, 2, 0.1)))
    needed = np.flatnonzero(dense_rows(device)[0][rows].any(axis=0))
    request = device.request(Invite(4, 2, 0.1))
    assert np.isin(needed, request.features).all()
    false = decoys(device.X, rows, N_FEATURES, device.seed, n_decoys)
    np.testing.assert_array_equal(request.features, np.union1d(needed, false))
    assert request.ids is None and (request.device, request.round) == (0, 4)
    whole = device.request_all()
    of_all = np.flatnonzero(dense_rows(device)[0].any(axis=0))
    assert np.isin(of_all, whole.features).all() and whole.ids.size == 0 and whole.round == -1


@pytest.mark.parametrize("body_exchange", ["full", "local"])
def test_features_of_other_exchanges(body_exchange):
    _, device = parts(body_exchange=body_exchange)
    request = device.request(Invite(0, 1, 0.1))
    if body_exchange == "full":
        assert request.features is None
    else:  # The one body it is ever sent is for all its rows.
        of_all = np.flatnonzero(dense_rows(device)[0].any(axis=0))
        np.testing.assert_array_equal(request.features, of_all)
    assert not request.has_body


@pytest.mark.parametrize("body_exchange", ["touched", "local"])
def test_rows_with_a_feature_each(body_exchange):
    """Features of the round's rows alone, or of all rows for a body that stays."""
    _, device = parts(body_exchange=body_exchange)
    one_each = SparseRows.from_classes(np.arange(40, dtype=np.int32))
    device = replace(device, X=one_each, Y=device.Y.take(np.arange(40)))
    invite = Invite(2, 1, 0.1)
    rows = np.unique(device.order(invite))
    assert 0 < len(rows) < 40
    asked = rows if body_exchange == "touched" else np.arange(40)
    np.testing.assert_array_equal(device.request(invite).features, asked)


@pytest.mark.parametrize("local_optimizer", ["kept", "fresh"])
def test_accumulators_of_a_body_that_stays_on_the_device(local_optimizer):
    """Kept, they grow from round to round; fresh, they are those of one round."""
    server, device = parts({"sampler": "all"}, body_exchange="local",
                           local_optimizer=local_optimizer, local_steps=1.0)  # fmt: skip
    states, model = [], SubModel(0, server.head(np.arange(N_LABELS, dtype=np.int32)))
    for number in range(3):
        invite = Invite(number, 1.0, 0.05)
        request = device.request(invite)
        assert request.has_body == (number > 0)
        if number:
            assert request.features.size == 0
        device.train(invite, model, server.body_for(request))
        states.append(device._state_store(invite).body().state)
    grown = [after >= before for before, after in itertools.pairwise(states)]
    assert np.all(grown) == (local_optimizer == "kept")
    assert np.any(states[2] > states[1])


@pytest.mark.parametrize("include_labels", [True, False])
def test_neurons_asked_for_without_tables(include_labels):
    own = {"include_labels": include_labels, "n_active": 15}
    _, device = parts({**own, "sampler": "random"})
    invites = [Invite(number, 1, 0.1) for number in range(3)]
    asked = []
    for invite in invites:
        rows = np.unique(device.order(invite))
        labels = np.flatnonzero(dense_rows(device)[1][rows].any(axis=0))
        ids = device.request(invite).ids
        if include_labels:
            assert np.isin(labels, ids).all() and len(ids) == len(labels) + 15
            ids = np.setdiff1d(ids, labels)
        assert len(ids) == 15
        asked.append(ids.tolist())
    assert asked[0] != asked[1] != asked[2]
    _, device = parts({**own, "sampler": "all"})
    np.testing.assert_array_equal(device.request(invites[0]).ids, np.arange(N_LABELS))


@pytest.mark.parametrize("n_decoys", [0.0, 0.5])
def test_select_has_the_labels_the_budget_and_decoys(n_decoys):
    server, device = parts({"n_active": 10, "n_decoys": n_decoys, "n_tables": 40, "batch_size": 5,
                            "least_rows": 5})  # fmt: skip
    invite = Invite(0, 1, 0.1)
    rows = np.unique(device.order(invite))
    labels = np.flatnonzero(dense_rows(device)[1][rows].any(axis=0))
    body = server.body(device.request(invite).features)
    server.network.head_weights[...] = np.random.default_rng(0).standard_normal((N_LABELS, 12))
    found = device.select(invite, body, server.sketches({0: -1})[0])
    assert (found.device, found.round) == (0, 0) and found.ids.dtype == np.int32
    assert np.isin(labels, found.ids).all()
    false = decoys(device.Y, rows, N_LABELS, device.seed, n_decoys)
    every = decoys(device.Y, np.arange(device.Y.n_rows), N_LABELS, device.seed, n_decoys)
    free = N_LABELS - len(np.unique(device.Y.indices)) - len(every) if n_decoys else N_LABELS
    assert len(found.ids) == len(labels) + len(false) + min(10, free)


def test_every_question_s_bytes_are_under_the_policy():
    server, device = parts({"sampler": "lsh"})
    strict = replace(device, settings=replace(device.settings, policy=Policy(most_bytes=60)))
    invite = Invite(0, 1, 0.1)
    body, sketch = server.body(device.request_all().features), server.sketches({0: -1})[0]
    model = SubModel(0, server.head(np.arange(N_LABELS, dtype=np.int32)))
    mean = device.hidden_mean(body)
    for ask in (
        lambda one: one.hidden_mean(body),
        lambda one: one.prototypes(body, Centre(mean.mean)),
        lambda one: one.select(invite, body, sketch),
        lambda one: one.train(invite, model, body),
    ):
        ask(device)
        with pytest.raises(Refused, match="bytes, more than 60"):
            ask(strict)


@pytest.mark.parametrize("sampler", ["lsh", "random"])
def test_no_sketch_is_held_before_the_first(sampler):
    _, device = parts({"sampler": sampler})
    assert device.request(Invite(0, 1, 0.1)).sketch_round == -1


@pytest.mark.parametrize(
    "own",
    [
        {"sampler": "random"},
        {"selection": "collisions", "n_tables": 60, "hash_length": 2},
        {"selection": "codes"},
        {"selection": "scores"},
    ],
)
@pytest.mark.parametrize("payload", ["float16", "float32"])
@pytest.mark.parametrize("local_optimizer", ["sent", "fresh"])
def test_a_budget_in_bytes_is_kept_and_used(own, payload, local_optimizer):
    """By what the messages take: ids that ask, the neurons that come, all of them going back."""
    own = {"include_labels": False, "least_rows": 5, "active_bytes": 1500, **own}
    server, device = parts(own, payload=payload, local_optimizer=local_optimizer)
    invite = Invite(0, 1, 0.1)
    request = device.request(invite)
    body, ids = server.body_for(request), request.ids
    if ids is None:
        server.network.head_weights[...] = np.random.default_rng(0).standard_normal((N_LABELS, 12))
        coded = own["selection"] == "codes"
        sketch = (server.coded({0: request}) if coded else server.sketches({0: -1}))[0]
        ids = device.select(invite, body, sketch).ids
    sent = server.head(ids)
    received = device.train(invite, SubModel(0, sent), body).head
    per_neuron = 4 + sent.array_bytes / len(sent.ids) + received.array_bytes / len(received.ids)
    assert len(ids) == int(1500 / per_neuron) > 5
