"""Linear nodes of a label tree: which rows a node sees, and its children's support vectors."""

import numpy as np

from sklsh.kernels.counter import draw_integer
from sklsh.kernels.flags import FAST, kernel

# Compiled in: counter f6a05216, flags f62ac5f0


@kernel
def rows_of_nodes(indptr, places, node_of, child_of, first_child, counts, rows, masks):
    """List the rows that have a label in a node, and the children where they have one.

    ``places[indptr[i]:indptr[i + 1]]`` are row i's labels as places in the tree's order,
    ascending; ``node_of[place]`` is a label's node, ``child_of[place]`` the child of it, of which
    ``first_child[node]`` is the first. ``counts`` (n_nodes + 1,) must be 0, and holds where each
    node's rows begin on return. With no room in `rows` it is only counted. Bit b of a mask: the
    row has a label in child b. O(nnz).
    """
    n_nodes = counts.shape[0] - 1
    n_rows = indptr.shape[0] - 1
    for row in range(n_rows):
        last = -1
        for position in range(indptr[row], indptr[row + 1]):
            node = node_of[places[position]]
            if node != last:
                counts[node + 1] += 1
                last = node
    for node in range(n_nodes):
        counts[node + 1] += counts[node]
    if rows.shape[0] < counts[n_nodes]:
        return
    ends = np.empty(n_nodes, dtype=np.int64)
    for node in range(n_nodes):
        ends[node] = counts[node]
    for row in range(n_rows):
        last = -1
        for position in range(indptr[row], indptr[row + 1]):
            place = places[position]
            node = node_of[place]
            if node != last:
                rows[ends[node]] = row
                masks[ends[node]] = np.uint64(0)
                ends[node] += 1
                last = node
            bit = np.uint64(child_of[place] - first_child[node])
            masks[ends[node] - 1] |= np.uint64(1) << bit


@kernel
def local_rows(indptr, indices, data, rows, slots, features, local, starts, squares):
    """Number a node's features from 0 on, in order of appearance; how many there are.

    ``local`` gets the number of each entry's feature, row after row from ``starts[i]``, and
    ``squares`` each row's squared length. `slots` (n_features,) must be -1, and is again.
    """
    n_found, end = 0, 0
    for i in range(rows.shape[0]):
        starts[i] = end
        square = np.float32(0.0)
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            feature = indices[position]
            if slots[feature] < 0:
                slots[feature] = n_found
                features[n_found] = feature
                n_found += 1
            local[end] = slots[feature]
            square += data[position] * data[position]
            end += 1
        squares[i] = square
    starts[rows.shape[0]] = end
    for j in range(n_found):
        slots[features[j]] = -1
    return n_found


@kernel(fastmath=FAST)
def solve_children(
    indptr, data, rows, row_weights, masks, local, starts, squares, cost, n_passes, tolerance,
    seed, order, alphas, weights,
):  # fmt: skip
    """Squared-hinge L2 support vectors of all children of a node by dual coordinate descent.

    For child b, minimises ``|w|^2 / 2 + cost * sum of weight_i * max(0, 1 - y_i w . x_i)^2`` over
    the node's rows, where ``y_i`` is 1 if bit b of ``masks[i]`` is set, else -1, and ``x_i`` ends
    with a 1 for the intercept. `weights` (n_local + 1, n_children), zeros, gets the solutions, the
    intercepts last; `alphas` (n_rows, n_children), zeros, the dual variables; `order`, the
    row numbers, is shuffled. Passes made are returned. A row's step is made for all children at
    once: they share its entries, and the solver reads them in vectors. At most `n_passes`, each in
    a random order; it ends when no step changes a margin by `tolerance`.

    Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008,
    algorithm 1 with D_ii = 1 / (2 C).
    """
    n_rows, n_children = rows.shape[0], weights.shape[1]
    intercepts = weights[weights.shape[0] - 1]
    margins = np.empty(n_children, dtype=np.float32)
    steps = np.empty(n_children, dtype=np.float32)
    one, zero = np.float32(1.0), np.float32(0.0)
    n_made = 0
    for turn in range(n_passes):
        n_made += 1
        for i in range(n_rows - 1, 0, -1):
            j = draw_integer(seed, turn, i, i + 1)
            order[i], order[j] = order[j], order[i]
        largest = zero
        for place in range(n_rows):
            i = order[place]
            ridge = np.float32(0.5) / (cost * row_weights[rows[i]])
            curvature = squares[i] + one + ridge
            first = indptr[rows[i]] - starts[i]
            for b in range(n_children):
                margins[b] = intercepts[b]
            for position in range(starts[i], starts[i + 1]):
                value, row = data[first + position], weights[local[position]]
                for b in range(n_children):
                    margins[b] += value * row[b]
            mask, dual = masks[i], alphas[i]
            step = zero
            for b in range(n_children):
                sign = one if (mask >> np.uint64(b)) & np.uint64(1) else -one
                slope = sign * margins[b] - one + ridge * dual[b]
                now = max(dual[b] - slope / curvature, zero)
                change = now - dual[b]
                dual[b] = now
                steps[b] = sign * change
                step = max(step, abs(change))
            largest = max(largest, step * curvature)
            if step == zero:
                continue
            for b in range(n_children):
                intercepts[b] += steps[b]
            for position in range(starts[i], starts[i + 1]):
                value, row = data[first + position], weights[local[position]]
                for b in range(n_children):
                    row[b] += value * steps[b]
        if largest < tolerance:
            break
    return n_made


@kernel
def prune_weights(weights, order, threshold, kept, indptr, children, values):
    """Write weights of `threshold` or more as sparse rows; number of rows and entries.

    Rows come as `order` says. ``kept[r]`` is a row that has such a weight, and its entries
    ``children[indptr[r]:indptr[r + 1]]``, `values` likewise. With no room it is only counted.
    """
    fill = kept.shape[0] > 0
    n_kept, n_entries = 0, 0
    for place in range(order.shape[0]):
        j, before = order[place], n_entries
        for b in range(weights.shape[1]):
            if abs(weights[j, b]) >= threshold:
                if fill:
                    children[n_entries] = b
                    values[n_entries] = weights[j, b]
                n_entries += 1
        if n_entries > before:
            if fill:
                kept[n_kept] = j
                indptr[n_kept] = before
            n_kept += 1
    if fill:
        indptr[n_kept] = n_entries
    return n_kept, n_entries
