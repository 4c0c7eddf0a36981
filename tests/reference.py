"""The naive twin of every kernel: plain, slow, obviously right."""

import math
from itertools import pairwise

import numpy as np

# ---- hashing -------------------------------------------------------------------------------


def mix(seed, stream, draw):
    """One 64-bit word of the counter-based source, in plain integers."""
    z = (seed + stream * 0x9E3779B97F4A7C15 + draw * 0xD1B54A32D192ED03) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def fold(X, bins, weights, sketch_dim):
    """Sketch of dense rows, float32 sums in ascending order of the coordinate."""
    out = np.zeros((len(X), sketch_dim), dtype=np.float32)
    for i, row in enumerate(X):
        for value, b, weight in zip(row, bins, weights, strict=True):
            if b >= 0:
                out[i, b] += np.float32(weight) * np.float32(value)
    return out


def csr_verdict(indptr, indices, n_columns):
    """Name of the first thing that is wrong with a CSR structure, in order of gravity."""
    if indptr[0] != 0 or indptr[-1] > len(indices) or any(np.diff(indptr) < 0):
        return "indptr"
    rows = [indices[a:b] for a, b in pairwise(indptr)]
    if any(j < 0 or j >= n_columns for row in rows for j in row):
        return "index"
    return "canonical" if all((np.diff(row) > 0).all() for row in rows) else "unsorted"


def sign_code(row, planes):
    """Bits ``plane @ row > 0``, first plane highest; in integers where row and planes are."""
    code = 0
    for plane in planes:
        code = 2 * code + int(sum(p * x for p, x in zip(plane, row, strict=True)) > 0)
    return code


def bin_winner(row, coordinates):
    """Position of the first largest value of a bin; None if all are zero."""
    values = [row[j] for j in coordinates]
    return values.index(max(values)) if any(values) else None


def winner_code(row, coordinates, table, digit_bits, tries):
    """Digits of one table's bins; an empty bin takes that of the first full one it tries.

    ``tries(bin_id)`` yields the bins (numbered over all tables) in the order of trying.
    """
    n_bins = coordinates.shape[1]
    code = 0
    for b in range(n_bins):
        winner = bin_winner(row, coordinates[table, b])
        if winner is None:
            others = (
                bin_winner(row, coordinates[other // n_bins, other % n_bins])
                for other in tries(table * n_bins + b)
            )
            winner = next((w for w in others if w is not None), 0)
        code = code * 2**digit_bits + winner
    return code


def probe_costs(costs):
    """Costs of every set of flips, cheapest first; the empty set is the first."""
    sets = [0.0]
    for cost in costs:
        sets += [total + cost for total in sets]
    return sorted(sets)


def bucket_order(codes, members):
    """Members sorted by code, equal codes by id."""
    return sorted(members, key=lambda i: (codes[i], i))


def rank_by_collisions(codes, present, keys, n_candidates=None):
    """(ids, counts) of one query; `codes` (n_tables, n_ids), `keys` (n_tables, n_probes)."""
    counts = {
        i: sum(int(codes[t, i]) == int(key) for t in range(len(keys)) for key in keys[t])
        for i in np.flatnonzero(present)
    }
    ranked = sorted((i for i in counts if counts[i]), key=lambda i: (-counts[i], i))[:n_candidates]
    return [int(i) for i in ranked], [counts[i] for i in ranked]


# ---- metrics -------------------------------------------------------------------------------


def topk_metrics(relevant, rankings, k, worth):
    """P, R, nDCG and normalised PSP at k: lists of sets, lists of labels, dict of worths."""
    sums = {"precision": 0.0, "recall": 0.0, "ndcg": 0.0}
    gained = attainable = 0.0
    for true, ranked in zip(relevant, rankings, strict=True):
        hits = [place for place, label in enumerate(ranked[:k], start=1) if label in true]
        sums["precision"] += len(hits) / k
        if true:
            sums["recall"] += len(hits) / len(true)
            ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(true)) + 1))
            sums["ndcg"] += sum(1 / math.log2(place + 1) for place in hits) / ideal
        gained += sum(worth[ranked[place - 1]] for place in hits)
        attainable += sum(sorted((worth[label] for label in true), reverse=True)[:k])
    means = {name: value / len(relevant) for name, value in sums.items()}
    return means | {"psp": gained / attainable if attainable else 0.0}


def jain_inverse_propensity(relevant, n_labels, a, b):
    """1 / p of each label, from lists of sets."""
    n = len(relevant)
    c = (math.log(n) - 1) * (b + 1) ** a
    counts = [sum(label in true for true in relevant) for label in range(n_labels)]
    return [1 + c * math.exp(-a * math.log(count + b)) for count in counts]


def ranking_of_scores(scores, k):
    """Labels by falling score, ties by label; -inf is not ranked."""
    order = sorted(range(len(scores)), key=lambda label: (-scores[label], label))
    return [label for label in order if scores[label] > -math.inf][:k]


# ---- the wide network ----------------------------------------------------------------------
# Sparse rows are lists of (indices, values); sums are float64.

ACTIVATION = {
    "relu": lambda z: np.maximum(z, 0.0),
    "identity": lambda z: z,
    "tanh": np.tanh,
}
ACTIVATION_SLOPE = {  # by the layer's output
    "relu": lambda y: (y > 0).astype(float),
    "identity": lambda y: np.ones_like(y),
    "tanh": lambda y: 1.0 - y**2,
}


def csr_rows(rows, order=None):
    """`SparseRows`-like arrays as a list of (indices, values), in the given order."""
    indptr, indices, data = rows
    order = range(len(indptr) - 1) if order is None else order
    return [
        (indices[indptr[r] : indptr[r + 1]].tolist(), data[indptr[r] : indptr[r + 1]].tolist())
        for r in order
    ]


def scale_rows(rows, scale, longest):
    """What each row is multiplied by: `scale`, or less where it were longer than `longest`."""
    lengths = [float(np.linalg.norm(np.asarray(values, dtype=float))) for _, values in rows]
    return [min(scale, longest / length) if length else scale for length in lengths]


def dense(rows, n_columns):
    """A list of (indices, values) as a float64 matrix."""
    out = np.zeros((len(rows), n_columns))
    for i, (indices, values) in enumerate(rows):
        for j, value in zip(indices, values, strict=True):
            out[i, j] += value
    return out


def uniform_integers(seed, row, upper, n):
    """The high 32 bits of each draw as a fraction of `upper`."""
    return [(mix(seed, row, i) >> 32) * upper >> 32 for i in range(n)]


def dropout(seed, keys, rate, values):
    """Inverted dropout, 16 bits an element, four elements a draw."""
    out = np.zeros_like(values)
    for i, key in enumerate(keys):
        for column in range(values.shape[1]):
            bits = mix(seed, int(key), column // 4 * 4) >> 16 * (column % 4) & 0xFFFF
            if bits >= int(float(rate) * 65536):
                out[i, column] = values[i, column] * np.float32(1 / (1 - float(rate)))
    return out


def stamp(active, proposals):
    """Active ids in order, each once; and the slot of each."""
    active = list(active)
    for j in proposals:
        if j not in active:
            active.append(j)
    return active, {j: slot for slot, j in enumerate(active)}


def softmax_loss(logits, targets, weight=1.0):
    """Loss of one row against equal shares of its targets, and its gradient by the logits."""
    z = np.asarray(logits, dtype=np.float64)
    if not len(targets):
        return 0.0, np.zeros_like(z)
    shifted = z - z.max()
    log_total = np.log(np.exp(shifted).sum())
    wanted = np.zeros_like(z)
    for t in targets:
        wanted[t] += 1 / len(targets)
    return -weight * wanted @ (shifted - log_total), weight * (np.exp(shifted - log_total) - wanted)


def adagrad_rows(weights, accumulators, gradients, rate):
    """Row-wise Adagrad on whole matrices: new weights, new accumulators."""
    accumulators = accumulators + np.square(gradients).mean(axis=1)
    return weights - rate * gradients / np.sqrt(accumulators)[:, None], accumulators


def adagrad_entries(weights, accumulators, gradients, rate):
    """Adagrad proper: new weights, new accumulators."""
    accumulators = accumulators + np.square(gradients)
    return weights - rate * gradients / np.sqrt(accumulators), accumulators


def feature_major(rows):
    """{feature: [(batch row, value), ...]}, features in the order in which they are met."""
    out = {}
    for i, (indices, values) in enumerate(rows):
        for feature, value in zip(indices, values, strict=True):
            out.setdefault(feature, []).append((i, value))
    return out


def top_k(scores, k):
    """Labels by falling score, ties by label, padded with -1; and their scores."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], j))[:k]
    n_missing = k - len(order)
    return order + [-1] * n_missing, [scores[j] for j in order] + [-np.inf] * n_missing


def nearest_rows(train, query, k):
    """Ids and cosines of the training rows with a positive cosine, best first, padded."""
    norms = np.linalg.norm(train, axis=1)
    length = np.linalg.norm(query)
    cosines = [
        float(row @ query / (norm * length)) if norm and length else 0.0
        for row, norm in zip(train, norms, strict=True)
    ]
    order = sorted((i for i, c in enumerate(cosines) if c > 0), key=lambda i: (-cosines[i], i))[:k]
    return order + [-1] * (k - len(order)), [cosines[i] for i in order] + [0.0] * (k - len(order))


def knn_bonus(ids, similarities, labels, n_labels, weight, sharpness):
    """What the neighbours `ids` add to each of `n_labels` logits; `labels` lists sets."""
    sums = np.zeros(n_labels)
    for i, similarity in zip(ids, similarities, strict=True):
        for label in labels[i] if i >= 0 else ():
            sums[label] += similarity
    return weight * np.log1p(sharpness * sums)


def prototypes(hidden, labels, n_labels, scale, row_weights=None):
    """Head rows and biases: `scale` x normalised mean of centred, normalised hidden vectors."""
    centre = hidden.mean(axis=0)
    centred = hidden - centre
    norms = np.linalg.norm(centred, axis=1)
    head = np.zeros((n_labels, hidden.shape[1]))
    for i, of_row in enumerate(labels):
        share = 1.0 if row_weights is None else row_weights[i]
        for label in of_row:
            head[label] += share * centred[i] / (norms[i] or 1.0)
    lengths = np.linalg.norm(head, axis=1)
    head *= (scale / np.where(lengths > 0, lengths, 1.0))[:, None]
    return head, -head @ centre


class DenseNetwork:
    """The wide network in float64: full softmax, explicit backpropagation, no tricks."""

    def __init__(self, network):
        self.body = [np.array(w, dtype=np.float64) for w in network.body_weights]
        self.body_bias = [np.array(b, dtype=np.float64) for b in network.body_biases]
        self.head = np.array(network.head_weights, dtype=np.float64)
        self.head_bias = np.array(network.head_bias, dtype=np.float64)
        self.activation = network.activation
        self.input_scale = network.input_scale

    def layers(self, X):
        """Scaled inputs and the output of every hidden layer."""
        out = [self.input_scale * X]
        for weights, bias in zip(self.body, self.body_bias, strict=True):
            out.append(ACTIVATION[self.activation](out[-1] @ weights + bias))
        return out

    def logits(self, X):
        return self.layers(X)[-1] @ self.head.T + self.head_bias

    def losses(self, X, labels, row_weights):
        return [
            softmax_loss(z, of_row, weight)[0]
            for z, of_row, weight in zip(self.logits(X), labels, row_weights, strict=True)
        ]

    def gradients(self, X, labels, row_weights):
        """Of the mean loss: (body, body biases, head, head bias)."""
        layers = self.layers(X)
        residual = np.array(
            [
                softmax_loss(z, of_row, weight)[1]
                for z, of_row, weight in zip(self.logits(X), labels, row_weights, strict=True)
            ]
        ) / len(X)
        head, head_bias = residual.T @ layers[-1], residual.sum(axis=0)
        upstream = residual @ self.head
        body, body_bias = [], []
        for layer in range(len(self.body) - 1, -1, -1):
            upstream = upstream * ACTIVATION_SLOPE[self.activation](layers[layer + 1])
            body.insert(0, layers[layer].T @ upstream)
            body_bias.insert(0, upstream.sum(axis=0))
            upstream = upstream @ self.body[layer].T
        return body, body_bias, head, head_bias


# ---- interactions of users and items -------------------------------------------------------


def drawn_entries(indptr, indices, seed, rate):
    """Whether each CSR entry is drawn: the top half of its hash is below the rate."""
    return [
        mix(seed, row, int(item)) >> 32 < int(rate * 2**32)
        for row, (a, b) in enumerate(pairwise(indptr))
        for item in indices[a:b]
    ]


def cooccurrences(users):
    """Dense items x items: sum over users of ``x_i x_j / sum(x)^.75``, diagonal 0."""
    out = np.zeros((users.shape[1], users.shape[1]))
    for row in users:
        if row.sum() > 0:
            out += np.outer(row, row) / row.sum() ** 0.75
    np.fill_diagonal(out, 0)
    return out


def item_item_scores(row, neighbours, source_scale, target_scale):
    """Item-item scores of one user, largest 1."""
    sums = [
        target_scale[j] * sum(row[i] * source_scale[i] * neighbours[i, j] for i in range(len(row)))
        for j in range(len(row))
    ]
    return np.array(sums) / max(max(sums), 1e-300)


def neighbor_regression(users, ids, penalty, power=0.5):
    """Dense items x items: column j the ridge coefficients of item j on the items ``ids[j]``.

    ``ids`` None: on all others. A user of n items counts n^-power, the mean over entries being 1.
    """
    has = (users > 0).astype(float)
    lengths = has.sum(axis=1)
    shares = np.maximum(lengths, 1) ** -power
    shares *= lengths.sum() / max(shares @ lengths, 1e-300)
    weighted = shares[:, None] * has
    if ids is None:
        n = users.shape[1]
        ids = np.array([[i for i in range(n) if i != j] for j in range(n)], dtype=int)
    out = np.zeros((users.shape[1], users.shape[1]))
    for item, row in enumerate(ids):
        near = row[row >= 0]
        gram = has[:, near].T @ weighted[:, near] + penalty * np.eye(len(near))
        out[near, item] = np.linalg.solve(gram, weighted[:, near].T @ has[:, item])
    return out


def low_pass(users, row, n_factors, flat=0.0, exponent=0.5):
    """Scores of a row through the first singular vectors of the normalised matrix.

    `flat` above 0: weighed by ``min(s^2 / flat, 1)``; degrees count to the power `exponent`.
    """
    has = (users > 0).astype(float)
    of_users, of_items = has.sum(axis=1, keepdims=True), has.sum(axis=0)
    of_items = np.maximum(of_items, 1e-300)
    normalised = has / np.sqrt(np.maximum(of_users, 1)) / np.sqrt(of_items)
    _, values, V = np.linalg.svd(normalised, full_matrices=False)
    response = np.minimum(values**2 / flat, 1) if flat else np.ones_like(values)
    spectrum = ((row > 0) / of_items**exponent) @ V[:n_factors].T * response[:n_factors]
    return spectrum @ V[:n_factors] * of_items**exponent


def maximal_marginal_relevance(scores, vectors, k, diversity):
    """Places of k candidates, best first in `scores`, one after the other."""
    lowest, highest = min(scores), max(scores)
    chosen = []
    while len(chosen) < min(k, len(scores)):
        gains = {}
        for i in range(len(scores)):
            if i not in chosen:
                relevance = (scores[i] - lowest) / (highest - lowest) if highest > lowest else 0
                cosines = [
                    vectors[i] @ vectors[j]
                    / max(np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j]), 1e-30)
                    for j in chosen
                ]  # fmt: skip
                gains[i] = (1 - diversity) * relevance - diversity * max(cosines, default=0)
        chosen.append(max(gains, key=lambda i: (gains[i], -i)))
    return chosen


def ranking_gain(scores, hidden, discounts):
    """DCG of a ranking by score, of equal ones the first."""
    order = np.argsort(-np.asarray(scores), kind="stable")[: len(discounts)]
    return sum(discount for j, discount in zip(order, discounts, strict=False) if hidden[j])


# ---- codes that are scored -------------------------------------------------------------------


def nearest_centroid(row, centroids):
    """The first of the centroids at the smallest distance."""
    distances = [sum((x - c) ** 2 for x, c in zip(row, each, strict=True)) for each in centroids]
    return distances.index(min(distances))


def sign_bytes(row):
    """Bytes of eight signs, the first highest; and the sum of absolute values."""
    bits = "".join("1" if value > 0 else "0" for value in row)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)], sum(map(abs, row))


def signed_sum(values, code):
    """The sum of eight values, those whose bit is 0 taken away."""
    bits = f"{code:08b}"
    return sum(v if bit == "1" else -v for v, bit in zip(values, bits, strict=True))


def product_table(values, centroids):
    """What each centroid of each block makes of its part of the values."""
    return [
        [sum(float(x) * float(c) for x, c in zip(part, each, strict=False)) for each in block]
        for part, block in zip(values, centroids, strict=True)
    ]


def decoded(code, centroids, widths):
    """The centroids that a code names, one after the other, each cut to its block's width."""
    return [
        value
        for number, block, width in zip(code, centroids, widths, strict=True)
        for value in block[number][:width]
    ]


def code_score(code, tables, scale, bias):
    """What a code's bytes look up, added, times the scale, and the bias."""
    return bias + scale * sum(table[byte] for byte, table in zip(code, tables, strict=True))


# ---- label trees ---------------------------------------------------------------------------


def rows_of_node(labels, node_labels, children):
    """(row, children where it has a label) of each row with a label in a node."""
    found = []
    for row, of_row in enumerate(labels):
        if set(of_row) & set(node_labels):
            found.append((row, [bool(set(of_row) & set(child)) for child in children]))
    return found


def squared_hinge(w, X, signs, costs):
    """The objective of a node's child: half the squared length and the squared hinges."""
    losses = [max(0.0, 1 - sign * (row @ w)) ** 2 for row, sign in zip(X, signs, strict=True)]
    return 0.5 * w @ w + sum(cost * loss for cost, loss in zip(costs, losses, strict=True))


def squared_hinge_gradient(w, X, signs, costs):
    gradient = w.copy()
    for row, sign, cost in zip(X, signs, costs, strict=True):
        gradient -= 2 * cost * max(0.0, 1 - sign * (row @ w)) * sign * row
    return gradient


def beam_search(row, levels, beam, k):
    """Places and log shares of the best leaves; a level: for each node its dense (W, b)."""
    found = [(0.0, 0)]
    for depth, nodes in enumerate(levels):
        first = np.cumsum([0] + [len(b) for _, b in nodes])
        children = [
            (share - max(0.0, 1 - (W[c] @ row + b[c])) ** 2, int(first[node]) + c)
            for share, node in found
            for W, b in [nodes[node]]
            for c in range(len(b))
        ]
        width = k if depth == len(levels) - 1 else beam
        found = sorted(children, key=lambda child: (-child[0], child[1]))[:width]
    return found


def halved(points, members, pick, rounds, most):
    """A span in its new order: two picks, then balanced spherical 2-means of every few members."""
    learnt = members[:: (len(members) - 1) // most + 1]
    halves = [[learnt[place]] for place in pick]
    for turn in range(rounds):
        if turn:
            half = len(learnt) // 2
            halves = learnt[:half], learnt[half:]
        sums = [points[part].sum(axis=0) for part in halves]
        left, right = (total / (np.linalg.norm(total) or 1.0) for total in sums)
        scores = points @ (right - left)
        learnt = sorted(learnt, key=lambda member: scores[member])
    return sorted(members, key=lambda member: scores[member])


def calibration_error(Y, labels, chances, n_bins):
    """Bin by bin, label by label; padding (-1) is nothing."""
    bins = [[] for _ in range(n_bins)]
    for i, j in np.argwhere(labels >= 0):
        place = min(int(chances[i, j] * n_bins), n_bins - 1)
        bins[place].append((chances[i, j], Y[i, labels[i, j]]))
    total = sum(map(len, bins))
    return sum(abs(sum(p - y for p, y in members)) for members in bins) / max(1, total)


def label_centroid(X, Y, label, weights, width):
    """Feature to entry: the largest of the weighted sum of the label's rows, at unit length."""
    rows = np.flatnonzero(Y[:, label])
    total = weights[rows] @ X[rows]
    largest = np.lexsort((np.arange(total.size), -np.abs(total)))[:width]
    largest = largest[total[largest] != 0]
    length = np.linalg.norm(total[largest])
    return {int(feature): total[feature] / length for feature in largest}


# ---- federated rounds ------------------------------------------------------------------------


def add_rows(places, rows, scale, total):
    """The sum with rows added where they belong."""
    total = np.array(total, dtype=float)
    for place, row in zip(places, rows, strict=True):
        total[place] += float(scale) * row
    return total


def products_of_rows(places, rows, total):
    """``(total @ rows, total @ total)`` over the rows' places."""
    pairs = list(zip(places, rows, strict=True))
    along = sum(float(total[place] @ row.astype(float)) for place, row in pairs)
    return along, sum(float(total[place] @ total[place]) for place, _ in pairs)


def product_of_common(ids, rows, other_ids, others):
    """Number of ids that both have, and the sum of their rows' products."""
    pairs = [(list(ids).index(i), list(other_ids).index(i)) for i in set(ids) & set(other_ids)]
    return len(pairs), sum(float(rows[i].astype(float) @ others[j]) for i, j in pairs)
