"""Codes of vectors: the nearest of some centroids, signs in bytes, sums of looked-up parts."""

import numpy as np

from sklsh.kernels.flags import FUSED, kernel

# Compiled in: flags f62ac5f0

LANES = 128
"""Rows coded side by side: 4 kB of float32 for each 8 coordinates."""


@kernel(fastmath=FUSED)
def nearest_centroids(rows, first, last, centroids, half_squares, out, column, start, stop):
    """``out[i, column]`` is the centroid nearest to ``rows[i, first:last]``, the first on a tie.

    The largest ``centroid @ row - half_squares``, half its squared length. `centroids`
    (n_centroids, width) has width a multiple of 8, zeros behind ``last - first``. Rows are
    turned into columns, `LANES` at a time, so that the inner loops run along rows; the last
    eight coordinates and the comparison take one pass. O(n_centroids * width) a row.
    """
    width = centroids.shape[1]
    columns = np.zeros((width, LANES), dtype=np.float32)
    sums = np.empty(LANES, dtype=np.float32)
    best = np.empty(LANES, dtype=np.float32)
    winners = np.empty(LANES, dtype=np.int32)
    for begin in range(start, stop, LANES):
        n_lanes = min(LANES, stop - begin)
        for lane in range(n_lanes):
            for j in range(first, last):
                columns[j - first, lane] = rows[begin + lane, j]
        n_used = min(LANES, (n_lanes + 7) // 8 * 8)
        best[:] = np.float32(-np.inf)
        winners[:] = 0
        for c in range(centroids.shape[0]):
            sums[:] = -half_squares[c]
            for j in range(0, width, 8):
                plane, x = centroids[c, j : j + 8], columns[j : j + 8]
                p0, p1, p2, p3 = plane[0], plane[1], plane[2], plane[3]
                p4, p5, p6, p7 = plane[4], plane[5], plane[6], plane[7]
                if j + 8 < width:
                    for lane in range(n_used):
                        value = sums[lane] + p0 * x[0, lane] + p1 * x[1, lane] + p2 * x[2, lane]
                        value = value + p3 * x[3, lane] + p4 * x[4, lane] + p5 * x[5, lane]
                        sums[lane] = value + p6 * x[6, lane] + p7 * x[7, lane]
                    continue
                for lane in range(n_used):
                    value = sums[lane] + p0 * x[0, lane] + p1 * x[1, lane] + p2 * x[2, lane]
                    value = value + p3 * x[3, lane] + p4 * x[4, lane] + p5 * x[5, lane]
                    value = value + p6 * x[6, lane] + p7 * x[7, lane]
                    larger = value > best[lane]
                    best[lane] = value if larger else best[lane]
                    winners[lane] = np.int32(c) if larger else winners[lane]
        for lane in range(n_lanes):
            out[begin + lane, column] = winners[lane]


@kernel
def pack_signs(values, out, lengths, start, stop):
    """Signs of ``values[i]``, eight to a byte of ``out[i]``, the first highest; 0 is minus.

    ``lengths[i]`` becomes the sum of absolute values. Columns are a multiple of 8.
    """
    for i in range(start, stop):
        total = np.float32(0.0)
        for byte in range(out.shape[1]):
            bits = np.int64(0)
            for j in range(8 * byte, 8 * byte + 8):
                value = values[i, j]
                bits = 2 * bits + np.int64(value > 0)
                total += abs(value)
            out[i, byte] = bits
        lengths[i] = total


@kernel
def sign_tables(values, tables, start, stop):
    """``tables[q, byte, code]`` sums ``values[q, 8 byte : 8 byte + 8]``, minus where bits are 0."""
    for q in range(start, stop):
        for byte in range(tables.shape[1]):
            part, table = values[q, 8 * byte : 8 * byte + 8], tables[q, byte]
            total = np.float32(0.0)
            for bit in range(8):
                total -= part[bit]
            table[0] = total
            # Codes with a highest bit: those without it, with one sign turned.
            for bit in range(8):
                size = 1 << bit
                for code in range(size):
                    table[size + code] = table[code] + np.float32(2.0) * part[7 - bit]


@kernel
def product_tables(values, centroids, edges, tables, start, stop):
    """``tables[q, s, c]`` is ``values[q, edges[s] : edges[s + 1]] @ centroids[s, c]``; else kept.

    `centroids` are (n_blocks, n_centroids, width), of which a block uses its own width. A
    call of BLAS for each block takes a row longer than all of them here.
    """
    for q in range(start, stop):
        for s in range(centroids.shape[0]):
            part = values[q, edges[s] : edges[s + 1]]
            for c in range(centroids.shape[1]):
                total = np.float32(0.0)
                for j in range(part.shape[0]):
                    total += part[j] * centroids[s, c, j]
                tables[q, s, c] = total


@kernel
def gather_centroids(codes, centroids, edges, out, start, stop):
    """``out[i, edges[s] : edges[s + 1]]`` becomes the centroid ``codes[i, s]`` of block s.

    `codes` are bytes; of half as many bytes as blocks each is two codes, the higher bits first.
    """
    n_blocks = centroids.shape[0]
    halved = codes.shape[1] < n_blocks
    for i in range(start, stop):
        row = out[i]
        for s in range(n_blocks):
            code = np.int64(codes[i, s >> 1] if halved else codes[i, s])
            if halved:
                code = code & 15 if s & 1 else code >> 4
            first = edges[s]
            if edges[s + 1] - first == 4:  # as most blocks are: a third less time than the loop
                row[first] = centroids[s, code, 0]
                row[first + 1] = centroids[s, code, 1]
                row[first + 2] = centroids[s, code, 2]
                row[first + 3] = centroids[s, code, 3]
                continue
            for j in range(edges[s + 1] - first):
                row[first + j] = centroids[s, code, j]


@kernel
def score_codes(codes, tables, scale, bias, out, start, stop):
    """``out[q, i - start] = bias[i] + scale[i] * sum of tables[q, s, codes[i, s]]`` over s.

    For all rows q of `tables` and codes ``start:stop``. `scale` may be empty: 1. The sums of four
    bytes are added in one pass over the codes: a loop without an inner one, whose tables take
    4 kB. O(n_bytes) a code and query.
    """
    n, n_bytes = stop - start, codes.shape[1]
    whole = n_bytes // 4 * 4
    for q in range(tables.shape[0]):
        table, line = tables[q], out[q, :n]
        line[:] = np.float32(0.0)
        for s in range(0, whole, 4):
            first, second, third, fourth = table[s], table[s + 1], table[s + 2], table[s + 3]
            for i in range(n):
                code = start + i
                left = first[codes[code, s]] + second[codes[code, s + 1]]
                right = third[codes[code, s + 2]] + fourth[codes[code, s + 3]]
                line[i] += left + right
        for s in range(whole, n_bytes):
            for i in range(n):
                line[i] += table[s, codes[start + i, s]]
        if scale.shape[0]:
            for i in range(n):
                line[i] *= scale[start + i]
        for i in range(n):
            line[i] += bias[start + i]
