"""What devices keep: written whole, bounded, and asked for anew where it is lost."""

import numpy as np
import pytest

from sklsh.federated import Ledger, run_round
from sklsh.federated.cache import DiskCache, MemoryCache
from tests.federated.problems import federation

ARRAYS = {"a": np.arange(40, dtype=np.float32), "b": np.array(3)}


@pytest.fixture(params=["memory", "disk"])
def make(request, tmp_path):
    if request.param == "memory":
        return MemoryCache
    return lambda *args: DiskCache(tmp_path / "device", *args)


def test_what_is_kept_comes_back(make):
    cache = make()
    assert cache.get("x", (1,)) is None
    assert cache.put("x", (1,), ARRAYS)
    found = cache.get("x", (1,))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_another_runs_entry_is_none(make):
    cache = make()
    cache.put("x", (1,), ARRAYS)
    assert cache.get("x", (2,)) is None


def test_an_entry_that_does_not_fit_is_not_kept_nor_is_the_old_one(make):
    cache = make(1000)
    assert cache.put("x", (1,), ARRAYS)
    assert not cache.put("x", (1,), {"a": np.zeros(300, dtype=np.float32)})
    assert cache.get("x", (1,)) is None


def test_entries_share_the_room(make):
    cache = make(1500)
    assert cache.put("x", (1,), {"a": np.zeros(200, dtype=np.float32)})
    assert not cache.put("y", (1,), {"a": np.zeros(200, dtype=np.float32)})
    assert cache.get("x", (1,)) is not None
    cache.clear()
    assert cache.put("y", (1,), {"a": np.zeros(200, dtype=np.float32)})


@pytest.mark.parametrize("place", [0, 40, 200, -30])
def test_a_damaged_file_is_a_missing_one(tmp_path, place):
    cache = DiskCache(tmp_path)
    cache.put("x", (1,), ARRAYS)
    path = tmp_path / "x.npz"
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    found = cache.get("x", (1,))
    # A byte of the archive's bookkeeping may be of no consequence: then all is as written.
    if found is not None:
        np.testing.assert_array_equal(found["a"], ARRAYS["a"])
    path.write_bytes(data[:100])
    assert cache.get("x", (1,)) is None


def test_a_write_that_fails_leaves_no_part_of_a_file(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path)

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    assert not cache.put("x", (1,), ARRAYS)
    assert list(tmp_path.iterdir()) == []


SETTINGS = {
    "delta sketch": {"sketch_rounds": 9},
    "local body": {"body_exchange": "local"},
    "kept accumulators": {"local_optimizer": "kept"},
}


def rounds(n, between=lambda transport: None, **plan):
    server, transport = federation(**plan)
    rng, ledger = np.random.default_rng(0), Ledger()
    reports = []
    for _ in range(n):
        reports.append(run_round(server, transport, rng, ledger=ledger))
        between(transport)
    return server, ledger, reports


def forget(transport):
    transport.caches[1].clear()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_round_goes_on_without_a_cache_that_is_lost(name):
    """The device asks for the whole thing again; nobody else notices."""
    _, _, reports = rounds(3, forget, **SETTINGS[name])
    assert all(report.n_used == 4 and report.faults == {} for report in reports)
    if name == "local body":
        assert [report.whole_bodies for report in reports] == [4, 1, 1]


def test_a_cache_lost_in_the_middle_of_a_round_costs_the_reply():
    server, transport = federation(body_exchange="local")
    rng, ledger = np.random.default_rng(0), Ledger()
    run_round(server, transport, rng, ledger=ledger)

    class Losing:
        devices = transport.devices

        def ask(self, question, messages):
            if question == "train":
                forget(transport)
            return transport.ask(question, messages)

    report = run_round(server, Losing(), rng, ledger=ledger)
    assert report.faults == {"missing": 1} and report.n_used == 3
    report = run_round(server, transport, rng, ledger=ledger)
    assert report.whole_bodies == 1 and report.n_used == 4


@pytest.mark.parametrize("name", SETTINGS)
def test_a_damaged_cache_is_as_good_as_none(name):
    def damage(transport):
        entries = transport.caches[1]._entries
        for key, (tag, arrays) in list(entries.items()):
            bad = {k: a.astype(np.float64)[..., :0] if a.ndim else a for k, a in arrays.items()}
            entries[key] = (tag, bad)

    damaged, _, _ = rounds(3, damage, **SETTINGS[name])
    lost, _, _ = rounds(3, forget, **SETTINGS[name])
    for ours, theirs in zip(damaged.network.parameters(), lost.network.parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_need_nothing_is_kept():
    _, transport = federation()
    server, _ = federation()
    run_round(server, transport, np.random.default_rng(0), ledger=Ledger())
    assert all(cache._entries == {} for cache in transport.caches)
