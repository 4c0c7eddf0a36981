"""
The bias of the periodic fold, and its repair
=============================================

A sketch stands for a wide vector in few columns. PGHash's *periodic fold* adds up every c-th
coordinate. For vectors in random directions that keeps inner products on average. The vectors
of a network are not in random directions: activations behind a ReLU are never negative, and
the weights of an output neuron, which is wrong for nearly every row, are mostly below zero.
Then what falls into a bin together has one sign, adds up, and is seen as similarity or
opposition that is not there. A random sign for each coordinate, the *signed fold*, repairs
that at the same cost.
"""

# %%
# The head and the hidden vectors of a network trained on the bundled WordNet set, folded from
# 128 columns to 16.
import matplotlib.pyplot as plt
import numpy as np

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet
from sklsh.hashing import PeriodicFold, SignedFold

data = load_wordnet()
model = SparseLSHMLPClassifier((128,), n_neighbors=0, random_state=0)
model.fit(data.X_train, data.Y_train)
hidden = np.maximum(data.X_test @ model.coefs_[0] + model.intercepts_[0], 0)
head = model.coefs_[1].T

rng = np.random.default_rng(0)
rows = hidden[rng.choice(len(hidden), 300, replace=False)]
neurons = head[rng.choice(len(head), 300, replace=False)]
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
neurons = neurons / np.maximum(np.linalg.norm(neurons, axis=1, keepdims=True), 1e-12)
true = rows @ neurons.T


def sketched(fold):
    """Inner products of all rows and neurons, by their sketches."""
    return fold.apply(rows) @ fold.apply(neurons).T


periodic = sketched(PeriodicFold.draw(128, 16))
signed = sketched(SignedFold.draw(128, 16, seed=0))

# %%
# Left, what the sketch makes of an inner product: the periodic fold shifts and stretches them
# all, the signed one scatters them about the truth. Right, what becomes of it with more
# draws. Means over seeds of the signed fold tend to the truth, as 1 / sqrt(draws). The periodic
# fold has no seed, and hash tables drawn over one sketch all see the same bias: more of them do
# not help.
n_draws = 256
mean, errors = np.zeros_like(true), []
for seed in range(n_draws):
    mean += (sketched(SignedFold.draw(128, 16, seed)) - mean) / (seed + 1)
    errors.append(np.sqrt(np.mean((mean - true) ** 2)))
periodic_error = np.sqrt(np.mean((periodic - true) ** 2))

shown = rng.choice(true.size, 3000, replace=False)
colors = {"periodic": "#d1495b", "signed": "#00798c"}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, values in (("periodic", periodic), ("signed", signed)):
    left.scatter(
        true.ravel()[shown], values.ravel()[shown], s=5, alpha=0.35, lw=0, color=colors[name]
    )
    left.scatter([], [], s=25, color=colors[name], label=f"{name} fold")
low, high = true.min(), true.max()
left.plot([low, high], [low, high], color="black", lw=1, label="exact")
left.set(xlabel="inner product of row and neuron", ylabel="inner product of their sketches")
left.legend(frameon=False, loc="lower right")

right.loglog(range(1, n_draws + 1), errors, color=colors["signed"], lw=2, label="signed fold")
right.axhline(periodic_error, color=colors["periodic"], lw=2, label="periodic fold")
right.set(xlabel="draws of the fold, averaged", ylabel="root mean square error")
right.set_xticks([1, 4, 16, 64, 256], labels=[1, 4, 16, 64, 256], minor=False)
right.set_yticks([0.02, 0.05, 0.1, 0.2, 0.4], labels=[0.02, 0.05, 0.1, 0.2, 0.4])
right.minorticks_off()
right.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.8))
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)

print(
    f"mean error of the periodic fold {np.mean(periodic - true):+.3f}, "
    f"of one signed fold {np.mean(signed - true):+.3f}"
)
print(f"root mean square {periodic_error:.3f} and {errors[0]:.3f}; of 256 draws {errors[-1]:.3f}")
plt.show()
