"""Beam search in label trees of linear nodes, and the mean of several trees."""

import numpy as np

from sklsh.kernels.flags import kernel
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, topk 00effc30


@kernel
def expand_beams(
    indptr, indices, data, rows, first_child, feature_indptr, features, entry_indptr, children,
    values, intercepts, book, beams, shares, next_beams, next_shares, start, stop,
):  # fmt: skip
    """One level down, for rows start:stop: the best children of the nodes in each beam.

    A child's logarithmic share is its node's, less ``max(0, 1 - margin)^2``: the tree's score
    is a product of ``exp(-hinge^2)`` (as PECOS's XR-Linear has it, with another power). A row is
    taken at unit length. `beams` and `next_beams` (n, width), int32 and best first, are padded
    with -1. Where `book` is not empty, `values` are places in it.
    O(beam * (nnz * log(features of a node) + entries met)) a row.
    """
    last = next_beams.shape[1] - 1
    widest = 0
    for node in range(first_child.shape[0] - 1):
        widest = max(widest, first_child[node + 1] - first_child[node])
    margins = np.empty(widest, dtype=np.float32)
    for i in range(start, stop):
        for place in range(last + 1):
            next_beams[i, place] = -1
            next_shares[i, place] = -np.inf
        square = 0.0
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            square += np.float64(data[position]) * np.float64(data[position])
        scale = np.float32(1.0 / np.sqrt(square)) if square > 0.0 else np.float32(0.0)
        for place in range(beams.shape[1]):
            node = beams[i, place]
            if node < 0:
                break
            offset = first_child[node]
            n_children = first_child[node + 1] - offset
            for b in range(n_children):
                margins[b] = intercepts[offset + b]
            low, end = feature_indptr[node], feature_indptr[node + 1]
            for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
                feature, high = indices[position], end
                while low < high:
                    middle = (low + high) // 2
                    if features[middle] < feature:
                        low = middle + 1
                    else:
                        high = middle
                if low == end:
                    break
                if features[low] == feature:
                    value = data[position] * scale
                    for entry in range(entry_indptr[low], entry_indptr[low + 1]):
                        weight = np.float32(values[entry])
                        if book.shape[0]:
                            weight = book[np.uint8(values[entry])]
                        margins[children[entry]] += value * weight
            for b in range(n_children):
                hinge = max(np.float32(0.0), np.float32(1.0) - margins[b])
                share = shares[i, place] - hinge * hinge
                child = np.int32(offset + b)
                if beats(share, child, next_shares[i, last], next_beams[i, last]):
                    push_topk(share, child, next_shares[i], next_beams[i])


@kernel
def add_shares(places, log_shares, order, factor, sums, found, n_found):
    """Add ``factor * exp(log_share)`` to the sums of one row's labels; number of labels found.

    ``order[place]`` is a label. `sums` (n_labels,) must be 0 but for ``found[:n_found]``.
    """
    for j in range(places.shape[0]):
        if places[j] < 0:
            break
        label = order[places[j]]
        if sums[label] == np.float32(0.0):
            found[n_found] = label
            n_found += 1
        sums[label] += factor * max(np.exp(log_shares[j]), np.float32(1e-30))
    return n_found


@kernel
def best_sums(sums, found, n_found, labels, values):
    """The largest sums, best first, padded with -1 and 0; `sums` is 0 again."""
    last = labels.shape[0] - 1
    for j in range(last + 1):
        labels[j] = -1
        values[j] = np.float32(-np.inf)
    for j in range(n_found):
        label = found[j]
        if beats(sums[label], label, values[last], labels[last]):
            push_topk(sums[label], label, values, labels)
        sums[label] = np.float32(0.0)
    for j in range(labels.shape[0]):
        if labels[j] < 0:
            values[j] = np.float32(0.0)
