"""Re-ranking of candidate items: those with most from the sparse sources, and named ones."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel
from sklsh.kernels.interactions import vote_items
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, interactions befd223a, topk 00effc30


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
    allowed, exclude, named_indptr, named, n_voters, votes, voted, linear,
    items, scores, start, stop,
):  # fmt: skip
    """Top k of rows ``start:stop`` among the `n_voters` items with most votes, and `named`.

    Most votes: the largest ``weight * log1p(sharpness * votes) + linear``, where `linear` is the
    sum of `slope` times the coefficients of the row's items, which vote for ``to_items`` (CSR).
    ``named[named_indptr[i]:named_indptr[i + 1]]`` are further candidates of row i; they may
    repeat. A row without any for which fewer than `n_voters` items have votes is left as it was.
    Items that are not `allowed` (bool) and, with `exclude`, a row's own are left out. To both
    logit and ``users[i] @ factors[j]`` are added. ``items`` must hold -1 and ``scores`` -inf;
    `votes` and `linear` (n_items,) float32 must be 0 and are so again on return, `voted`
    (n_items,) is scratch.
    """
    last = items.shape[1] - 1
    best = np.empty(n_voters, dtype=np.float32)
    best_ids = np.empty(n_voters, dtype=np.int32)
    for i in range(start, stop):
        row = rows[i]
        n_voted = 0
        if weight > np.float32(0.0):
            n_voted = vote_items(
                row, indptr, indices, data, ids, values, source_scale, target_scale, votes, voted
            )
        for position in range(indptr[row], indptr[row + 1]):
            for p in range(to_indptr[indices[position]], to_indptr[indices[position] + 1]):
                item = to_items[p]
                if votes[item] == np.float32(0.0):
                    votes[item] = np.float32(1e-30)
                    voted[n_voted] = item
                    n_voted += 1
                linear[item] += slope * coefficients[p]
        if exclude:
            for position in range(indptr[row], indptr[row + 1]):
                votes[indices[position]] = np.float32(-1.0)
        best[:] = -np.inf
        best_ids[:] = -1
        for v in range(n_voted):
            item = voted[v]
            if allowed[item] and votes[item] > np.float32(0.0):
                said = linear[item] + weight * np.log1p(sharpness * votes[item])
                if beats(said, item, best[n_voters - 1], best_ids[n_voters - 1]):
                    push_topk(said, item, best, best_ids)
        n_named = named_indptr[i + 1] - named_indptr[i]
        n_candidates = n_voters + n_named
        if n_named == 0 and best_ids[n_voters - 1] < 0:
            n_candidates = 0
        for b in range(n_candidates):
            if b < n_voters:
                item = best_ids[b]
                if item < 0:
                    continue
                said = best[b]
            else:
                item = named[named_indptr[i] + b - n_voters]
                if not allowed[item] or votes[item] < np.float32(0.0):
                    continue
                if votes[item] == np.float32(0.0):
                    voted[n_voted] = item
                    n_voted += 1
                said = linear[item] + weight * np.log1p(sharpness * votes[item])
            score = (
                said + bias[item] + dense_score(hidden[i], weights[item], users[i], factors[item])
            )
            # Done with: not to be scored again.
            votes[item] = np.float32(-1.0)
            if beats(score, item, scores[i, last], items[i, last]):
                push_topk(score, item, scores[i], items[i])
        for v in range(n_voted):
            votes[voted[v]] = np.float32(0.0)
            linear[voted[v]] = np.float32(0.0)
        for position in range(indptr[row], indptr[row + 1]):
            votes[indices[position]] = np.float32(0.0)
