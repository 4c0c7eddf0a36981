"""How well weighted sums of scores rank the hidden items of users, for a grid of weights."""

import numpy as np

from sklsh.kernels.flags import kernel
from sklsh.kernels.topk import beats, push_topk

# Compiled in: flags f62ac5f0, topk 00effc30


@kernel
def blend_gains(base, added, weights, ids, hidden, discounts, gains, start, stop):
    """``gains[i, v, w]``: DCG of row i ranked by ``base + weights[w] * added[v]``.

    Row i has the candidates ``ids[i]``, ascending, padded with -1 at the end; `hidden` (bool)
    tells which of them are right. The best ``len(discounts)`` count.
    """
    k = discounts.shape[0]
    best = np.empty(k, dtype=np.float32)
    places = np.empty(k, dtype=np.int32)
    for i in range(start, stop):
        for v in range(added.shape[0]):
            for w in range(weights.shape[0]):
                best[:] = -np.inf
                places[:] = -1
                for c in range(ids.shape[1]):
                    if ids[i, c] < 0:
                        break
                    score = base[i, c] + weights[w] * added[v, i, c]
                    if beats(score, c, best[k - 1], places[k - 1]):
                        push_topk(score, c, best, places)
                gain = np.float32(0.0)
                for j in range(k):
                    if places[j] >= 0 and hidden[i, places[j]]:
                        gain += discounts[j]
                gains[i, v, w] = gain
