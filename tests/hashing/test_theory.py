"""Formulas of `sklsh.hashing.theory` against counted collisions and special cases."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sklsh.hashing import make_family
from sklsh.hashing.theory import (
    _both_below,
    collision_probability,
    same_winner_probability,
    sketch_angles,
)

ANGLES = np.radians([15, 50, 90, 130])


def counted(functions, angle, n_tables, rng, n_pairs=3000):
    """Share of random pairs that share a code, one table at a time or in any of n_tables."""
    x, z = rng.standard_normal((2, n_pairs, functions.projection.n_features))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z -= np.einsum("ij,ij->i", x, z)[:, None] * x
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    rows = [x, np.cos(angle) * x + np.sin(angle) * z]
    codes = [functions.codes(functions.sketch(r.astype(np.float32))) for r in rows]
    equal = codes[0] == codes[1]
    return equal.mean() if n_tables == 1 else equal[:, :n_tables].any(axis=1).mean()


@pytest.mark.parametrize(
    ("family", "hash_length", "sketch_dim", "fold"),
    [
        ("simhash", 3, None, "signed"),
        ("pghash", 3, 8, "signed"),
        ("pghash", 3, 4, "periodic"),
        ("pghash", 3, 60, "sample"),
        ("dwta", 2, None, "signed"),
        ("pghash_d", 2, 16, "signed"),
        ("pghash_d", 4, 16, "sample"),
    ],
)
def test_one_table(family, hash_length, sketch_dim, fold):
    functions = make_family(
        family, n_tables=64, hash_length=hash_length, sketch_dim=sketch_dim, fold=fold
    ).draw(64, seed=2)
    rng = np.random.default_rng(0)
    measured = [counted(functions, angle, 1, rng) for angle in ANGLES]
    np.testing.assert_allclose(measured, collision_probability(functions, ANGLES), atol=0.02)


def test_a_narrow_sketch_is_not_the_whole_vector():
    """The theory of the sketch differs from that of the vector by more than the tolerance."""
    drawn = [
        make_family(family, hash_length=3, sketch_dim=4).draw(64)
        for family in ("simhash", "pghash")
    ]
    full, sketched = (collision_probability(functions, ANGLES) for functions in drawn)
    assert abs(full - sketched).max() > 0.04


@pytest.mark.parametrize("family", ["simhash", "pghash"])
def test_any_of_some_tables(family):
    functions = make_family(family, n_tables=96, hash_length=4, sketch_dim=8).draw(64, seed=2)
    rng = np.random.default_rng(0)
    for angle, expected in zip(ANGLES, collision_probability(functions, ANGLES, n_tables=6)):
        assert counted(functions, angle, 6, rng) == pytest.approx(expected, abs=0.04)


def test_the_winner_of_two_is_a_sign():
    """Which of two is larger is the sign of a difference: 1 - angle / pi."""
    angles = np.linspace(0, np.pi, 9)
    np.testing.assert_allclose(same_winner_probability(angles, 2), 1 - angles / np.pi, atol=1e-6)
    assert same_winner_probability(np.array([np.pi / 2]), 8) == pytest.approx(1 / 8, abs=1e-6)


def test_sketch_angles():
    assert sketch_angles(ANGLES, 16, 16).ravel().tolist() == ANGLES.tolist()
    # One coordinate leaves a sign: the angle is 0, or pi with probability angle / pi.
    one = sketch_angles(ANGLES, 16, 1)
    np.testing.assert_allclose(one.mean(axis=1), ANGLES, atol=0.05)
    assert np.minimum(one, np.pi - one).max() < 1e-3
    nearly_full = sketch_angles(ANGLES, 64, 63)
    np.testing.assert_allclose(nearly_full.mean(axis=1), ANGLES, atol=0.01)


@pytest.mark.parametrize("sketch_dim", [2, 5])
def test_sketch_angles_are_those_of_random_subspaces(sketch_dim):
    """Pairs at an angle, seen through the first columns of random orthonormal frames."""
    rng = np.random.default_rng(0)
    frames, _ = np.linalg.qr(rng.standard_normal((20_000, 12, sketch_dim)))
    expected = sketch_angles(ANGLES, 12, sketch_dim)
    for angle, found in zip(ANGLES, expected, strict=True):
        u, v = frames[:, 0], np.cos(angle) * frames[:, 0] + np.sin(angle) * frames[:, 1]
        lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
        seen = np.arccos(np.clip(np.einsum("ij,ij->i", u, v) / lengths, -1, 1))
        assert found.mean() == pytest.approx(seen.mean(), abs=0.02)
        assert found.std() == pytest.approx(seen.std(), abs=0.02)


@pytest.mark.parametrize("angle", [0.3, 1.2, 2.5])
def test_the_normal_distribution_in_two_dimensions(angle):
    """Owen's formula, where it divides by 0 too."""
    cos, sin = np.cos(angle), np.sin(angle)
    joint = multivariate_normal([0, 0], [[1, cos], [cos, 1]])
    for h, k in [(0.0, 1.0), (0.0, -1.0), (-1.0, 0.0), (0.5, 0.7), (-0.5, 0.7)]:
        found = _both_below(np.array(h), np.array(k), cos, sin)
        assert found == pytest.approx(joint.cdf([h, k]), abs=1e-4)


def test_where_there_is_no_formula():
    winners = make_family("dwta", n_tables=4, hash_length=2).draw(32)
    assert collision_probability(winners, ANGLES) is not None
    assert collision_probability(winners, ANGLES, n_tables=2) is None
    overlapping = make_family("dwta", n_tables=4, hash_length=5).draw(32)
    assert collision_probability(overlapping, ANGLES) is None


@pytest.mark.parametrize("angles", [[-0.1], [3.2], [[0.1]], [np.nan]])
def test_angles_are_checked(angles):
    with pytest.raises(ValueError, match="angles must be 1-d and in"):
        collision_probability(make_family("simhash").draw(8), angles)
