"""
Twelve thousand labels in a few seconds
=======================================

The bundled set asks which entries of a dictionary an entry points to: rows are entries of
WordNet, features the words that describe them, labels the other entries. There are 12,607
labels and 18,820 rows, so that most labels have been seen once or twice. Nothing here is ever
rows x labels large.
"""

# %%
# Train and ask
# -------------
# Defaults, but for a watch on held-out rows. `predict_topk` names the best labels.
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet
from sklsh.metrics import precision_at_k
from sklsh.plotting import LearningCurveDisplay

data = load_wordnet()
model = SparseLSHMLPClassifier(early_stopping=True, max_iter=8, random_state=0)
model.fit(data.X_train, data.Y_train)
labels, scores = model.predict_topk(data.X_test, k=5)
for k in (1, 3, 5):
    print(f"P@{k} {precision_at_k(data.Y_test, labels, k=k):.3f}")

# %%
# The words of three test entries, what they point to, and what the model says.
for row in (77, 1234, 3000):
    words = data.feature_names[data.X_test[row].indices]
    print("words   ", ", ".join(words))
    print("true    ", ", ".join(data.label_names[data.Y_test[row].indices]))
    print("best 3  ", ", ".join(data.label_names[labels[row, :3]]), "\n")

# %%
# The loss of an epoch, and P@1 on held-out rows after it.
LearningCurveDisplay.from_estimator(model)

# %%
# Where the points are won
# ------------------------
# Labels by how often training has seen them. Half of the entries of the test set are labels that
# were seen fewer than four times, and there recall is low, whatever the rest of the model does:
# with k-NN scores of the nearest training rows (the default) or without (`n_neighbors=0`).
without = SparseLSHMLPClassifier(n_neighbors=0, random_state=0).fit(data.X_train, data.Y_train)
seen = np.bincount(data.Y_train.indices, minlength=data.Y_train.shape[1])
edges = np.array([1, 2, 4, 8, 16, 32, 64, 128, 10_000])
names = ["1", "2-3", "4-7", "8-15", "16-31", "32-63", "64-127", "128+"]
true = sp.coo_array(data.Y_test)
group = np.searchsorted(edges, seen[true.col], side="right") - 1


def recall_by_rarity(labels):
    """Share of the test set's entries that are among the five best, by rarity of the label."""
    found = (labels[true.row] == true.col[:, None]).any(axis=1)
    return np.bincount(group, found) / np.bincount(group)


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(np.arange(1, len(seen) + 1), np.sort(seen)[::-1], lw=2.5, color="#4269d0")
left.set(xlabel="label, by rank", ylabel="training rows with the label", title="a long tail")
places = np.arange(len(names))
right.bar(
    places, np.bincount(group) / len(group), color="0.88", width=0.95,
    label="share of the test entries",
)  # fmt: skip
curves = {
    "with k-NN scores": labels,
    "network alone": without.predict_topk(data.X_test)[0],
}
for (name, ranked), color in zip(curves.items(), ("#00798c", "#d1495b")):
    right.plot(places, recall_by_rarity(ranked), "o-", lw=2, color=color, label=name)
right.set_xticks(places, names)
right.set(xlabel="training rows with the label", ylabel="recall of the best five", ylim=(0, 1))
right.set(title="rare labels are the hard ones")
right.legend(frameon=False, loc="upper left")
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
plt.show()
