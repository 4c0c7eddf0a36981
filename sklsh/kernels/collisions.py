"""Collisions straight from codes, for when no table is to be kept."""

import numpy as np

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0


@kernel
def count_equal_codes(codes, keys, counts):
    """``counts[q, i] += number of (table, probe) with codes[t, i] == keys[q, t, probe]``.

    `codes` (n_tables, n_rows), `keys` (n_queries, n_tables, n_probes) of any integer type;
    a negative key matches nothing. O(n_queries * n_tables * n_probes * n_rows), but a
    compare of vectors of codes with one key.
    """
    for q in range(keys.shape[0]):
        target = counts[q]
        for t in range(keys.shape[1]):
            row = codes[t]
            for probe in range(keys.shape[2]):
                if keys[q, t, probe] < 0:
                    continue
                # Truncated to the codes' own type, so that the compare is that narrow.
                key = row.dtype.type(keys[q, t, probe])
                for i in range(row.shape[0]):
                    target[i] += np.uint8(row[i] == key)


@kernel
def keep_best(counts, first_id, limit, levels, out_ids, out_counts):
    """The best `limit` of one query's counts over consecutive ids, in order of the id.

    Id ``first_id + i`` collided ``counts[i]`` times. Of the ids with the smallest count
    that fits, the first ones are kept. Number kept; O(n_ids).
    """
    for level in range(levels.shape[0]):
        levels[level] = 0
    for i in range(counts.shape[0]):
        levels[counts[i]] += 1
    worst, above = 1, 0
    for level in range(levels.shape[0] - 1, 0, -1):
        worst = level
        if level == 1 or above + levels[level] >= limit:
            break
        above += levels[level]
    n_ties = limit - above
    n_out = 0
    for i in range(counts.shape[0]):
        if counts[i] > worst or (counts[i] == worst and n_ties > 0):
            n_ties -= counts[i] == worst
            out_ids[n_out] = first_id + i
            out_counts[n_out] = counts[i]
            n_out += 1
    return n_out
