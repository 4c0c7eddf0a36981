"""Data sets: the bundled one, files of the repository, synthetic ones, splits over devices."""

import bz2
import gzip
import os
import pickle
import stat
import time

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklsh.datasets import (
    load_wordnet,
    load_xc,
    make_extreme_classification,
    save_xc,
    split_devices,
)
from sklsh.metrics import precision_at_k

# WordNet ----------------------------------------------------------------------------------


def test_wordnet_is_what_it_says():
    data = load_wordnet()
    shapes = {name: data[name].shape for name in ("X_train", "X_test", "Y_train", "Y_test")}
    assert shapes == {
        "X_train": (18_820, 14_531),
        "X_test": (4_781, 14_531),
        "Y_train": (18_820, 12_607),
        "Y_test": (4_781, 12_607),
    }
    for name in shapes:
        matrix = data[name]
        assert sp.isspmatrix_csr(matrix)
        assert matrix.dtype == np.float32
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
        # A copy looks for itself: flags that the loader set are not believed.
        copy = sp.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
        assert copy.has_canonical_format
        copy.check_format(full_check=True)
    assert [data[name].nnz for name in shapes] == [134_925, 32_095, 43_089, 10_513]
    assert set(data.Y_train.data) == set(data.Y_test.data) == {1.0}
    assert np.bincount(data.Y_train.indices, minlength=12_607).min() == 1
    assert np.bincount(data.X_train.indices, minlength=14_531).min() == 2
    assert np.diff(data.Y_test.indptr).min() == 1
    squares = data.X_train.power(2).sum(axis=1)
    assert 0 < squares.max() < 1.00001
    assert data.label_names.shape == (12_607,)
    assert data.feature_names.shape == (14_531,)
    offsets = [int(name[1:9]) for name in data.label_names]
    assert all(name[0] == "n" for name in data.label_names)
    assert offsets == sorted(set(offsets))
    assert 1_300_000 <= offsets[0] < offsets[-1] < 4_700_000
    assert len(set(data.feature_names)) == 14_531
    for text in ("12,607", "Copyright 2006 by Princeton University", "LICENSE.wordnet"):
        assert text in data.DESCR


def test_wordnet_rows_belong_together():
    """Words of a kind of dog: what a scrambled matrix could not show."""
    data = load_wordnet()
    dog = data.label_names.tolist().index("n02084071:dog")
    rows = data.X_train[data.Y_train[:, dog].nonzero()[0]]
    words = data.feature_names[np.argsort(-np.asarray(rows.sum(axis=0)).ravel())[:10]]
    assert "dog" in words


def test_wordnet_as_a_tuple_is_quick_and_fresh():
    start = time.perf_counter()
    X_train, _, _, Y_test = load_wordnet(return_X_y=True)
    assert time.perf_counter() - start < 2.0
    X_train.data[:] = 0
    again = load_wordnet(return_X_y=True)
    assert again[0].data.all()
    assert (again[3] != Y_test).nnz == 0


# Text files -------------------------------------------------------------------------------

OPENERS = {"txt": open, "gz": gzip.open, "bz2": bz2.open}


def write(path, text):
    with OPENERS[path.name.split(".")[-1]](path, "wb") as file:
        file.write(text.encode())
    return path


@st.composite
def tables(draw):
    n_samples, n_features = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    n_labels = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.standard_normal((n_samples, n_features)) * 10.0 ** rng.integers(-30, 30, n_features)
    X[rng.random(X.shape) < 0.6] = 0
    return X.astype(np.float32), (rng.random((n_samples, n_labels)) < 0.3).astype(np.float32)


@given(tables(), st.sampled_from(list(OPENERS)))
def test_round_trip_to_the_bit(tmp_path_factory, table, ending):
    path = tmp_path_factory.mktemp("xc") / f"data.{ending}"
    save_xc(path, *table)
    X, Y = load_xc(path)
    np.testing.assert_array_equal(X.toarray(), table[0])
    np.testing.assert_array_equal(Y.toarray(), table[1])
    assert sp.isspmatrix_csr(X)
    assert X.dtype == Y.dtype == np.float32
    assert os.listdir(path.parent) == [path.name]


def naive_xc(text):
    """Dense X and Y of a text, by the format's definition."""
    header, *lines = text.split("\n")
    n_samples, n_features, n_labels = map(int, header.split())
    X, Y = np.zeros((n_samples, n_features), np.float32), np.zeros((n_samples, n_labels))
    for i in range(n_samples):
        labels, _, features = lines[i].partition(" ")
        Y[i, [int(label) for label in labels.split(",") if label]] = 1
        for pair in features.split():
            j, value = pair.split(":")
            X[i, int(j)] = np.float32(value)
    return X, Y


@pytest.mark.parametrize(
    "text",
    [
        "2 3 4\n0,3 0:1 2:0.5\n1 1:2\n",
        "2 3 4\n0,3 0:1 2:0.5\n1 1:2",
        "3 3 4\n 0:1\n2 \n 2:1e-3\n",  # rows without labels, a row without features
        "3 3 4\n\n2 1:1\n\n",  # rows with nothing, in front and at the end
        "2 3 4\n1 0:1\n\n\n\n",  # a last row with nothing, and empty lines after it
        "1 3 4\n2,2,2 0:1 1:0\n",  # a label again and again, a stored zero
        "2 4 3\n2,0 3:0.5 1:1 0:7\n1 2:1\n",  # in any order
    ],
)
def test_text_against_naive_reading(tmp_path, text):
    X, Y = load_xc(write(tmp_path / "a.txt", text))
    expected = naive_xc(text)
    np.testing.assert_array_equal(X.toarray(), expected[0])
    np.testing.assert_array_equal(Y.toarray(), expected[1])
    assert X.nnz == np.count_nonzero(expected[0])


def test_windows_line_ends(tmp_path):
    X, Y = load_xc(write(tmp_path / "a.txt", "2 3 4\r\n0,3 0:1 2:0.5\r\n\r\n"))
    assert X.toarray().tolist() == [[1, 0, 0.5], [0, 0, 0]]
    assert Y.toarray().tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff2 4 3\n0,2 1:1 3:0.5\n1 2:1\n",  # a byte order mark
        "2 4 3\n0, 2 1:1 3:0.5\n1  2:1\n",
        "2\t4\t3\n0 ,2\t1:1\t3:0.5 \n\t1\t2:1\n",
        "2 4 3\n0,2 3:0.25 1:1 3:0.25\n1,1 2:0.5 2:0.5\n",  # what comes twice is summed
        "2 4 3 \r\n0,2 3:0.5 1:1 0:0\r\n1 2:1 0:1 0:-1\r\n\r\n",
        "2 4 3\n0,2 1:1 3:.5 # one\n1 2:1e0 #2:2\n",
        "2 4 3\n2.0,0 01:1 3:+0.5\n1 2:1",
    ],
)
def test_all_ways_to_write_the_same(tmp_path, text):
    for ending in OPENERS:
        X, Y = load_xc(write(tmp_path / f"a.{ending}", text))
        assert X.toarray().tolist() == [[0, 1, 0, 0.5], [0, 0, 1, 0]]
        assert Y.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]
        assert X.nnz == Y.nnz == 3
        assert X.has_canonical_format and Y.has_canonical_format


def test_a_row_s_number_is_the_same_wherever_it_is(tmp_path, monkeypatch):
    """Blocks and kinds of faults are no matter."""
    monkeypatch.setattr("sklsh.datasets._xc_text.BLOCK_ROWS", 2)
    for wrong in ("x 1:1", "9 1:1", "0 1:nan", "0 9:1", "0 1:", "0 1:1:1"):
        lines = ["7 4 3", *["0 1:1"] * 5, wrong, "1 1:1"]
        path = write(tmp_path / "a.txt", "\n".join(lines))
        with pytest.raises(ValueError, match=r"in row 5 \(line 7\)$"):
            load_xc(path)
        path = write(tmp_path / "a.txt", "\n".join([*lines[:6], lines[7], *["", ""]]))
        X, _ = load_xc(path)
        assert np.diff(X.indptr).tolist() == [1] * 6 + [0]


BAD_TEXTS = [
    ("", "the file is empty"),
    ("0,1 0:1 2:3\n", "first line must be the header .* got '0,1 0:1 2:3'"),
    ("3 4\n1 0:1\n", "first line must be the header .* got '3 4'"),
    ("1 2 x\n", "first line must be the header"),
    ("0 4 4\n", r"numbers of the header must be in \[1, .*got 0 4 4"),
    ("-1 4 4\n1 0:1\n", "numbers of the header"),
    ("2 3000000000 4\n", "numbers of the header"),
    ("2 4 4\n1 0:1\n", "header says 2 rows, the body has 1"),
    ("1 4 4\n1 0:1\n2 0:1\n", "header says 1 rows, the body has 2"),
    ("3 4 4\n1 0:1\n2 0:1", "header says 3 rows, the body has 2"),
    (
        "1 4 4\n1 4:1\n",
        r"feature numbers must be in.* \[0, 4\) by .* got 4 in row 0 \(line 2\)",
    ),
    ("1 4 4\n1 -1:1\n", "feature numbers must be .* got -1 in row 0"),
    ("1 4 4\n4 0:1\n", r"labels must be integers in \[0, 4\) by the header, got 4 in row 0"),
    ("2 4 4\n0 0:1\n1,-2 0:1\n", "got -2 in row 1"),
    ("1 4 4\n1.5 0:1\n", "got 1.5 in row 0"),
    ("1 4 4\nnan 0:1\n", "got nan in row 0"),
    ("2 4 4\n0 0:1\n1 0:nan 1:2\n", "finite float32 numbers, got nan in row 1"),
    ("1 4 4\n1 0:1e39\n", "finite float32 numbers, got inf in row 0"),
    ("2 4 4\n1 0:1\n1 0:cat\n", r"feature:value pairs, .*, got '0:cat' in row 1 \(line 3\)"),
    ("1 4 4\ncat 0:1\n", "labels must be integers with commas .* got 'cat' in row 0"),
    ("1 4 4\n0 2 1:1\n", "labels must be .* got '0 2' in row 0"),
    ("1 4 4\n0,,2 1:1\n", "labels must be .* got '0,,2' in row 0"),
    ("1 4 4\n0, 1:1\n", "labels must be .* got '0,' in row 0"),
    ("1 4 4\n0,1_0 1:1\n", "labels must be .* got '0,1_0' in row 0"),
    ("2 4 4\n0 1:1\n0 1: 3:1\n", "feature:value pairs, .* got '1:' in row 1"),
    ("1 4 4\n0 1:0,5\n", "feature:value pairs, .* got '1:0,5' in row 0"),
    ("1 4 4\n0 1:2:3 4\n", "feature:value pairs, .* got '1:2:3' in row 0"),
    ("1 4 4\n0 1:2 4\n", "feature:value pairs, .* got '4' in row 0"),
    ("1 4 4\n0 1.5:2\n", "feature numbers must be .* got 1.5 in row 0"),
    ("2 4 4\n0 1:2\n\n0 1:2\n", r"header says 2 rows, the body has 3 \(1 of them blank"),
    ("1 4 4\n0 1:1e38 1:inf 1:-inf\n", "finite float32 numbers, got nan in row 0"),
]


@pytest.mark.parametrize(("text", "message"), BAD_TEXTS)
def test_bad_text(tmp_path, text, message):
    path = write(tmp_path / "bad.txt", text)
    with pytest.raises(ValueError, match=message) as caught:
        load_xc(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", ["gz", "bz2"])
@pytest.mark.parametrize("kept", [0, 5, 20, 0.5, -9, -1])
def test_compressed_file_that_is_cut_off(tmp_path, ending, kept):
    X, Y = make_extreme_classification(200, 50, 20, random_state=0)
    path = tmp_path / f"data.{ending}"
    save_xc(path, X, Y)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"cut off or damaged|file is empty") as caught:
        load_xc(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", ["gz", "bz2"])
def test_compressed_file_that_is_damaged(tmp_path, ending):
    path = tmp_path / f"data.{ending}"
    save_xc(path, *make_extreme_classification(200, 50, 20, random_state=0))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=str(path)):
        load_xc(path)
    path.write_text("1 2 2\n0 0:1\n")
    with pytest.raises(ValueError, match="cut off or damaged"):
        load_xc(path)


def test_missing_things(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.txt does not exist"):
        load_xc(tmp_path / "nothing.txt")
    with pytest.raises(FileNotFoundError, match=r"has no test set: neither X_test.npz"):
        load_xc(tmp_path, "test")
    with pytest.raises(ValueError, match=r"subset must be one of \['test', 'train'\], got 'dev'"):
        load_xc(tmp_path, "dev")
    with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist"):
        save_xc(tmp_path / "no" / "a.txt", np.eye(2), np.eye(2))


def test_save_refuses_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", "old")
    for X, Y, message in [
        (np.eye(3), np.eye(2), "as many rows, got 3 and 2"),
        (np.eye(0), np.eye(0), "must not be empty"),
        (np.array([[np.nan]]), np.eye(1), "X must be finite"),
        (np.array([[1e39]]), np.eye(1), "X must be finite as float32"),
        (np.eye(2), -np.eye(2), "Y must be an indicator"),
        (np.ones(3), np.eye(3), r"X must be a 2-d matrix of numbers, got shape \(3,\)"),
        (np.array([["a"]]), np.eye(1), "X must be a 2-d matrix of numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            save_xc(path, X, Y)

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sklsh.datasets._xc._text_of_rows", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_xc(path, np.eye(2), np.eye(2))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_saved_file_has_ordinary_rights(tmp_path):
    save_xc(tmp_path / "a.txt", np.eye(2), np.eye(2))
    write(tmp_path / "b.txt", "")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


# Folders ----------------------------------------------------------------------------------


def test_folder_of_npz(tmp_path):
    sets = {part: make_extreme_classification(30, 50, 20, random_state=i)
            for i, part in enumerate(("train", "test"))}  # fmt: skip
    for part, (X, Y) in sets.items():
        sp.save_npz(tmp_path / f"X_{part}.npz", sp.csc_array(X.astype(np.float64)))
        sp.save_npz(tmp_path / f"Y_{part}.npz", Y * 3)
    for part, (X, Y) in sets.items():
        found = load_xc(tmp_path, part)
        assert (found[0] != X).nnz == (found[1] != Y).nnz == 0
        assert found[0].dtype == np.float32
    assert (load_xc(tmp_path)[0] != sets["train"][0]).nnz == 0


def test_folder_of_text(tmp_path):
    X, Y = make_extreme_classification(30, 50, 20, random_state=0)
    save_xc(tmp_path / "train.txt.gz", X, Y)
    save_xc(tmp_path / "test.txt", X[:7], Y[:7])
    assert (load_xc(tmp_path)[0] != X).nnz == 0
    assert load_xc(str(tmp_path), "test")[1].shape == (7, 20)


def test_bad_npz(tmp_path):
    X, Y = make_extreme_classification(30, 50, 20, random_state=0)

    def refuses(message):
        with pytest.raises(ValueError, match=message) as caught:
            load_xc(tmp_path)
        assert str(tmp_path) in str(caught.value)

    sp.save_npz(tmp_path / "X_train.npz", X)
    sp.save_npz(tmp_path / "Y_train.npz", Y[:-1])
    refuses("as many rows, got 30 and 29")
    sp.save_npz(tmp_path / "Y_train.npz", -Y)
    refuses("an indicator must be 0 and 1, got -1")
    whole = (tmp_path / "X_train.npz").read_bytes()
    (tmp_path / "X_train.npz").write_bytes(whole[: len(whole) // 2])
    refuses(r"X_train.npz must be a matrix of .* or damaged")
    np.savez(tmp_path / "X_train.npz", a=np.eye(2))
    refuses(r"X_train.npz must be a matrix of")
    (tmp_path / "X_train.npz").write_bytes(pickle.dumps({"code": "never run"}))
    refuses(r"X_train.npz must be a matrix of")
    broken = X.copy()
    broken.indices = broken.indices.copy()
    broken.indices[3] = 99
    sp.save_npz(tmp_path / "X_train.npz", broken)
    refuses(r"X_train.npz: .*indices must be in \[0, 50\)")
    broken = X.copy()
    broken.data[X.indptr[4]] = np.inf
    sp.save_npz(tmp_path / "X_train.npz", broken)
    refuses("finite float32 numbers, got inf in row 4")


# Synthetic --------------------------------------------------------------------------------


def test_synthetic_has_the_shape_that_was_asked_for():
    X, Y = make_extreme_classification(20_000, 30_000, 100_000, random_state=0)
    assert (X.shape, Y.shape) == ((20_000, 30_000), (20_000, 100_000))
    assert X.dtype == Y.dtype == np.float32
    assert X.nnz / 20_000 == pytest.approx(75, rel=0.05)
    assert Y.nnz / 20_000 == pytest.approx(5.45, rel=0.03)
    assert np.diff(Y.indptr).min() >= 1
    counts = np.sort(np.bincount(Y.indices, minlength=100_000))[::-1]
    assert counts[0] / 20_000 == pytest.approx(0.1, rel=0.1)
    # Zipf's law: the logarithm of frequency falls with that of rank.
    slope = np.log(counts[100] / counts[10]) / np.log(101 / 11)
    assert -1.2 < slope < -0.5
    assert (counts == 0).sum() > 30_000
    np.testing.assert_allclose(np.sqrt(X.power(2).sum(axis=1)), 1, rtol=1e-5)
    assert X.data.min() > 0
    for matrix in (X, Y):
        assert sp.csr_matrix((matrix.data, matrix.indices, matrix.indptr)).has_canonical_format


def nearest_neighbors_precision(signal):
    X, Y = make_extreme_classification(4000, 3000, 300, signal=signal, random_state=0)
    similar = (X[3000:] @ X[:3000].T).tolil()
    scores = sp.csr_array(similar) @ sp.csr_array(Y[:3000])
    return precision_at_k(Y[3000:], scores, 1), Y


def test_synthetic_can_be_learnt_as_far_as_there_is_signal():
    with_signal, Y = nearest_neighbors_precision(0.8)
    without, _ = nearest_neighbors_precision(0.0)
    constant = np.bincount(Y.indices).max() / 4000
    assert with_signal > constant + 0.3
    assert without < constant + 0.05


def test_labels_of_a_group_are_as_alike_as_was_asked():
    """Rows of one label each that show all its features: what do siblings have in common?"""
    within = {}
    for similarity in (0.0, 0.5, 1.0):
        X, Y = make_extreme_classification(
            600, 10**6, 64, features_per_row=200, labels_per_row=1, signal=1,
            label_similarity=similarity, random_state=0,
        )  # fmt: skip
        labels, X = Y.indices, (X > 0).astype(np.float32)
        common = (X @ X.T).toarray()
        common /= common.diagonal()
        group = labels // 16
        siblings = (group[:, None] == group) & (labels[:, None] != labels)
        assert common[group[:, None] != group].mean() < 0.01
        within[similarity] = common[siblings].mean()
    # 16 features of its own, 16 of the group.
    assert within[0.0] < 0.01
    assert within[0.5] == pytest.approx(0.5, abs=0.05)
    assert within[1.0] > 0.99


def test_synthetic_depends_on_random_state_alone():
    arguments = (50, 40, 30)
    a, b = (make_extreme_classification(*arguments, random_state=3) for _ in range(2))
    c = make_extreme_classification(*arguments, random_state=4)
    assert (a[0] != b[0]).nnz == (a[1] != b[1]).nnz == 0
    assert (a[0] != c[0]).nnz > 0
    assert (a[1] != c[1]).nnz > 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 1), (5, 1000, 2), (3, 10, 100_000)])
def test_synthetic_of_any_size(shape):
    X, Y = make_extreme_classification(*shape, random_state=0)
    assert X.shape == shape[:2]
    assert Y.shape == (shape[0], shape[2])
    assert np.diff(X.indptr).min() >= 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_samples": 0}, ValueError, "n_samples must be at least 1, got 0"),
        ({"n_labels": 2.5}, TypeError, "n_labels must be an integer"),
        ({"n_features": 2**31}, ValueError, "n_features must be in"),
        ({"features_per_row": 0.5}, ValueError, r"features_per_row must be in \[1, inf\), got 0.5"),
        ({"labels_per_row": np.nan}, ValueError, "labels_per_row must be in"),
        ({"signal": 1.5}, ValueError, r"signal must be in \[0, 1\], got 1.5"),
        ({"signal": "all"}, TypeError, "signal must be a number, got 'all'"),
        ({"label_similarity": -0.1}, ValueError, r"label_similarity must be in \[0, 1\]"),
        ({"top_label_share": 0}, ValueError, r"top_label_share must be in \(0, 1\), got 0"),
    ],
)
def test_synthetic_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        make_extreme_classification(**arguments)


# Devices ----------------------------------------------------------------------------------

WAYS = ["iid", "contiguous", "dirichlet"]


@given(
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from(WAYS),
    st.sampled_from([1e-3, 0.3, 1e4]),
    st.integers(0, 2**31 - 1),
)
def test_every_row_has_a_device_and_every_device_a_row(n_samples, n_devices, how, alpha, seed):
    y = np.random.default_rng(seed).integers(0, 4, n_samples)
    devices = split_devices(y, n_devices, how, alpha=alpha, random_state=seed)
    assert devices.shape == (n_samples,)
    assert devices.dtype == np.int64
    counts = np.bincount(devices, minlength=n_devices)
    assert counts.shape == (n_devices,)
    assert (counts > 0).sum() == n_devices if n_samples >= n_devices else counts.max(initial=0) <= 2
    if how != "dirichlet":
        assert np.ptp(counts) <= 1
    if how == "contiguous":
        assert (np.diff(devices) >= 0).all()
    np.testing.assert_array_equal(
        devices, split_devices(y, n_devices, how, alpha=alpha, random_state=seed)
    )


def test_iid_is_shuffled():
    devices = split_devices(np.zeros(1000), 4, random_state=0)
    assert (np.diff(devices) != 0).sum() > 200
    assert (devices != split_devices(np.zeros(1000), 4, random_state=1)).any()


def test_dirichlet_alpha_says_how_uneven():
    y = np.repeat(np.arange(20), 500)

    def largest_share(alpha):
        devices = split_devices(y, 5, "dirichlet", alpha=alpha, random_state=0)
        table = np.zeros((20, 5))
        np.add.at(table, (y, devices), 1 / 500)
        return table.max(axis=1).mean(), table

    (even, table), (default, _), (uneven, _) = map(largest_share, (1e4, 0.3, 1e-3))
    assert even < 0.25 < 0.45 < default < 0.8 < 0.95 < uneven
    np.testing.assert_allclose(table, 0.2, atol=0.09)


def test_dirichlet_shares_have_the_right_moments():
    """Var of a share is a (A - a) / (A^2 (A + 1)), A = n_devices alpha; blocks change nothing."""
    y = np.repeat(np.arange(4000), 100)
    alpha, n_devices = 0.5, 4
    devices = split_devices(y, n_devices, "dirichlet", alpha=alpha, random_state=0)
    shares = np.bincount(y * n_devices + devices).reshape(-1, n_devices) / 100
    total = n_devices * alpha
    variance = alpha * (total - alpha) / (total**2 * (total + 1))
    mean = 1 / n_devices
    # The 100 rows of a class are a multinomial sample of its shares.
    sampled = variance * (1 - 1 / 100) + mean * (1 - mean) / 100
    np.testing.assert_allclose(shares.mean(axis=0), mean, atol=0.015)
    np.testing.assert_allclose(shares.var(axis=0), sampled, rtol=0.08)


def test_dirichlet_in_small_blocks(monkeypatch):
    monkeypatch.setattr("sklsh.datasets._devices.BLOCK_ENTRIES", 7)
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(30), 40))
    devices = split_devices(y, 3, "dirichlet", alpha=1e-3, random_state=0)
    kept_together = [np.bincount(devices[y == c], minlength=3).max() for c in range(30)]
    assert np.mean(kept_together) > 38
    assert np.bincount(devices).min() > 0


def test_multilabel_rows_go_by_their_most_frequent_label():
    # Label 2 is the most frequent; rows 0, 1, 3, 4 have it. Row 2 has labels 0 and 1, equally
    # frequent: the lower counts. Row 5 has none.
    Y = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    y = np.array(["c", "c", "a", "c", "c", "none"])
    for seed in range(5):
        by_class = split_devices(y, 3, "dirichlet", random_state=seed)
        for container in (np.asarray, sp.csr_matrix, sp.csc_array, sp.coo_array):
            found = split_devices(container(Y), 3, "dirichlet", random_state=seed)
            np.testing.assert_array_equal(found, by_class)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], 0), ValueError, "n_devices must be .* got 0"),
        (([1, 2], 2**63), ValueError, "n_devices must be .* got 9223372036854775808"),
        (([1, 2], 1.5), TypeError, "n_devices must be an integer"),
        (
            ([1, 2], 2, "random"),
            ValueError,
            r"how must be one of \['contiguous', 'dirichlet', 'iid'",
        ),
        ((np.ones((2, 2, 2)), 2), ValueError, r"y must be 1-d or 2-d, got shape \(2, 2, 2\)"),
        *(
            ((np.array(y, dtype=object), 2, "dirichlet"), TypeError, "y must be values that can be")
            for y in ([1, "a"], *([[np.True_, 2**70]] if np.__version__ >= "2" else []))
        ),
    ],
)
def test_split_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        split_devices(*arguments)


@pytest.mark.parametrize("alpha", [0, -1, np.inf, np.nan])
def test_split_refuses_alpha(alpha):
    with pytest.raises(ValueError, match=r"alpha must be in \(0, inf\), got"):
        split_devices([0, 1], 2, "dirichlet", alpha=alpha)
