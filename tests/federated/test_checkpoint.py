"""A federation that is killed goes on with the next round, as if nothing had happened."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
from sklearn.base import clone

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification, split_devices
from sklsh.federated.checkpoint import FILE, Checkpoint

MODEL = FederatedLSHClassifier(
    SparseLSHMLPClassifier((12,), sampler="lsh", n_active=20), n_rounds=4, random_state=0
)


def rows():
    X, Y = make_extreme_classification(n_samples=200, n_features=80, n_labels=60, random_state=0)
    return X, Y, split_devices(Y, 3, random_state=0)


def fit(model):
    X, Y, groups = rows()
    return model.fit(X, Y, groups=groups)


class Stopped(Exception):
    """In the place of a crash, where the process must live to tell."""


def stop_after(n_rounds):
    def callback(network, entry):
        if entry["round"] + 1 == n_rounds:
            raise Stopped

    return callback


PUBLIC = {"n_samples": 100, "row_norm": 1.0, "labels_per_row": 3.0}


def same(one, other):
    for mine, theirs in zip(one.estimator_.coefs_, other.estimator_.coefs_, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    timeless = [[{**e, "seconds": 0} for e in model.history_] for model in (one, other)]
    assert repr(timeless[0]) == repr(timeless[1])  # of private rounds, NaN
    assert dict(one.ledger_.traffic) == dict(other.ledger_.traffic)
    assert one.ledger_.memory == other.ledger_.memory


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"server_optimizer": "adam", "fraction": 0.7},
        {"sketch_rounds": 4, "sketch_tolerance": 0.3, "local_optimizer": "kept"},
        {"body_exchange": "local", "aggregation": "median"},
        {"clip_norm": 1.0, "noise_multiplier": 1.0, "fraction": 0.7, "public_statistics": PUBLIC},
    ],
    ids=["default", "adam", "caches", "local", "private"],
)
def test_goes_on_as_if_it_had_not_stopped(tmp_path, params):
    if "noise_multiplier" in params:
        pytest.importorskip("dp_accounting")
    model = clone(MODEL).set_params(**params)
    whole = fit(clone(model).set_params(cache_dir=tmp_path / "other"))
    kept = clone(model).set_params(checkpoint_dir=tmp_path, cache_dir=tmp_path / "caches")
    for n_done in (1, 3):  # stopped twice
        with pytest.raises(Stopped):
            fit(clone(kept).set_params(callback=stop_after(n_done)))
    seen = []
    kept.set_params(callback=lambda network, entry: seen.append(entry["round"]))
    same(fit(kept), whole)
    assert seen == [3]


def test_without_a_seed_it_goes_on_with_the_one_drawn(tmp_path):
    model = clone(MODEL).set_params(random_state=None, checkpoint_dir=tmp_path)
    with pytest.raises(Stopped):
        fit(clone(model).set_params(callback=stop_after(2)))
    seed = Checkpoint.load(checkpoint_at(tmp_path)).server.seed
    assert fit(model).server_.seed == seed
    assert len(model.history_) == 4


def test_a_generator_is_no_part_of_what_must_be_the_same(tmp_path):
    def model():
        seeds = {"random_state": np.random.RandomState(3)}
        seeds["estimator__random_state"] = np.random.RandomState(4)
        return clone(MODEL).set_params(checkpoint_dir=tmp_path, **seeds)

    with pytest.raises(Stopped):
        fit(model().set_params(callback=stop_after(2)))
    same(fit(model()), fit(model().set_params(checkpoint_dir=None)))


def test_numbers_of_numpy_are_kept_too(tmp_path):
    params = {
        "n_rounds": np.int64(4), "local_steps": np.int32(3), "sketch_rounds": np.int64(2),
        "sketch_tolerance": np.float32(0.25), "fraction": np.float64(0.7),
        "server_learning_rate": np.float32(1.0), "clip_norm": np.float64(5.0),
        "noise_multiplier": np.float64(0.0), "delta": np.float64(1e-5),
        "contributor_power": (np.float64(0.4), np.float64(0.25)), "n_decoys": np.float32(0.0),
        "estimator__batch_size": np.int64(16), "estimator__learning_rate_init": np.float64(0.03),
        "estimator__sketch_dim": np.int64(4), "random_state": np.int64(0),
    }  # fmt: skip
    plain = fit(clone(MODEL).set_params(**{
        name: value if isinstance(value, tuple) else value.item() for name, value in params.items()
    }))  # fmt: skip
    same(fit(clone(MODEL).set_params(checkpoint_dir=tmp_path, **params)), plain)


def checkpoint_at(folder):
    """The checkpoint of a folder, with the fingerprint that it has."""
    import json

    with np.load(folder / FILE) as file:
        return Checkpoint(folder, json.loads(file["json"].tobytes())["fingerprint"])


def killed(folder, point):
    """In a fork: the fourth checkpoint, the third round's, is the last thing it does."""

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    save, write, n_saved = Checkpoint.save, np.savez, 0

    def half(file, **arrays):
        write(file, **dict(list(arrays.items())[:3]))
        file.flush()
        die()

    def saving(self, progress):
        nonlocal n_saved
        n_saved += 1
        if n_saved == 4 and point == "before":
            die()
        if n_saved == 4 and point == "during":
            np.savez = half
        save(self, progress)
        if n_saved == 4 and point == "after":
            die()

    Checkpoint.save = saving
    fit(clone(MODEL).set_params(checkpoint_dir=folder))


@pytest.fixture(scope="module")
def undisturbed():
    return fit(clone(MODEL))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(("point", "n_kept"), [("before", 2), ("during", 2), ("after", 3)])
def test_kill_loses_the_round_under_way_at_most(tmp_path, undisturbed, point, n_kept):
    """Killed when the third round was aggregated: before, in and after its checkpoint."""
    process = multiprocessing.get_context("fork").Process(target=killed, args=(tmp_path, point))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    found = checkpoint_at(tmp_path).load()
    assert (found.server.round, len(found.history)) == (n_kept, n_kept)
    same(fit(clone(MODEL).set_params(checkpoint_dir=tmp_path)), undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_what_is_finished_stays(tmp_path):
    model = fit(clone(MODEL).set_params(checkpoint_dir=tmp_path))
    same(fit(clone(model).set_params(callback=stop_after(4))), model)


def test_another_training_is_refused(tmp_path):
    fit(clone(MODEL).set_params(checkpoint_dir=tmp_path, n_rounds=1))
    for other in ({"n_rounds": 2}, {"estimator__n_active": 21}):
        model = clone(MODEL).set_params(**{"checkpoint_dir": tmp_path, "n_rounds": 1, **other})
        with pytest.raises(ValueError, match="is of another training"):
            fit(model)
    X, Y, groups = rows()
    model = clone(MODEL).set_params(checkpoint_dir=tmp_path, n_rounds=1)
    with pytest.raises(ValueError, match="is of another training"):
        model.fit(2 * X, Y, groups=groups)
    with pytest.raises(ValueError, match="is of another training"):
        model.fit(X, Y, groups=np.roll(groups, 1))
    # Nothing that is computed hangs on these.
    fit(model.set_params(n_jobs=2, verbose=True))


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    fit(clone(MODEL).set_params(checkpoint_dir=tmp_path, n_rounds=1))
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 3] ^= 0xFF
    path.write_bytes({"cut": data[:-100], "flipped": data, "text": b"hello"}[damage])
    with pytest.raises(ValueError, match="is damaged"):
        fit(clone(MODEL).set_params(checkpoint_dir=tmp_path, n_rounds=1))


def test_partial_fit_leaves_the_checkpoint_alone(tmp_path):
    model = fit(clone(MODEL).set_params(checkpoint_dir=tmp_path, n_rounds=1))
    before = (tmp_path / FILE).read_bytes()
    X, Y, groups = rows()
    model.partial_fit(X, Y, groups=groups)
    assert model.n_rounds_ == 2
    assert (tmp_path / FILE).read_bytes() == before
