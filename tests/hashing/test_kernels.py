"""Each hashing kernel against its naive twin, on random input."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sklsh._utils.random import random_bits
from sklsh.kernels import counter
from sklsh.kernels.collisions import count_equal_codes, keep_best
from sklsh.kernels.folding import fold_rows, fold_rows_csr
from sklsh.kernels.hashing import borrow, sign_codes, winner_codes
from sklsh.kernels.probes import nearest_codes, winner_flips
from sklsh.kernels.sparse import inspect_csr
from sklsh.kernels.tables import bucket_sizes, rank_collisions, sort_all, sort_table
from tests import reference

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 40), st.integers(1, 12), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_fold(seed, n_features, sketch_dim, density):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((5, n_features)).astype(np.float32)
    X[rng.random(X.shape) > density] = 0
    bins = rng.integers(-1, sketch_dim, n_features).astype(np.int32)
    weights = rng.choice([-1.0, 1.0, 0.3], n_features).astype(np.float32)
    expected = reference.fold(X, bins, weights, sketch_dim)
    kept = np.flatnonzero(bins >= 0)
    order = kept[np.argsort(bins[kept], kind="stable")].astype(np.uint32)
    starts = np.searchsorted(bins[order], np.arange(sketch_dim + 1)).astype(np.uint64)
    out = np.full((5, sketch_dim), 7, dtype=np.float32)
    fold_rows(X, order, starts, weights[order], out, 0, 2)
    fold_rows(X, order, starts, weights[order], out, 2, 5)
    np.testing.assert_array_equal(out, expected)
    rows, columns = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(6)).astype(np.int32)
    out[:] = 7
    fold_rows_csr(indptr, columns.astype(np.int32), X[rows, columns], bins, weights, out, 0, 5)
    np.testing.assert_array_equal(out, expected)


@given(
    st.lists(st.integers(-1, 6), min_size=1, max_size=5),
    st.lists(st.integers(-2, 5), min_size=0, max_size=6),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_inspect_csr(indptr, indices, n_columns):
    indptr, indices = np.array(indptr, np.int32), np.array(indices, np.int32)
    verdict, row = inspect_csr(indptr, indices, n_columns)
    expected = reference.csr_verdict(indptr, indices, n_columns)
    assert ["canonical", "unsorted", "indptr", "index"][verdict] == expected
    assert 0 <= row < max(1, len(indptr) - 1)


@given(
    seeds,
    st.integers(1, 300),
    st.integers(1, 40),
    st.integers(1, 62),
    st.integers(0, 299),
)
@settings(max_examples=30, deadline=None)
def test_sign_codes(seed, n_rows, sketch_dim, hash_length, cut):
    # Small integers: sums are exact in any order, and exact zeros occur.
    rng = np.random.default_rng(seed)
    sketch = rng.integers(-3, 4, (n_rows, sketch_dim)).astype(np.float32)
    planes = np.zeros((2, hash_length, -(-sketch_dim // 8) * 8), dtype=np.float32)
    planes[:, :, :sketch_dim] = rng.integers(-3, 4, (2, hash_length, sketch_dim))
    out = np.full((2, n_rows), -1, dtype=np.int64)
    cut = min(cut, n_rows)
    sign_codes(sketch, planes, out, 0, cut)
    sign_codes(sketch, planes, out, cut, n_rows)
    for i in rng.integers(0, n_rows, 5):
        for t in range(2):
            expected = reference.sign_code(sketch[i], planes[t, :, :sketch_dim])
            assert out[t, i] == expected


def tries_of(seed, n_bins):
    """The order in which `borrow` promises to try bins: 64 random ones, then in turn."""

    def tries(bin_id):
        draws = [int(b) for b in random_bits(seed, bin_id, 64) >> np.uint64(32)]
        randoms = [b * n_bins >> 32 for b in draws]
        return [*randoms, *((randoms[-1] + step) % n_bins for step in range(1, n_bins))]

    return tries


@given(seeds, st.integers(1, 4), st.integers(1, 5), st.integers(2, 6), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_winner_codes(seed, n_tables, n_bins, bin_width, density):
    rng = np.random.default_rng(seed)
    n_rows, n_columns = 150, 12
    sketch = rng.integers(-3, 4, (n_rows, n_columns)).astype(np.float32)
    sketch[rng.random(sketch.shape) > density] = 0
    coordinates = rng.integers(0, n_columns, (n_tables, n_bins, bin_width)).astype(np.int32)
    digit_bits = (bin_width - 1).bit_length()
    chosen = rng.permutation(n_tables)[: rng.integers(1, n_tables + 1)]
    out = np.full((len(chosen), n_rows), -1, dtype=np.int64)
    winner_codes(sketch, coordinates, chosen, digit_bits, seed, out, 0, n_rows)
    tries = tries_of(seed, n_tables * n_bins)
    for s, t in enumerate(chosen):
        for i in rng.integers(0, n_rows, 8):
            expected = reference.winner_code(sketch[i], coordinates, t, digit_bits, tries)
            assert out[s, i] == expected


def test_borrow_finds_the_only_full_bin():
    coordinates = np.arange(2 * 500 * 2, dtype=np.int32).reshape(2, 500, 2)
    row = np.zeros(2000, dtype=np.float32)
    assert borrow(row, coordinates, 3, 0) == -1
    row[1401] = 1.0
    assert [borrow(row, coordinates, 3, b) for b in range(0, 1000, 50)] == [1] * 20


@given(seeds, st.integers(1, 6), st.integers(2, 70))
@settings(max_examples=60, deadline=None)
def test_nearest_codes(seed, n_flips, n_probes):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**n_flips, (3, 2))
    costs = rng.integers(0, 20, (3, 2, n_flips)).astype(np.float32)
    costs[rng.random(costs.shape) < 0.1] = np.inf
    deltas = np.broadcast_to(np.int64(1) << np.arange(n_flips), costs.shape)
    out = np.zeros((3, 2, n_probes), dtype=np.int64)
    nearest_codes(codes, costs, deltas, out)
    for i in range(3):
        for t in range(2):
            found = out[i, t][out[i, t] >= 0]
            assert found[0] == codes[i, t] and len(set(found)) == len(found)
            flipped = ((found ^ codes[i, t])[:, None] >> np.arange(n_flips)) & 1
            paid = [costs[i, t][row.astype(bool)].sum() for row in flipped]
            finite = [c for c in reference.probe_costs(costs[i, t]) if np.isfinite(c)]
            assert paid == finite[:n_probes]


@given(seeds, st.integers(1, 4), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_winner_flips(seed, n_bins, bin_width):
    rng = np.random.default_rng(seed)
    sketch = rng.integers(-2, 3, (6, 10)).astype(np.float32)
    permutation = rng.permutation(10)[:bin_width]
    coordinates = np.tile(permutation, (2, n_bins, 1)).astype(np.int32)
    digit_bits = (bin_width - 1).bit_length()
    costs = np.empty((6, 1, n_bins), np.float32)
    deltas = np.empty((6, 1, n_bins), np.int64)
    winner_flips(sketch, coordinates, np.array([1]), digit_bits, costs, deltas)
    for i in range(6):
        values = sketch[i, permutation]
        for b in range(n_bins):
            if not values.any():
                assert np.isinf(costs[i, 0, b])
                continue
            winner = int(np.argmax(values))
            digit = int(deltas[i, 0, b]) >> (n_bins - 1 - b) * digit_bits
            runner_up = winner ^ digit
            rest = np.delete(values, winner)
            assert runner_up != winner and values[runner_up] == rest.max()
            assert costs[i, 0, b] == (values[winner] - rest.max()) ** 2 / 2


def build(codes, present, code_bits, prefix_bits):
    members = np.flatnonzero(present).astype(np.int32)
    starts = np.empty((len(codes), 2**prefix_bits + 1), dtype=np.int32)
    ids = np.empty((len(codes), len(members)), dtype=np.int32)
    for t in range(len(codes)):
        scratch = np.empty_like(members)
        sort_table(codes[t], members, code_bits, prefix_bits, starts[t], ids[t], scratch)
    return starts, ids


@st.composite
def tables(draw):
    seed = draw(seeds)
    code_bits = draw(st.integers(1, 62))
    prefix_bits = draw(st.integers(1, min(code_bits, 8)))
    n_ids = draw(st.integers(1, 300))
    rng = np.random.default_rng(seed)
    # Few different codes, so that buckets fill however wide the codes are.
    pool = rng.integers(0, 2**code_bits, draw(st.integers(1, 12)))
    codes = rng.choice(pool, (3, n_ids))
    present = rng.random(n_ids) < draw(st.sampled_from([0.3, 1.0]))
    assume(present.any())
    return codes, present, code_bits, prefix_bits, pool, rng


@given(tables())
@settings(max_examples=60, deadline=None)
def test_sort_table(made):
    codes, present, code_bits, prefix_bits, _, _ = made
    starts, ids = build(codes, present, code_bits, prefix_bits)
    for t in range(3):
        assert list(ids[t]) == reference.bucket_order(codes[t], np.flatnonzero(present))
        prefixes = codes[t, ids[t]] >> (code_bits - prefix_bits)
        expected = np.searchsorted(prefixes, np.arange(2**prefix_bits + 1))
        np.testing.assert_array_equal(starts[t], expected)


@given(seeds, st.integers(0, 300), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_sort_all(seed, n_ids, code_bits):
    codes = np.random.default_rng(seed).integers(0, 2**code_bits, n_ids).astype(np.uint8)
    starts, ids = np.empty(2**code_bits + 1, np.int32), np.empty(n_ids, np.int32)
    sort_all(codes, starts, ids)
    assert list(ids) == reference.bucket_order(codes, range(n_ids))
    expected = np.searchsorted(codes[ids], np.arange(2**code_bits + 1))
    np.testing.assert_array_equal(starts, expected)


@given(tables(), st.integers(1, 4), st.one_of(st.just(10**6), st.integers(1, 40)))
@settings(max_examples=100, deadline=None)
def test_rank_collisions(made, n_probes, n_candidates):
    codes, present, code_bits, prefix_bits, pool, rng = made
    starts, ids = build(codes, present, code_bits, prefix_bits)
    low_bits = code_bits - prefix_bits
    keys = rng.choice([*pool, -1, 2**code_bits - 1], (4, 3, n_probes)).astype(np.int64)
    totals = np.empty(4, np.int64)
    bucket_sizes(codes, ids, starts, low_bits, keys, totals, 0, 4)
    limits = np.minimum(np.minimum(totals, present.sum()), n_candidates)
    offsets = np.concatenate([[0], np.cumsum(limits)])
    out_ids = np.full(offsets[-1], -9, np.int32)
    out_counts, n_found = out_ids.copy(), np.empty(4, np.int64)
    counts = np.zeros(len(present), np.uint16)
    marks = np.zeros(len(present) // 64 + 1, np.uint64)
    touched = np.empty(len(present) + 1, np.int32)
    levels = np.empty(3 * n_probes + 1, np.int64)
    rank_collisions(
        codes, ids, starts, low_bits, keys, limits, offsets, counts, marks, touched, levels,
        out_ids, out_counts, n_found, 0, 4,
    )  # fmt: skip
    assert not counts.any() and not marks.any()
    for q in range(4):
        expected, expected_counts = reference.rank_by_collisions(
            codes, present, keys[q], n_candidates
        )
        assert totals[q] == sum(reference.rank_by_collisions(codes, present, keys[q])[1])
        found = slice(offsets[q], offsets[q] + n_found[q])
        assert out_ids[found].tolist() == expected
        assert out_counts[found].tolist() == expected_counts


@given(tables(), st.integers(1, 3), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_collisions_without_tables(made, n_probes, limit):
    codes, present, _, _, pool, rng = made
    keys = rng.choice([*pool, -1], (2, 3, n_probes)).astype(np.int64)
    counts = np.zeros((2, codes.shape[1]), np.uint8)
    count_equal_codes(codes, keys, counts)
    room_ids, room_counts = np.empty((2, codes.shape[1]), np.int32)
    for q in range(2):
        levels = np.empty(3 * n_probes + 1, np.int64)
        n_kept = keep_best(counts[q], 100, limit, levels, room_ids, room_counts)
        expected, expected_counts = reference.rank_by_collisions(
            codes, np.ones_like(present), keys[q], limit
        )
        in_order = sorted(zip(expected, expected_counts, strict=True))
        assert (room_ids[:n_kept] - 100).tolist() == [i for i, _ in in_order]
        assert room_counts[:n_kept].tolist() == [c for _, c in in_order]


def test_array_mixer_is_the_kernels_mixer():
    for seed, stream in ((0, 0), (5, 1), (2**63 - 1, 2**31)):
        expected = [reference.mix(seed, stream, i) for i in range(20)]
        assert [int(counter.mix(seed, stream, i)) for i in range(20)] == expected
        assert random_bits(seed, stream, 20).tolist() == expected
