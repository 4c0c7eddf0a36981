"""Several networks as one: a network as wide as they are together, whose logits are their mean.

Networks of other seeds are wrong about other rows, and their mean logits less often than one's
(Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep
ensembles", NeurIPS 2017). Side by side in one network they need no code of their own: prediction,
tables, codes, streams and files take it as any other.
"""

from __future__ import annotations

import numpy as np

from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad


def joined(networks: list[WideNetwork]) -> WideNetwork:
    """One network whose logits are the mean of the logits of `networks`, of like shapes.

    Hidden units stand side by side; beyond the first layer none has a weight to another
    network's. O(sum of their parameters) of memory, and the square of it beyond the first layer.
    """
    first, *_ = networks
    n = np.float32(len(networks))
    shared, *deeper = zip(*(network.body_weights for network in networks), strict=True)
    return WideNetwork(
        [np.hstack(shared), *map(_blocks, deeper)],
        [np.concatenate(biases) for biases in zip(*(n.body_biases for n in networks), strict=True)],
        np.hstack([network.head_weights for network in networks]) / n,
        _mean([network.head_bias for network in networks]),
        first.activation,
        first.input_scale,
        first.observed_ids,
    )


def joined_state(optimizers: list[RowwiseAdagrad]) -> RowwiseAdagrad:
    """State of the joined network: the mean where a row is shared, each one's own where not."""
    shared, *deeper = zip(*(optimizer.body_weights for optimizer in optimizers), strict=True)
    biases = zip(*(optimizer.body_biases for optimizer in optimizers), strict=True)
    return RowwiseAdagrad(
        [_mean(shared), *map(np.concatenate, deeper)],
        list(map(np.concatenate, biases)),
        _mean([optimizer.head_weights for optimizer in optimizers]),
        _mean([optimizer.head_bias for optimizer in optimizers]),
    )


def _mean(arrays) -> np.ndarray:
    return np.asarray(np.mean(arrays, axis=0, dtype=np.float32))


def _blocks(matrices: list[np.ndarray]) -> np.ndarray:
    """Matrices of one shape along the diagonal, zeros elsewhere."""
    n, n_in, n_out = np.shape(matrices)
    out = np.zeros((n, n_in, n, n_out), dtype=np.float32)
    out[np.arange(n), :, np.arange(n)] = matrices
    return out.reshape(n * n_in, n * n_out)
