"""Models to a folder and back, and folders that are not what they should be."""

import json
import os
import pickle
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError

from sklsh import (
    CompressedLSHHasher,
    FederatedLSHClassifier,
    LSHRecommender,
    SparseLSHMLPClassifier,
    persistence,
)
from sklsh.datasets import make_extreme_classification
from sklsh.persistence import _places, load_model, read_label_counts, read_metadata, save_model


@pytest.fixture(scope="module")
def problem():
    return make_extreme_classification(300, 200, 50, random_state=0)


@pytest.fixture(scope="module")
def model(problem):
    return SparseLSHMLPClassifier((16,), max_iter=2, random_state=0).fit(*problem)


@pytest.fixture
def folder(tmp_path, model, problem):
    save_model(model, tmp_path / "model", y_train=problem[1])
    return tmp_path / "model"


def is_mapped(array) -> bool:
    """Whether an array, or what it is a part of, is a file's."""
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.parametrize("mmap_mode", ["r", "c", None])
def test_the_same_predictions(folder, model, problem, mmap_mode):
    again = load_model(folder, mmap_mode)
    expected, found = (m.predict_topk(problem[0], k=5) for m in (model, again))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert is_mapped(again.coefs_[0]) == (mmap_mode is not None)
    assert type(again.coefs_[0]) is np.ndarray
    assert again.get_params() == model.get_params()


def test_training_goes_on_after_loading(folder, model, problem):
    expected = pickle.loads(pickle.dumps(model)).partial_fit(*problem)
    for mmap_mode in (None, "c"):
        found = load_model(folder, mmap_mode).partial_fit(*problem)
        np.testing.assert_array_equal(found.coefs_[1], expected.coefs_[1])
    untouched = load_model(folder)
    np.testing.assert_array_equal(untouched.coefs_[1], model.coefs_[1])


def test_metadata(folder, problem):
    metadata = read_metadata(folder)
    assert metadata["class"] == "sklsh.SparseLSHMLPClassifier"
    assert metadata["shapes"] == {"coefs_": [[200, 16], [16, 50]], "intercepts_": [[16], [50]]}
    assert metadata["params"]["max_iter"] == "2"
    assert metadata["model_bytes"] == (folder / "arrays.bin").stat().st_size
    assert metadata["memory"]["learner_.network"] == 4 * (200 * 16 + 16 + 16 * 50 + 50)
    assert metadata["table_stats"] == {}
    counts, n_samples = read_label_counts(folder)
    assert n_samples == 300
    np.testing.assert_array_equal(counts, np.asarray(problem[1].sum(axis=0)).ravel())
    assert sorted(os.listdir(folder.parent)) == ["model"]


def test_labels_need_not_be_kept(tmp_path, model):
    save_model(model, tmp_path / "model")
    assert read_label_counts(tmp_path / "model") is None
    assert "n_train_samples" not in read_metadata(tmp_path / "model")


def test_a_model_takes_the_place_of_another(folder, problem):
    other = CompressedLSHHasher(random_state=0).fit(np.eye(4))
    mapped = load_model(folder)
    save_model(other, folder)
    assert isinstance(load_model(folder), CompressedLSHHasher)
    assert os.listdir(folder.parent) == ["model"]
    # Who has the old one mapped goes on with it.
    assert mapped.predict_topk(problem[0][:2], k=1)[0].shape == (2, 1)


def test_a_failed_write_leaves_what_was_there(folder, model, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(path, arrays):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(persistence, "_write_arrays", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert os.listdir(folder.parent) == ["model"]


def test_a_failed_exchange_leaves_what_was_there(folder, model, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refuse(one, other):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(_places, "exchange", refuse)
    with pytest.raises(OSError, match="busy"):
        save_model(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert os.listdir(folder.parent) == ["model"]


def test_save_refuses(tmp_path, model):
    with pytest.raises(TypeError, match="model must be an estimator, got dict"):
        save_model({}, tmp_path / "model")
    with pytest.raises(NotFittedError):
        save_model(SparseLSHMLPClassifier(), tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"no does not exist"):
        save_model(model, tmp_path / "no" / "model")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file; a model is written to a folder"):
        save_model(model, tmp_path / "file")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match=r"'thesis.tex', for one\) and is left alone"):
        save_model(model, tmp_path / "work")
    assert (tmp_path / "work" / "thesis.tex").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["file", "work"]


def edit(folder, change, *, honest=True):
    """Change the metadata; with `honest`, let its checksum fit."""
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    if honest:
        metadata.pop("checksum")
        metadata["checksum"] = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    path.write_text(json.dumps(metadata))


def set_key(**changes):
    return lambda folder: edit(folder, lambda metadata: metadata.update(changes))


def cut_arrays(folder):
    path = folder / "arrays.bin"
    path.write_bytes(path.read_bytes()[:-100])


def flip(folder, place=0.5, name="arrays.bin"):
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 4
    (folder / name).write_bytes(content)


def state_of(change):
    return lambda folder: edit(folder, lambda metadata: change(metadata["state"][1]))


def of_class(name):
    return state_of(lambda model: model.update({"class": name}))


def array_entry(place, value):
    def change(metadata):
        metadata["arrays"][1][place] = value

    return lambda folder: edit(folder, change)


def link_elsewhere(name):
    def link(folder):
        (folder / name).rename(folder.parent / "secret")
        (folder / name).symlink_to(folder.parent / "secret")

    return link


def older(folder):
    (folder / "arrays.bin").rename(folder / "model.joblib")
    edit(folder, lambda metadata: metadata.update(format_version=1), honest=False)


BROKEN = {
    "gone": (shutil.rmtree, FileNotFoundError, "model does not exist"),
    "no text": (lambda f: (f / "metadata.json").unlink(), ValueError, "it has no metadata"),
    "half a text": (lambda f: (f / "metadata.json").write_text("{"), ValueError, "is no JSON"),
    "no text at all": (lambda f: (f / "metadata.json").write_bytes(b"\xff"), ValueError, "no JSON"),
    "deep": (lambda f: (f / "metadata.json").write_text("[" * 10**5), ValueError, "is no JSON"),
    "a list": (lambda f: (f / "metadata.json").write_text("[1]"), ValueError, "not of an sklsh mo"),
    "foreign": (set_key(format="other"), ValueError, "is not of an sklsh model"),
    "newer": (set_key(format_version=99), ValueError, "of format 99, made by sklsh .*upgrade this"),
    "older": (older, ValueError, "of format 1, made by sklsh .*save it again with this one"),
    "no version": (set_key(format_version=None, versions=0), ValueError, "of format None"),
    "a key less": (
        lambda f: edit(f, lambda m: m.pop("memory")), ValueError, r"lacks \['memory'\]"),
    "an array less": (
        set_key(memory=[]), ValueError, r"lacks \['memory'\], or has something else"),
    "no list of arrays": (set_key(arrays=None), ValueError, r"lacks \['arrays'\]"),
    "a float in a shape": (array_entry(1, [3.0]), ValueError, "array 1 must have plain bytes"),
    "a float as an offset": (array_entry(3, 64.0), ValueError, "array 1 must have plain bytes"),
    "a shape below 0": (array_entry(1, [-3]), ValueError, "array 1 must have plain bytes"),
    "arrays in another place": (set_key(file="../a.bin"), ValueError, "cannot be in '../a.bin'"),
    "arrays in no name": (set_key(file=3), ValueError, "arrays cannot be in 3"),
    "a changed text": (
        lambda f: edit(f, lambda m: m["params"].update(alpha="1"), honest=False), ValueError,
        "damaged: metadata.json has another checksum"),
    "no arrays": (lambda f: (f / "arrays.bin").unlink(), FileNotFoundError, "it has no arrays.bin"),
    "cut": (cut_arrays, ValueError, r"arrays.bin must have \d+ bytes, got \d+"),
    "a flipped bit": (flip, ValueError, r"damaged: array \d+ of arrays.bin has changed"),
    "too long": (array_entry(1, [10**9]), ValueError, "array 1 ends beyond arrays.bin"),
    "objects": (array_entry(0, "|O"), ValueError, "array 1 must have plain bytes, got .*O"),
    "Python for a dtype": (array_entry(0, "(,<f4"), ValueError, "array 1 must have plain bytes"),
    "no dtype": (array_entry(0, "<q9"), ValueError, "array 1 must have plain bytes, got .*q9"),
    "before the file": (array_entry(3, -64), ValueError, "array 1 must have plain bytes"),
    "no entry": (lambda f: edit(f, lambda m: m.update(arrays=[3])), ValueError, "damaged"),
    "another object": (
        lambda f: edit(f, lambda m: m.update(state=[None, 3])), ValueError,
        "must hold an estimator, got a int"),
    "code": (of_class("os:system"), ValueError, "'os:system' is no class of sklsh"),
    "a class within": (of_class("sklsh._utils.files:Path"), ValueError, "is no class of sklsh"),
    "a function": (of_class("sklsh.persistence:save_model"), ValueError, "is no class of sklsh"),
    "no module": (of_class("sklsh.nowhere:A"), ValueError, "'sklsh.nowhere:A' needs what is not"),
    "an unknown node": (
        state_of(lambda model: model["state"].update(alpha={"eval": "1"})), ValueError, "KeyError"),
    "a number too many": (
        state_of(lambda model: model["state"].update(alpha={"array": 99})), ValueError, "IndexE"),
    "text elsewhere": (link_elsewhere("metadata.json"), ValueError, "must be a file of this fo"),
    "arrays elsewhere": (link_elsewhere("arrays.bin"), ValueError, "must be a file of this folder"),
}  # fmt: skip


@pytest.mark.parametrize("mmap_mode", ["c", None])
@pytest.mark.parametrize(("damage", "error", "message"), BROKEN.values(), ids=BROKEN)
def test_load_refuses(folder, damage, error, message, mmap_mode):
    damage(folder)
    with pytest.raises(error, match=message) as caught:
        load_model(folder, mmap_mode)
    assert str(folder) in str(caught.value)


OF_FORMAT_3 = ["classifier", "votes", "recommender", "hasher", "winners", "federation"]


@pytest.mark.parametrize("name", OF_FORMAT_3)
def test_a_folder_of_format_3(tmp_path, name):
    """As the first sklsh with this format wrote them: they answer the same, and train on.

    The archive holds a folder for each kind, the data, and what the models answered then.
    """
    with zipfile.ZipFile(Path(__file__).parent / "data" / "format_3.zip") as archive:
        archive.extractall(tmp_path)
    with np.load(tmp_path / "answers.npz") as found:
        X, Y, answers = sp.csr_array(found["X"]), sp.csr_array(found["Y"] * 1.0), found[name]
    model = load_model(tmp_path / name)
    assert read_metadata(tmp_path / name)["format_version"] == 3
    of_users = name == "recommender"
    got = model.codes(X) if hasattr(model, "codes") else model.predict_topk(Y if of_users else X, 3)
    got = got[0] if isinstance(got, tuple) else got
    if of_users:
        # Item-item scores count users of many items less than they did then.
        assert np.mean(got == answers) > 0.9
    else:
        np.testing.assert_array_equal(got, answers)
    type(model)(**model.get_params(deep=False))  # every parameter of today is there
    y = np.arange(60) % 3 if name == "votes" else Y
    model.partial_fit(*([Y] if of_users else [X, y]))
    save_model(model, tmp_path / name)
    assert read_metadata(tmp_path / name)["format_version"] == persistence.FORMAT_VERSION


@pytest.mark.parametrize("name", ["arrays.bin", "metadata.json"])
def test_a_flipped_bit_anywhere(folder, model, problem, name):
    """Where it is not noticed it lies between two arrays, or is a white space."""
    whole = (folder / name).read_bytes()
    noticed = 0
    for place in np.linspace(0, 0.999, 40):
        flip(folder, place, name)
        try:
            again = load_model(folder)
        except (ValueError, FileNotFoundError):
            noticed += 1
        else:
            assert (again.predict(problem[0]) != model.predict(problem[0])).nnz == 0
        (folder / name).write_bytes(whole)
    assert noticed > 30


def test_checksums_may_be_left_out(folder):
    flip(folder)
    assert load_model(folder, verify=False).n_features_in_ == 200


def test_load_refuses_arguments(folder):
    with pytest.raises(ValueError, match=r"mmap_mode must be None, 'r' or 'c', got 'r\+'"):
        load_model(folder, "r+")


def test_label_counts_that_are_damaged(folder):
    flip(folder, 0.0)
    with pytest.raises(ValueError, match=r"array 0 of arrays\.bin has changed"):
        read_label_counts(folder)


# What else passes -------------------------------------------------------------------------


def through_a_folder(model, folder, *, mmap_mode="c", **options):
    save_model(model, folder, **options)
    return load_model(folder, mmap_mode)


@pytest.mark.parametrize("mmap_mode", ["c", None])
def test_hasher(tmp_path, problem, mmap_mode):
    X = problem[0]
    for family in ("pghash", "pghash_d", "simhash", "dwta"):
        model = CompressedLSHHasher(family, n_tables=4, hash_length=3, random_state=0).fit(X)
        again = through_a_folder(model, tmp_path / "h", mmap_mode=mmap_mode)
        assert (again.query(X[:9], 5) != model.query(X[:9], 5)).nnz == 0
    stats = read_metadata(tmp_path / "h")["table_stats"]
    assert stats["n_tables"] == 4
    assert len(stats["n_buckets"]) == 4


@pytest.mark.parametrize("names", [None, "text"])
def test_recommender(tmp_path, problem, names):
    users = problem[1]
    model = LSHRecommender((8,), max_iter=1, prediction="lsh", hash_length=3, random_state=0)
    model.fit(users, item_ids=names and [f"item {i}" for i in range(50)])
    again = through_a_folder(model, tmp_path / "r", mmap_mode="c")
    for one in (model, again):
        one.partial_fit(users[:50])
    for got, want in zip(*(m.recommend(np.arange(9), users[:9], N=4) for m in (again, model))):
        np.testing.assert_array_equal(got, want)
    assert read_metadata(tmp_path / "r")["table_stats"]["n_present"] == 50


WARDS = np.array(["Ward A", "Ward B", "Ward C"])[np.arange(300) % 3]


def federation(problem, **params):
    estimator = SparseLSHMLPClassifier((8,))
    model = FederatedLSHClassifier(estimator, n_rounds=2, random_state=0, **params)
    return model.fit(*problem, groups=WARDS)


def test_federation(tmp_path, problem):
    model = federation(problem)
    again = through_a_folder(model, tmp_path / "f", federation_state=True)
    assert again.history_ == model.history_
    assert again.ledger_.traffic == model.ledger_.traffic
    for one in (model, again):
        one.partial_fit(*problem, groups=WARDS)
    np.testing.assert_array_equal(
        again.predict_topk(problem[0])[1], model.predict_topk(problem[0])[1]
    )
    # What was one array is one again.
    assert again.server_.network.head_weights is again.estimator_.network_.head_weights


@pytest.mark.parametrize("params", [
    {"body_exchange": "local", "local_optimizer": "kept", "callback": lambda network, entry: None},
    {"device_params": {"Ward B": {"n_decoys": 1.5}}, "sketch_rounds": 2},
])  # fmt: skip
def test_a_published_federation_tells_nothing_of_its_devices(tmp_path, problem, params):
    model = federation(problem, cache_dir=tmp_path / "kept by Ward", **params)
    before = vars(model).copy()
    save_model(model, tmp_path / "f")
    again = load_model(tmp_path / "f")
    assert vars(model) == before  # the federation itself goes on
    model.partial_fit(*problem, groups=WARDS)
    text = (tmp_path / "f" / "metadata.json").read_text()
    assert not any(
        word in text for word in ("Ward", "caches_", "ledger_", 'server_"', 'n_decoys": 1')
    )
    state = again.estimator_.learner_.optimizer.head_weights
    assert len(np.unique(state)) <= 2
    with pytest.raises(ValueError, match="the federation's state must be there"):
        again.partial_fit(*problem)
    with pytest.raises(ValueError, match="the federation's state must be there"):
        again.device_estimator("Ward A")
    assert again.fit(*problem).n_rounds_ == 2  # from scratch, it is a federation as any


def test_a_published_federation_predicts_as_it_did(tmp_path, problem):
    model = federation(problem)
    save_model(model, tmp_path / "f")
    again = load_model(tmp_path / "f")
    for one, two in zip(*(m.predict_topk(problem[0]) for m in (again, model))):
        np.testing.assert_array_equal(one, two)
    assert again.history_ == model.history_
    # Its estimator may be trained on, where it stands: no neuron is taken for a new one.
    head = again.estimator_.coefs_[1].copy()
    untouched = again.estimator_.learner_.optimizer.untouched_neurons()
    np.testing.assert_array_equal(untouched, model.server_.optimizer.untouched_neurons())
    again.estimator_.partial_fit(problem[0][:1], problem[1][:1])
    assert np.abs(again.estimator_.coefs_[1] - head).max() < 1


@pytest.mark.parametrize("classes", [
    np.array(["a", "bc"]), np.array(["a", "bc"], dtype=object), np.array([True, False]),
    np.array([2**40, -3]), np.array([0.0, 2.0]),
])  # fmt: skip
def test_classes_and_parameters_of_any_kind(tmp_path, problem, classes):
    y = classes[np.arange(300) % 2]
    model = SparseLSHMLPClassifier(
        (8,), max_iter=1, random_state=np.random.RandomState(3), alpha=np.float32(1e-3),
        checkpoint_dir=tmp_path / "fit",
    ).fit(problem[0], y)  # fmt: skip
    again = through_a_folder(model, tmp_path / "m")
    np.testing.assert_array_equal(again.predict(problem[0]), model.predict(problem[0]))
    assert again.classes_.dtype == model.classes_.dtype
    assert again.checkpoint_dir == tmp_path / "fit"
    assert again.random_state.randint(10**6) == model.random_state.randint(10**6)
    assert type(again.alpha) is np.float32


def test_columns_first_stays_so(tmp_path, model):
    changed = pickle.loads(pickle.dumps(model))
    changed.network_.body_weights[0] = np.asfortranarray(changed.coefs_[0])
    changed.empty_ = np.empty((0, 3))
    again = through_a_folder(changed, tmp_path / "m")
    assert again.coefs_[0].flags.f_contiguous
    np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])
    assert again.empty_.shape == (0, 3)


def test_save_refuses_what_is_not_ours(tmp_path, model):
    other = pickle.loads(pickle.dumps(model))
    for value, message in (
        (DummyClassifier(), r"model.alpha must be of sklsh's own classes.*a sklearn.dummy.Dummy"),
        (print, "model.alpha must be of sklsh's own classes.*builtin"),
        ({1, 2}, "model.alpha must be of sklsh's own.*set"),
        ([np.zeros(2, dtype="i4,f4")], r"model.alpha\[0\] must be of numbers or text"),
        ({"a": Path}, r"model.alpha\['a'\] must be"),
    ):
        other.alpha = value
        with pytest.raises(TypeError, match=message):
            save_model(other, tmp_path / "m")
    with pytest.raises(TypeError, match="own classes"):
        save_model(DummyClassifier().fit(np.zeros((3, 2)), [0, 1, 1]), tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_counts_of_labels_by_name(problem, tmp_path):
    X, Y = problem[0], problem[1].toarray().astype(int)
    names = np.array([f"label {i:03d}" for i in range(Y.shape[1])])
    lists = [names[row == 1].tolist() for row in Y]
    model = SparseLSHMLPClassifier((4,), max_iter=1, random_state=0).fit(X, lists)
    save_model(model, tmp_path / "m", y_train=lists)
    counts, n_samples = read_label_counts(tmp_path / "m")
    assert n_samples == X.shape[0]
    np.testing.assert_array_equal(counts, Y.sum(axis=0)[np.isin(names, model.label_names_)])
    with pytest.raises(ValueError, match="labels of the model, got others"):
        save_model(model, tmp_path / "m", y_train=[["new"]])
    classes = np.array([10, -5, 30])[np.arange(X.shape[0]) % 3]
    model.fit(X, classes)
    save_model(model, tmp_path / "m", y_train=classes)
    kept = read_label_counts(tmp_path / "m")
    np.testing.assert_array_equal(kept[0], np.unique(classes, return_counts=True)[1])
    with pytest.raises(ValueError, match="classes of the model, got others"):
        save_model(model, tmp_path / "m", y_train=[11])
    with pytest.raises(ValueError, match="only one of y_train and label_counts"):
        save_model(model, tmp_path / "m", y_train=classes, label_counts=kept)
