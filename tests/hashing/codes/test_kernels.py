"""Kernels of codes against their twins, on whole numbers, where sums are exact."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sklsh.kernels.codes import (
    gather_centroids,
    nearest_centroids,
    pack_signs,
    product_tables,
    score_codes,
    sign_tables,
)
from tests import reference

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 300), st.integers(1, 20), st.integers(1, 11), st.integers(0, 3))
def test_nearest_centroids(seed, n, n_centroids, width, first):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (n, first + width + 2)).astype(np.float32)
    centroids = np.zeros((n_centroids, (width + 7) // 8 * 8), dtype=np.float32)
    centroids[:, :width] = rng.integers(-2, 3, (n_centroids, width))
    halves = np.square(centroids).sum(axis=1) / np.float32(2)
    out = np.full((n, 2), 255, dtype=np.uint8)
    start = int(rng.integers(0, n))
    nearest_centroids(rows, first, first + width, centroids, halves, out, 1, start, n)
    expected = [
        reference.nearest_centroid(row[first : first + width].tolist(), centroids[:, :width])
        for row in rows[start:]
    ]
    assert out[start:, 1].tolist() == expected
    assert (out[:start] == 255).all()
    assert (out[:, 0] == 255).all()


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_signs(seed, n, n_bytes):
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 3, (n, 8 * n_bytes)).astype(np.float32)
    packed, sums = np.zeros((n, n_bytes), np.uint8), np.zeros(n, np.float32)
    pack_signs(values, packed, sums, 0, n)
    tables = np.full((n, n_bytes, 256), np.nan, dtype=np.float32)
    sign_tables(values, tables, 0, n)
    for i in range(n):
        assert (packed[i].tolist(), sums[i]) == reference.sign_bytes(values[i].tolist())
        for byte in range(n_bytes):
            part = values[i, 8 * byte : 8 * byte + 8].tolist()
            expected = [reference.signed_sum(part, code) for code in range(256)]
            assert tables[i, byte].tolist() == expected


@given(seeds, st.integers(1, 3), st.integers(1, 9), st.integers(1, 11), st.booleans())
def test_score_codes(seed, n_queries, n, n_bytes, scaled):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (n, n_bytes)).astype(np.uint8)
    tables = rng.integers(-5, 6, (n_queries, n_bytes, 256)).astype(np.float32)
    scale = rng.integers(-3, 4, n if scaled else 0).astype(np.float32)
    bias = rng.integers(-9, 9, n).astype(np.float32)
    start = int(rng.integers(0, n))
    out = np.empty((n_queries, n - start), dtype=np.float32)
    score_codes(codes, tables, scale, bias, out, start, n)
    for q in range(n_queries):
        for i in range(start, n):
            factor = scale[i] if scaled else 1
            assert out[q, i - start] == reference.code_score(
                codes[i].tolist(), tables[q].tolist(), factor, bias[i]
            )


def drawn_blocks(rng, n_blocks, n_centroids):
    """Widths of 1 to 5 coordinates, where they begin, and centroids of whole numbers."""
    widths = rng.integers(1, 6, n_blocks)
    centroids = np.zeros((n_blocks, n_centroids, 5), dtype=np.float32)
    for s, width in enumerate(widths):
        centroids[s, :, :width] = rng.integers(-5, 6, (n_centroids, width))
    return widths, np.concatenate([[0], np.cumsum(widths)]), centroids


@given(seeds, st.integers(1, 4), st.integers(1, 6), st.integers(1, 20))
def test_product_tables(seed, n, n_blocks, n_centroids):
    rng = np.random.default_rng(seed)
    _, edges, centroids = drawn_blocks(rng, n_blocks, n_centroids)
    values = rng.integers(-5, 6, (n, edges[-1])).astype(np.float32)
    start = int(rng.integers(0, n))
    tables = np.full((n, n_blocks, 256), np.inf, dtype=np.float32)
    product_tables(values, centroids, edges, tables, start, n)
    for q in range(start, n):
        parts = np.split(values[q], edges[1:-1])
        assert tables[q, :, :n_centroids].tolist() == reference.product_table(parts, centroids)
    assert np.isinf(tables[:start]).all()
    assert np.isinf(tables[:, :, n_centroids:]).all()


@given(seeds, st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_gather_centroids(seed, n, n_blocks, halved):
    rng = np.random.default_rng(seed)
    n_blocks *= 1 + halved
    n_centroids = 16 if halved else 200
    widths, edges, centroids = drawn_blocks(rng, n_blocks, n_centroids)
    codes = rng.integers(0, n_centroids, (n, n_blocks)).astype(np.uint8)
    packed = codes[:, ::2] * 16 + codes[:, 1::2] if halved else codes
    start = int(rng.integers(0, n))
    out = np.full((n, edges[-1]), np.inf, dtype=np.float32)
    gather_centroids(packed, centroids, edges, out, start, n)
    for i in range(start, n):
        assert out[i].tolist() == reference.decoded(codes[i], centroids.tolist(), widths)
    assert np.isinf(out[:start]).all()
