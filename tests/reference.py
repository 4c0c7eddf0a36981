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
