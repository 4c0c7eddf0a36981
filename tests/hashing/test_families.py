"""Hash families: one protocol, codes that depend on the row and the seed alone."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh.hashing import (
    DWTA,
    FAMILIES,
    HashFunctions,
    Identity,
    PGHash,
    PGHashD,
    SimHash,
    find_family,
    make_family,
    make_projection,
)

N_FEATURES = 37
SETTINGS = [
    *((family, fold) for family in ("pghash", "pghash_d") for fold in ("signed", "periodic")),
    ("pghash_d", "sample"),
    ("pghash", "sample"),
    ("simhash", "signed"),
    ("dwta", "signed"),
]


@pytest.fixture
def X():
    X = np.random.default_rng(0).standard_normal((5000, N_FEATURES)).astype(np.float32)
    X[np.abs(X) < 0.8] = 0
    X[17] = 0
    return X


def draw(family, fold, hash_length=5, n_tables=6, seed=3):
    made = make_family(family, n_tables=n_tables, hash_length=hash_length, sketch_dim=9, fold=fold)
    return made.draw(n_features=N_FEATURES, seed=seed)


@pytest.mark.parametrize(("family", "fold"), SETTINGS)
def test_codes(X, family, fold):
    functions = draw(family, fold)
    sketch = functions.sketch(X)
    codes = functions.codes(sketch, n_jobs=1)
    assert codes.shape == (5000, 6) and codes.dtype == np.int64 and codes.flags.c_contiguous
    assert codes.min() >= 0 and codes.max() < 2**functions.code_bits
    assert not codes[17].any()
    # Every bit of a code is used, and tables differ.
    assert (np.bitwise_or.reduce(codes) == 2**functions.code_bits - 1).all() or "_d" in family
    assert len({tuple(column) for column in codes.T}) == 6
    # Alone, in a batch of another alignment, sparse, on two threads, some tables only.
    np.testing.assert_array_equal(codes, functions.codes(sketch, n_jobs=2))
    for rows in (slice(5, 6), slice(4090, 4101), slice(1, 4999)):
        np.testing.assert_array_equal(codes[rows], functions.codes(functions.sketch(X[rows])))
    np.testing.assert_array_equal(codes, functions.codes(functions.sketch(sp.csr_matrix(X))))
    np.testing.assert_array_equal(codes[:, 2:4], functions.codes(sketch, tables=slice(2, 4)))
    np.testing.assert_array_equal(codes[:, [5, 0]], functions.codes(sketch, tables=[5, 0]))
    packed = functions.packed_codes(sketch)
    np.testing.assert_array_equal(packed.T, codes)
    assert packed.dtype.itemsize * 8 < 2 * max(8, functions.code_bits)


@pytest.mark.parametrize(("family", "fold"), SETTINGS)
def test_a_seed_is_the_functions(X, family, fold):
    first, again, other = (draw(family, fold, seed=s) for s in (3, 3, 4))
    codes = first.codes(first.sketch(X))
    np.testing.assert_array_equal(codes, again.codes(again.sketch(X)))
    assert (codes != other.codes(other.sketch(X))).mean() > 0.3
    pickled = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(codes, pickled.codes(pickled.sketch(X)))


@pytest.mark.parametrize(("family", "fold"), SETTINGS)
def test_more_tables_keep_the_first_ones(X, family, fold):
    dense = X + np.float32(0.01)  # no empty bins: those borrow from any table
    few, many = draw(family, fold, n_tables=3), draw(family, fold, n_tables=8)
    np.testing.assert_array_equal(
        few.codes(few.sketch(dense)), many.codes(many.sketch(dense))[:, :3]
    )


@pytest.mark.parametrize("fold", ["signed", "periodic", "sample"])
def test_a_device_hashes_the_servers_sketch_by_its_own_seed(X, fold):
    projection = make_projection(fold, N_FEATURES, 9, seed=1)
    sketch = projection.apply(X)
    family = PGHash(n_tables=4, hash_length=6)
    ours, theirs = (family.draw(N_FEATURES, seed, projection) for seed in (8, 9))
    assert ours.projection is projection
    np.testing.assert_array_equal(sketch, ours.sketch(X))
    assert (ours.codes(sketch) != theirs.codes(sketch)).mean() > 0.5
    with pytest.raises(ValueError, match="projection must be of n_features=36, got 37"):
        family.draw(36, 0, projection)


@pytest.mark.parametrize("hash_length", [1, 8, 31, 32, 62])
def test_long_codes(X, hash_length):
    functions = draw("pghash", "signed", hash_length)
    sketch = functions.sketch(X[:50])
    products = np.einsum("tkc,nc->ntk", functions.planes[:, :, :9].astype(float), sketch)
    weights = [1 << bit for bit in reversed(range(hash_length))]
    expected = [
        [sum(w for w, p in zip(weights, row, strict=True) if p > 0) for row in table]
        for table in products
    ]
    np.testing.assert_array_equal(functions.codes(sketch), expected)


def test_bins_are_cut_from_permutations():
    functions = make_family("dwta", n_tables=5, hash_length=7).draw(20)
    assert functions.coordinates.shape == (5, 7, 8)
    for table in functions.coordinates:
        for b in table:
            assert len(set(b)) == 8
        # Two bins fit a permutation of 20 coordinates: pairs are disjoint.
        for pair in range(3):
            assert not set(table[2 * pair]) & set(table[2 * pair + 1])
    assert functions.code_bits == 7 * 3
    assert DWTA(bin_width=3, hash_length=4).draw(20).code_bits == 4 * 2
    assert DWTA(hash_length=2).draw(5).coordinates.shape[2] == 5


def test_the_papers_pghash_d(X):
    """The server samples c coordinates, a table k of those; the code is the largest's place."""
    functions = draw("pghash_d", "sample", hash_length=5)
    assert functions.coordinates.shape == (6, 1, 5) and functions.code_bits == 3
    kept = np.flatnonzero(functions.projection.bins >= 0)
    assert kept.shape == (9,)
    row = np.full((1, N_FEATURES), -1, dtype=np.float32)
    for t, places in enumerate(functions.coordinates[:, 0]):
        for position, place in enumerate(places):
            row[:] = -1
            row[0, np.flatnonzero(functions.projection.bins == place)] = 2
            assert functions.codes(functions.sketch(row))[0, t] == position


def test_densified_rows_of_one_support_agree():
    """An empty bin borrows by a rule of its own, so like rows borrow alike."""
    functions = DWTA(n_tables=40, hash_length=4).draw(500, seed=0)
    X = np.zeros((3, 500), dtype=np.float32)
    X[0, [3, 100, 250, 499]] = [1, 2, 3, 4]
    X[1] = 2 * X[0]
    X[2, [4, 101, 251, 498]] = [1, 2, 3, 4]
    codes = functions.codes(functions.sketch(X))
    np.testing.assert_array_equal(codes[0], codes[1])
    # Without borrowing nearly every digit of both would be an agreeing 0.
    assert (codes[0] == codes[2]).mean() < 0.1
    digits = (codes[0][:, None] >> np.arange(0, 12, 3)) & 7
    assert np.unique(digits).size > 2


@pytest.mark.parametrize(("family", "fold"), SETTINGS)
def test_probes(X, family, fold):
    functions = draw(family, fold, hash_length=3)
    sketch = functions.sketch(X[:300] + np.float32(0.01))
    probes = functions.probes(sketch, 4)
    assert probes.shape == (300, 6, 4)
    np.testing.assert_array_equal(probes[:, :, 0], functions.codes(sketch))
    np.testing.assert_array_equal(probes[:, :, :1], functions.probes(sketch, 1))
    np.testing.assert_array_equal(probes[:, [4, 1]], functions.probes(sketch, 4, tables=[4, 1]))
    # Different codes, and what a small change of the row turns its code into comes early.
    ordered = np.sort(probes, axis=2)
    assert ((np.diff(ordered, axis=2) > 0) | (ordered[:, :, :-1] == -1)).all()
    noise = np.random.default_rng(1).standard_normal(sketch.shape) * 0.3
    moved = functions.codes((sketch + noise).astype(np.float32))
    changed = moved != probes[:, :, 0]
    hits = [(moved == probes[:, :, p])[changed].mean() for p in range(1, 4)]
    # The first probe is at least as good as the second, where there is a second one.
    assert hits[0] > 0.2 and hits[0] >= hits[1] - 0.02


def test_probes_of_a_family_without_margins():
    class Plain(HashFunctions):
        def hash_rows(self, tables):
            def fill(sketch, out, start, stop):
                out[:, start:stop] = 0

            return fill

    functions = Plain(Identity.draw(3), 2, 4)
    sketch = np.ones((1, 3), dtype=np.float32)
    assert functions.probes(sketch).shape == (1, 2, 1)
    with pytest.raises(TypeError, match=r"Plain has no flips\(\).*n_probes=1"):
        functions.probes(sketch, 2)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"hash_length": 0}, ValueError, r"hash_length must be in \[1, 62\], got 0"),
        ({"hash_length": -1}, ValueError, "hash_length"),
        ({"hash_length": 63}, ValueError, "got 63"),
        ({"hash_length": "8"}, TypeError, "hash_length must be an integer, got '8'"),
        ({"n_tables": 0}, ValueError, "n_tables must be .*, got 0"),
        ({"n_tables": 2**15 + 1}, ValueError, r"n_tables must be in \[1, 32768\], got 32769"),
        ({"n_tables": True}, TypeError, "n_tables must be an integer, got True"),
        ({"sketch_dim": 0}, ValueError, "sketch_dim must be at least 1, got 0"),
        ({"sketch_dim": 38}, ValueError, "sketch_dim must be .*37 features.*got 38"),
        ({"fold": "identity"}, ValueError, "fold must be one of .*got 'identity'"),
        ({"family": "minhash"}, ValueError, "family must be one of .*got 'minhash'"),
        (
            {"family": "dwta", "hash_length": 38},
            ValueError,
            "hash_length must be .*37 coord",
        ),
        (
            {"family": "dwta", "hash_length": 21},
            ValueError,
            "hash_length must be at most 20",
        ),
        (
            {"family": "pghash_d", "sketch_dim": 4},
            ValueError,
            "hash_length must be .*4 coord",
        ),
        (
            {"family": "pghash_d", "fold": "sample", "hash_length": 1},
            ValueError,
            r"hash_length must be in \[2, 8\]",
        ),
        (
            {"family": "pghash_d", "sketch_dim": 1, "hash_length": 1},
            ValueError,
            "2 coordinates",
        ),
    ],
)
def test_refused_settings(settings, error, message):
    with pytest.raises(error, match=message):
        make_family(**settings).draw(N_FEATURES)


@pytest.mark.parametrize(
    "settings",
    [{"n_tables": 0}, {"n_tables": 2**15 + 1}, {"hash_length": 63}, {"sketch_dim": 0}],
)
def test_refused_before_anything_is_drawn(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=name):
        make_family("pghash", **settings)


@pytest.mark.parametrize("family", [SimHash, PGHash, DWTA, PGHashD])
def test_classes_refuse_too(family):
    with pytest.raises(ValueError, match="n_tables"):
        family(n_tables=0).draw(10)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        family().draw(10, seed=-1)
    assert {f"{FAMILIES[name].__name__}" for name in FAMILIES} >= {family.__name__}


@pytest.mark.parametrize("family", [SimHash, PGHash, DWTA, PGHashD])
def test_seed_0_unless_said(family):
    X = np.random.default_rng(0).standard_normal((20, 10)).astype(np.float32)
    functions = [family().draw(10), family().draw(10, seed=0), family().draw(10, seed=1)]
    codes = [f.codes(f.sketch(X)) for f in functions]
    assert (codes[0] == codes[1]).all()
    assert (codes[0] != codes[2]).any()


def test_bin_width_of_one():
    with pytest.raises(ValueError, match="bin_width must be at least 2, got 1"):
        DWTA(bin_width=1).draw(10)


@pytest.mark.parametrize(
    "sketch",
    [
        np.ones((2, 8), np.float32),
        np.ones(9, np.float32),
        np.ones((2, 9), int),
        [["a"] * 9],
    ],
)
def test_refused_sketches(sketch):
    with pytest.raises(ValueError, match=r"sketch must be floating point of shape \(n, 9\), got"):
        draw("pghash", "signed").codes(sketch)


@pytest.mark.parametrize("tables", [[6], [-1], [0.5], [[0]]])
def test_refused_tables(tables):
    with pytest.raises(ValueError, match=r"tables must be in \[0, 6\), got"):
        draw("pghash", "signed").codes(np.ones((1, 9), np.float32), tables=tables)


def test_settings_unless_said():
    family = make_family()
    assert isinstance(family, PGHash) and (family.n_tables, family.hash_length) == (8, 8)
    assert family.draw(10).projection.sketch_dim == PGHash().draw(10).projection.sketch_dim


def test_a_seed_means_the_same_functions_in_every_version():
    """Saved tables are of no use else: these numbers may not change without a new format."""
    sample = make_family("pghash", fold="sample", sketch_dim=4).draw(8, seed=5)
    assert sample.projection.bins.tolist() == [-1, 2, 1, 0, -1, -1, -1, 3]
    dwta = make_family("dwta", n_tables=2, hash_length=3).draw(20, seed=5)
    assert dwta.coordinates[:, 0].tolist() == [
        [8, 7, 1, 17, 3, 2, 10, 6], [16, 0, 15, 17, 2, 5, 4, 12],
    ]  # fmt: skip
    assert dwta.coordinates[:, 2].tolist() == [
        [13, 7, 9, 5, 12, 2, 0, 15], [13, 4, 1, 12, 3, 6, 7, 14],
    ]  # fmt: skip


def test_a_family_as_an_instance_keeps_settings_of_its_own():
    family = make_family(DWTA(n_tables=99, bin_width=4), n_tables=3, hash_length=2)
    assert (family.n_tables, family.hash_length, family.bin_width) == (3, 2, 4)
    X = np.random.default_rng(0).standard_normal((400, N_FEATURES)).astype(np.float32)
    drawn = family.draw(N_FEATURES, seed=1)
    codes = drawn.codes(drawn.sketch(X))
    whole = make_family("dwta", hash_length=2).draw(N_FEATURES, seed=1)
    assert codes.max() < 4**2 <= whole.codes(whole.sketch(X)).max()


@pytest.mark.parametrize(
    ("family", "compresses", "length"),
    [("pghash", True, 9), ("simhash", False, 9), ("dwta", False, 3), ("pghash_d", True, 3)],
)
def test_a_family_states_its_own_facts(family, compresses, length):
    assert find_family(family).compresses is compresses
    assert find_family(family).auto_hash_length(9.4, "signed", 64) == length


def test_one_winner_among_sampled_coordinates_is_as_long_as_its_bits_are_many():
    assert PGHashD.auto_hash_length(4.0, "sample", 64) == 16
    assert PGHashD.auto_hash_length(9.0, "sample", 64) == 64
