"""Votes of the nearest training rows' labels: added to scores, ranked, and their weight tried."""

import numba as nb
import numpy as np

from sklsh.kernels.flags import FAST
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags 3c39a1ed, topk 926a00ed


@nb.njit(nogil=True, cache=True)
def vote(ids, similarities, label_indptr, label_indices, votes, voted, n_voted):
    """Sum each neighbour's similarity into ``votes`` of its labels; number of labels voted for.

    `votes` (n_labels,) must be 0 where nobody voted; the caller clears ``votes[voted[:n]]``.
    ``voted[:n_voted]`` lists labels that have votes already: a power of a small similarity may
    be 0 in float32, and counts as a little more, so that a label is listed once.
    """
    for i in range(ids.shape[0]):
        if ids[i] < 0:
            break
        for position in range(label_indptr[ids[i]], label_indptr[ids[i] + 1]):
            label = label_indices[position]
            if votes[label] == np.float32(0.0):
                voted[n_voted] = label
                n_voted += 1
            votes[label] += max(similarities[i], np.float32(1e-30))
    return n_voted


@nb.njit(nogil=True, cache=True)
def bonus(vote_sum, weight, sharpness):
    """What the neighbours' votes add to a label's logit."""
    return weight * np.log1p(sharpness * vote_sum)


@nb.njit(nogil=True, cache=True, fastmath=FAST)
def logit(hidden, weights, bias):
    """A neuron's score before any bonus."""
    total = bias
    for column in range(weights.shape[0]):
        total += weights[column] * hidden[column]
    return total


@nb.njit(nogil=True, cache=True)
def merge_votes_topk(
    hidden, weights, bias, ids, similarities, label_indptr, label_indices, weight, sharpness,
    votes, voted, extra_labels, extra_gains, gains, net_labels, net_scores, labels, scores,
    start, stop,
):  # fmt: skip
    """Top k of logit + bonus + gain, from the network's own top k and the labels with more.

    ``extra_labels[i]``, padded with -1, have the gains ``extra_gains[i]``; others none. Bonus and
    gain are never negative, so the best k of the sum lie in the union: the result is exact when
    ``net_labels`` is. ``scores`` must hold -inf and ``labels`` -1; `gains` (n_labels,) must be 0
    and is so again.
    """
    for i in range(start, stop):
        n_voted = vote(ids[i], similarities[i], label_indptr, label_indices, votes, voted, 0)
        for j in range(extra_labels.shape[1]):
            label = extra_labels[i, j]
            if label < 0:
                break
            gains[label] = extra_gains[i, j]
            if votes[label] == np.float32(0.0):
                votes[label] = np.float32(1e-30)
                voted[n_voted] = label
                n_voted += 1
        last = labels.shape[1] - 1
        for j in range(net_labels.shape[1]):
            label = net_labels[i, j]
            if label < 0:
                break
            if votes[label] == np.float32(0.0) and beats(
                net_scores[i, j], label, scores[i, last], labels[i, last]
            ):
                push_topk(net_scores[i, j], label, scores[i], labels[i])
        for v in range(n_voted):
            label = voted[v]
            total = logit(hidden[i], weights[label], bias[label])
            total += bonus(votes[label], weight, sharpness) + gains[label]
            if beats(total, label, scores[i, last], labels[i, last]):
                push_topk(total, label, scores[i], labels[i])
            votes[label] = np.float32(0.0)
            gains[label] = np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def add_votes(
    ids, similarities, label_indptr, label_indices, weight, sharpness, votes, voted, logits,
    start, stop,
):  # fmt: skip
    """Add each row's bonuses to a dense block of logits, in place."""
    for i in range(start, stop):
        n_voted = vote(ids[i], similarities[i], label_indptr, label_indices, votes, voted, 0)
        for v in range(n_voted):
            label = voted[v]
            logits[i, label] += bonus(votes[label], weight, sharpness)
            votes[label] = np.float32(0.0)


@nb.njit(nogil=True, cache=True)
def try_votes(
    hidden, weights, bias, ids, similarities, label_indptr, label_indices, sharpness,
    votes, voted, net_labels, net_scores, true_indptr, true_indices, rows,
    n_neighbors, trial_weights, right, start, stop,
):  # fmt: skip
    """Which of a row's best labels are right, for each number of neighbours and weight.

    ``right[i, a, b, j]`` (bool) tells whether the `j`-th best label by `merge_votes_topk`, with
    the first ``n_neighbors[a]`` (ascending) neighbours and ``trial_weights[b]``, is among the
    labels of row ``rows[i]``; ``net_labels`` must have as many columns. Each logit is computed
    once: a trial costs one comparison a label voted for.
    """
    k = net_labels.shape[1]
    labels = np.empty(k, dtype=np.int64)
    scores = np.empty(k, dtype=np.float32)
    for i in range(start, stop):
        true = true_indices[true_indptr[rows[i]] : true_indptr[rows[i] + 1]]
        logits = np.empty(0, dtype=np.float32)
        n_voted = 0
        for a in range(n_neighbors.shape[0]):
            fresh = slice(n_neighbors[a - 1] if a else 0, n_neighbors[a])
            known = logits
            n_voted = vote(
                ids[i, fresh], similarities[i, fresh], label_indptr, label_indices,
                votes, voted, n_voted,
            )  # fmt: skip
            logits = np.empty(n_voted, dtype=np.float32)
            for v in range(known.shape[0]):  # an assignment of arrays takes seconds to compile
                logits[v] = known[v]
            for v in range(known.shape[0], n_voted):
                logits[v] = logit(hidden[i], weights[voted[v]], bias[voted[v]])
            gains = np.empty(n_voted, dtype=np.float32)
            for v in range(n_voted):
                gains[v] = bonus(votes[voted[v]], np.float32(1.0), sharpness)
            for b in range(trial_weights.shape[0]):
                labels[:] = -1
                scores[:] = -np.inf
                for j in range(k):
                    label = net_labels[i, j]
                    if label >= 0 and votes[label] == np.float32(0.0):
                        push_topk(net_scores[i, j], label, scores, labels)
                for v in range(n_voted):
                    total = logits[v] + trial_weights[b] * gains[v]
                    if beats(total, voted[v], scores[k - 1], labels[k - 1]):
                        push_topk(total, voted[v], scores, labels)
                for j in range(k):
                    right[i, a, b, j] = np.any(true == labels[j])
        for v in range(n_voted):
            votes[voted[v]] = np.float32(0.0)
