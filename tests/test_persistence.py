"""Models to a folder and back, and folders that are not what they should be."""

import json
import os
import pickle
import shutil

import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.persistence import load_model, read_label_counts, read_metadata, save_model


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


@pytest.mark.parametrize("mmap_mode", ["r", "c", None])
def test_the_same_predictions(folder, model, problem, mmap_mode):
    again = load_model(folder, mmap_mode)
    expected, found = (m.predict_topk(problem[0], k=5) for m in (model, again))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert isinstance(again.coefs_[0], np.memmap) == (mmap_mode is not None)
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
    assert metadata["model_bytes"] == (folder / "model.joblib").stat().st_size
    counts, n_samples = read_label_counts(folder)
    assert n_samples == 300
    np.testing.assert_array_equal(counts, np.asarray(problem[1].sum(axis=0)).ravel())
    assert sorted(os.listdir(folder.parent)) == ["model"]


def test_labels_need_not_be_kept(tmp_path, model):
    save_model(model, tmp_path / "model")
    assert read_label_counts(tmp_path / "model") is None
    assert "n_train_samples" not in read_metadata(tmp_path / "model")


def test_a_model_takes_the_place_of_another(folder, problem):
    other = DummyClassifier().fit(np.zeros((3, 2)), [0, 1, 1])
    mapped = load_model(folder)
    save_model(other, folder)
    assert isinstance(load_model(folder), DummyClassifier)
    assert os.listdir(folder.parent) == ["model"]
    # Who has the old one mapped goes on with it.
    assert mapped.predict_topk(problem[0][:2], k=1)[0].shape == (2, 1)


def test_a_failed_write_leaves_what_was_there(folder, model, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(value, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(joblib, "dump", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert os.listdir(folder.parent) == ["model"]


def test_a_failed_rename_brings_the_old_model_back(folder, model, monkeypatch):
    rename = type(folder).rename

    def refuse_the_new_one(self, target):
        if target == folder and self.name.startswith(".model.") and self.name != "model":
            raise OSError(16, "Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", refuse_the_new_one)
    with pytest.raises(OSError, match="busy"):
        save_model(model, folder)
    assert load_model(folder).n_features_in_ == 200
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


def edit(folder, **changes):
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: v for key, v in metadata.items() if v is not None}))


def cut_model(folder):
    path = folder / "model.joblib"
    path.write_bytes(path.read_bytes()[:-100])


def overwrite_model(folder):
    path = folder / "model.joblib"
    path.write_bytes(b"\x80\x04" + b"x" * (path.stat().st_size - 2))


def other_object(folder):
    joblib.dump([1, 2], folder / "model.joblib")
    edit(folder, model_bytes=(folder / "model.joblib").stat().st_size)


BROKEN = [
    (shutil.rmtree, FileNotFoundError, "model does not exist"),
    (lambda f: (f / "metadata.json").unlink(), ValueError, "no model folder: it has no metadata"),
    (lambda f: (f / "metadata.json").write_text("{"), ValueError, "damaged: metadata.json is no"),
    (lambda f: (f / "metadata.json").write_bytes(b"\xff"), ValueError, "is no JSON"),
    (lambda f: (f / "metadata.json").write_text("[1]"), ValueError, "is not of an sklsh model"),
    (lambda f: edit(f, format="other"), ValueError, "is not of an sklsh model"),
    (lambda f: edit(f, format_version=2), ValueError, "of format 2, made by sklsh .*upgrade it"),
    (lambda f: edit(f, model_bytes=None), ValueError, r"lacks \['model_bytes'\]"),
    (lambda f: (f / "model.joblib").unlink(), FileNotFoundError, "has no model.joblib"),
    (cut_model, ValueError, r"model.joblib must have \d+ bytes, got \d+"),
    (overwrite_model, ValueError, "damaged, or made by versions that do not fit"),
    (other_object, ValueError, "must hold a sklsh.SparseLSHMLPClassifier, got a builtins.list"),
]


@pytest.mark.parametrize(("damage", "error", "message"), BROKEN)
def test_load_refuses(folder, damage, error, message):
    damage(folder)
    with pytest.raises(error, match=message) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)


def test_load_refuses_arguments(folder):
    with pytest.raises(ValueError, match=r"mmap_mode must be None, 'r' or 'c', got 'r\+'"):
        load_model(folder, "r+")
    path = folder / "label_counts.npy"
    # Cut, or with a header that is no Python (numpy reads it as such).
    for content in (b"no", path.read_bytes().replace(b"{", b"{[", 1)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"label_counts.npy cannot be read"):
            read_label_counts(folder)
