"""Who is active: the neurons that a batch computes beside its own labels.

A sampler is any object with a `n_active` budget and a `propose` method (see `Sampler`). The
trainer stamps the batch's own labels first, then what the sampler proposes, in order.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sklsh._threads import blocks, run_blocks
from sklsh.kernels.counter import draw_integers
from sklsh.kernels.topk import probe_topk_rows
from sklsh.network.model import WideNetwork

PROBES = 2
"""Probed rows of one task."""

N_CANDIDATES = 1_000
"""Candidates that a probed row scores exactly."""

SAMPLERS = ("lsh", "random", "uniform", "labels", "exact", "all")
"""Names for `make_sampler`."""


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
    """Fill `out` (int32) with uniform neurons in play, with replacement."""
    draw_integers(seed, step, network.n_seen, out)
    if network.seen_ids is not None:
        np.take(network.seen_ids, out, out=out)


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
        return [(self._ids if network.seen_ids is None else network.seen_ids, 0.0)]


class Uniform:
    """`n_active` neurons drawn uniformly, with replacement.

    Parameters
    ----------
    log_q : float
        Share of the log-Q correction, ``log(n_labels / n_active)``, that is applied. The
        full correction counts the batch's own labels, which serve as negatives uncorrected,
        twice over: 0 ranks best.
    """

    def __init__(self, n_active: int, seed: int, log_q: float = 0.0):
        self.n_active = n_active
        self.log_q = log_q
        self._seed = seed
        self._ids = np.empty(n_active, dtype=np.int32)

    def propose(self, network, hidden, slots, step, n_threads):
        draw_neurons(network, self._seed, step, self._ids)
        offset = np.log(network.n_seen / self.n_active) if self.n_active else 0.0
        return [(self._ids, self.log_q * float(offset))]


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


class Candidates(Protocol):
    """Where `Probe` looks: a source of candidate neurons for a few hidden vectors."""

    def find(self, network: WideNetwork, hidden, n_probes: int, step: int, n_threads: int):
        """Candidates ``ids[indptr[i]:indptr[i + 1]]`` (int32) of hidden row `i` < `n_probes`.

        Repeats are allowed. `hidden` is the whole batch.
        """


class RandomCandidates:
    """`n_candidates` uniform neurons a row: what any hash has to beat."""

    def __init__(self, n_candidates: int, seed: int):
        self.n_candidates = n_candidates
        self._seed = seed

    def find(self, network, hidden, n_probes, step, n_threads):
        ids = np.empty(n_probes * self.n_candidates, dtype=np.int32)
        draw_neurons(network, self._seed, step, ids)
        return np.arange(0, ids.shape[0] + 1, self.n_candidates), ids


class AllCandidates:
    """Every neuron: with it, `Probe` is the oracle."""

    def find(self, network, hidden, n_probes, step, n_threads):
        every = network.seen_ids
        if every is None:
            every = np.arange(network.n_labels, dtype=np.int32)
        ids = np.tile(every, n_probes)
        return np.arange(0, ids.shape[0] + 1, every.shape[0]), ids


def make_sampler(name: str, n_active: int, n_labels: int, seed: int, lsh=None) -> Sampler:
    """A sampler by the name that estimators use; `lsh` is the `Candidates` of "lsh"."""
    if name == "labels":
        return LabelsOnly()
    if name == "all":
        return All(n_labels)
    if name == "uniform":
        return Uniform(n_active, seed)
    candidates = {
        "lsh": lsh,
        "random": RandomCandidates(N_CANDIDATES, seed),
        "exact": AllCandidates(),
    }
    return Probe(candidates[name], n_active)
