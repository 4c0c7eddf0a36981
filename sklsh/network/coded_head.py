"""`CodedCandidates`: codes of the head's rows, kept fresh, scored against hidden vectors.

Tables are thrown away now and then; a code is so cheap that each neuron a step has changed is
coded again before the next.
"""

from __future__ import annotations

import numpy as np

from sklsh._utils.random import REDRAW, nth_seed
from sklsh._utils.threads import blocks, run_blocks
from sklsh.hashing.codes import Coder, Codes, SignCodes, topk_codes
from sklsh.network.model import WideNetwork

FAMILY = SignCodes(n_bits=64)
"""Drawn, not learnt: a learnt code of a head that changes each step is soon another's."""

N_CANDIDATES = 64
"""Neurons of a probed row that are scored exactly."""

WINDOW = 1 << 16
"""Codes that one step scores, at most; the next step goes on behind them."""

ROWS = 4096
"""Neurons coded at a time."""


class CodedCandidates:
    """The neurons whose codes promise most, for `Probe`.

    Parameters
    ----------
    rehash_interval : int
        Steps before a new rotation is drawn and every neuron coded by it.
    seed : int

    Attributes
    ----------
    coder : Coder or None
    packed, scale, bias : ndarray
        Codes of all neurons, see `Codes`; of one without a row yet, with a bias of -inf.
    changed : ndarray of int32
        Neurons to be coded again before the next search.

    Notes
    -----
    A step costs O(n_changed * n_hidden) for codes and O(n_probes * min(n_labels, 65536)) for
    scores; codes take 16 bytes a neuron. Neurons of labels that have no row yet are not named.
    """

    def __init__(self, rehash_interval: int, seed: int):
        self.rehash_interval = rehash_interval
        self._seed = seed
        self.coder: Coder | None = None
        self.packed = np.empty((0, FAMILY.n_bits // 8), dtype=np.uint8)
        self.scale = np.empty(0, dtype=np.float32)
        self.bias = np.empty(0, dtype=np.float32)
        self.changed = np.empty(0, dtype=np.int32)
        self._next_rehash = 0

    def find(self, network: WideNetwork, hidden, n_probes: int, step: int, n_threads: int):
        if self.coder is None or step >= self._next_rehash:
            self.coder = self._drawn(network, hidden, step)
        coder = self.coder
        self._encode(network, coder, self.changed, n_threads)
        self.changed = self.changed[:0]
        n_windows = -(-network.n_labels // WINDOW)
        edges = [network.n_labels * i // n_windows for i in range(n_windows + 1)]
        window = slice(*edges[step % n_windows : step % n_windows + 2])
        codes = Codes(self.packed, self.scale, self.bias).take(window)
        ids, _ = topk_codes(coder, codes, hidden[:n_probes], N_CANDIDATES, n_threads=n_threads)
        found = [row[row >= 0] + window.start for row in ids]
        indptr = np.cumsum([0, *map(len, found)])
        return indptr, np.concatenate(found).astype(np.int32)

    def will_change(self, ids: np.ndarray) -> None:
        """Code the neurons `ids` (int32) again before the next search."""
        self.changed = ids

    def snapshot(self) -> dict:
        """All that `restore` needs, by name; empty before the first search."""
        if self.coder is None:
            return {}
        return {
            "step": self._next_rehash - self.rehash_interval,
            "row_mean": self.coder.row_mean, "hidden_mean": self.coder.hidden_mean,
            "packed": self.packed, "scale": self.scale, "bias": self.bias,
            "changed": self.changed,
        }  # fmt: skip

    def restore(self, network: WideNetwork, snapshot: dict, n_threads: int = 1) -> None:
        """Be as when `snapshot` was taken."""
        step = int(snapshot["step"])
        self.coder = FAMILY.coder(
            snapshot["row_mean"], snapshot["hidden_mean"],
            seed=nth_seed(self._seed, step, REDRAW),
        )  # fmt: skip
        self.packed, self.scale = snapshot["packed"], snapshot["scale"]
        self.bias, self.changed = snapshot["bias"], snapshot["changed"]
        self._next_rehash = step + self.rehash_interval

    def _drawn(self, network: WideNetwork, hidden, step: int) -> Coder:
        """A new coder; all codes that there are become void."""
        seed, n_labels = nth_seed(self._seed, step, REDRAW), network.n_labels
        observed = network.observed_ids
        self.changed = np.arange(n_labels, dtype=np.int32) if observed is None else observed
        sample = self.changed[:: max(1, self.changed.shape[0] // ROWS)]
        self.packed = np.zeros((n_labels, FAMILY.n_bits // 8), dtype=np.uint8)
        self.scale = np.zeros(n_labels, dtype=np.float32)
        # No score is below that of a neuron without a code: nobody finds it.
        self.bias = np.full(n_labels, -np.inf, dtype=np.float32)
        self._next_rehash = step + self.rehash_interval
        rows, hidden_mean = network.head_weights[sample], hidden.mean(axis=0)
        return FAMILY.fit(rows, hidden_mean=hidden_mean, seed=seed)

    def _encode(self, network: WideNetwork, coder: Coder, ids, n_threads: int) -> None:
        def task(start, stop):
            part = ids[start:stop]
            rows, bias = network.head_weights[part], network.head_bias[part]
            codes = coder.encode(rows, bias, n_jobs=1)
            self.packed[part] = codes.packed
            self.scale[part] = codes.scale
            self.bias[part] = codes.bias

        run_blocks(task, blocks(ids.shape[0], ROWS), n_threads)
