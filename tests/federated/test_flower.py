"""The Flower transport, in one process: the same numbers, faults, what is refused."""

import json

import numpy as np
import pytest
from sklearn.utils import check_random_state

from sklsh import FederatedLSHClassifier, LSHRecommender, SparseLSHMLPClassifier
from sklsh._utils.random import child_seed
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated import Ledger, run_round, set_prototypes
from sklsh.federated.messages import ClientStatistics, Invite, Sketch
from tests.federated.problems import federation

pytest.importorskip("flwr")

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from sklsh.estimators.federated_run import training_config_of
from sklsh.estimators.federated_tasks import new_task
from sklsh.federated.transports.flower import FlowerTransport, codec
from sklsh.federated.transports.flower import transport as transport_module
from sklsh.flower import client_app, run_federation
from tests.federated.flower_grid import LocalGrid

N_FEATURES, N_LABELS, SEED = 150, 120, 3
PARAMS = {"n_rounds": 3, "random_state": SEED}


@pytest.fixture(scope="module")
def rows():
    X, Y = make_extreme_classification(
        n_samples=300, n_features=N_FEATURES, n_labels=N_LABELS, random_state=0
    )
    return X, Y, split_devices(Y, 3, random_state=0)


def classifier(**params):
    estimator = SparseLSHMLPClassifier((12,), sampler="lsh", n_active=20, batch_size=16)
    return FederatedLSHClassifier(estimator, **{**PARAMS, **params})


def grid_of(rows, tamper=None, configs=None):
    """A node a device, with ids in the devices' order and the seeds of a local federation."""
    X, Y, groups = rows
    seed = int(check_random_state(SEED).randint(2**31 - 1))
    apps, node_configs = {}, {}
    for i in range(3):
        part = (X[groups == i], Y[groups == i])
        node = 2**63 + i
        apps[node] = client_app(lambda context, part=part: part)
        node_configs[node] = {"seed": child_seed(seed, i), **(configs or {})}
    return LocalGrid(apps, node_configs, tamper)


def trained(federation, rows, tmp_path, grid=None, **options):
    sizes = {"n_features": N_FEATURES, "labels": N_LABELS, "n_devices": 3, "timeout": 1.0}
    return run_federation(
        grid or grid_of(rows), federation, tmp_path / "model", **{**sizes, **options}
    )


def same_weights(one, other):
    for mine, theirs in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"sketch_rounds": 3, "body_exchange": "local", "local_optimizer": "kept"},
        {"sketch_rounds": 3, "device_params": {"selection": "codes", "code_family": "products"}},
    ],
    ids=["default", "with caches", "codes"],
)
def test_flower_and_joblib_train_the_same_model(rows, tmp_path, params):
    local = classifier(**params).fit(*rows[:2], groups=rows[2])
    grid = grid_of(rows)
    for node, config in grid.configs.items():
        config["cache-dir"] = str(tmp_path / str(node))
        config["device-params"] = json.dumps(params.get("device_params", {}))
    flower = trained(classifier(**params), rows, tmp_path, grid)
    same_weights(local.estimator_, flower.estimator_)
    # A node forgets what came with a question: the body comes with two of them, and is counted.
    here, there = local.ledger_.by("kind"), flower.ledger_.by("kind")
    assert there["invite"] == 3 * here["invite"]
    resent = ("invite", "body")
    assert {k: n for k, n in here.items() if k not in resent} == {
        k: n for k, n in there.items() if k not in resent
    }
    assert there["body"] > here["body"]
    losses = [[entry["loss"] for entry in model.history_] for model in (local, flower)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert local.estimator_.threshold_ == flower.estimator_.threshold_


def test_masked_updates_over_flower_sum_up_to_the_same_model(rows, tmp_path):
    params = {"public_rows": 0.5, "secure_aggregation": True}
    local = classifier(**params).fit(*rows[:2], groups=rows[2])
    grid = grid_of(rows)
    for node, config in grid.configs.items():
        config["cache-dir"] = str(tmp_path / str(node))
    flower = trained(classifier(**params), rows, tmp_path, grid)
    assert [entry["n_used"] for entry in flower.history_] == [3, 3, 3]
    for mine, theirs in zip(local.estimator_.coefs_, flower.estimator_.coefs_, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    grid = grid_of(rows)  # whose nodes keep nothing
    model = trained(classifier(**params, checkpoint_dir=None), rows, tmp_path / "none", grid)
    assert [entry["n_used"] for entry in model.history_] == [0, 0, 0]


def test_classes_and_recommenders(rows, tmp_path):
    X, Y, groups = rows
    y = np.asarray(Y.argmax(axis=1)).ravel() % 10
    classes, codes = np.unique(y, return_inverse=True)
    apps = {
        i: client_app(lambda context, i=i: (X[groups == i], codes[groups == i])) for i in range(3)
    }
    model = trained(classifier(), rows, tmp_path, LocalGrid(apps, {}), labels=classes)
    assert set(model.predict(X)) <= set(classes)
    users = {i: client_app(lambda context, i=i: (Y[groups == i],) * 2) for i in range(3)}
    federation = FederatedLSHClassifier(LSHRecommender((8,)), **PARAMS)
    model = trained(federation, rows, tmp_path, LocalGrid(users, {}), n_features=N_LABELS)
    assert model.recommend(0, Y[:1], N=3)[0].shape == (3,)


def test_a_device_keeps_its_seed_and_its_settings(rows, tmp_path):
    grid = grid_of(rows)
    first, second, third = grid.apps
    del grid.configs[first]["seed"]
    grid.configs[second]["device-params"] = '{"n_active": 5, "batch_size": 4}'
    model = trained(classifier(), rows, tmp_path, grid)
    seed = grid.states[first]["sklsh"]["seed"]
    assert seed > 0 and "sklsh" not in grid.states[third]
    sent = {d: model.ledger_.total(round=0, device=d, kind="select") for d in grid.apps}
    assert sent[second] < min(sent[first], sent[third])
    trained(classifier(n_rounds=1), rows, tmp_path, grid)
    assert grid.states[first]["sklsh"]["seed"] == seed


GARBAGE = {
    "no records": lambda reply: RecordDict(),
    "another record": lambda reply: RecordDict({"message": ArrayRecord()}),
    "no json": lambda reply: with_text("\x00\xff{"),
    "another json": lambda reply: with_text("[1, 2]"),
    "no such class": lambda reply: with_text('{"header": {}, "parts": [{"class": "os.system"}]}'),
    "deep json": lambda reply: with_text("[" * 100_000),
    "cut array": lambda reply: with_bytes(reply, lambda data: data[: len(data) // 2]),
    "bytes": lambda reply: with_bytes(reply, lambda data: b"\x93NUMPY\x01\x00garbage"),
    "a pickle": lambda reply: with_bytes(reply, lambda data: b"\x80\x04cos\nsystem\n."),
}


def with_text(text):
    return RecordDict({"message": ConfigRecord({"json": text}), "arrays": ArrayRecord()})


def with_bytes(reply, change):
    for array in reply.content["arrays"].values():
        array.data = change(array.data)
    return reply.content


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_costs_the_round_that_reply_alone(rows, tmp_path, kind):
    """Device 1 answers its last question, the update of round 3, with garbage."""
    last = 2**63 + 1

    def tamper(number, node, reply):
        if (number, node) != (12, last):
            return reply
        out = Message(GARBAGE[kind](reply), reply_to=reply)
        out.metadata.__dict__.update(reply.metadata.__dict__)
        return out

    model = trained(classifier(), rows, tmp_path, grid_of(rows, tamper))
    assert [entry["n_used"] for entry in model.history_] == [3, 3, 2]
    assert model.history_[-1]["faults"] == {"type": 1}
    assert all(np.isfinite(weights).all() for weights in model.estimator_.coefs_)


@pytest.mark.parametrize(("number", "phase"), [(7, "request"), (8, "select"), (9, "train")])
def test_a_lost_answer_costs_the_round_that_device(rows, tmp_path, number, phase):
    def tamper(asked, node, reply):
        return None if (asked, node) == (number, 2**63) else reply

    model = trained(classifier(), rows, tmp_path, grid_of(rows, tamper))
    assert [entry["n_used"] for entry in model.history_] == [3, 2, 3]
    assert model.history_[1]["faults"] == {"missing": 1}


def test_devices_leave_and_join_between_rounds(rows, tmp_path):
    grid = grid_of(rows)
    gone = {}

    def leave_and_come_back(network, entry):
        if entry["round"] == 0:
            gone.update(last=grid.apps.popitem())
        else:
            grid.apps.update([gone["last"]])

    federation = classifier(callback=leave_and_come_back)
    model = trained(federation, rows, tmp_path, grid)
    assert [entry["n_invited"] for entry in model.history_] == [3, 2, 3]


def test_a_reply_is_its_node_s_whatever_it_says(rows, tmp_path):
    """A device that answers in another's name takes nobody's place."""

    def tamper(number, node, reply):
        if node != 2**63:
            return reply
        parts, header = codec.decode(reply.content)
        lie = type(parts[0])(**{**vars(parts[0]), "device": 2**63 + 1})
        out = Message(codec.encode((lie,), **header), reply_to=reply)
        out.metadata.__dict__.update(reply.metadata.__dict__)
        return out

    honest = trained(classifier(), rows, tmp_path)
    lied = trained(classifier(), rows, tmp_path, grid_of(rows, tamper))
    same_weights(honest.estimator_, lied.estimator_)


def test_data_that_does_not_fit_is_refused_on_the_device(rows, tmp_path):
    with pytest.raises(ValueError, match="at least one device"):
        trained(classifier(), rows, tmp_path, n_features=N_FEATURES + 1)


def test_too_few_devices(rows, tmp_path):
    with pytest.raises(TimeoutError, match="4 devices must have joined within 0 s, got 3"):
        trained(classifier(), rows, tmp_path, n_devices=4, join_timeout=0)


def test_a_round_waits_until_there_is_a_device(rows, monkeypatch):
    monkeypatch.setattr(transport_module, "LONGEST_PAUSE", 0.01)
    grid = grid_of(rows)
    task = new_task(None)
    task.expect(N_FEATURES, N_LABELS)
    training_config = training_config_of(classifier(), task)
    found = iter([[], [], [5, 3]])
    monkeypatch.setattr(grid, "get_node_ids", lambda: next(found))
    assert FlowerTransport(grid, training_config).devices == [3, 5]
    monkeypatch.setattr(grid, "get_node_ids", list)
    with pytest.raises(TimeoutError, match="1 devices must have joined within 0 s, got 0"):
        FlowerTransport(grid, training_config, join_timeout=0).devices  # noqa: B018


def test_codec_keeps_types_shapes_and_none():
    sketch = Sketch(
        3, "signed", 2**62 + 1, 4, np.arange(12, dtype=np.float16).reshape(3, 4),
        np.ones(3, np.float16), np.zeros(4, np.float32), ids=np.array([1, 5, 9], np.int32),
    )  # fmt: skip
    parts = (
        Invite(3, 0.5, 1e-3, 7),
        None,
        sketch,
        ClientStatistics(2**63 + 5, -1, 4, 0.1 + 0.2, 1.0),
    )
    back, header = codec.decode(codec.encode(parts, question="select"))
    assert header == {"question": "select"}
    assert (back[0], back[1], back[3]) == (parts[0], None, parts[3])
    for name, value in vars(sketch).items():
        got = getattr(back[2], name)
        if isinstance(value, np.ndarray):
            assert got.dtype == value.dtype
            np.testing.assert_array_equal(got, value)
        else:
            assert got == value and type(got) is type(value)


def test_every_message_of_a_round_survives_the_codec():
    server, transport = federation()
    seen = set()

    def there_and_back(parts):
        back, _ = codec.decode(codec.encode(parts))
        for mine, theirs in zip(parts, back, strict=True):
            assert type(mine) is type(theirs)
            seen.add(type(mine).__name__)
            for array, copy in zip(mine.arrays(), theirs.arrays(), strict=True):
                assert array.dtype == copy.dtype
                np.testing.assert_array_equal(array, copy)
        return back

    class ThroughCodec:
        devices = transport.devices

        def ask(self, question, messages):
            messages = {device: there_and_back(parts) for device, parts in messages.items()}
            return [there_and_back((r,))[0] for r in transport.ask(question, messages)]

    set_prototypes(server, ThroughCodec(), Ledger(), 5.0)
    report = run_round(server, ThroughCodec(), np.random.default_rng(0), ledger=Ledger())
    assert (report.n_used, report.faults) == (4, {})
    assert seen == {
        "BodyPart", "Centre", "HiddenMean", "Invite", "Prototypes", "Request", "Select", "Sketch",
        "SubModel", "Update",
    }  # fmt: skip
