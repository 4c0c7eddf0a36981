"""The file of a checkpoint: what is not as it was written is refused, whatever is wrong with it."""

import json
import os
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh._utils.archive import Archive
from sklsh.federated.cache import DiskCache


def data():
    rng = np.random.default_rng(0)
    X = sp.csr_array((rng.random((40, 12)) < 0.3).astype(np.float32))
    return X, sp.csr_array((rng.random((40, 9)) < 0.2).astype(np.float32))


def of_a_fit(folder):
    SparseLSHMLPClassifier(
        (3,), max_iter=1, sampler="lsh", n_active=4, n_tables=2, hash_length=2,
        early_stopping=True, random_state=0, checkpoint_dir=folder,
    ).fit(*data())  # fmt: skip
    return folder / "fit.npz", 3


def of_a_federation(folder):
    FederatedLSHClassifier(
        SparseLSHMLPClassifier((3,)), n_rounds=1, server_optimizer="adam", random_state=0,
        checkpoint_dir=folder,
    ).fit(*data(), groups=np.arange(40) % 2)  # fmt: skip
    return folder / "federation.npz", 4


@pytest.fixture(scope="module", params=[of_a_fit, of_a_federation], ids=["fit", "federation"])
def archive(request, tmp_path_factory):
    path, version = request.param(tmp_path_factory.mktemp("archive"))
    with np.load(path) as file:
        return Archive(path, version, json.loads(file["json"].tobytes())["fingerprint"])


@pytest.fixture
def changing(archive):
    """Gives the archive's bytes, and puts them back."""
    whole = archive.path.read_bytes()
    yield bytearray(whole)
    archive.path.write_bytes(whole)


def equal(found, expected):
    assert found[0] == expected[0]
    assert list(found[1]) == list(expected[1])
    for name, array in expected[1].items():
        assert found[1][name].dtype == array.dtype
        np.testing.assert_array_equal(found[1][name], array)


def refused_or_equal(archive, raw, expected):
    archive.path.write_bytes(raw)
    try:
        found = archive.read()
    except ValueError as error:
        message = str(error)
    else:
        equal(found, expected)
        return 0
    assert str(archive.path) in message
    return 1


def test_what_is_read_was_written(tmp_path):
    arrays = {
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "none": np.empty((0, 3), "f4"),
        "number": np.array(3), "text": np.array(["a", "bc"]), "flags": np.array([True, False]),
    }  # fmt: skip
    archive = Archive(tmp_path / "new" / "a.npz", 1, "this")
    assert archive.read() is None
    archive.write({"a": [1, None, 0.1]}, arrays)
    found = archive.read()
    equal(found, ({"a": [1, None, 0.1]}, arrays))
    found[1]["columns"][0, 0] = 9  # arrays are the reader's own


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_every_flipped_bit_of_zip_s_directory(archive, changing, bits):
    """Of each byte one bit, by turns, or all."""
    expected = archive.read()
    start = changing.index(b"PK\x01\x02")  # the first entry of the central directory
    refused = 0
    for place in range(start, len(changing)):
        for bit in range(8) if bits == 8 else [3 * place % 8]:
            changing[place] ^= 1 << bit
            refused += refused_or_equal(archive, changing, expected)
            changing[place] ^= 1 << bit
    # Times, rights and comments of files may be anything.
    assert refused > 0.4 * bits * (len(changing) - start)


def test_flipped_bits_anywhere(archive, changing):
    expected = archive.read()
    for place in np.random.default_rng(0).integers(0, len(changing), 200):
        changing[place] ^= 16
        refused_or_equal(archive, changing, expected)
        changing[place] ^= 16


def test_cut_anywhere(archive, changing):
    expected = archive.read()
    for n_bytes in np.linspace(0, len(changing) - 1, 60).astype(int):
        assert refused_or_equal(archive, changing[:n_bytes], expected)


def rewritten(archive, change, compression=zipfile.ZIP_STORED):
    """The archive with other members, all of zip's checksums being right."""
    with zipfile.ZipFile(archive.path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(archive.path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)


def refuses(archive, message):
    with pytest.raises(ValueError, match=message) as caught:
        archive.read()
    assert f"{archive.path} is damaged" in str(caught.value)


def test_members_are_those_of_the_list(archive, changing):
    def another(members):
        name = next(name for name in members if "json" not in name)
        raw = bytearray(members[name])
        raw[-1] ^= 1
        members[name] = bytes(raw)

    def longer(members):
        name = next(name for name in members if "json" not in name)
        members[name] += b"0000"

    for change, message in (
        (lambda members: members.popitem(), "must be in the file and in its list"),
        (lambda members: members.update({"more.npy": b"x"}), "'more.npy' must be in the file"),
        (another, "has another checksum than it says"),
        (longer, "damaged"),
    ):
        rewritten(archive, change)
        refuses(archive, message)
        archive.path.write_bytes(changing)


def test_nothing_is_unpacked(archive, changing):
    """3 MB of zeros that claim to be 3 GB must not become them."""
    rewritten(archive, lambda members: None, zipfile.ZIP_DEFLATED)
    refuses(archive, "it is compressed")
    archive.path.write_bytes(changing)
    rewritten(archive, lambda members: members.update({"more.npy": bytes(1000)}))
    raw = bytearray(archive.path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    archive.path.write_bytes(raw)
    refuses(archive, "its parts are larger than the file")


def test_an_older_archive_is_told_from_a_damaged_one(tmp_path):
    content = {"version": 2, "fingerprint": "this", "numbers": {}}
    text = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", json=text, a=np.ones(3))
    with pytest.raises(ValueError, match="must be of format 3, got 2"):
        Archive(tmp_path / "a.npz", 3, "this").read()


def test_a_device_s_cache_has_everything_or_nothing(tmp_path):
    cache = DiskCache(tmp_path)
    arrays = {"rows": np.ones((3, 2), np.float32), "weights": np.arange(3.0)}
    assert cache.put("body", (7,), arrays)
    raw = bytearray((tmp_path / "body.npz").read_bytes())
    n_gone = 0
    for place in range(raw.index(b"PK\x01\x02"), len(raw)):
        raw[place] ^= 4
        (tmp_path / "body.npz").write_bytes(raw)
        raw[place] ^= 4
        found = cache.get("body", (7,))
        n_gone += found is None
        assert found is None or set(found) == set(arrays)
    assert n_gone > 50
    (tmp_path / "body.npz").write_bytes(raw)
    assert set(cache.get("body", (7,))) == set(arrays)
    assert cache.get("body", (8,)) is None
    assert os.listdir(tmp_path) == ["body.npz"]
