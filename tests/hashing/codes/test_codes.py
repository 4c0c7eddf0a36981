"""Families of codes: one protocol, estimates that are near, errors that name what is wrong."""

import numpy as np
import pytest

from sklsh.hashing.codes import ProductCodes, SignCodes, SVDSketch, estimates, topk_codes

FAMILIES = {
    "signs": SignCodes(64),
    "signs of a fold": SignCodes(32, sketch_dim=12),
    "svd": SVDSketch(8),
    "svd in float16": SVDSketch(8, "float16"),
    "products": ProductCodes(5),
    "products of 4 bits": ProductCodes(4, code_bits=4, n_iter=4),
    "products, random rotation": ProductCodes(4, rotation="random", n_iter=2),
    "products, no rotation": ProductCodes(4, rotation="none", n_iter=2),
}
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
WIDTH = 24


def problem(seed=0, n=500, n_queries=12):
    """Rows in some directions more than in others, hidden vectors with a mean."""
    rng = np.random.default_rng(seed)
    spread = np.linspace(2, 0.1, WIDTH)
    rows = rng.standard_normal((n, WIDTH)) * spread + 0.5
    hidden = np.abs(rng.standard_normal((n_queries, WIDTH)))
    bias = rng.standard_normal(n)
    return [a.astype(np.float32) for a in (rows, bias, hidden)]


@families
def test_scores_are_those_of_what_codes_stand_for(family):
    """Scores and decoded rows are two ways to the same number; it is near the exact one."""
    rows, bias, hidden = problem()
    mean = hidden.mean(axis=0)
    coder = family.fit(rows, hidden_mean=mean, seed=3)
    codes = coder.encode(rows, bias)
    scores = estimates(coder, codes, hidden)
    decoded, shifted = coder.decode(codes)
    np.testing.assert_allclose(scores, hidden @ decoded.T + shifted, rtol=2e-3, atol=0.02)
    exact = hidden @ rows.T + bias
    of_mean = (rows @ mean + bias)[None]
    # The better, the more scores are alike; of 32 bits of a fold one cannot ask for more.
    least = 0.4 if "Sign" in type(family).__name__ else 0.75
    assert np.corrcoef((scores - of_mean).ravel(), (exact - of_mean).ravel())[0, 1] > least
    np.testing.assert_allclose(
        estimates(coder, codes, mean[None])[0], of_mean[0], rtol=2e-3, atol=0.02
    )


@pytest.mark.parametrize("n", [1, 2, 16, 17])
@pytest.mark.parametrize("n_bytes", [1, 3, 4])
def test_codes_learnt_from_few_rows(n, n_bytes):
    """Centroids are the rows then: nothing is lost, whether bytes can be paired or not."""
    rows, bias, hidden = problem(n=n)
    coder = ProductCodes(n_bytes, rotation="none").fit(rows)
    codes = coder.encode(rows, bias)
    np.testing.assert_allclose(coder.decode(codes)[0], rows, rtol=1e-3, atol=1e-3)
    exact = hidden @ rows.T + bias
    np.testing.assert_allclose(estimates(coder, codes, hidden), exact, rtol=1e-2, atol=0.02)


@families
def test_topk_is_the_sorted_estimates(family):
    rows, bias, hidden = problem(n=5000, n_queries=20)
    coder = family.fit(rows[:600], hidden_mean=hidden.mean(axis=0))
    codes = coder.encode(rows, bias)
    names = np.arange(5000) * 3
    found = [topk_codes(coder, codes, hidden, 7, names, n_threads=n) for n in (1, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    ids, scores = found[0]
    expected = -np.sort(-estimates(coder, codes, hidden), axis=1)[:, :7]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    of_names = np.take_along_axis(estimates(coder, codes, hidden), ids // 3, axis=1)
    np.testing.assert_allclose(of_names, scores, rtol=1e-5, atol=1e-5)


@families
def test_more_asked_than_there_are(family):
    rows, bias, hidden = problem(n=5 if "Product" not in type(family).__name__ else 300)
    coder = family.fit(rows)
    ids, scores = topk_codes(coder, coder.encode(rows[:5], bias[:5]), hidden, 9)
    assert (np.sort(ids, axis=1)[:, 4:] == np.arange(5)).all()
    assert (ids[:, 5:] == -1).all()
    assert np.isneginf(scores[:, 5:]).all()


@families
def test_encoding_knows_no_neighbours_and_no_threads(family):
    rows, bias, _ = problem(n=9000)
    coder = family.fit(rows[:500], n_jobs=2)
    codes = coder.encode(rows, bias, n_jobs=2)
    assert np.array_equal(coder.encode(rows, bias, n_jobs=1).packed, codes.packed)
    again = family.fit(rows[:500], n_jobs=1)
    assert np.array_equal(again.encode(rows, bias, n_jobs=1).packed, codes.packed)


@families
def test_changed_rows_alone_are_coded_again(family):
    """Between rounds: codebooks stay, rows that have changed get codes of their own."""
    rows, bias, hidden = problem()
    coder = family.fit(rows)
    codes = coder.encode(rows, bias)
    moved = np.array([3, 77])
    rows[moved] += 1
    new = codes.replaced(moved, coder.encode(rows[moved], bias[moved]))
    whole = coder.encode(rows, bias)
    np.testing.assert_allclose(
        estimates(coder, new, hidden), estimates(coder, whole, hidden), rtol=1e-3, atol=1e-2
    )
    old = np.delete(np.arange(500), moved)
    assert np.array_equal(new.take(old).packed, codes.take(old).packed)


def test_bytes():
    rows, bias, _ = problem()
    sizes = {
        name: family.fit(rows).encode(rows, bias).bytes_per_row for name, family in FAMILIES.items()
    }
    assert sizes["signs"] == 64 / 8 + 2 + 2
    assert sizes["svd"] == 8 + 2 + 2
    assert sizes["svd in float16"] == 16 + 2
    assert sizes["products"] == 5 + 2
    assert sizes["products of 4 bits"] == 4 + 2


def errors(family, rows, hidden, **fitted):
    coder = family.fit(rows, **fitted)
    codes = coder.encode(rows)
    return np.square(estimates(coder, codes, hidden) - hidden @ rows.T).mean()


@pytest.mark.parametrize("family", [SVDSketch(6), ProductCodes(4)], ids=["svd", "products"])
def test_weighting_by_the_moment_makes_scores_nearer(family):
    """Hidden vectors vary along directions in which rows hardly do."""
    rng = np.random.default_rng(0)
    rows, _, _ = problem(n=3000)
    hidden = (rng.standard_normal((400, WIDTH)) * np.linspace(0.05, 2, WIDTH)).astype(np.float32)
    moment = hidden.T @ hidden / len(hidden)
    plain, weighted = (
        errors(family, rows, hidden, hidden_moment=m) for m in (None, moment.astype(np.float32))
    )
    assert weighted < 0.95 * plain


def test_a_learnt_rotation_codes_correlated_coordinates():
    rng = np.random.default_rng(0)
    few = rng.standard_normal((4000, 6)) @ rng.standard_normal((6, WIDTH))
    rows = (few + 0.05 * rng.standard_normal((4000, WIDTH))).astype(np.float32)
    hidden = rng.standard_normal((50, WIDTH)).astype(np.float32)
    of = {r: errors(ProductCodes(4, rotation=r), rows, hidden) for r in ("learnt", "none")}
    assert of["learnt"] < 0.9 * of["none"]


def test_zero_rows_and_huge_biases():
    for family in (SignCodes(16), SVDSketch(4), ProductCodes(2)):
        rows = np.zeros((300, WIDTH), dtype=np.float32)
        coder = family.fit(rows)
        codes = coder.encode(rows, np.full(300, 1e6, dtype=np.float32))
        scores = estimates(coder, codes, np.ones((2, WIDTH), dtype=np.float32))
        assert (scores == 1e6).all()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (SignCodes(12), "n_bits must be a multiple of 8, got 12"),
        (SignCodes(0), "n_bits must be"),
        (SignCodes(8, sketch_dim=25), "sketch_dim"),
        (SignCodes(8, fold="none"), "fold must be one of"),
        (SVDSketch(25), "sketch_dim"),
        (SVDSketch(4, "int4"), "dtype must be one of"),
        (ProductCodes(25), "n_bytes must be at most 24 for rows of 24, got 25"),
        (ProductCodes(13, code_bits=4), "n_bytes must be at most 12 for rows of 24, got 13"),
        (ProductCodes(4, code_bits=6), "code_bits must be 4 or 8, got 6"),
        (ProductCodes(4, rotation="pca"), "rotation must be one of"),
        (ProductCodes(4, n_iter=0), "n_iter must be"),
    ],
)
def test_settings_are_checked(family, message):
    with pytest.raises(ValueError, match=message):
        family.fit(problem()[0])


def test_arguments_are_checked():
    rows, bias, hidden = problem()
    family = SVDSketch(4)
    coder = family.fit(rows)
    bad = rows.copy()
    bad[3, 3] = np.nan
    for call, message in [
        (lambda: family.fit(bad), "rows must be finite, got NaN or inf"),
        (lambda: family.fit(rows[:0]), "rows must not be empty"),
        (lambda: family.fit(rows.astype(int)), "rows must be floating point"),
        (lambda: family.fit(rows, hidden_mean=bias), "hidden_mean must be"),
        (lambda: family.fit(rows, hidden_moment=rows), r"hidden_moment must have shape \(24, 24\)"),
        (lambda: family.fit(rows, hidden_moment=np.zeros((24, 24))), "positive trace, got 0"),
        (lambda: coder.encode(rows[:, :5]), r"rows must be .* \(n, 24\), got .* \(500, 5\)"),
        (lambda: coder.encode(rows, bias[:4]), r"bias must have shape \(500,\), got \(4,\)"),
        (lambda: estimates(coder, coder.encode(rows), bad), "hidden must be finite"),
        (lambda: topk_codes(coder, coder.encode(rows), hidden, 0), "k must be"),
        (lambda: topk_codes(coder, coder.encode(rows), hidden, 1, bias[:3]), "ids must have"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
