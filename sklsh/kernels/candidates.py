"""Re-ranking of candidate items: those with the most votes, and those that tables name."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel
from sklsh.kernels.interactions import vote_items
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, interactions befd223a, topk 00effc30


@kernel(fastmath=FAST)
def item_score(hidden, weights, user, factors, bias, votes, weight, sharpness):
    """``logit + user @ factors + weight * log1p(sharpness * votes)`` of one item for one user."""
    total = np.float32(0.0)
    for column in range(weights.shape[0]):
        total += weights[column] * hidden[column]
    for column in range(user.shape[0]):
        total += factors[column] * user[column]
    return total + bias + weight * np.log1p(sharpness * votes)


@kernel
def rank_candidates(
    hidden, weights, bias, rows, indptr, indices, data, ids, values, source_scale, target_scale,
    weight, sharpness, users, factors, to_indptr, to_items, coefficients, slope,
    allowed, exclude, named_indptr, named, n_voters, votes, voted, linear,
    items, scores, start, stop,
):  # fmt: skip
    """Top k of rows ``start:stop`` among the `n_voters` items with the most votes and `named`.

    ``named[named_indptr[i]:named_indptr[i + 1]]`` are further candidates of row i; they may
    repeat. Items that are not `allowed` (bool) and, with `exclude`, a row's own are left out.
    ``users[i] @ factors[j]`` and the sum of `slope` times the coefficients of the row's items,
    which vote for ``to_items`` (CSR), are added to the score of item j; `linear` (n_items,) must
    be 0 like `votes`. ``items`` must hold -1 and ``scores`` -inf; `votes` (n_items,) float32
    must be 0 and is so again on return, `voted` (n_items,) is scratch.
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
        if exclude:
            for position in range(indptr[row], indptr[row + 1]):
                votes[indices[position]] = np.float32(-1.0)
        for position in range(indptr[row], indptr[row + 1]):
            for p in range(to_indptr[indices[position]], to_indptr[indices[position] + 1]):
                linear[to_items[p]] += slope * coefficients[p]
        best[:] = np.float32(0.0)
        best_ids[:] = -1
        for v in range(n_voted):
            item = voted[v]
            if allowed[item] and beats(
                votes[item], item, best[n_voters - 1], best_ids[n_voters - 1]
            ):
                push_topk(votes[item], item, best, best_ids)
        for b in range(n_voters + named_indptr[i + 1] - named_indptr[i]):
            if b < n_voters:
                item = best_ids[b]
                if item < 0:
                    continue
            else:
                item = named[named_indptr[i] + b - n_voters]
                if not allowed[item] or votes[item] < np.float32(0.0):
                    continue
                if votes[item] == np.float32(0.0):
                    voted[n_voted] = item
                    n_voted += 1
            score = linear[item] + item_score(
                hidden[i], weights[item], users[i], factors[item], bias[item], votes[item],
                weight, sharpness,
            )  # fmt: skip
            # Done with: not to be scored again.
            votes[item] = np.float32(-1.0)
            if beats(score, item, scores[i, last], items[i, last]):
                push_topk(score, item, scores[i], items[i])
        for v in range(n_voted):
            votes[voted[v]] = np.float32(0.0)
        for position in range(indptr[row], indptr[row + 1]):
            if exclude:
                votes[indices[position]] = np.float32(0.0)
            for p in range(to_indptr[indices[position]], to_indptr[indices[position] + 1]):
                linear[to_items[p]] = np.float32(0.0)
