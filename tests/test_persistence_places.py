"""One model in the place of another: whole at any time, for readers and after a kill."""

import errno
import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from sklsh import CompressedLSHHasher, persistence
from sklsh.persistence import _places, load_model, read_metadata, save_model


def hasher(number):
    """A model that is known by its number of features, and larger than a page."""
    return CompressedLSHHasher(n_tables=2, hash_length=3, random_state=0).fit(
        np.random.default_rng(number).standard_normal((200, number))
    )


def no_exchange(monkeypatch):
    monkeypatch.setattr(_places, "exchange", lambda one, other: False)


@pytest.fixture(params=["exchange", "none"])
def way(request, monkeypatch):
    """Systems that can let two folders change places, and those that cannot."""
    if request.param == "none":
        no_exchange(monkeypatch)
    elif not sys.platform.startswith("linux"):
        pytest.skip("not of this system")
    return request.param


def test_exchange_is_one_step_here(tmp_path):
    if not sys.platform.startswith("linux"):
        assert not _places.exchange(tmp_path, tmp_path)
        return
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of_{name}").write_text("")
    if not _places.exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert os.listdir(tmp_path / "a") == ["of_b"] and os.listdir(tmp_path / "b") == ["of_a"]
    with pytest.raises(FileNotFoundError):
        _places.exchange(tmp_path / "a", tmp_path / "no")


def test_one_after_the_other(tmp_path, way):
    (tmp_path / "m").mkdir()  # empty: may be written to
    mapped = []
    for number in (3, 5, 4, 5):
        save_model(hasher(number), tmp_path / "m")
        mapped.append(load_model(tmp_path / "m"))
        assert [model.n_features_in_ for model in mapped] == [3, 5, 4, 5][: len(mapped)]
        assert os.listdir(tmp_path) == ["m"]
        assert len(os.listdir(tmp_path / "m")) == 2
        assert "file" not in read_metadata(tmp_path / "m")
    # Who has an old one mapped goes on with it.
    for model, number in zip(mapped, (3, 5, 4, 5), strict=True):
        X = np.eye(number)
        assert (model.codes(X) == hasher(number).codes(X)).all()


def test_a_link_is_written_through(tmp_path, way):
    (tmp_path / "disk").mkdir()
    (tmp_path / "m").symlink_to("disk/real")
    for number in (3, 4):
        save_model(hasher(number), tmp_path / "m")
        assert (tmp_path / "m").is_symlink()
        assert load_model(tmp_path / "disk" / "real").n_features_in_ == number
    assert sorted(os.listdir(tmp_path)) == ["disk", "m"]
    assert os.listdir(tmp_path / "disk") == ["real"]


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_rights_of_the_folder_stay(tmp_path, mode):
    save_model(hasher(3), tmp_path / "m")
    (tmp_path / "m").chmod(mode)
    save_model(hasher(3), tmp_path / "m")
    assert (tmp_path / "m").stat().st_mode & 0o777 == mode


def test_two_who_write_at_once(tmp_path, way):
    models = [hasher(number) for number in (3, 4)]
    errors = []

    def save(model):
        try:
            for _ in range(15):
                save_model(model, tmp_path / "m")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if way == "exchange":
        assert not errors
    assert load_model(tmp_path / "m").n_features_in_ in (3, 4)
    save_model(models[0], tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"] and len(os.listdir(tmp_path / "m")) == 2


@pytest.mark.parametrize("point", ["before", "between"])
def test_a_reader_that_meets_another_model_tries_again(tmp_path, way, monkeypatch, point):
    """Saved anew while it is read: between the text and the arrays, and before either."""
    save_model(hasher(3), tmp_path / "m")
    other, n_calls = hasher(4), []
    name = "_read" if point == "before" else "_read_arrays"
    read = getattr(persistence, name)

    def interrupted(*arguments):
        if not n_calls:
            n_calls.append(save_model(other, tmp_path / "m"))
        return read(*arguments)

    monkeypatch.setattr(persistence, name, interrupted)
    for verify in (True, False):
        n_calls.clear()
        assert load_model(tmp_path / "m", verify=verify).n_features_in_ == 4
        save_model(hasher(3), tmp_path / "m")


def test_no_space_left(tmp_path, monkeypatch):
    """The folder is named, and what was there is still whole."""
    folder = tmp_path / "model"
    save_model(hasher(3), folder)

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_places, "sync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{folder}'"):
        save_model(hasher(4), folder)
    assert os.listdir(tmp_path) == ["model"]
    assert load_model(folder).n_features_in_ == 3


def test_damage_is_no_other_generation(tmp_path):
    save_model(hasher(3), tmp_path / "m")
    (tmp_path / "m" / "arrays.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="is damaged"):
        load_model(tmp_path / "m")


# kill -9 ----------------------------------------------------------------------------------


def save_for_ever(place, models):
    while True:
        for model in models:
            save_model(model, place)


def read_for_ever(place, counter):
    while True:
        assert load_model(place, (None, "c")[counter.value % 2]).n_features_in_ in (30, 40)
        counter.value += 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("n_kills", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_any_time_beside_readers(tmp_path, way, n_kills):
    context = multiprocessing.get_context("fork")
    models = [hasher(number) for number in (30, 40)]
    place = tmp_path / "m"
    save_model(models[0], place)
    counters = [context.Value("l", 0) for _ in range(2)]
    readers = [context.Process(target=read_for_ever, args=(place, c)) for c in counters]
    rng = np.random.default_rng(0)
    try:
        for reader in readers:
            reader.start()
        for _ in range(n_kills):
            saver = context.Process(target=save_for_ever, args=(place, models))
            saver.start()
            time.sleep(rng.uniform(0.02, 0.2))
            os.kill(saver.pid, signal.SIGKILL)
            saver.join()
            assert saver.exitcode == -signal.SIGKILL, "it failed by itself"
            found = load_model(place)
            X = np.eye(found.n_features_in_)
            assert (found.codes(X) == models[found.n_features_in_ == 40].codes(X)).all()
        save_model(models[0], place)
        assert os.listdir(tmp_path) == ["m"]
        assert len(os.listdir(place)) == 2
        assert all(reader.is_alive() for reader in readers), "a reader has failed"
        assert all(counter.value > n_kills // 2 for counter in counters)
    finally:
        for reader in readers:
            reader.kill()
            reader.join()
