"""Codes from sketches: signs of random planes, winners of random bins.

Both kernels turn `LANES` rows at a time into columns, so that the inner loops run along
rows and LLVM vectorises them. No fast-math: every lane does the same IEEE operations in
the same order, so a row has the same code alone, in a batch and on another machine.
"""

import numpy as np

from sklsh.kernels.counter import mix
from sklsh.kernels.flags import kernel

# Compiled in: counter f6a05216, flags f62ac5f0

LANES = 128
"""Rows hashed side by side: 4 kB of float32 for each 8 coordinates, half of an L1 cache."""


@kernel
def _transpose(sketch, first, n_lanes, columns):
    for lane in range(n_lanes):
        row = sketch[first + lane]
        for j in range(row.shape[0]):
            columns[j, lane] = row[j]


@kernel
def sign_codes(sketch, planes, out, start, stop):
    """``out[t, i]`` packs the bits ``planes[t] @ sketch[i] > 0``, first bit highest.

    `planes` (n_tables, hash_length, c) has c a multiple of 8, `sketch` (n_rows, sketch_dim)
    at most c columns: missing ones count as 0. A zero row has code 0. O(n_tables *
    hash_length * c) a row.
    """
    n_tables, hash_length, width = planes.shape
    columns = np.zeros((width, LANES), dtype=np.float32)
    sums = np.empty(LANES, dtype=np.float32)
    bits = np.empty(LANES, dtype=np.int32)
    codes = np.empty(LANES, dtype=np.int64)
    for first in range(start, stop, LANES):
        n_lanes = min(LANES, stop - first)
        _transpose(sketch, first, n_lanes, columns)
        # Only the lanes in use, rounded up to whole vector registers.
        n_used = min(LANES, (n_lanes + 7) // 8 * 8)
        for t in range(n_tables):
            for lane in range(n_used):
                codes[lane] = 0
            # 31 bits at a time: as wide as the float lanes, so that packing vectorises too.
            for first_bit in range(0, hash_length, 31):
                last_bit = min(first_bit + 31, hash_length)
                for lane in range(n_used):
                    bits[lane] = 0
                for b in range(first_bit, last_bit):
                    _dot_lanes(planes[t, b], columns, sums, n_used)
                    for lane in range(n_used):
                        bits[lane] = bits[lane] * np.int32(2) + np.int32(sums[lane] > 0)
                shift = last_bit - first_bit
                for lane in range(n_used):
                    codes[lane] = (codes[lane] << shift) | np.int64(bits[lane])
            target = out[t]
            for lane in range(n_lanes):
                target[first + lane] = codes[lane]


@kernel(inline="always")
def _dot_lanes(plane, columns, sums, n_used):
    """``sums = plane @ columns``, eight coordinates a pass."""
    for lane in range(n_used):
        sums[lane] = np.float32(0.0)
    for j in range(0, plane.shape[0], 8):
        p0, p1, p2, p3 = plane[j], plane[j + 1], plane[j + 2], plane[j + 3]
        p4, p5, p6, p7 = plane[j + 4], plane[j + 5], plane[j + 6], plane[j + 7]
        x = columns[j : j + 8]
        for lane in range(n_used):
            sums[lane] += ((p0 * x[0, lane] + p1 * x[1, lane])
                           + (p2 * x[2, lane] + p3 * x[3, lane])) + (
                          (p4 * x[4, lane] + p5 * x[5, lane])
                           + (p6 * x[6, lane] + p7 * x[7, lane]))  # fmt: skip


@kernel
def _winner(row, coordinates):
    """Position of the largest of ``row[coordinates]`` (first on a tie); -1 if all are zero."""
    best, winner, empty = row[coordinates[0]], 0, row[coordinates[0]] == 0
    for position in range(1, coordinates.shape[0]):
        value = row[coordinates[position]]
        empty = empty and value == 0
        if value > best:
            best, winner = value, position
    return -1 if empty else winner


@kernel
def borrow(row, coordinates, seed, bin_id):
    """The winner of another bin of the same vector, for an all-zero bin; -1 if there is none.

    Bins are tried in the pseudo-random order of `bin_id` alone, never of the vector: two
    vectors borrow from the same bin wherever both can, as densification requires. After
    64 misses the rest are tried in turn, so that a bin with an entry is always found.
    """
    n_bins, hash_length = (
        coordinates.shape[0] * coordinates.shape[1],
        coordinates.shape[1],
    )
    other = np.int64(0)
    for attempt in range(64):
        bits = mix(seed, bin_id, attempt) >> np.uint64(32)
        other = np.int64((bits * np.uint64(n_bins)) >> np.uint64(32))
        winner = _winner(row, coordinates[other // hash_length, other % hash_length])
        if winner >= 0:
            return winner
    for step in range(1, n_bins):
        following = (other + step) % n_bins
        winner = _winner(row, coordinates[following // hash_length, following % hash_length])
        if winner >= 0:
            return winner
    return -1


@kernel
def winner_codes(sketch, coordinates, tables, digit_bits, seed, out, start, stop):
    """``out[s, i]`` concatenates the winners of the bins of table ``tables[s]``.

    `coordinates` (n_tables, hash_length, bin_width) lists the coordinates of each bin of
    every table; the first bin is the highest digit. An all-zero bin borrows (`borrow`)
    from any bin of any table; a vector with no entry in any bin has code 0.
    O(hash_length * bin_width) a row and table.
    """
    hash_length, bin_width = coordinates.shape[1], coordinates.shape[2]
    columns = np.empty((sketch.shape[1], LANES), dtype=np.float32)
    best = np.empty(LANES, dtype=np.float32)
    winners = np.empty(LANES, dtype=np.int32)
    filled = np.empty(LANES, dtype=np.int32)
    codes = np.empty(LANES, dtype=np.int64)
    barren = np.empty(LANES, dtype=np.bool_)
    for first in range(start, stop, LANES):
        n_lanes = min(LANES, stop - first)
        _transpose(sketch, first, n_lanes, columns)
        barren[:] = False
        for s in range(tables.shape[0]):
            t = tables[s]
            codes[:] = 0
            for b in range(hash_length):
                column = columns[coordinates[t, b, 0]]
                for lane in range(n_lanes):
                    best[lane] = column[lane]
                    winners[lane] = 0
                    filled[lane] = np.int32(column[lane] != 0)
                for position in range(1, bin_width):
                    column = columns[coordinates[t, b, position]]
                    for lane in range(n_lanes):
                        value = column[lane]
                        larger = value > best[lane]
                        best[lane] = value if larger else best[lane]
                        winners[lane] = np.int32(position) if larger else winners[lane]
                        filled[lane] |= np.int32(value != 0)
                for lane in range(n_lanes):
                    winner = winners[lane]
                    if filled[lane] == 0:
                        winner = np.int32(0)
                        if not barren[lane]:
                            found = borrow(
                                sketch[first + lane],
                                coordinates,
                                seed,
                                t * hash_length + b,
                            )
                            # Nothing to borrow for this bin: nor for any other.
                            barren[lane] = found < 0
                            winner = np.int32(max(found, 0))
                    codes[lane] = (codes[lane] << digit_bits) | np.int64(winner)
            for lane in range(n_lanes):
                out[s, first + lane] = codes[lane]
