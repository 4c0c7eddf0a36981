"""What a private federation releases: nothing that epsilon does not count."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.estimators import federated_run
from sklsh.federated import rounds as protocol
from sklsh.network.rows import SparseRows
from sklsh.persistence._plain_state import flatten
from tests.federated.attackers import told_apart
from tests.federated.problems import N_FEATURES, N_LABELS, Tampering, federation

PUBLIC = {"n_samples": 10, "row_norm": 1.0, "labels_per_row": 3.0}
DELTA = 1e-5
N_ROUNDS = 2
RUNS = 60


@pytest.fixture
def no_accountant(monkeypatch):
    """Private rounds where dp-accounting is not installed."""
    for module in (protocol, federated_run):
        monkeypatch.setattr(module, "epsilon_spent", lambda rounds, delta: 0.0)


def without_device(devices):
    """The first one answers nothing: neighbours, as the accountant counts them."""
    return devices, lambda question, replies: [r for r in replies if r.device != 0]


def without_row(devices):
    """The first one has a row less."""
    first = devices[0]
    kept = np.arange(1, first.X.n_rows)
    object.__setattr__(first, "X", SparseRows(*first.X.take(kept)))
    object.__setattr__(first, "Y", SparseRows(*first.Y.take(kept)))
    return devices, lambda question, replies: replies


def unchanged(devices):
    return devices, lambda question, replies: replies


NEIGHBOURS = {"a device": without_device, "a row": without_row}


def fit(change=unchanged, capsys=None, **params):
    """A private federation of four devices with ten rows each."""
    _, transport = federation(n_samples=40, own={"sampler": "random"})
    transport._devices, answer = change(transport._devices)
    params = {"noise_multiplier": 1.0, "public_statistics": PUBLIC, "random_state": 0, **params}
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((12,), sampler="random"), clip_norm=0.5, n_rounds=N_ROUNDS,
        payload="float32", transport=Tampering(transport, answer), **params,
    )  # fmt: skip
    model.fit_devices(N_FEATURES, N_LABELS)
    return model.set_params(transport="joblib", callback=None)


def released(model, entries, printed) -> dict:
    """All of it, by place: numbers, text and arrays."""
    out = {"printed": printed, "entries": repr(entries), "ledger": repr(model.ledger_)}
    for name, of in (("folder", model._published()), ("state", model)):
        (tree,), arrays = flatten(of)
        out[name] = json.dumps(tree)
        out |= {f"{name} {i}": array for i, array in enumerate(arrays)}
    return out


@pytest.mark.parametrize("fraction", [1.0, 0.6])
@pytest.mark.parametrize("change", NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_all_that_is_released_but_the_parameters_is_the_same_of_neighbours(
    change, fraction, capsys, no_accountant
):
    found = []
    for how in (unchanged, change):
        entries = []
        model = fit(
            how, fraction=fraction, verbose=True,
            callback=lambda network, entry, entries=entries: entries.append(entry),
        )  # fmt: skip
        noised = [id(array) for array in model.network_.parameters()]
        found.append(released(model, entries, capsys.readouterr().out))
        (_, arrays) = flatten(model)
        names = {f"state {i}" for i, array in enumerate(arrays) if id(array) in noised}
        assert len(names) == len(noised)
    one, other = found
    assert one.keys() == other.keys()
    differ = {
        name for name, value in one.items()
        if not np.array_equal(value, other[name], equal_nan=isinstance(value, np.ndarray))
    }  # fmt: skip
    # The network is in the folder and in the server's state: with noise on all of it.
    shapes = {one[name].shape for name in names}
    assert {name for name in differ if name.startswith("state")} <= names
    assert all(one[name].shape in shapes for name in differ)
    assert differ


@pytest.mark.parametrize("change", NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_without_noise_neighbours_differ_in_what_is_said_of_rounds(change):
    """What the test above would find, were it there."""
    model, other = (fit(how, noise_multiplier=0.0) for how in (unchanged, change))
    said = [[{**entry, "seconds": 0} for entry in m.history_] for m in (model, other)]
    assert said[0] != said[1]


def noise_for(epsilon: float) -> float:
    """Noise of each round, of the Gaussian mechanism's exact trade-off (Balle, Wang, 2018)."""

    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    def delta(z):  # of all rounds together
        z = z / math.sqrt(N_ROUNDS)
        return phi(0.5 / z - epsilon * z) - math.exp(epsilon) * phi(-0.5 / z - epsilon * z)

    low, high = 0.01, 1e4
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if delta(middle) > DELTA else (low, middle)
    return high


def test_noise_of_the_attacks_is_what_the_accountant_says():
    pytest.importorskip("dp_accounting")
    for epsilon in (0.1, 1.0):
        rounds = [(noise_for(epsilon), 1.0)] * N_ROUNDS
        # The Renyi accountant's is an upper bound.
        assert epsilon < protocol.epsilon_spent(rounds, DELTA) < 1.2 * epsilon


def numbers(model) -> dict:
    """All single numbers that are released, by place, and the parameters."""
    out = {}

    def look(value, path):
        if isinstance(value, dict):
            for key, inside in value.items():
                look(inside, (*path, key))
        elif isinstance(value, list | tuple):
            for i, inside in enumerate(value):
                look(inside, (*path, i))
        elif isinstance(value, int | float):
            out[path] = float(value)

    (tree,), _ = flatten(model._published())
    look(tree, ("folder",))
    look(model.history_, ("history",))
    look({repr(key): count for key, count in model.ledger_.traffic.items()}, ("ledger",))
    parameters = np.concatenate([a.ravel() for a in model.network_.parameters()])
    return out | {"parameters": parameters}


def runs(change, noise, n, first):
    return [numbers(fit(change, noise_multiplier=noise, random_state=first + i)) for i in range(n)]


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.1, 1.0])
@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_neighbours_are_not_told_apart_better_than_epsilon_allows(kind, epsilon, no_accountant):
    noise, change = noise_for(epsilon), NEIGHBOURS[kind]
    # An attacker that knows where the device would move the model: from runs without noise.
    exact = [numbers(fit(how, noise_multiplier=1e-9))["parameters"] for how in (unchanged, change)]
    learnt = [runs(how, noise, RUNS // 2, 10**i) for i, how in ((4, unchanged), (5, change))]
    asked = [runs(how, noise, RUNS // 2, 10**i) for i, how in ((6, unchanged), (7, change))]
    accuracy = told_apart(*learnt, *asked, direction=exact[1] - exact[0])
    # Two versions of one device's rows are both a step from its absence.
    spent = epsilon if kind == "a device" else 2 * epsilon
    allowed = math.exp(spent) / (1 + math.exp(spent))
    assert accuracy <= allowed + 3 * math.sqrt(allowed * (1 - allowed) / RUNS)


def test_what_is_public_is_not_asked_for(no_accountant):
    asked = set()

    def look(question, replies):
        asked.add(question)
        return replies

    fit(lambda devices: (devices, look))
    assert asked == {"request", "train"}


def test_rejected_replies_are_kept_nowhere(no_accountant):
    def lie(question, replies):
        if question != "train":
            return replies
        return [replace(r, n_samples=0) if r.device == 1 else r for r in replies]

    assert fit(lambda d: (d, lie), noise_multiplier=0.0).server_.defence.offences
    model = fit(lambda devices: (devices, lie))
    assert not model.server_.defence.offences and not model.server_.start_faults


@pytest.mark.parametrize(
    ("public", "message"),
    [
        (None, "noise_multiplier > 0 needs public_statistics"),
        ({"row_norm": 1.0}, "must have n_samples, row_norm, labels_per_row"),
        ({**PUBLIC, "more": 1}, "must have n_samples, row_norm, labels_per_row"),
        ({**PUBLIC, "row_norm": 0.0}, "as row_norm, got 0.0"),
        ({**PUBLIC, "row_norm": float("nan")}, "as row_norm, got nan"),
        ({**PUBLIC, "labels_per_row": "2"}, "as labels_per_row, got '2'"),
        ({**PUBLIC, "n_samples": 2.5}, "an int above 0 .* as n_samples, got 2.5"),
    ],
)
def test_public_statistics_must_be_three_numbers(public, message, no_accountant):
    with pytest.raises(ValueError, match=message):
        fit(public_statistics=public)


def test_public_statistics_are_what_devices_would_have_said():
    _, transport = federation(n_samples=40, own={"sampler": "random"})
    said = transport._devices[0].client_statistics()
    public = {name: getattr(said, name) for name in PUBLIC}

    def same(question, replies):
        if question == "client_statistics":
            return [replace(r, **public) for r in replies]
        return replies

    one = fit(noise_multiplier=0.0, public_statistics=public)
    other = fit(lambda d: (d, same), noise_multiplier=0.0, public_statistics=None)
    for mine, theirs in zip(one.network_.parameters(), other.network_.parameters(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert one.estimator_.threshold_ == other.estimator_.threshold_
