"""A fit that was killed goes on from its checkpoint to the very weights of an undisturbed one."""

import json
import multiprocessing
import os
import signal
import time
import zipfile

import numpy as np
import pytest

from sklsh import LSHRecommender, SparseLSHMLPClassifier
from sklsh._utils.archive import RefusedError
from sklsh._utils.progress import EpochProgress
from sklsh.datasets import make_extreme_classification
from tests.test_classifier import assert_same_model

FILE = "fit.npz"


@pytest.fixture(scope="module")
def problem():
    return make_extreme_classification(700, 300, 200, labels_per_row=2, random_state=1)


def small(folder=None, **params):
    params = {
        "hidden_layer_sizes": (12,), "max_iter": 5, "batch_size": 50, "random_state": 0, **params
    }  # fmt: skip
    return SparseLSHMLPClassifier(checkpoint_dir=folder, **params)


class Killed(BaseException):
    pass


@pytest.fixture
def die_after(monkeypatch):
    """Lets fits die after so many epochs; the epochs that were run are listed."""
    epochs, limit = [], [None]

    def progress(self, epoch, history):
        epochs.append(epoch)
        if len(epochs) == limit[0]:
            raise Killed

    monkeypatch.setattr(EpochProgress, "__call__", progress)

    def die(n):
        epochs.clear()
        limit[0] = n
        return epochs

    return die


LSH = {"sampler": "lsh", "n_active": 16, "n_tables": 3, "hash_length": 4, "prediction": "lsh"}
CASES = {
    "defaults": {},
    "tables that last": {**LSH, "rehash_interval": 1000},
    "tables drawn anew": {**LSH, "rehash_interval": 7, "family": "dwta", "hash_length": 2},
    "codes that last": {"sampler": "codes", "n_active": 16, "rehash_interval": 1000},
    "codes drawn anew": {"sampler": "codes", "n_active": 16, "rehash_interval": 7},
    "early stopping": {"early_stopping": True, "max_iter": 9, "learning_rate_init": 0.3},
    "rows that hash alike": {"shuffle": "lsh", "n_neighbors": 0, "sampler": "random"},
    "two layers, one thread": {"hidden_layer_sizes": (12, 8), "n_jobs": 1, "alpha": 1e-3},
}


@pytest.mark.parametrize("params", CASES.values(), ids=CASES)
def test_the_same_weights_as_undisturbed(problem, tmp_path, die_after, params):
    weights = np.linspace(0.5, 2, 700)
    epochs = die_after(None)
    undisturbed = small(**params).fit(*problem, sample_weight=weights)
    n_epochs = len(epochs)
    assert n_epochs > 3
    model = small(tmp_path / "kept", **params)
    for n_done, n_more in ((1, 1), (3, 2)):
        epochs = die_after(n_more)
        with pytest.raises(Killed):
            model.fit(*problem, sample_weight=weights)
        assert epochs == list(range(n_done - n_more, n_done))
    epochs = die_after(None)
    model = small(tmp_path / "kept", **params).fit(*problem, sample_weight=weights)
    assert epochs == list(range(3, n_epochs))
    assert_same_model(model, undisturbed)
    assert model.validation_scores_ == undisturbed.validation_scores_
    for one, two in zip(*(m.predict_topk(problem[0], 3) for m in (model, undisturbed))):
        np.testing.assert_array_equal(one, two)
    # And the training that may follow.
    for fitted in (model, undisturbed):
        fitted.partial_fit(*problem)
    assert_same_model(model, undisturbed)


def test_the_second_of_two_networks(problem, tmp_path, die_after):
    epochs = die_after(None)
    undisturbed = small(n_estimators=2).fit(*problem)
    assert epochs == list(range(10))
    for n_more in (4, 3):  # in the first and in the second
        epochs = die_after(n_more)
        with pytest.raises(Killed):
            small(tmp_path, n_estimators=2).fit(*problem)
    assert epochs == [4, 5, 6]
    epochs = die_after(None)
    model = small(tmp_path, n_estimators=2).fit(*problem)
    assert epochs == [7, 8, 9] and model.n_iter_ == 10
    assert_same_model(model, undisturbed)


OF_A_RECOMMENDER = {
    "defaults": {},
    "early stopping, no neighbours": {"early_stopping": True, "n_neighbors": 0},
    "hash tables": {**LSH, "rehash_interval": 7, "shuffle": "lsh"},
}


@pytest.mark.parametrize("params", OF_A_RECOMMENDER.values(), ids=OF_A_RECOMMENDER)
def test_a_recommender_that_is_killed(problem, tmp_path, die_after, params):
    user_items, _ = problem
    params = {"max_iter": 5, "batch_size": 50, "random_state": 0, **params}

    def fit(folder=None, **others):
        model = LSHRecommender((12,), checkpoint_dir=folder, **params, **others)
        return model.fit(user_items)

    die_after(None)
    undisturbed = fit()
    for n_more in (1, 2):
        die_after(n_more)
        with pytest.raises(Killed):
            fit(tmp_path)
    epochs = die_after(None)
    model = fit(tmp_path, item_weight="propensity", n_jobs=1)
    assert epochs == list(range(3, undisturbed.n_iter_))
    for one, two in zip(model.network_.parameters(), undisturbed.network_.parameters()):
        np.testing.assert_array_equal(one, two)
    assert model.neighbor_weight_ == undisturbed.neighbor_weight_
    model.item_weight = None
    model.partial_fit(user_items)
    undisturbed.partial_fit(user_items)
    everybody = np.arange(user_items.shape[0])
    for one, two in zip(*(m.recommend(everybody, user_items, N=3) for m in (model, undisturbed))):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="another training"):
        LSHRecommender((12,), checkpoint_dir=tmp_path, **params).fit(user_items[1:])


def test_what_is_finished_stays(problem, tmp_path, die_after):
    model = small(tmp_path, random_state=None).fit(*problem)
    epochs = die_after(None)
    again = small(tmp_path, random_state=None, n_jobs=1, verbose=True).fit(*problem)
    assert epochs == []
    assert_same_model(model, again)
    (tmp_path / FILE).unlink()
    assert np.abs(model.coefs_[0] - again.fit(*problem).coefs_[0]).max() > 1e-3


def test_interval(problem, tmp_path, die_after):
    die_after(3)
    with pytest.raises(Killed):
        small(tmp_path, checkpoint_interval=2).fit(*problem)
    epochs = die_after(None)
    model = small(tmp_path, checkpoint_interval=3).fit(*problem)
    assert epochs == [2, 3, 4]
    assert_same_model(model, small().fit(*problem))


def test_a_warm_start_that_is_killed(problem, tmp_path, die_after):
    die_after(None)
    models = [small(warm_start=True).fit(*problem) for _ in range(2)]
    models[0].fit(*problem)
    models[1].set_params(checkpoint_dir=tmp_path)
    state = {name: a.copy() for name, a in enumerate(models[1].network_.parameters())}
    die_after(2)
    with pytest.raises(Killed):
        models[1].fit(*problem)
    for name, array in enumerate(models[1].network_.parameters()):
        array[...] = state[name]  # a new process would have loaded what was saved
    models[1].learner_.optimizer = small().fit(*problem).learner_.optimizer
    die_after(None)
    models[1].fit(*problem)
    assert_same_model(*models)


@pytest.fixture
def checkpoint(problem, tmp_path, die_after):
    die_after(1)
    with pytest.raises(Killed):
        small(tmp_path).fit(*problem)
    die_after(None)
    return tmp_path / FILE


@pytest.mark.parametrize("change", [
    {"max_iter": 6}, {"hidden_layer_sizes": (13,)}, {"random_state": 1}, {"dropout": 0.0},
])  # fmt: skip
def test_another_training_is_refused(problem, checkpoint, change):
    before = checkpoint.read_bytes()
    model = small(checkpoint.parent, **change)
    with pytest.raises(ValueError, match=r"fit\.npz is of another training: of other data or p"):
        model.fit(*problem)
    assert not hasattr(model, "learner_")
    assert checkpoint.read_bytes() == before


def test_other_data_is_refused(problem, checkpoint):
    X, Y = problem
    weights = np.ones(700)
    weights[3] = 2
    for data in ((X * np.float32(2), Y), (X, Y[:, ::-1]), (X[:699], Y[:699]), (X, Y, weights)):
        with pytest.raises(ValueError, match="of another training"):
            small(checkpoint.parent).fit(*data)


def rewrite(path, change):
    """The same archive with some entries changed; checksums are right."""
    with np.load(path) as file:
        arrays = dict(file)
    content = json.loads(arrays["json"].tobytes())
    change(content, arrays)
    arrays["json"] = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
    np.savez(path, **arrays)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("it-ran",)


def pickled(path):
    np.savez(path, json=np.array([Evil()], dtype=object))


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_text("mine"),
    "a flipped bit of an array": lambda path: flip(path, 0.5),
    "a pickle": pickled,
    "no text": lambda path: np.savez(path, a=np.ones(3)),
    "no fingerprint": lambda path: rewrite(path, lambda content, _: content.pop("fingerprint")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_refused(problem, checkpoint, damage, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    damage(checkpoint)
    with pytest.raises(ValueError, match=r"fit\.npz is damaged \(.*delete it to train from the st"):
        small(checkpoint.parent).fit(*problem)
    assert not os.path.exists("it-ran")


def test_another_version_is_refused(problem, checkpoint):
    rewrite(checkpoint, lambda content, _: content.update(version=2))
    with pytest.raises(ValueError, match="must be of format 3, got 2"):
        small(checkpoint.parent).fit(*problem)


def test_a_full_disk_leaves_the_checkpoint_before(problem, checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        small(checkpoint.parent).fit(*problem)
    assert checkpoint.read_bytes() == before
    assert os.listdir(checkpoint.parent) == [FILE]


# kill -9 ----------------------------------------------------------------------------------


def fit_and_answer(folder, problem, to):
    model = small(folder, n_jobs=1, max_iter=40).fit(*problem)
    to.send((model.coefs_[-1].copy(), model.loss_curve_))


def run_and_kill(folder, problem, seconds):
    """A fit in a process of its own, killed after so long; its answer if it was faster."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=fit_and_answer, args=(folder, problem, sender))
    process.start()
    answer = receiver.recv() if receiver.poll(seconds) else None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert answer is not None or process.exitcode == -signal.SIGKILL, "it failed by itself"
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("n_kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_times(problem, tmp_path, n_kills):
    start = time.perf_counter()
    undisturbed = small(n_jobs=1, max_iter=40).fit(*problem)
    seconds = time.perf_counter() - start
    rng = np.random.default_rng(0)
    killed = finished = 0
    while killed < n_kills or not finished:
        folder = tmp_path / str(finished)
        patience = rng.uniform(0.05, 0.7 * seconds) if killed < n_kills else 60
        answer = run_and_kill(folder, problem, patience)
        if (folder / FILE).exists():
            assert zipfile.ZipFile(folder / FILE).testzip() is None
        if answer is None:
            killed += 1
            continue
        finished += 1
        np.testing.assert_array_equal(answer[0], undisturbed.coefs_[-1])
        assert answer[1] == undisturbed.loss_curve_
        assert os.listdir(folder) == [FILE]


def test_weights_of_classes_in_another_order(problem, tmp_path, die_after):
    first, second = {0: 2.0, 1: 3.0}, {1: 3, 0: 2}
    undisturbed = small(class_weight=first).fit(*problem)
    die_after(2)
    with pytest.raises(Killed):
        small(tmp_path, class_weight=first).fit(*problem)
    with pytest.raises(RefusedError, match="of another training"):
        small(tmp_path, class_weight={0: 2.0}).fit(*problem)
    epochs = die_after(None)
    assert_same_model(small(tmp_path, class_weight=second).fit(*problem), undisturbed)
    assert epochs == [2, 3, 4]
