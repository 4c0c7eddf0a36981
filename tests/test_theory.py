"""What is true of the hashes, each with a bound that a 10 % error in the constant would break.

Rows: seeds of the projection or of the planes are the samples. d = 128, c = 8 unless said.
"""

import numpy as np
import pytest

from sklsh.hashing import (
    CoordinateSample,
    HashTables,
    PeriodicFold,
    SignedFold,
    make_family,
)

N_FEATURES, SKETCH_DIM = 128, 8


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def within(measured, expected, share=0.05):
    """Equal up to `share` of the expected value: half of the error that must be seen."""
    assert abs(measured - expected) < share * abs(expected), (measured, expected)


def pair_at(cosine, rng, n=N_FEATURES):
    """Two unit vectors with the given inner product."""
    basis = np.linalg.qr(rng.standard_normal((n, 2)))[0]
    x = basis[:, 0]
    return x, cosine * x + np.sqrt(1 - cosine**2) * basis[:, 1]


def spheres(n, rng):
    x = rng.standard_normal((n, N_FEATURES))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("family", ["simhash", "pghash"])
@pytest.mark.parametrize("cosine", [-0.3, 0.4, 0.8])
def test_collision_probabilities(family, cosine, rng):
    """Bits collide with p = 1 - angle(Bx, By) / pi, codes with p^k, L tables: 1-(1-p^k)^L."""
    x, y = pair_at(cosine, rng)
    functions = make_family(
        family, n_tables=20000, hash_length=3, sketch_dim=SKETCH_DIM, fold="periodic"
    ).draw(N_FEATURES, seed=1)
    sketch = functions.sketch(np.stack([x, y]))
    bx, by = sketch.astype(np.float64)
    angle = np.arccos(bx @ by / np.linalg.norm(bx) / np.linalg.norm(by))
    p = 1 - angle / np.pi
    codes = functions.codes(sketch)
    bits = (codes[..., None] >> np.arange(3)) & 1
    within((bits[0] == bits[1]).mean(), p, 0.02)
    collided = codes[0] == codes[1]
    within(collided.mean(), p**3)
    # Groups of L tables; the miss (1 - p^k)^L is tested too, where it is the smaller number.
    n_tables = 5
    missed = ~collided.reshape(-1, n_tables).any(axis=1)
    within(missed.mean(), (1 - p**3) ** n_tables, 0.08 if missed.mean() > 0.05 else 0.3)
    within(1 - missed.mean(), 1 - (1 - p**3) ** n_tables)


def test_full_width_angle(rng):
    """SimHash sees the angle of the vectors themselves."""
    x, y = pair_at(0.5, rng)
    functions = make_family("simhash", n_tables=1000, hash_length=32).draw(N_FEATURES)
    codes = functions.codes(functions.sketch(np.stack([x, y])))
    bits = np.unpackbits((codes[0] ^ codes[1]).view(np.uint8))
    differing = bits.sum() / (1000 * 32)
    within(differing, 1 / 3, 0.03)


@pytest.mark.parametrize("fold", ["signed", "periodic", "sample"])
@pytest.mark.parametrize("n_features", [128, 131])
def test_hashing_the_sketch_is_hashing_the_vector(fold, n_features, rng):
    """(S B) x = S (B x): one sketch serves every table."""
    functions = make_family("pghash", n_tables=20, sketch_dim=SKETCH_DIM, fold=fold).draw(
        n_features
    )
    X = rng.standard_normal((200, n_features)).astype(np.float32)
    full_planes = functions.planes[:, :, :SKETCH_DIM] @ functions.projection.matrix().toarray()
    products = np.einsum("tkd,nd->ntk", full_planes, X)
    expected = (products > 0) @ (1 << np.arange(8)[::-1])
    # Only a product within rounding of 0 may fall on another side.
    differs = functions.codes(functions.sketch(X)) != expected
    assert (np.abs(products[differs]).min(axis=1, initial=1) < 1e-4).all()
    assert differs.mean() < 0.001


@pytest.mark.parametrize("family", ["pghash", "simhash", "dwta", "pghash_d"])
def test_codes_ignore_scale(family, rng):
    functions = make_family(family, n_tables=20, hash_length=5).draw(N_FEATURES)
    X = rng.standard_normal((300, N_FEATURES)).astype(np.float32)
    codes = functions.codes(functions.sketch(X))
    for scale in (2.0**-20, 0.5, 2.0**20):
        np.testing.assert_array_equal(codes, functions.codes(functions.sketch(X * scale)))
    other = functions.codes(functions.sketch(X * np.float32(3.7)))
    assert (other != codes).mean() < 1e-3
    negative = functions.codes(functions.sketch(-X))
    assert (negative != codes).mean() > 0.9


@pytest.mark.parametrize("projection", [PeriodicFold, SignedFold])
def test_fold_is_a_scaled_isometry_of_rows(projection):
    """B B^T = (d / c) I and |B|^2 = d / c, where c divides d."""
    B = projection.draw(N_FEATURES, SKETCH_DIM, seed=3).matrix().toarray()
    np.testing.assert_array_equal(B @ B.T, np.eye(SKETCH_DIM) * N_FEATURES / SKETCH_DIM)
    within(np.linalg.norm(B, 2) ** 2, N_FEATURES / SKETCH_DIM, 1e-5)


def test_sketched_norms_on_the_sphere(rng):
    """0 <= |Bx|^2 <= (d/c) |x|^2; E |Bx|^2 = 1, Var = 2 (d/c - 1) / (d + 2)."""
    ratio = N_FEATURES / SKETCH_DIM
    projection = PeriodicFold.draw(N_FEATURES, SKETCH_DIM)
    squares = (projection.apply(spheres(100_000, rng)).astype(np.float64) ** 2).sum(axis=1)
    within(squares.mean(), 1.0, 0.01)
    within(squares.var(), 2 * (ratio - 1) / (N_FEATURES + 2), 0.03)
    B = projection.matrix().toarray()
    extremes = projection.apply(np.stack([B[0], np.eye(N_FEATURES)[0] - np.eye(N_FEATURES)[8]]))
    within((extremes[0] ** 2).sum() / (B[0] ** 2).sum(), ratio, 1e-5)
    assert not extremes[1].any()


@pytest.mark.parametrize("inner", [0.0, 0.6])
def test_random_rotation_of_a_pair(inner, rng):
    """E <Bx, By> = t; at t = 0, Var = d (d/c - 1) / ((d - 1) (d + 2))."""
    ratio, n = N_FEATURES / SKETCH_DIM, 100_000
    x = spheres(n, rng)
    other = spheres(n, rng)
    other -= (other * x).sum(axis=1, keepdims=True) * x
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    y = inner * x + np.sqrt(1 - inner**2) * other
    projection = PeriodicFold.draw(N_FEATURES, SKETCH_DIM)
    products = np.einsum(
        "ij,ij->i", projection.apply(x).astype(float), projection.apply(y).astype(float)
    )
    standard_error = products.std() / np.sqrt(n)
    assert abs(products.mean() - inner) < 4 * standard_error < 0.05 * max(inner, 0.1)
    if inner == 0:
        variance = N_FEATURES * (ratio - 1) / ((N_FEATURES - 1) * (N_FEATURES + 2))
        within(products.var(), variance, 0.03)


def activations(rng):
    """ReLU activations and weights of negative mean: what a network's head looks like."""
    x = np.maximum(rng.standard_normal(N_FEATURES), 0)
    y = rng.standard_normal(N_FEATURES) - 0.4
    return x / np.linalg.norm(x), y / np.linalg.norm(y)


def test_periodic_fold_is_biased_for_fixed_vectors(rng):
    """<Bx, By> = <x, y> + sum of x_i y_j over i != j in one bin, whatever the seed."""
    x, y = activations(rng)
    sketches = PeriodicFold.draw(N_FEATURES, SKETCH_DIM).apply(np.stack([x, y]))
    folded = float(sketches[0].astype(float) @ sketches[1])
    same_bin = np.equal.outer(np.arange(N_FEATURES) % 8, np.arange(N_FEATURES) % 8)
    bias = x @ (same_bin & ~np.eye(N_FEATURES, dtype=bool)) @ y
    within(folded, x @ y + bias, 1e-4)
    # The bias is no trifle: several times the inner product.
    assert abs(bias) > 3 * abs(x @ y)


def test_signed_fold_is_unbiased_with_the_stated_variance(rng):
    """E = <x, y>; Var = sum over b of |x_b|^2 |y_b|^2 + <x_b, y_b>^2 - 2 sum x_i^2 y_i^2."""
    x, y = activations(rng)
    products, variances = [], []
    for seed in range(20_000):
        projection = SignedFold.draw(N_FEATURES, SKETCH_DIM, seed)
        bins, signs = projection.bins, projection.weights
        bx = np.bincount(bins, signs * x, minlength=SKETCH_DIM)
        by = np.bincount(bins, signs * y, minlength=SKETCH_DIM)
        products.append(bx @ by)
        per_bin = [
            np.bincount(bins, values, minlength=SKETCH_DIM) for values in (x**2, y**2, x * y)
        ]
        variances.append(per_bin[0] @ per_bin[1] + per_bin[2] @ per_bin[2])
    products = np.array(products)
    variance = np.mean(variances) - 2 * (x**2 @ y**2)
    standard_error = np.sqrt(variance / products.size)
    assert abs(products.mean() - x @ y) < 4 * standard_error < 0.1 * abs(x @ y)
    within(products.var(), variance)


def test_coordinate_sample_is_unbiased(rng):
    x, y = activations(rng)
    products = []
    for seed in range(5000):
        projection = CoordinateSample.draw(N_FEATURES, 32, seed)
        kept = projection.bins >= 0
        products.append((projection.weights[kept] ** 2) @ (x * y)[kept])
    products = np.array(products)
    standard_error = products.std() / np.sqrt(products.size)
    assert abs(products.mean() - x @ y) < 4 * standard_error
    within(products.mean(), x @ y, 0.1)


def test_more_tables_find_neighbours_as_predicted(rng):
    """Through the tables: a neighbour is found with 1 - (1 - p^k)^L."""
    n_pairs, n_tables, hash_length = 4000, 6, 8
    x = spheres(n_pairs, rng)
    y = x + 0.6 * spheres(n_pairs, rng)
    functions = make_family("simhash", n_tables=n_tables, hash_length=hash_length).draw(N_FEATURES)
    cosine = np.einsum("ij,ij->i", x, y) / np.linalg.norm(y, axis=1)
    p = 1 - np.arccos(cosine) / np.pi
    tables = HashTables.from_sketch(functions, functions.sketch(x))
    indptr, ids, _ = tables.query(functions.codes(functions.sketch(y)))
    found = [q in ids[indptr[q] : indptr[q + 1]] for q in range(n_pairs)]
    within(np.mean(found), np.mean(1 - (1 - p**hash_length) ** n_tables), 0.05)


def test_winner_take_all_of_disjoint_orders(rng):
    """Independent dense rows share a bin's winner with 1 / w, k bins with w^-k."""
    X = rng.standard_normal((20_000, N_FEATURES)).astype(np.float32)
    for hash_length in (1, 2):
        functions = make_family("dwta", n_tables=30, hash_length=hash_length).draw(N_FEATURES)
        codes = functions.codes(functions.sketch(X))
        within((codes[::2] == codes[1::2]).mean(), 8.0**-hash_length)
    # A rank-preserving change of values, not only of scale, keeps every winner.
    x = rng.standard_normal((50, N_FEATURES)).astype(np.float32)
    functions = make_family("dwta", n_tables=10, hash_length=4).draw(N_FEATURES)
    np.testing.assert_array_equal(
        functions.codes(functions.sketch(x)),
        functions.codes(functions.sketch(np.exp(x))),
    )
