"""
What a federation learns for its bytes
======================================

Four devices hold the rows of the bundled WordNet set; none may send them. In a round a device
gets what it asks for of the model, trains it, and sends what changed. What it asks for beside
the labels of its own rows is the `sampler`: nothing ("labels"), neurons that its hash tables
find in a compressed sketch of the head ("lsh"), as many random ones ("random"), or the whole head
("all": dense federated averaging). The ledger counts every byte.
"""

# %%
# A `callback` measures P@1 on test rows after each round; it gets the server's network.
import matplotlib.pyplot as plt
import numpy as np

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet, split_devices
from sklsh.metrics import precision_at_k
from sklsh.plotting import RoundLedgerDisplay

data = load_wordnet()
device_ids = split_devices(data.Y_train, 4, random_state=0)
X_test, Y_test = data.X_test[:1500], data.Y_test[:1500]


def watch(scores):
    def after_round(network, entry):
        hidden = np.maximum(X_test @ network.body_weights[0] + network.body_biases[0], 0)
        best = np.argmax(hidden @ network.head_weights.T + network.head_bias, axis=1)
        scores.append(precision_at_k(Y_test, best[:, None], k=1))

    return after_round


# %%
# The same model, start, devices and rates for all; only what devices ask for differs. Left,
# quality after each round against all that has been sent by then; right, what the bytes were.
#
# A device that sees some neurons beside its own labels learns what its rows are *not*, for few
# bytes more; the whole head costs most and, with the same rates, learns slowest. On a head of
# this size random neurons are as good as those found by hashing, and need no sketch: see the
# page on when hashing helps.
axes = None
for sampler in ("labels", "random", "lsh", "all"):
    scores = []
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier((64,), sampler=sampler),
        n_rounds=5,
        local_steps=1.0,
        body_exchange="full" if sampler == "all" else "touched",
        payload="float16",
        callback=watch(scores),
        random_state=0,
    )
    model.fit(data.X_train, data.Y_train, groups=device_ids)
    display = RoundLedgerDisplay.from_estimator(
        model, scores=scores, score_name="P@1 on test rows", name=sampler, ax=axes
    )
    axes = display.ax_
    print(f"{sampler:6s}  {model.ledger_.total() / 1e6:5.0f} MB, P@1 {scores[-1]:.3f}")
axes[0].legend(title="sampler", frameon=False)
plt.show()
