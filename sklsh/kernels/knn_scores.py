"""k-NN scores of labels, from the nearest training rows: added, ranked, their weight tried."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, topk 00effc30


@kernel
def sum_similarities(
    ids, similarities, first, last, label_indptr, label_indices, sums, scored, n_scored
):
    """Sum the similarities of neighbours ``first:last`` by label; number of labels that have any.

    `sums` (n_labels,) must be 0 for labels of no neighbour; the caller clears
    ``sums[scored[:n]]``. ``scored[:n_scored]`` lists labels that have a sum already: a power of a
    small similarity may be 0 in float32, and counts as a little more, so that a label is listed
    once.
    """
    for i in range(first, last):
        if ids[i] < 0:
            break
        for position in range(label_indptr[ids[i]], label_indptr[ids[i] + 1]):
            label = label_indices[position]
            if sums[label] == np.float32(0.0):
                scored[n_scored] = label
                n_scored += 1
            sums[label] += max(similarities[i], np.float32(1e-30))
    return n_scored


@kernel
def bonus(similarity, weight, sharpness):
    """What a k-NN score, a sum of similarities, adds to a label's logit."""
    return weight * np.log1p(sharpness * similarity)


@kernel(fastmath=FAST)
def logit(hidden, weights, bias):
    """A neuron's score before any bonus."""
    total = bias
    for column in range(weights.shape[0]):
        total += weights[column] * hidden[column]
    return total


@kernel
def merge_knn_topk(
    hidden, weights, bias, ids, similarities, label_indptr, label_indices, weight, sharpness,
    sums, scored, extra_labels, extra_gains, gains, net_labels, net_scores, labels, scores,
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
        n_scored = sum_similarities(
            ids[i], similarities[i], none, ids.shape[1], label_indptr, label_indices, sums, scored,
            none,
        )  # fmt: skip
        for j in range(extra_labels.shape[1]):
            label = extra_labels[i, j]
            if label < 0:
                break
            gains[label] = extra_gains[i, j]
            if sums[label] == np.float32(0.0):
                sums[label] = np.float32(1e-30)
                scored[n_scored] = label
                n_scored += 1
        last = labels.shape[1] - 1
        for j in range(net_labels.shape[1]):
            label = np.int32(net_labels[i, j])
            if label < 0:
                break
            if sums[label] == np.float32(0.0) and beats(
                net_scores[i, j], label, scores[i, last], labels[i, last]
            ):
                push_topk(net_scores[i, j], label, scores[i], labels[i])
        for v in range(n_scored):
            label = scored[v]
            total = logit(hidden[i], weights[label], bias[label])
            total += bonus(sums[label], weight, sharpness) + gains[label]
            if beats(total, label, scores[i, last], labels[i, last]):
                push_topk(total, label, scores[i], labels[i])
            sums[label] = np.float32(0.0)
            gains[label] = np.float32(0.0)


@kernel
def add_knn_scores(
    ids, similarities, label_indptr, label_indices, weight, sharpness, sums, scored, logits,
    start, stop,
):  # fmt: skip
    """Add each row's bonuses to a dense block of logits, in place."""
    none = np.int64(0)  # a literal's type is one more to compile for
    for i in range(start, stop):
        n_scored = sum_similarities(
            ids[i], similarities[i], none, ids.shape[1], label_indptr, label_indices, sums, scored,
            none,
        )  # fmt: skip
        for v in range(n_scored):
            label = scored[v]
            logits[i, label] += bonus(sums[label], weight, sharpness)
            sums[label] = np.float32(0.0)


@kernel
def try_knn_scores(
    hidden, weights, bias, ids, similarities, label_indptr, label_indices, sharpness,
    sums, scored, net_labels, net_scores, true_indptr, true_indices, rows,
    n_neighbors, trial_weights, right, start, stop,
):  # fmt: skip
    """Which of a row's best labels are right, for each power, number of neighbours and weight.

    ``right[i, p, a, b, j]`` (bool) tells whether the `j`-th best label by `merge_knn_topk`, with
    ``similarities[p]``, the first ``n_neighbors[a]`` (ascending) neighbours and
    ``trial_weights[b]``, is among the labels of row ``rows[i]``; ``net_labels`` must have as many
    columns. Each logit is computed once: a trial costs one comparison a label of a neighbour.
    """
    k = net_labels.shape[1]
    labels, scores = np.empty(k, dtype=np.int32), np.empty(k, dtype=np.float32)
    logits = np.empty(scored.shape[0], dtype=np.float32)
    gains = np.empty(scored.shape[0], dtype=np.float32)
    for i in range(start, stop):
        for p in range(similarities.shape[0]):
            n_scored, first = np.int64(0), np.int64(0)  # typed: see `merge_knn_topk`
            for a in range(n_neighbors.shape[0]):
                n_known, last = n_scored, min(n_neighbors[a], ids.shape[1])
                n_scored = sum_similarities(
                    ids[i], similarities[p, i], first, last, label_indptr, label_indices, sums,
                    scored, n_scored,
                )  # fmt: skip
                first = last
                if p == 0:  # labels come in the same order whatever the power
                    for v in range(n_known, n_scored):
                        logits[v] = logit(hidden[i], weights[scored[v]], bias[scored[v]])
                for v in range(n_scored):
                    gains[v] = bonus(sums[scored[v]], np.float32(1.0), sharpness)
                for b in range(trial_weights.shape[0]):
                    for j in range(k):
                        labels[j] = -1
                        scores[j] = -np.inf
                    for j in range(k):
                        label = np.int32(net_labels[i, j])
                        if label >= 0 and sums[label] == np.float32(0.0):
                            push_topk(net_scores[i, j], label, scores, labels)
                    for v in range(n_scored):
                        total = logits[v] + trial_weights[b] * gains[v]
                        if beats(total, scored[v], scores[k - 1], labels[k - 1]):
                            push_topk(total, scored[v], scores, labels)
                    for j in range(k):
                        found = False
                        for position in range(true_indptr[rows[i]], true_indptr[rows[i] + 1]):
                            found |= true_indices[position] == labels[j]
                        right[i, p, a, b, j] = found
            for v in range(n_scored):
                sums[scored[v]] = np.float32(0.0)
