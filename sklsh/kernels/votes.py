"""Votes of the nearest training rows' labels: added to scores, ranked, and their weight tried."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, topk 00effc30


@kernel
def vote(ids, similarities, first, last, label_indptr, label_indices, votes, voted, n_voted):
    """Sum the similarities of neighbours ``first:last`` into ``votes``; number of labels voted for.

    `votes` (n_labels,) must be 0 where nobody voted; the caller clears ``votes[voted[:n]]``.
    ``voted[:n_voted]`` lists labels that have votes already: a power of a small similarity may
    be 0 in float32, and counts as a little more, so that a label is listed once.
    """
    for i in range(first, last):
        if ids[i] < 0:
            break
        for position in range(label_indptr[ids[i]], label_indptr[ids[i] + 1]):
            label = label_indices[position]
            if votes[label] == np.float32(0.0):
                voted[n_voted] = label
                n_voted += 1
            votes[label] += max(similarities[i], np.float32(1e-30))
    return n_voted


@kernel
def bonus(vote_sum, weight, sharpness):
    """What the neighbours' votes add to a label's logit."""
    return weight * np.log1p(sharpness * vote_sum)


@kernel(fastmath=FAST)
def logit(hidden, weights, bias):
    """A neuron's score before any bonus."""
    total = bias
    for column in range(weights.shape[0]):
        total += weights[column] * hidden[column]
    return total


@kernel
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
    none = np.int64(0)  # a literal's type is one more to compile for
    for i in range(start, stop):
        n_voted = vote(
            ids[i], similarities[i], none, ids.shape[1], label_indptr, label_indices, votes, voted,
            none,
        )  # fmt: skip
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
            label = np.int32(net_labels[i, j])
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


@kernel
def add_votes(
    ids, similarities, label_indptr, label_indices, weight, sharpness, votes, voted, logits,
    start, stop,
):  # fmt: skip
    """Add each row's bonuses to a dense block of logits, in place."""
    none = np.int64(0)  # a literal's type is one more to compile for
    for i in range(start, stop):
        n_voted = vote(
            ids[i], similarities[i], none, ids.shape[1], label_indptr, label_indices, votes, voted,
            none,
        )  # fmt: skip
        for v in range(n_voted):
            label = voted[v]
            logits[i, label] += bonus(votes[label], weight, sharpness)
            votes[label] = np.float32(0.0)


@kernel
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
    labels, scores = np.empty(k, dtype=np.int32), np.empty(k, dtype=np.float32)
    logits = np.empty(voted.shape[0], dtype=np.float32)
    gains = np.empty(voted.shape[0], dtype=np.float32)
    for i in range(start, stop):
        n_voted, first = np.int64(0), np.int64(0)  # typed: see `merge_votes_topk`
        for a in range(n_neighbors.shape[0]):
            n_known, last = n_voted, min(n_neighbors[a], ids.shape[1])
            n_voted = vote(
                ids[i], similarities[i], first, last, label_indptr, label_indices, votes, voted,
                n_voted,
            )  # fmt: skip
            first = last
            for v in range(n_known, n_voted):
                logits[v] = logit(hidden[i], weights[voted[v]], bias[voted[v]])
            for v in range(n_voted):
                gains[v] = bonus(votes[voted[v]], np.float32(1.0), sharpness)
            for b in range(trial_weights.shape[0]):
                for j in range(k):
                    labels[j] = -1
                    scores[j] = -np.inf
                for j in range(k):
                    label = np.int32(net_labels[i, j])
                    if label >= 0 and votes[label] == np.float32(0.0):
                        push_topk(net_scores[i, j], label, scores, labels)
                for v in range(n_voted):
                    total = logits[v] + trial_weights[b] * gains[v]
                    if beats(total, voted[v], scores[k - 1], labels[k - 1]):
                        push_topk(total, voted[v], scores, labels)
                for j in range(k):
                    found = False
                    for position in range(true_indptr[rows[i]], true_indptr[rows[i] + 1]):
                        found |= true_indices[position] == labels[j]
                    right[i, a, b, j] = found
        for v in range(n_voted):
            votes[voted[v]] = np.float32(0.0)
