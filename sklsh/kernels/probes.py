"""Multiprobe: the codes nearest to a row's own, in order of what it costs to reach them."""

import numpy as np

from sklsh.kernels.flags import kernel

# Compiled in: flags f62ac5f0


@kernel
def order_by_cost(cost, order):
    """Positions by ascending cost, ties by position: insertion sort, there are 62 at most."""
    for j in range(cost.shape[0]):
        place = j
        while place > 0 and cost[order[place - 1]] > cost[j]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = j


@kernel
def nearest_codes(codes, costs, deltas, out):
    """``out[i, t]`` = the code and the cheapest combinations of flips; -1 when used up.

    `codes` (n, n_tables), `costs` and `deltas` (n, n_tables, n_flips), `out` (n, n_tables,
    n_probes), its first entry the code itself. A set of flips costs the sum of theirs. With
    flips in ascending order, each set other than {0} is made once from a cheaper one, by
    replacing its last flip j with j + 1 ("shift") or adding j + 1 ("expand"): Lv et al.,
    VLDB 2007, section 4.4. O(n_probes^2) a code: n_probes is small, no heap.
    """
    n_probes, n_flips = out.shape[2], costs.shape[2]
    # Each set taken puts two in the waiting list, so it never holds more than this.
    waiting_cost = np.empty(2 * n_probes + 1, dtype=np.float64)
    waiting_last = np.empty(2 * n_probes + 1, dtype=np.int64)
    waiting_code = np.empty(2 * n_probes + 1, dtype=np.int64)
    order = np.empty(n_flips, dtype=np.int64)
    for i in range(codes.shape[0]):
        for t in range(codes.shape[1]):
            cost, delta = costs[i, t], deltas[i, t]
            order_by_cost(cost, order)
            target = out[i, t]
            target[0] = codes[i, t]
            for probe in range(1, n_probes):
                target[probe] = -1
            waiting_cost[0] = cost[order[0]]
            waiting_last[0] = 0
            waiting_code[0] = codes[i, t] ^ delta[order[0]]
            n_waiting = 1
            for probe in range(1, n_probes):
                best = 0
                for w in range(1, n_waiting):
                    if waiting_cost[w] < waiting_cost[best]:
                        best = w
                if n_waiting == 0 or np.isinf(waiting_cost[best]):
                    break
                total, last, code = (
                    waiting_cost[best],
                    waiting_last[best],
                    waiting_code[best],
                )
                target[probe] = code
                n_waiting -= 1
                waiting_cost[best] = waiting_cost[n_waiting]
                waiting_last[best] = waiting_last[n_waiting]
                waiting_code[best] = waiting_code[n_waiting]
                if last + 1 < n_flips:
                    this, following = order[last], order[last + 1]
                    waiting_cost[n_waiting] = total + cost[following]
                    waiting_last[n_waiting] = last + 1
                    waiting_code[n_waiting] = code ^ delta[following]
                    n_waiting += 1
                    # Differences of floats can break ties in the wrong order by a rounding;
                    # the sets stay distinct, which is what queries rely on.
                    waiting_cost[n_waiting] = total - cost[this] + cost[following]
                    waiting_last[n_waiting] = last + 1
                    waiting_code[n_waiting] = code ^ delta[this] ^ delta[following]
                    n_waiting += 1


@kernel
def winner_flips(sketch, coordinates, tables, digit_bits, costs, deltas):
    """Margins of winner-takes-all bins: runner-up against winner.

    ``costs[i, s, b]`` is half the squared gap (the squared distance to where they tie),
    ``deltas[i, s, b]`` turns the winner's digit into the runner-up's. A bin of zeros, whose
    digit is borrowed, or of one coordinate cannot flip: cost inf.
    """
    hash_length, bin_width = coordinates.shape[1], coordinates.shape[2]
    for i in range(sketch.shape[0]):
        row = sketch[i]
        for s in range(tables.shape[0]):
            for b in range(hash_length):
                places = coordinates[tables[s], b]
                winner, runner_up, empty = 0, -1, row[places[0]] == 0
                for position in range(1, bin_width):
                    value = row[places[position]]
                    empty = empty and value == 0
                    if value > row[places[winner]]:
                        winner, runner_up = position, winner
                    elif runner_up < 0 or value > row[places[runner_up]]:
                        runner_up = position
                if empty or runner_up < 0:
                    costs[i, s, b] = np.inf
                    deltas[i, s, b] = 0
                else:
                    gap = row[places[winner]] - row[places[runner_up]]
                    costs[i, s, b] = np.float32(0.5) * gap * gap
                    shift = (hash_length - 1 - b) * digit_bits
                    deltas[i, s, b] = np.int64(winner ^ runner_up) << shift
