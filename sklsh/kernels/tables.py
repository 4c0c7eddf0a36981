"""Buckets by counting sort, collision counts, and ranking without sorting everything.

A table keeps its member ids sorted by code. ``starts`` indexes the top `prefix_bits` of
the code; where a code is wider, a prefix's short run is searched by halving. Narrow codes
(prefix = code) so find their bucket with two loads, and 62-bit codes need no 2^62 array.
"""

import numpy as np

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0

DIGIT_BITS = 11
"""Radix of the low bits' passes: 2,048 counters stay in the L1 cache."""

DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
"""Every 6-bit window differs, so the top bits of ``2^i * DE_BRUIJN`` name i."""

BIT_NUMBER = np.zeros(64, dtype=np.int64)
for _bit in range(64):
    BIT_NUMBER[((1 << _bit) * int(DE_BRUIJN) % 2**64) >> 58] = _bit


@kernel
def sort_all(codes, starts, ids):
    """`sort_table` where every id is a member and the prefix is the whole code.

    The common case, and bound by how fast counters can be incremented: four histograms,
    for equal neighbouring codes would wait for each other on one.
    """
    n_ids, n_codes = codes.shape[0], starts.shape[0] - 1
    counts = np.zeros((4, n_codes), dtype=np.uint32)
    one = np.uint32(1)
    n_quarters = n_ids // 4 * 4
    for i in range(0, n_quarters, 4):
        counts[0, codes[i]] += one
        counts[1, codes[i + 1]] += one
        counts[2, codes[i + 2]] += one
        counts[3, codes[i + 3]] += one
    for i in range(n_quarters, n_ids):
        counts[0, codes[i]] += one
    heads = counts[0]
    position = np.uint32(0)
    for code in range(n_codes):
        size = counts[0, code] + counts[1, code] + counts[2, code] + counts[3, code]
        starts[code] = position
        heads[code] = position
        position += size
    starts[n_codes] = position
    for i in range(n_ids):
        code = codes[i]
        place = heads[code]
        ids[place] = i
        heads[code] = place + one


@kernel
def sort_table(codes, members, code_bits, prefix_bits, starts, ids, scratch):
    """Sort `members` (ascending ids) by ``codes[id]``, stably, into `ids`; fill `starts`.

    `starts` (2^prefix_bits + 1,), `ids` and `scratch` like `members`; `scratch` is read
    only when codes are wider than the prefix. LSD radix sort: O(n_members) a pass.
    """
    n_members = members.shape[0]
    low_bits = code_bits - prefix_bits
    n_passes = (low_bits + DIGIT_BITS - 1) // DIGIT_BITS
    source = members
    # Passes alternate between the two buffers so that the prefix's pass lands in `ids`.
    to_scratch = n_passes % 2 == 1
    counts = np.empty(2**DIGIT_BITS + 1, dtype=np.int64)
    for number in range(n_passes):
        shift = number * DIGIT_BITS
        mask = (1 << min(DIGIT_BITS, low_bits - shift)) - 1
        counts[:] = 0
        for p in range(n_members):
            counts[((np.int64(codes[members[p]]) >> shift) & mask) + 1] += 1
        for digit in range(mask):
            counts[digit + 1] += counts[digit]
        target = scratch if to_scratch else ids
        for p in range(n_members):
            member = source[p]
            digit = (np.int64(codes[member]) >> shift) & mask
            target[counts[digit]] = member
            counts[digit] += 1
        source = target
        to_scratch = not to_scratch
    starts[:] = 0
    for p in range(n_members):
        starts[(np.int64(codes[members[p]]) >> low_bits) + 1] += 1
    for prefix in range(starts.shape[0] - 1):
        starts[prefix + 1] += starts[prefix]
    for p in range(n_members):
        member = source[p]
        prefix = np.int64(codes[member]) >> low_bits
        ids[starts[prefix]] = member
        starts[prefix] += 1
    for prefix in range(starts.shape[0] - 1, 0, -1):
        starts[prefix] = starts[prefix - 1]
    starts[0] = 0


@kernel(inline="always")
def _first_not_below(codes, ids, low, high, key):
    """First position of ``ids[low:high]``, sorted by code, whose code is >= key."""
    while low < high:
        middle = (low + high) // 2
        if np.int64(codes[ids[middle]]) < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def find_bucket(codes, ids, starts, low_bits, key):
    """``[low, high)`` of the bucket of `key` in `ids`. O(1), or O(log run) for wide codes."""
    prefix = key >> low_bits
    low, high = np.int64(starts[prefix]), np.int64(starts[prefix + 1])
    if low_bits > 0:
        low = _first_not_below(codes, ids, low, high, key)
        high = _first_not_below(codes, ids, low, high, key + 1)
    return low, high


@kernel
def bucket_sizes(codes, ids, starts, low_bits, keys, totals, start, stop):
    """``totals[q]`` = collisions of query q, each id once a table: what a ranking can yield."""
    for q in range(start, stop):
        total = 0
        for t in range(keys.shape[1]):
            for probe in range(keys.shape[2]):
                key = keys[q, t, probe]
                if key >= 0:
                    low, high = find_bucket(codes[t], ids[t], starts[t], low_bits, key)
                    total += high - low
        totals[q] = total


@kernel
def count_levels(counts, touched, n_touched, limit, levels):
    """The smallest collision count among the best `limit` ids.

    Fills ``levels[c]`` with the number of ids that collided `c` times.
    """
    for level in range(levels.shape[0]):
        levels[level] = 0
    for p in range(n_touched):
        levels[counts[touched[p]]] += 1
    kept = 0
    for level in range(levels.shape[0] - 1, 0, -1):
        kept += levels[level]
        if kept >= limit:
            return level
    return 1


@kernel
def take_ranked(marks, counts, worst, limit, levels, offset, out_ids, out_counts):
    """The marked ids by descending count, ties by id: the first `limit`; number written.

    They are written from `offset` on. Bit ``i % 64`` of ``marks[i // 64]`` stands for id i,
    so that walking the set bits visits ids in order and no sort is needed: O(n_ids / 64 +
    marked). Marked ids have counts >= `worst`; their marks and counts are 0 on return,
    `levels` (from `count_levels`) is spent.
    """
    position = 0
    for level in range(levels.shape[0] - 1, worst - 1, -1):
        size = levels[level]
        levels[level] = position
        position += size
    n_out = min(position, limit)
    for w in range(marks.shape[0]):
        word = marks[w]
        while word != 0:
            lowest = word & (~word + np.uint64(1))
            member = w * 64 + BIT_NUMBER[(lowest * DE_BRUIJN) >> np.uint64(58)]
            word ^= lowest
            count = counts[member]
            counts[member] = 0
            place = levels[count]
            levels[count] = place + 1
            if place < n_out:
                out_ids[offset + place] = member
                out_counts[offset + place] = count
        marks[w] = 0
    return n_out


@kernel
def rank_collisions(
    codes, ids, starts, low_bits, keys, limits, offsets, counts, marks, touched, levels,
    out_ids, out_counts, n_found, start, stop,
):  # fmt: skip
    """Ids that share buckets with each query, most collisions first, ties by id.

    `codes` (n_tables, n_ids), `ids` (n_tables, n_members), `starts` (n_tables, 2^prefix + 1);
    `keys` (n_queries, n_tables, n_probes), where a negative key is no probe. Query q writes
    at most ``limits[q]`` entries from ``offsets[q]`` on, and their number to ``n_found[q]``.
    Scratch: `counts` (n_ids,) and `marks` (n_ids // 64 + 1,), all 0 and so again on return;
    `touched` (n_ids + 1,); `levels` (n_tables * n_probes + 1,).
    O(collisions + n_ids / 64) a query.
    """
    for q in range(start, stop):
        n_touched = 0
        for t in range(keys.shape[1]):
            table = ids[t]
            for probe in range(keys.shape[2]):
                key = keys[q, t, probe]
                if key < 0:
                    continue
                low, high = find_bucket(codes[t], table, starts[t], low_bits, key)
                for p in range(low, high):
                    member = table[p]
                    # Without a branch: the slot is written always and kept if it was new.
                    touched[n_touched] = member
                    n_touched += counts[member] == 0
                    counts[member] += 1
        limit = limits[q]
        worst = count_levels(counts, touched, n_touched, limit, levels)
        for p in range(n_touched):
            member = touched[p]
            if counts[member] >= worst:
                marks[member >> 6] |= np.uint64(1) << np.uint64(member & 63)
            else:
                counts[member] = 0
        n_found[q] = take_ranked(
            marks,
            counts,
            worst,
            limit,
            levels,
            offsets[q],
            out_ids,
            out_counts,
        )
