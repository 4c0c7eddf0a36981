"""What a device refuses, whoever asks."""

from dataclasses import replace

import numpy as np
import pytest

from sklsh import FederatedLSHClassifier
from sklsh.federated import Ledger, run_round
from sklsh.federated.messages import Invite, Request
from sklsh.federated.policy import Policy, Refused
from sklsh.federated.submodels import coarse
from tests.federated.attackers import rows_of_a_curious_server
from tests.federated.problems import Tampering, federation

INVITE = Invite(0, 0.5, 0.1)


def device(**own):
    """One of 100 rows, in batches of 16."""
    _, transport = federation(n_devices=4, own=own)
    return transport._devices[0]


@pytest.mark.parametrize(
    ("invite", "own"),
    [
        (replace(INVITE, local_steps=1e-9), {}),
        (replace(INVITE, local_steps=0.15), {}),
        (replace(INVITE, local_steps=0.2), {"least_rows": 25}),
        (replace(INVITE, local_steps=10**6), {}),
        (replace(INVITE, local_steps=1e9), {}),
        (replace(INVITE, local_steps=8), {"most_steps": 7}),
        (replace(INVITE, local_steps=float("nan")), {}),
        (replace(INVITE, local_steps=float("inf")), {}),
        (replace(INVITE, local_steps=0), {}),
        (replace(INVITE, local_steps=-3), {}),
        (replace(INVITE, round=-1), {}),
        (replace(INVITE, round=5), {"most_rounds": 5}),
        (replace(INVITE, learning_rate=float("nan")), {}),
        (replace(INVITE, learning_rate=0.0), {}),
    ],
)
def test_an_invitation_outside_the_policy_is_refused(invite, own):
    with pytest.raises(Refused):
        device(**own).request(invite)


@pytest.mark.parametrize(
    ("local_steps", "own"), [(0.16, {}), (0.2, {"least_rows": 20}), (8, {"most_steps": 8}), (1, {})]
)
def test_one_inside_is_answered(local_steps, own):
    assert device(**own).request(replace(INVITE, local_steps=local_steps)).device == 0


def test_a_device_of_few_rows_asks_for_a_quarter_of_them():
    policy = Policy(least_rows=16)
    policy.check_invite(INVITE, n_rows=20, batch_size=4, count=5)
    with pytest.raises(Refused, match="4 rows a round, fewer than 5"):
        policy.check_invite(INVITE, n_rows=20, batch_size=4, count=4)


def test_bytes():
    server, _ = federation()
    body = server.body()
    Policy(most_bytes=body.nbytes).check_bytes(body, None)
    with pytest.raises(Refused):
        Policy(most_bytes=body.nbytes).check_bytes(body, body)
    report = run_round(
        *federation(own={"most_bytes": 100}), np.random.default_rng(0), ledger=Ledger()
    )
    assert report.n_used == 0 and report.faults == {"missing": 4}


def test_a_refusal_costs_the_round_that_device_and_no_more():
    server, transport = federation()
    settings = replace(transport._devices[2].settings, policy=Policy(most_rounds=1))
    transport._devices[2] = replace(transport._devices[2], settings=settings)
    rng, ledger = np.random.default_rng(0), Ledger()
    reports = [run_round(server, transport, rng, ledger=ledger) for _ in range(2)]
    assert [report.n_used for report in reports] == [4, 3]
    assert reports[1].faults == {"missing": 1} and reports[1].left_out == []


@pytest.mark.parametrize("name", ["least_rows", "most_steps", "most_rounds", "most_bytes"])
@pytest.mark.parametrize("value", [0, 1.5, "many"])
def test_policies_are_checked(name, value):
    with pytest.raises((TypeError, ValueError), match=name):
        FederatedLSHClassifier(device_params={name: value}).fit(np.eye(4), [0, 1, 0, 1])


def test_masked_only_is_yes_or_no_and_of_secure_aggregation():
    with pytest.raises(ValueError, match="masked_only must be True or False, got 1"):
        device(masked_only=1)
    model = FederatedLSHClassifier(device_params={"masked_only": True})
    with pytest.raises(ValueError, match="masked_only needs secure_aggregation=True"):
        model.fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize("own", [{}, {"public_rows": 0.5, "sampler": "labels"}])
def test_a_device_that_answers_under_masks_alone(own):
    """Whatever a server asks for, nothing that names a label goes."""
    own, seen = {"masked_only": True, **own}, []

    def watch(question, replies):
        seen.extend(replies)
        return replies

    server, transport = federation(own=own)
    run_round(server, Tampering(transport, watch), np.random.default_rng(0), ledger=Ledger())
    assert all(isinstance(reply, Request) for reply in seen)
    one, body = device(**own), server.body()
    with pytest.raises(Refused, match="labels without masks"):
        one.counts()
    with pytest.raises(Refused, match="labels without masks"):
        one.prototypes(body, None)
    with pytest.raises(Refused, match="neurons of its own choice without masks"):
        one.select(INVITE, body, None)
    with pytest.raises(Refused, match="an update without masks"):
        one.train(INVITE, None, None)
    if "public_rows" in own:
        assert one.request(INVITE).ids is not None
    else:
        with pytest.raises(Refused, match="neurons of its own choice without masks"):
            one.request(INVITE)


def test_growth_of_accumulators_leaves_as_powers_of_two():
    growth = np.array([0, 1e-30, 0.9, 1.1, 3.0, 700.0], dtype=np.float32)
    found = coarse(growth)
    assert found[0] == 0 and found.dtype == np.float32
    np.testing.assert_array_equal(np.log2(found[1:]), np.rint(np.log2(growth[1:])))
    seen = []

    def watch(question, replies):
        seen.extend(replies if question == "train" else [])
        return replies

    server, transport = federation(sizes=(8, 6))
    run_round(server, Tampering(transport, watch), np.random.default_rng(0), ledger=Ledger())
    for update in seen:
        for state in (update.head.state, update.body.state, *update.body.dense_state):
            grown = np.log2(state[state > 0])
            assert grown.size
            np.testing.assert_array_equal(grown, np.rint(grown))


def test_a_server_that_asks_for_one_row_a_round_gets_none():
    """The attack: the growth of accumulators is the square of the row, on the ids changed."""
    assert rows_of_a_curious_server(30, 1e-9, values=False) == 0
    # A quarter of a device's rows is what it gives; in all rounds so many that it gives all.
    assert rows_of_a_curious_server(4, 0.25) == 0
    # What a device without a policy gives away is which features its rows have.
    assert rows_of_a_curious_server(2, 1e-9, least_rows=1) == 0
    assert rows_of_a_curious_server(5, 1e-9, values=False, least_rows=1) > 8  # of 40
