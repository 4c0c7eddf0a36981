"""Who is active: the neurons that a batch computes beside its own labels.

A sampler is any object with a `n_active` budget and a `propose` method (see `Sampler`). The
trainer stamps the batch's own labels first, then what the sampler proposes, in order.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sklsh._threads import blocks, run_blocks
from sklsh.kernels.counter import draw_integers
from sklsh.kernels.topk import probe_topk
from sklsh.network.model import WideNetwork


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
        return [(self._ids, 0.0)]


class Uniform:
    """`n_active` neurons drawn uniformly, with replacement, log-Q corrected."""

    def __init__(self, n_active: int, seed: int, correct: float = 1.0):
        self.n_active = n_active
        self._seed = seed
        self._ids = np.empty(n_active, dtype=np.int32)
        self._correct = correct

    def propose(self, network, hidden, slots, step, n_threads):
        draw_integers(self._seed, step, network.n_labels, self._ids)
        offset = np.log(network.n_labels / self.n_active) if self.n_active else 0.0
        return [(self._ids, self._correct * max(0.0, float(offset)))]


class Probe:
    """Few rows probed deep: each row's best-scoring neurons among its candidates, exactly.

    Parameters
    ----------
    candidates : callable ``(network, hidden_row, step, i) -> int32 ids``
        Where the candidates of probed row `i` come from.
    n_active : int
        Budget, shared by the probed rows.
    n_probes : int
        Rows of the batch that are probed; all rows of the batch use the result.
    """

    def __init__(self, candidates, n_active: int, n_probes: int = 8):
        self.n_active = n_active
        self.candidates = candidates
        self.n_probes = min(n_probes, n_active)

    def propose(self, network, hidden, slots, step, n_threads):
        n_probes = min(self.n_probes, hidden.shape[0])
        n_best = self.n_active // self.n_probes
        ids = np.empty((n_probes, n_best), dtype=np.int32)
        scores = np.empty((n_probes, n_best), dtype=np.float32)

        def task(start, stop):
            for i in range(start, stop):
                found = self.candidates(network, hidden[i], step, i)
                probe_topk(
                    hidden[i], network.head_weights, network.head_bias,
                    found, found.shape[0], slots, scores[i], ids[i],
                )  # fmt: skip

        run_blocks(task, blocks(n_probes, 1), n_threads)
        return [(ids[ids >= 0], 0.0)]


class RandomCandidates:
    """`n_candidates` uniform neurons: what any hash has to beat."""

    def __init__(self, n_candidates: int, seed: int):
        self.n_candidates = n_candidates
        self._seed = seed

    def __call__(self, network, hidden_row, step, i):
        ids = np.empty(min(self.n_candidates, network.n_labels), dtype=np.int32)
        draw_integers(self._seed, step * 64 + i, network.n_labels, ids)
        return ids


class AllCandidates:
    """Every neuron: with it, `Probe` is the oracle."""

    def __call__(self, network, hidden_row, step, i):
        return np.arange(network.n_labels, dtype=np.int32)
