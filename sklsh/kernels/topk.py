"""Partial selection: the k largest of a row, without sorting it."""

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def push_topk(score, label, scores, labels):
    """Insert into a list sorted best first (ties: the smaller label first); drop the last."""
    k = scores.shape[0]
    i = k - 1
    while i > 0 and (
        scores[i - 1] < score or (scores[i - 1] == score and labels[i - 1] > label)
    ):
        scores[i] = scores[i - 1]
        labels[i] = labels[i - 1]
        i -= 1
    scores[i] = score
    labels[i] = label


@nb.njit(nogil=True, cache=True)
def select_topk_rows(values, bias, first_label, n_columns, scores, labels, start, stop):
    """Merge ``values[i, :n_columns] + bias`` into the running top k of rows ``start:stop``.

    Column `c` is label ``first_label + c``. Called for blocks of labels in ascending order,
    so that the strict comparison keeps the smaller label on a tie.
    """
    k = scores.shape[1]
    for i in range(start, stop):
        worst = scores[i, k - 1]
        for column in range(n_columns):
            score = values[i, column] + bias[first_label + column]
            if score > worst:
                push_topk(score, first_label + column, scores[i], labels[i])
                worst = scores[i, k - 1]


@nb.njit(nogil=True, cache=True, fastmath=True)
def rescore_topk(hidden, weights, bias, candidates, scores, labels):
    """Top k of ``weights[c] @ hidden + bias[c]`` over candidate neurons, for one row.

    `scores` must hold -inf and `labels` -1 where nothing has been put yet.
    """
    k = scores.shape[0]
    for i in range(candidates.shape[0]):
        neuron = candidates[i]
        row = weights[neuron]
        total = np.float32(0.0)
        for column in range(row.shape[0]):
            total += row[column] * hidden[column]
        total += bias[neuron]
        if total > scores[k - 1]:
            push_topk(total, neuron, scores, labels)


@nb.njit(nogil=True, cache=True, fastmath=True)
def probe_topk(hidden, weights, bias, candidates, n_candidates, slots, scores, ids):
    """Like `rescore_topk`, over ``candidates[:n_candidates]`` that are not active yet.

    Fills `ids` best first, padded with -1. ``slots[c] >= 0`` marks a neuron that is active
    already: it would waste the budget.
    """
    scores[:] = np.float32(-np.inf)
    ids[:] = -1
    last = scores.shape[0] - 1
    for i in range(n_candidates):
        neuron = candidates[i]
        if slots[neuron] >= 0:
            continue
        row = weights[neuron]
        total = np.float32(0.0)
        for column in range(row.shape[0]):
            total += row[column] * hidden[column]
        total += bias[neuron]
        if total > scores[last]:
            known = False
            for other in range(last + 1):
                if ids[other] == neuron:
                    known = True
            if not known:
                push_topk(total, neuron, scores, ids)
