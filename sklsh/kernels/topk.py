"""Partial selection: the k largest of a row, without sorting it."""

import numpy as np

from sklsh.kernels.flags import FAST, kernel

# Compiled in: flags f62ac5f0


@kernel
def beats(score, label, other_score, other_label):
    """Whether a label comes before another one: a higher score, or the same and smaller."""
    return score > other_score or (score == other_score and label < other_label)


@kernel
def push_topk(score, label, scores, labels):
    """Insert into a list sorted best first (ties: the smaller label first); drop the last."""
    k = scores.shape[0]
    i = k - 1
    while i > 0 and beats(score, label, scores[i - 1], labels[i - 1]):
        scores[i] = scores[i - 1]
        labels[i] = labels[i - 1]
        i -= 1
    scores[i] = score
    labels[i] = label


GROUP = 32
"""Columns whose largest score is looked at before each of them."""


@kernel(fastmath=FAST)
def _any_above(values, bias, limit):
    # Counted: sums of integers vectorise, maxima do not where there may be NaN.
    count = np.int32(0)
    for column in range(values.shape[0]):
        count += np.int32(values[column] + bias[column] > limit)
    return count > 0


@kernel
def select_topk_rows(values, bias, ids, scores, labels, start, stop):
    """Merge ``values[i, c] + bias[c]``, the score of ``ids[c]``, into the top k of row `i`.

    For rows ``start:stop`` and columns ``c < len(ids)``. Called for blocks of ascending ids,
    so that the strict comparison keeps the smaller label on a tie. Most columns fall short
    of the k-th best: a vectorised comparison passes over them group by group.
    """
    k, n_columns = scores.shape[1], ids.shape[0]
    for i in range(start, stop):
        worst = scores[i, k - 1]
        for first in range(0, n_columns, GROUP):
            last = min(first + GROUP, n_columns)
            if not _any_above(values[i, first:last], bias[first:last], worst):
                continue
            for column in range(first, last):
                score = values[i, column] + bias[column]
                if score > worst:
                    push_topk(score, ids[column], scores[i], labels[i])
                    worst = scores[i, k - 1]


@kernel(fastmath=FAST)
def probe_topk_rows(hidden, weights, bias, indptr, candidates, slots, scores, ids, start, stop):
    """Best candidates that are not active yet, by exact logit, of hidden rows ``start:stop``.

    Row `i` has the candidates ``candidates[indptr[i]:indptr[i + 1]]``, which may repeat.
    Fills ``ids[i]`` best first, padded with -1. ``slots[c] >= 0`` marks a neuron that is
    active already: it would waste the budget.
    """
    last = scores.shape[1] - 1
    for i in range(start, stop):
        scores[i] = np.float32(-np.inf)
        ids[i] = -1
        source = hidden[i]
        for position in range(indptr[i], indptr[i + 1]):
            neuron = candidates[position]
            if slots[neuron] >= 0:
                continue
            row = weights[neuron]
            total = bias[neuron]
            for column in range(row.shape[0]):
                total += row[column] * source[column]
            if beats(total, neuron, scores[i, last], ids[i, last]):
                known = False
                for other in range(last + 1):
                    known |= ids[i, other] == neuron
                if not known:
                    push_topk(total, neuron, scores[i], ids[i])
