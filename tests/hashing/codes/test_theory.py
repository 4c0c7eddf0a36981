"""Estimates of sign codes and flips of bits against `sklsh.hashing.theory`, counted."""

import numpy as np
import pytest

from sklsh.hashing import make_family
from sklsh.hashing.codes import SignCodes, estimates
from sklsh.hashing.theory import most_flips, sign_code_variance


def drawn_estimates(x, y, n_bits, n_seeds):
    """Estimates of ``x @ y`` from codes of x, one a rotation.

    A coder centres rows by their mean: beside ``-x`` that is zero.
    """
    rows = np.stack([x, -x]).astype(np.float32)
    found = []
    for seed in range(n_seeds):
        coder = SignCodes(n_bits).fit(rows, seed=seed)
        codes = coder.encode(rows)
        found.append(float(estimates(coder, codes, y[None].astype(np.float32))[0, 0]))
    return np.array(found)


@pytest.mark.parametrize(("width", "n_bits"), [(64, 40), (32, 32), (24, 72), (40, 64)])
def test_sign_codes_are_unbiased_and_vary_as_said(width, n_bits):
    rng = np.random.default_rng(width)
    x, y = rng.standard_normal((2, width))
    found = drawn_estimates(x, y, n_bits, 1500)
    across = (x @ x) * (y @ y) - (x @ y) ** 2
    variance = sign_code_variance(width, n_bits) * across
    assert found.mean() == pytest.approx(x @ y, abs=4 * np.sqrt(variance / len(found)))
    # The variance of 1,500 draws is known to 4 %, twice that is allowed, and the formula's own.
    assert found.var() == pytest.approx(variance, rel=0.13)


def test_a_code_is_exact_along_its_row():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(40)
    np.testing.assert_allclose(drawn_estimates(x, 3 * x, 16, 5), 3 * (x @ x), rtol=2e-3)


def test_rotations_vary_less_than_independent_directions():
    """Of independent normal directions the factor is ``(pi / 2) / n_bits``."""
    for width, n_bits, less in [(128, 64, 0.75), (128, 128, 0.4), (256, 256, 0.4)]:
        assert sign_code_variance(width, n_bits) < less * (np.pi / 2) / n_bits
    # One direction of very many is as good as independent.
    assert sign_code_variance(10_000, 32) == pytest.approx((np.pi / 2) / 32, rel=0.03)


@pytest.mark.parametrize("fold", ["signed", "periodic", "sample"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_flips_of_bits_are_bounded(fold, share):
    """The paper's sensitivity: a bit of a sketch flips as seldom as its change is short."""
    functions = make_family("pghash", n_tables=2000, hash_length=1, sketch_dim=8, fold=fold).draw(
        64, seed=1
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 64)).astype(np.float32)
    d = rng.standard_normal((20, 64)).astype(np.float32)
    sketch, change = functions.sketch(x), functions.sketch(d)
    lengths = np.linalg.norm(sketch, axis=1)
    change *= (share * lengths / np.linalg.norm(change, axis=1))[:, None]
    flipped = (functions.codes(sketch) != functions.codes(sketch + change)).mean(axis=1)
    bound = most_flips(np.linalg.norm(change, axis=1), lengths)
    assert (flipped <= bound + 4 * np.sqrt(bound / 2000)).all()


def test_the_bound_of_flips_is_attained():
    """Where the change is at right angles to what it leads to."""
    functions = make_family("simhash", n_tables=20_000, hash_length=1).draw(4, seed=0)
    x, d = np.array([[1.0, 0, 0, 0]]), np.array([[-0.36, 0.48, 0, 0]])
    codes = [functions.codes(functions.sketch(v.astype(np.float32))) for v in (x, x + d)]
    flipped = (codes[0] != codes[1]).mean()
    assert flipped == pytest.approx(float(most_flips(0.6, 1.0)), abs=0.012)


def test_the_bound_of_flips_where_it_says_nothing():
    assert most_flips([0.0, 1.0, 3.0, 0.0], [1.0, 1.0, 2.0, 0.0]).tolist() == [0, 1, 1, 1]


def test_eight_bits_at_the_tolerance_of_a_delta_sketch():
    """A row that moves by a fifth keeps all of eight bits with 60 %, at worst."""
    assert (1 - most_flips(0.2, 1.0)) ** 8 == pytest.approx(0.59, abs=0.005)
