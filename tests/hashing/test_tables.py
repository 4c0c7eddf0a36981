"""`HashTables` against counting collisions one by one."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklsh.hashing import HashTables, make_family, serial_candidates
from tests import reference

seeds = st.integers(0, 2**32 - 1)


def random_codes(rng, n, n_tables=4, code_bits=6, n_different=None):
    pool = rng.integers(0, 2**code_bits, n_different or 12)
    return rng.choice(pool, (n, n_tables))


def assert_answers(tables, codes, present, keys, n_candidates=None):
    """`tables` answers as counting would; `codes` (n_ids, n_tables)."""
    indptr, ids, counts = tables.query(keys, n_candidates)
    assert (indptr.dtype, ids.dtype, counts.dtype) == (np.int64, np.int32, np.int32)
    assert indptr[0] == 0 and indptr[-1] == len(ids) == len(counts)
    keys = keys if keys.ndim == 3 else keys[:, :, None]
    for q in range(len(keys)):
        expected = reference.rank_by_collisions(codes.T, present, keys[q], n_candidates)
        found = slice(indptr[q], indptr[q + 1])
        assert (ids[found].tolist(), counts[found].tolist()) == expected


@given(
    seeds,
    st.integers(0, 200),
    st.sampled_from([1, 3, 8, 9, 16, 17, 33, 62]),
    st.one_of(st.none(), st.integers(1, 30)),
    st.sampled_from([None, 1, 2]),
)
@settings(max_examples=60, deadline=None)
def test_query(seed, n, code_bits, n_candidates, n_probes):
    rng = np.random.default_rng(seed)
    codes = random_codes(rng, n, code_bits=code_bits)
    tables = HashTables.build(codes, code_bits)
    keys = random_codes(rng, 5, code_bits=code_bits)
    keys[:2] = codes[:2] if n > 1 else 0
    if n_probes is not None:
        keys = np.stack([keys, np.full_like(keys, -1)], axis=2)[:, :, :n_probes]
    assert_answers(tables, codes, np.ones(n, bool), keys, n_candidates)


@given(seeds, st.sampled_from([2, 8, 30]))
@settings(max_examples=40, deadline=None)
def test_changes_are_a_build_of_what_is_there(seed, code_bits):
    """Any sequence of update, remove and merge leaves what `build` would make."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((120, 3), dtype=np.int64)
    present = np.zeros(120, dtype=bool)
    first = rng.permutation(80)[: rng.integers(1, 80)]
    codes[first] = random_codes(rng, len(first), 3, code_bits)
    present[first] = True
    tables = HashTables.build(codes[first], code_bits, ids=first)
    for _ in range(4):
        action = rng.choice(["update", "remove", "merge"])
        if action == "update":
            ids = rng.permutation(120)[: rng.integers(0, 20)]
            codes[ids] = random_codes(rng, len(ids), 3, code_bits)
            present[ids] = True
            assert tables.update(ids, codes[ids]) is tables
        elif action == "remove":
            ids = rng.permutation(np.flatnonzero(present))[: rng.integers(0, 20)]
            present[ids] = False
            assert tables.remove(ids) is tables
        else:
            ids = rng.permutation(np.flatnonzero(~present))[: rng.integers(0, 20)]
            codes[ids] = random_codes(rng, len(ids), 3, code_bits)
            present[ids] = True
            assert tables.merge(HashTables.build(codes[ids], code_bits, ids=ids)) is tables
        there = np.flatnonzero(present)
        assert tables.n_present == len(there)
        again = HashTables.build(codes[there], code_bits, ids=there)
        np.testing.assert_array_equal(tables.buckets, again.buckets)
        if tables.prefix_bits == again.prefix_bits:
            np.testing.assert_array_equal(tables.starts, again.starts)
        keys = random_codes(rng, 3, 3, code_bits)
        keys[0] = codes[there[0]] if len(there) else 0
        assert_answers(tables, codes, present, keys, 7)


@pytest.fixture
def made():
    """Functions, sketch and tables of 3,000 rows in 20 directions."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20, 24))
    X = (centres[np.arange(3000) % 20] + rng.standard_normal((3000, 24))).astype(np.float32)
    functions = make_family("pghash", n_tables=12, hash_length=7, sketch_dim=8).draw(24, seed=1)
    sketch = functions.sketch(X)
    return functions, sketch, HashTables.from_sketch(functions, sketch)


def test_from_sketch_is_build(made):
    functions, sketch, tables = made
    assert tables == HashTables.build(functions.codes(sketch), functions.code_bits)
    assert tables != HashTables.build(functions.codes(sketch[::-1]), functions.code_bits)
    assert (tables == 3) is False
    assert tables.codes.dtype == np.uint8 and tables.nbytes < 12 * 3000 * 5 + 12 * 129 * 4 + 3001


@pytest.mark.parametrize("family", ["pghash", "pghash_d", "simhash", "dwta"])
@pytest.mark.parametrize("n_candidates", [None, 1, 60])
@pytest.mark.parametrize("n_probes", [1, 3])
def test_serial_is_the_same_to_the_last_id(made, family, n_candidates, n_probes):
    X = made[1]
    functions = make_family(family, n_tables=12, hash_length=5).draw(8, seed=2)
    sketch = functions.sketch(X)
    queries = sketch[::500]
    tables = HashTables.from_sketch(functions, sketch)
    expected = tables.query(functions.probes(queries, n_probes), n_candidates)
    found = serial_candidates(functions, sketch, queries, n_candidates, n_probes=n_probes)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_serial_over_several_segments_and_threads():
    rng = np.random.default_rng(0)
    functions = make_family("pghash", n_tables=300, hash_length=6, sketch_dim=3).draw(3)
    sketch = rng.standard_normal((150_000, 3)).astype(np.float32)
    tables = HashTables.from_sketch(functions, sketch, n_jobs=2)
    for n_candidates in (5, 2000):
        expected = tables.query(functions.codes(sketch[:2]), n_candidates)
        for n_jobs in (1, 2):
            found = serial_candidates(functions, sketch, sketch[:2], n_candidates, n_jobs=n_jobs)
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_tables", [255, 256])
def test_serial_counts_a_collision_in_every_table(n_tables):
    functions = make_family("pghash", n_tables=n_tables, hash_length=2, sketch_dim=3).draw(3)
    row = np.ones((1, 3), dtype=np.float32)
    _, ids, counts = serial_candidates(functions, np.vstack([row, -row]), row)
    assert ids.tolist() == [0] and counts.tolist() == [n_tables]


def test_nothing_indexed_or_nothing_asked(made):
    functions, sketch, tables = made
    for indptr, ids, counts in (
        tables.query(np.empty((0, 12), dtype=int)),
        serial_candidates(functions, sketch, sketch[:0]),
    ):
        assert indptr.tolist() == [0] and ids.size == counts.size == 0
    for indptr, ids, counts in (
        HashTables.from_sketch(functions, sketch[:0]).query(functions.codes(sketch[:2])),
        serial_candidates(functions, sketch[:0], sketch[:2], 5),
    ):
        assert indptr.tolist() == [0, 0, 0] and ids.size == counts.size == 0


def test_queries_without_any_probe(made):
    indptr, ids, _ = made[2].query(np.full((2, 12), -1))
    assert indptr.tolist() == [0, 0, 0] and ids.size == 0


def test_probes_find_more(made):
    functions, sketch, tables = made
    one = tables.query(functions.codes(sketch[:50]))
    three = tables.query(functions.probes(sketch[:50], 3))
    assert (np.diff(three[0]) >= np.diff(one[0])).all() and three[0][-1] > 1.5 * one[0][-1]


def test_threads_share_an_index(made):
    """Queries at the same time, on the caller's threads and on the package's."""
    functions, sketch, tables = made
    keys = functions.codes(sketch)
    expected = tables.query(keys, 20, n_jobs=1)
    found = [None] * 4

    def ask(i):
        found[i] = tables.query(keys, 20, n_jobs=2)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in found:
        for a, b in zip(expected, answer, strict=True):
            np.testing.assert_array_equal(a, b)


def test_repeated_queries_allocate_nothing_as_large_as_the_index():
    import tracemalloc

    rng = np.random.default_rng(0)
    tables = HashTables.build(rng.integers(0, 2**16, (400_000, 2)), 16)
    keys = rng.integers(0, 2**16, (8, 2))
    tables.query(keys, 10, n_jobs=1)
    tracemalloc.start()
    tables.query(keys, 10, n_jobs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000


def test_read_only_arrays_are_copied_before_a_change(made):
    functions, sketch, tables = made
    for name in ("codes", "present", "buckets", "starts"):
        getattr(tables, name).flags.writeable = False
    before = pickle.dumps(tables)
    mapped = tables.codes
    tables.update([3], functions.codes(sketch[7:8]))
    assert tables != pickle.loads(before)
    assert (mapped == pickle.loads(before).codes).all()
    tables = pickle.loads(before)
    tables.present.flags.writeable = False
    mapped = tables.present
    assert tables.remove([3]).n_present == 2999
    assert mapped.all()


def test_pickles_without_scratch(made):
    functions, sketch, tables = made
    size = len(pickle.dumps(tables))
    keys = functions.codes(sketch[:3])
    expected = tables.query(keys)
    assert len(pickle.dumps(tables)) == size
    for a, b in zip(expected, pickle.loads(pickle.dumps(tables)).query(keys), strict=True):
        np.testing.assert_array_equal(a, b)


def test_tables_grow_to_the_largest_id(made):
    functions, sketch, tables = made
    tables = pickle.loads(pickle.dumps(tables))
    tables.query(functions.codes(sketch[:2]))  # leaves scratch of the old size
    tables.update([4999, 3000], functions.codes(sketch[:2]))
    assert tables.n_ids == 5000 and tables.n_present == 3002
    _, ids, counts = tables.query(functions.codes(sketch[:1]), 2)
    assert ids.tolist() == [0, 4999] and counts.tolist() == [12, 12]


def test_stats_of_nothing(made):
    functions, sketch, _ = made
    stats = HashTables.from_sketch(functions, sketch[:0]).stats()
    assert stats["largest_bucket"].tolist() == stats["n_buckets"].tolist() == [0] * 12


def test_stats(made):
    functions, sketch, tables = made
    stats = tables.stats()
    sizes = [np.unique(c, return_counts=True)[1] for c in functions.codes(sketch).T]
    assert stats["n_buckets"].tolist() == [len(s) for s in sizes]
    assert stats["largest_bucket"].tolist() == [s.max() for s in sizes]
    own = tables.query(functions.codes(sketch))[2].sum() / 3000
    np.testing.assert_allclose(stats["candidates_per_query"].sum(), own)
    every = np.concatenate(sizes)
    expected = [((every >= 2**i) & (every < 2 ** (i + 1))).sum() for i in range(12)]
    assert stats["occupancy"].tolist() == expected
    assert stats["n_present"] == 3000 and stats["nbytes"] == tables.nbytes
    empty = HashTables.build(np.empty((0, 2), dtype=int), 4)
    assert empty.stats()["n_buckets"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="ids must be present"):
        empty.remove([0])


@pytest.mark.parametrize(
    ("codes", "code_bits", "ids", "error", "message"),
    [
        ([[0.0]], 4, None, ValueError, "codes must be integers of shape .* got float64"),
        ([1, 2], 4, None, ValueError, r"codes must be integers .*shape \(2,\)"),
        ([[16]], 4, None, ValueError, r"codes must be in \[0, 2 \*\* 4\), got 16 to 16"),
        ([[-1]], 4, None, ValueError, "got -1 to -1"),
        ([[1]], 63, None, ValueError, r"code_bits must be in \[1, 62\], got 63"),
        ([[1]], 4.0, None, TypeError, "code_bits must be an integer"),
        ([[1]], 4, [0, 1], ValueError, "ids must have 1 entries, got 2"),
        ([[1], [2]], 4, [3, 3], ValueError, "ids must not repeat"),
        ([[1]], 4, [-1], ValueError, r"ids must be in \[0, 2147483647\), got -1 to -1"),
        ([[1]], 4, [2**31], ValueError, r"ids must be in \[0, 2147483647\)"),
        ([[1]], 4, [0.5], ValueError, "ids must be 1-d integers, got float64"),
    ],
)
def test_refused_builds(codes, code_bits, ids, error, message):
    with pytest.raises(error, match=message):
        HashTables.build(np.array(codes), code_bits, ids=ids)


@pytest.mark.parametrize(
    ("keys", "n_candidates", "error", "message"),
    [
        (np.zeros((1, 11), int), None, ValueError, r"shape \(n, 12\) or .*shape \(1, 11\)"),
        (np.zeros((1, 12)), None, ValueError, "codes must be integers .* got float64"),
        (np.full((1, 12), 128), None, ValueError, r"codes must be below 2 \*\* 7, got 128"),
        (np.zeros((1, 12), int), 0, ValueError, "n_candidates must be at least 1, got 0"),
        (np.zeros((1, 12, 6000), int), 1, ValueError, r"at most 65535, got 12 \* 6000"),
    ],
)
def test_refused_queries(made, keys, n_candidates, error, message):
    with pytest.raises(error, match=message):
        made[2].query(keys, n_candidates)


def test_ids_among_objects(made):
    """As rows of mixed frames have them."""
    functions, sketch, tables = made
    tables, codes = pickle.loads(pickle.dumps(tables)), functions.codes(sketch[:2])
    expected = pickle.loads(pickle.dumps(tables)).update([5000, 5001], codes).remove([5000])
    found = tables.update(np.array([5000, 5001], dtype=object), codes)
    assert found.remove(np.array([5000], dtype=object)) == expected


def test_more_candidates_than_any_index_has(made):
    functions, sketch, tables = made
    codes = functions.codes(sketch[:2])
    for ours, all_of_them in zip(tables.query(codes, 2**70), tables.query(codes), strict=True):
        np.testing.assert_array_equal(ours, all_of_them)
    every = serial_candidates(functions, sketch, sketch[:2], sketch.shape[0])
    for ours, all_of_them in zip(
        serial_candidates(functions, sketch, sketch[:2], 2**70), every, strict=True
    ):
        np.testing.assert_array_equal(ours, all_of_them)


def test_refused_changes_change_nothing(made):
    functions, sketch, tables = made
    before = pickle.loads(pickle.dumps(tables))
    codes = functions.codes(sketch[:2])
    for message, call in (
        ("ids must be present, got .3000.", lambda: tables.remove([1, 3000])),
        ("ids must not repeat", lambda: tables.remove([1, 1])),
        ("codes must have a row for each of 1 ids, got 2", lambda: tables.update([1], codes)),
        ("codes must be in", lambda: tables.update([1, 2], codes + 128)),
        ("ids of other must not be present", lambda: tables.merge(before)),
        ("other must have n_tables=12", lambda: tables.merge(HashTables.build(codes[:, :3], 7))),
        ("n_jobs must be", lambda: tables.query(codes, n_jobs=0)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
        assert tables == before
