"""User-item interactions: co-occurrences of items, scores by them, and entries drawn by a hash."""

import numpy as np

from sklsh.kernels.counter import mix
from sklsh.kernels.flags import kernel
from sklsh.kernels.heaps import push_heap, sort_heap
from sklsh.kernels.topk import beats

# Compiled in: counter f6a05216, flags f62ac5f0, heaps 4eb07139, topk 00effc30


@kernel
def draw_entries_csr(indptr, indices, seed, rate, drawn):
    """``drawn[p]`` (bool): whether entry `p` of a CSR matrix is among a share `rate`.

    A function of (seed, row, column) alone: the same entry of a larger matrix fares alike.
    """
    threshold = np.uint64(rate * 4294967296.0)
    for row in range(indptr.shape[0] - 1):
        for position in range(indptr[row], indptr[row + 1]):
            drawn[position] = (mix(seed, row, indices[position]) >> np.uint64(32)) < threshold


@kernel
def add_cooccurrences(
    items, users_indptr, users, user_data, indptr, indices, data, shares, damping,
    sums, touched, ids, values, start, stop,
):  # fmt: skip
    """Add new users' co-occurrences to the stored neighbours of ``items[start:stop]``.

    The co-occurrence of i and j is the sum over users v of ``x_vi * x_vj * shares[v]``.
    `users_*` lists the users of each item (CSC), the CSR matrix the items of each user.
    ``ids`` (n_items, k) int32 and ``values`` (n_items, k) float32 hold an item's neighbours,
    padded with -1; of old and new ones those with the largest ``value * damping[j]`` stay,
    best first. `sums` (n_items,) float32 must be 0 and is so again on return, `touched`
    (n_items,) int32 is scratch. Entries must be positive.
    """
    k = ids.shape[1]
    best = np.empty(k, dtype=np.float32)
    best_ids = np.empty(k, dtype=np.int32)
    for t in range(start, stop):
        item = items[t]
        n_touched = 0
        for slot in range(k):
            other = ids[item, slot]
            if other < 0:
                break
            sums[other] = values[item, slot]
            touched[n_touched] = other
            n_touched += 1
        for p in range(users_indptr[item], users_indptr[item + 1]):
            user = users[p]
            share = user_data[p] * shares[user]
            for q in range(indptr[user], indptr[user + 1]):
                other = indices[q]
                if other == item:
                    continue
                if sums[other] == np.float32(0.0):
                    touched[n_touched] = other
                    n_touched += 1
                # A tiny term must not leave the sum at 0: it would be listed twice.
                sums[other] += max(share * data[q], np.float32(1e-30))
        best[:] = np.float32(0.0)
        best_ids[:] = -1
        for u in range(n_touched):
            other = touched[u]
            score = sums[other] * damping[other]
            if beats(score, other, best[0], best_ids[0]):
                push_heap(score, other, best, best_ids, k)
        sort_heap(best, best_ids)
        for slot in range(k):
            ids[item, slot] = best_ids[slot]
            values[item, slot] = sums[best_ids[slot]] if best_ids[slot] >= 0 else 0.0
        for u in range(n_touched):
            sums[touched[u]] = np.float32(0.0)


@kernel
def item_item_scores(
    row, indptr, indices, data, ids, values, source_scale, target_scale, sums, scored
):  # fmt: skip
    """Item-item scores of the neighbours of a row's items, largest 1; number of items scored.

    ``sums[j] = target_scale[j] * sum over items i of x_i * source_scale[i] * value_ij``,
    over the row's largest. `sums` must be 0; the caller clears ``sums[scored[:n]]``.
    """
    n_scored = 0
    for position in range(indptr[row], indptr[row + 1]):
        item = indices[position]
        factor = data[position] * source_scale[item]
        for slot in range(ids.shape[1]):
            other = ids[item, slot]
            if other < 0:
                break
            if sums[other] == np.float32(0.0):
                scored[n_scored] = other
                n_scored += 1
            sums[other] += max(factor * values[item, slot], np.float32(1e-30))
    largest = np.float32(1e-38)
    for v in range(n_scored):
        sums[scored[v]] *= target_scale[scored[v]]
        largest = max(largest, sums[scored[v]])
    for v in range(n_scored):
        sums[scored[v]] = max(sums[scored[v]] / largest, np.float32(1e-30))
    return n_scored


@kernel
def offset_rows(
    rows, indptr, indices, data, ids, values, source_scale, target_scale, weight, sharpness,
    position_of, exclude, mask, sums, scored, out, start, stop,
):  # fmt: skip
    """What is added to the logits of ``rows[start:stop]``: item-item scores, `mask` to exclude.

    Row i's offsets, ``weight * log1p(sharpness * sums)``, go to ``out[i - start]`` at the
    columns that `position_of` gives the items (-1: none); the rest is 0. With `exclude`, a
    row's own items get `mask`. `sums` (n_items,) float32 must be 0, `scored` is scratch.
    """
    for i in range(start, stop):
        target = out[i - start]
        target[:] = np.float32(0.0)
        if weight > np.float32(0.0):
            n_scored = item_item_scores(
                rows[i], indptr, indices, data, ids, values, source_scale, target_scale,
                sums, scored,
            )  # fmt: skip
            for v in range(n_scored):
                column = position_of[scored[v]]
                if column >= 0:
                    target[column] = weight * np.log1p(sharpness * sums[scored[v]])
                sums[scored[v]] = np.float32(0.0)
        if exclude:
            for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
                column = position_of[indices[position]]
                if column >= 0:
                    target[column] = mask
