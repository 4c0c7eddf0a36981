"""Re-ranking of candidate items: those with most from the sparse sources, and named ones."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel
from sklsh.kernels.interactions import item_item_scores
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, interactions 7cd5c6c5, topk 00effc30


@kernel(fastmath=FAST)
def dense_score(hidden, weights, user, factors):
    """``logit + user @ factors`` of one item for one user, without a bias."""
    total = np.float32(0.0)
    for column in range(weights.shape[0]):
        total += weights[column] * hidden[column]
    for column in range(user.shape[0]):
        total += factors[column] * user[column]
    return total


@kernel
def rank_candidates(
    hidden, weights, bias, rows, indptr, indices, data, ids, values, source_scale, target_scale,
    weight, sharpness, users, factors, to_indptr, to_items, coefficients, slope,
    allowed, exclude, named_indptr, named, n_best, sums, scored, linear,
    items, scores, start, stop,
):  # fmt: skip
    """Top k of rows ``start:stop`` among the `n_best` items of the sparse sources, and `named`.

    The best have the largest ``weight * log1p(sharpness * sums) + linear``, where `sums` are
    item-item scores and `linear` is `slope` times the sum of the coefficients that the row's items
    have for ``to_items`` (CSR).
    ``named[named_indptr[i]:named_indptr[i + 1]]`` are further candidates of row i; they may
    repeat. A row without any for which the sources name fewer than `n_best` is left as it was.
    Items that are not `allowed` (bool) and, with `exclude`, a row's own are left out. To both
    logit and ``users[i] @ factors[j]`` are added. ``items`` must hold -1 and ``scores`` -inf;
    `sums` and `linear` (n_items,) float32 must be 0 and are so again on return, `scored`
    (n_items,) is scratch.
    """
    last = items.shape[1] - 1
    best = np.empty(n_best, dtype=np.float32)
    best_ids = np.empty(n_best, dtype=np.int32)
    for i in range(start, stop):
        row = rows[i]
        n_scored = 0
        if weight > np.float32(0.0):
            n_scored = item_item_scores(
                row, indptr, indices, data, ids, values, source_scale, target_scale, sums, scored
            )
        for position in range(indptr[row], indptr[row + 1]):
            for p in range(to_indptr[indices[position]], to_indptr[indices[position] + 1]):
                item = to_items[p]
                if sums[item] == np.float32(0.0):
                    sums[item] = np.float32(1e-30)
                    scored[n_scored] = item
                    n_scored += 1
                linear[item] += slope * coefficients[p]
        if exclude:
            for position in range(indptr[row], indptr[row + 1]):
                sums[indices[position]] = np.float32(-1.0)
        best[:] = -np.inf
        best_ids[:] = -1
        for v in range(n_scored):
            item = scored[v]
            if allowed[item] and sums[item] > np.float32(0.0):
                said = linear[item] + weight * np.log1p(sharpness * sums[item])
                if beats(said, item, best[n_best - 1], best_ids[n_best - 1]):
                    push_topk(said, item, best, best_ids)
        n_named = named_indptr[i + 1] - named_indptr[i]
        n_candidates = n_best + n_named
        if n_named == 0 and best_ids[n_best - 1] < 0:
            n_candidates = 0
        for b in range(n_candidates):
            if b < n_best:
                item = best_ids[b]
                if item < 0:
                    continue
                said = best[b]
            else:
                item = named[named_indptr[i] + b - n_best]
                if not allowed[item] or sums[item] < np.float32(0.0):
                    continue
                if sums[item] == np.float32(0.0):
                    scored[n_scored] = item
                    n_scored += 1
                said = linear[item] + weight * np.log1p(sharpness * sums[item])
            score = (
                said + bias[item] + dense_score(hidden[i], weights[item], users[i], factors[item])
            )
            # Done with: not to be scored again.
            sums[item] = np.float32(-1.0)
            if beats(score, item, scores[i, last], items[i, last]):
                push_topk(score, item, scores[i], items[i])
        for v in range(n_scored):
            sums[scored[v]] = np.float32(0.0)
            linear[scored[v]] = np.float32(0.0)
        for position in range(indptr[row], indptr[row + 1]):
            sums[indices[position]] = np.float32(0.0)
