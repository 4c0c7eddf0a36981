"""Who is active: the neurons that a batch computes beside its own labels.

A sampler is any object with a `n_active` budget and a `propose` method (see `Sampler`). The
trainer stamps the batch's own labels first, then what the sampler proposes, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.counter import draw_integers
from sklsh.kernels.topk import probe_topk_rows, select_topk_rows
from sklsh.network.coded_head import CodedCandidates
from sklsh.network.model import WideNetwork

PROBES = 2
"""Probed rows of one task."""

KEPT = 8
"""Neurons that each row keeps of a shared pool."""

SCORING_ROWS = 32
"""Rows of a batch that score a shared pool, at most."""

POOL = 256
"""Candidates of one task of scoring."""

N_CANDIDATES = 1_000
"""Candidates that a probed row scores exactly."""


class Sampler(Protocol):
    """What the trainer asks of a sampler."""

    n_active: int
    """Most neurons that one call of `propose` names."""

    def propose(self, network: WideNetwork, hidden, slots, step: int, n_threads: int):
        """Neurons for one batch.

        Parameters
        ----------
        network : WideNetwork
        hidden : ndarray (n_rows, n_hidden)
            Last hidden layer of the batch, before dropout.
        slots : ndarray (n_labels,), int32
            -1 for neurons that are not active yet; not to be changed.
        step : int
            Number of the training step: the source of fresh randomness.

        Returns
        -------
        list of (ids, offset)
            int32 ids, each with the amount to add to its logits: minus the logarithm of the
            probability that the sampler names the neuron (log-Q correction), 0 for those
            it names because they score high.
        """


def draw_neurons(network: WideNetwork, seed: int, step: int, out: np.ndarray) -> None:
    """Fill `out` (int32) with uniform neurons of observed labels, with replacement."""
    draw_integers(seed, step, network.n_observed, out)
    if network.observed_ids is not None:
        np.take(network.observed_ids, out, out=out)


class LabelsOnly:
    """Nothing beside the batch's own labels, which serve one another as negatives."""

    n_active = 0

    def propose(self, network, hidden, slots, step, n_threads):
        return []


class All:
    """Every neuron: the dense layer."""

    def __init__(self, n_labels: int):
        self.n_active = n_labels
        self._ids = np.arange(n_labels, dtype=np.int32)

    def propose(self, network, hidden, slots, step, n_threads):
        return [(self._ids if network.observed_ids is None else network.observed_ids, 0.0)]


class Uniform:
    """`n_active` neurons drawn uniformly, with replacement.

    Without a log-Q correction, ``log(n_labels / n_active)``: it would count the batch's own
    labels, which serve as negatives uncorrected, twice over, and ranks worse.
    """

    def __init__(self, n_active: int, seed: int):
        self.n_active = n_active
        self._seed = seed
        self._ids = np.empty(n_active, dtype=np.int32)

    def propose(self, network, hidden, slots, step, n_threads):
        draw_neurons(network, self._seed, step, self._ids)
        return [(self._ids, 0.0)]


class Probe:
    """Few rows probed deep: each row's best-scoring neurons among its candidates, exactly.

    All rows of the batch compute what the probed ones found.

    Parameters
    ----------
    candidates : Candidates
        Where the candidates of a probed row come from.
    n_active : int
        Budget, shared by the probed rows.
    n_probes : int
        Rows of the batch that are probed.
    """

    def __init__(self, candidates: Candidates, n_active: int, n_probes: int = 8):
        self.n_active = n_active
        self.candidates = candidates
        self.n_probes = max(1, min(n_probes, n_active))

    def propose(self, network, hidden, slots, step, n_threads):
        probes = hidden[: self.n_probes]
        n_best = self.n_active // self.n_probes
        indptr, found = self.candidates.find(network, hidden, probes.shape[0], step, n_threads)
        ids = np.empty((probes.shape[0], n_best), dtype=np.int32)
        scores = np.empty((probes.shape[0], n_best), dtype=np.float32)

        def task(start, stop):
            probe_topk_rows(
                probes, network.head_weights, network.head_bias, indptr, found, slots,
                scores, ids, start, stop,
            )  # fmt: skip

        run_blocks(task, blocks(probes.shape[0], PROBES), n_threads)
        return [(ids[ids >= 0], 0.0)]


class FreshProbe(Probe):
    """`Probe` whose candidates are told which neurons the step will change."""

    candidates: CodedCandidates

    def propose(self, network, hidden, slots, step, n_threads):
        proposals = super().propose(network, hidden, slots, step, n_threads)
        of_batch = np.flatnonzero(slots >= 0).astype(np.int32)
        changing = np.unique(np.concatenate([of_batch, *[ids for ids, _ in proposals]]))
        self.candidates.will_change(changing)
        return proposals


class Candidates(Protocol):
    """Where `Probe` looks: a source of candidate neurons for a few hidden vectors."""

    def find(self, network: WideNetwork, hidden, n_probes: int, step: int, n_threads: int):
        """Candidates ``ids[indptr[i]:indptr[i + 1]]`` (int32) of hidden row `i` < `n_probes`.

        Repeats are allowed. `hidden` is the whole batch.
        """


class BestOfPool:
    """Few rows probed deep in one pool of candidates: a random one, or every neuron.

    As `Probe`, but the rows share their candidates, so that these are gathered once and
    scored by one matrix product. Random ones are what any hash has to beat; all neurons make
    it the oracle.

    Parameters
    ----------
    n_active : int
        Budget, shared by the probed rows.
    n_candidates : int or None
        Uniform neurons in the pool; None: every observed one.
    seed : int
    n_probes : int or None
        Rows of the batch that are probed. None: as many as can keep `KEPT` neurons each, at
        most 32.
    """

    def __init__(
        self, n_active: int, n_candidates: int | None, seed: int, n_probes: int | None = None
    ):
        self.n_active = n_active
        self.n_candidates = n_candidates
        if n_probes is None:
            n_probes = min(SCORING_ROWS, n_active // KEPT)
        self.n_probes = max(1, min(n_probes, n_active))
        self._seed = seed

    def _pool(self, network: WideNetwork, step: int) -> np.ndarray:
        if self.n_candidates is None:
            every = np.arange(network.n_labels, dtype=np.int32)
            return every if network.observed_ids is None else network.observed_ids
        drawn = np.empty(self.n_candidates, dtype=np.int32)
        draw_neurons(network, self._seed, step, drawn)
        return np.unique(drawn)

    def propose(self, network, hidden, slots, step, n_threads):
        pool = self._pool(network, step)
        pool = pool[slots[pool] < 0]
        probes = hidden[: self.n_probes]
        logits = np.empty((probes.shape[0], pool.shape[0]), dtype=np.float32)

        def score(start, stop):
            rows = np.empty((stop - start, network.n_hidden), dtype=np.float32)
            np.take(network.head_weights, pool[start:stop], axis=0, out=rows, mode="clip")
            np.matmul(probes, rows.T, out=logits[:, start:stop])

        run_blocks(score, blocks(pool.shape[0], POOL), n_threads)
        shape = (probes.shape[0], self.n_active // self.n_probes)
        ids = np.full(shape, -1, dtype=np.int32)
        best = np.full(shape, -np.inf, dtype=np.float32)
        select_topk_rows(logits, network.head_bias[pool], pool, best, ids, 0, probes.shape[0])
        return [(ids[ids >= 0], 0.0)]


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "lsh": lambda n_active, n_labels, seed, lsh: Probe(lsh, n_active),
    "codes": lambda n_active, n_labels, seed, lsh: FreshProbe(
        CodedCandidates(lsh.rehash_interval, seed), n_active
    ),
    "random": lambda n_active, n_labels, seed, lsh: BestOfPool(n_active, N_CANDIDATES, seed),
    "uniform": lambda n_active, n_labels, seed, lsh: Uniform(n_active, seed),
    "labels": lambda n_active, n_labels, seed, lsh: LabelsOnly(),
    "exact": lambda n_active, n_labels, seed, lsh: BestOfPool(n_active, None, seed),
    "all": lambda n_active, n_labels, seed, lsh: All(n_labels),
}
"""Name -> what makes a sampler of `n_active`, `n_labels`, `seed` and the `Candidates` of "lsh" (of
which "codes" takes the `rehash_interval`). Put one of your own in, and the estimators take its
name."""


def make_sampler(name: str, n_active: int, n_labels: int, seed: int, lsh=None) -> Sampler:
    """A sampler by the name that estimators use; `lsh` is the `Candidates` of "lsh"."""
    return SAMPLERS[name](n_active, n_labels, seed, lsh)
