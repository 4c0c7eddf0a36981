"""What hashing is for: a few candidates that have the best neurons among them.

On a fixed head, for the sampler, the index of predictions and that of recommendations: recall
of the truly best neurons far above that of as many random ones, better with more tables, and
gone where the head is turned round, so that the best are what it should avoid.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from sklsh.hashing import make_family
from sklsh.network.lsh import LSHCandidates
from sklsh.network.retrieval import likely_items
from sklsh.network.rows import SparseRows
from sklsh.network.sampling import Probe, make_sampler
from sklsh.network.topk import lsh_topk
from tests.network.problems import best_neurons, mean_recall, negated, wide_head

N_CANDIDATES = 100
"""One neuron in twenty: what random candidates would find of any neurons."""

HASH_LENGTHS = {"simhash": 6, "pghash": 6, "dwta": 2, "pghash_d": 2}


def index_of(family, n_tables, seed=0):
    options = {"hash_length": HASH_LENGTHS[family], "sketch_dim": 16}
    made = make_family(family, n_tables=n_tables, **options)
    return LSHCandidates(made, N_CANDIDATES, 5, seed)


def recall_of_candidates(asked, network, hidden, family, n_tables):
    """Of each row's 10 best neurons of `network`, found with tables over `asked`."""
    best, found = best_neurons(network, hidden, 10), []
    for seed in range(4):
        index = index_of(family, n_tables, seed)
        indptr, ids = index.find(asked, hidden, len(hidden), 0, 1)
        found.append(mean_recall(best, indptr, ids))
    return np.mean(found)


@pytest.mark.parametrize("family", HASH_LENGTHS)
def test_candidates_are_the_best_neurons_more_often_with_more_tables(family):
    network, hidden = wide_head()
    chance = N_CANDIDATES / network.n_labels
    recalls = [recall_of_candidates(network, network, hidden, family, L) for L in (1, 4, 24)]
    assert np.all(np.diff(recalls) > 0.02), recalls
    assert recalls[-1] > 4 * chance
    turned = recall_of_candidates(negated(network), network, hidden, family, 24)
    assert turned < chance / 5


def test_negated_queries_find_the_farthest_neurons():
    network, hidden = wide_head()
    index = index_of("simhash", 24)
    index.build(network, hidden)
    queries = index.map.queries(hidden)
    index.map.queries = lambda _: -queries
    indptr, ids, _ = index.query(hidden)
    assert mean_recall(best_neurons(network, hidden, 10), indptr, ids) < 0.01
    assert mean_recall(best_neurons(negated(network), hidden, 10), indptr, ids) > 0.2


def test_what_all_neurons_share_changes_no_candidate():
    """It orders nothing, and would outweigh all that tells neurons apart."""
    network, hidden = wide_head()
    shared = np.random.default_rng(1).normal(0, 10, network.n_hidden).astype(np.float32)
    moved = replace(
        network, head_weights=network.head_weights + shared, head_bias=network.head_bias + 40
    )
    (indptr, ids), (_, found) = (
        index_of("pghash", 24).find(head, hidden, len(hidden), 0, 1) for head in (network, moved)
    )
    common = mean_recall([ids[a:b] for a, b in itertools.pairwise(indptr)], indptr, found)
    assert common > 0.95


def test_hidden_rows_far_from_the_origin_are_hashed_by_what_tells_them_apart():
    network, hidden = wide_head()
    far = hidden + np.float32(3)
    assert recall_of_candidates(network, network, far, "simhash", 24) > 0.3


def test_new_functions_find_what_the_old_ones_missed():
    network, hidden = wide_head()
    best, index = best_neurons(network, hidden, 10), index_of("pghash", 8)
    alone, found = [], [set() for _ in hidden]
    for step in range(0, 40, index.rehash_interval):
        indptr, ids = index.find(network, hidden, len(hidden), step, 1)
        alone.append(mean_recall(best, indptr, ids))
        for i, row in enumerate(found):
            row.update(ids[indptr[i] : indptr[i + 1]].tolist())
    together = np.mean([np.isin(b, list(row)).mean() for b, row in zip(best, found, strict=True)])
    # Independent tries would all miss a neuron of probability p with (1 - p)^8.
    assert together > np.mean(alone) + 0.25


def proposed(sampler, network, hidden, slots):
    return np.concatenate([ids for ids, _ in sampler.propose(network, hidden, slots, 0, 1)])


def test_the_sampler_names_the_best_neurons_that_are_not_active():
    network, hidden = wide_head()
    slots = np.full(network.n_labels, -1, dtype=np.int32)
    slots[::5] = 0
    idle, n_active = np.flatnonzero(slots < 0), 40
    logits = hidden[:8] @ network.head_weights[idle].T + network.head_bias[idle]
    best = np.unique(idle[np.argsort(-logits, axis=1)[:, : n_active // 8]])
    recalls = []
    for asked in (network, negated(network)):
        ids = [
            proposed(make_sampler("lsh", n_active, network.n_labels, seed,
                                  index_of("pghash", 24, seed)), asked, hidden, slots)
            for seed in range(4)
        ]  # fmt: skip
        assert max(map(len, ids)) <= n_active
        recalls.append(np.mean([np.isin(best, named).mean() for named in ids]))
    assert recalls[0] > 10 * n_active / network.n_labels
    assert recalls[1] < n_active / network.n_labels


def test_the_sampler_probes_the_first_rows_alone():
    """Of 16 rows, 2 are probed: theirs are the neurons."""
    network, hidden = wide_head()
    slots = np.full(network.n_labels, -1, dtype=np.int32)
    ids = proposed(Probe(index_of("simhash", 64), 40, n_probes=2), network, hidden, slots)
    best = best_neurons(network, hidden, 20)
    shares = [np.isin(row, ids).mean() for row in best]
    assert min(shares[:2]) > max(shares[2:])


def test_predictions_by_tables_have_the_best_labels():
    network, hidden = wide_head()
    best, recalls = best_neurons(network, hidden, 5), []
    for n_tables in (8, 64):
        index = index_of("simhash", n_tables)
        index.build(network, hidden)
        labels, scores = lsh_topk(network, index, hidden, 5)
        recalls.append(np.mean([np.isin(b, row).mean() for b, row in zip(best, labels)]))
        exact = np.take_along_axis(
            hidden @ network.head_weights.T + network.head_bias, labels, axis=1
        )
        np.testing.assert_allclose(scores, exact, rtol=1e-4, atol=1e-5)
    assert 0.25 < recalls[0] < recalls[1] - 0.1
    index.build(negated(network), hidden)
    labels, _ = lsh_topk(network, index, hidden, 5)
    assert np.mean([np.isin(b, row).mean() for b, row in zip(best, labels)]) < 0.01


def test_recommendations_by_tables_have_the_best_items():
    network, hidden = wide_head()
    R = SparseRows.from_classes(np.arange(len(hidden), dtype=np.int32))
    inputs = SparseRows.from_matrix(sp.csr_array(hidden))
    every = np.ones(network.n_labels, dtype=bool)
    best, recalls = best_neurons(network, hidden, 5), []
    for n_tables, asked in ((8, network), (64, network), (64, negated(network))):
        index = index_of("simhash", n_tables)
        index.build(asked, hidden)

        def named(_begin, _end, rows, index=index):
            return index.query(rows)[:2]

        items, _ = likely_items(
            network, None, named, R, inputs, 5, every, bias=network.head_bias, exclude=False
        )
        recalls.append(np.mean([np.isin(b, row).mean() for b, row in zip(best, items)]))
    assert 0.25 < recalls[0] < recalls[1] - 0.1
    assert recalls[2] < 0.01
