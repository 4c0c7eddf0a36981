"""`Journal`: what a part of a stream changes, as it was before, should the part fail."""

from __future__ import annotations

import numpy as np

from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad


class Journal:
    """Rows of a network and its optimizer, each copied before it is first changed.

    Costs what is touched, not what there is: O(rows touched * n_hidden), and two
    masks, O(n_labels + n_features).
    """

    def __init__(self, network: WideNetwork, optimizer: RowwiseAdagrad):
        self._network, self._numbers = network, (network.observed_ids, network.input_scale)
        self._heads = [
            network.head_weights, network.head_bias, optimizer.head_weights, optimizer.head_bias
        ]  # fmt: skip
        self._features = [network.body_weights[0], optimizer.body_weights[0]]
        self._had_neurons = np.zeros(network.n_labels, dtype=bool)
        self._had_features = np.zeros(network.n_features, dtype=bool)
        dense = [
            *network.body_weights[1:], *network.body_biases,
            *optimizer.body_weights[1:], *optimizer.body_biases,
        ]  # fmt: skip
        self._changed = [(array, slice(None), array.copy()) for array in dense]

    def neurons(self, ids: np.ndarray) -> None:
        """These neurons, each named once, are about to change."""
        self._keep(self._heads, self._had_neurons, ids)

    def features(self, ids: np.ndarray) -> None:
        """First-layer rows of these features, each named once, are about to change."""
        self._keep(self._features, self._had_features, ids)

    def _keep(self, arrays, had, ids) -> None:
        fresh = ids[~had[ids]]
        had[fresh] = True
        self._changed += [(array, fresh, array[fresh]) for array in arrays]

    def is_finite(self) -> bool:
        """Whether all that was changed is finite."""
        return all(np.isfinite(array[rows]).all() for array, rows, _ in self._changed)

    def undo(self) -> None:
        """Put everything back."""
        for array, rows, before in self._changed:
            array[rows] = before
        self._network.observed_ids, self._network.input_scale = self._numbers
