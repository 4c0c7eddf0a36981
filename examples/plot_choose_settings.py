"""
Settings by measured curves
===========================

What do `hash_length`, `n_tables`, `sketch_dim`, `fold` and `n_active` buy? Measured on the
bundled WordNet set (12,607 labels), as you would on your own: the guide *Choose your settings*
says how to read the curves.
"""

# %%
# Find neurons by hashing
# -----------------------
# A network is trained; its neurons are hashed as `sampler="lsh"` does it, and 300 test rows look
# theirs up. How many of a row's ten best neurons are among the 500 that collide most?
import matplotlib.pyplot as plt
import numpy as np

from sklsh import SparseLSHMLPClassifier
from sklsh.datasets import load_wordnet
from sklsh.hashing import make_family
from sklsh.metrics import precision_at_k
from sklsh.network.lsh import LSHCandidates

WIDTH, N_CANDIDATES, N_BEST = 128, 500, 10
data = load_wordnet()
model = SparseLSHMLPClassifier((WIDTH,), n_neighbors=0, random_state=0)
model.fit(data.X_train, data.Y_train)
network = model.network_
hidden = np.maximum(data.X_test @ model.coefs_[0] + model.intercepts_[0], 0)
queries = hidden[:300]
logits = queries @ network.head_weights.T + network.head_bias
best = np.argpartition(-logits, N_BEST, axis=1)[:, :N_BEST]
n_draws = 2


def recall_and_cost(family, **settings):
    """Mean over draws: share of the best neurons named; neurons in a row's buckets."""
    recalls, costs = [], []
    for seed in range(n_draws):
        source = LSHCandidates(make_family(family, **settings), N_CANDIDATES, 1, seed)
        source.build(network, hidden)
        indptr, ids, _ = source.query(queries)
        named = [np.isin(b, ids[indptr[i] : indptr[i + 1]]).mean() for i, b in enumerate(best)]
        recalls.append(np.mean(named))
        costs.append(source.tables.stats()["candidates_per_query"].sum())
    return np.mean(recalls), np.mean(costs)


lengths, tables, widths = (2, 4, 6, 8, 10), (4, 16, 64), (4, 8, 16, 32, 64, 128)
by_tables = {
    L: np.array(
        [recall_and_cost("pghash", n_tables=L, hash_length=k, sketch_dim=32) for k in lengths]
    )
    for L in tables
}
by_fold = {
    fold: [
        recall_and_cost("pghash", n_tables=16, hash_length=6, sketch_dim=c, fold=fold)[0]
        for c in widths
    ]
    for fold in ("signed", "periodic")
}
full, _ = recall_and_cost("simhash", n_tables=16, hash_length=6)
chance = N_CANDIDATES / network.n_observed

# %%
# Left: each point is a hash length. Longer codes are cheaper to look up and name fewer of the
# best neurons; tables buy recall back, at their price. Right: the narrower the sketch, the less
# there is to send and to hash, and the less it tells apart.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
for i, (n_tables, points) in enumerate(by_tables.items()):
    color = plt.cm.viridis(0.15 + 0.3 * i)
    left.plot(points[:, 1], points[:, 0], "o-", color=color, lw=2, label=f"{n_tables} tables")
    for k, (recall, cost) in zip(lengths, points, strict=True):
        left.annotate(
            f"k={k}", (cost, recall), (0, 7), textcoords="offset points", ha="center",
            fontsize="x-small", color="0.35",
        )  # fmt: skip
left.set(xscale="log", xlabel="neurons in a row's buckets, all tables (cost of a look-up)")
left.set(ylabel="ten best neurons among 500 candidates", ylim=(0, None), title="k and L (c = 32)")
for (fold, recalls), color in zip(by_fold.items(), ("#00798c", "#d1495b"), strict=True):
    right.plot(widths, recalls, "o-", color=color, lw=2, label=f"{fold} fold")
right.axhline(full, color="0.35", ls="--", lw=1.2, label="no fold (SimHash)")
right.set(xlabel="sketch_dim c, of 129", title="c and the fold (k = 6, L = 16)")
right.set_xscale("log", base=2)
right.set_xticks(widths, widths)
for axes in (left, right):
    axes.axhline(
        chance, color="0.6", ls=":", lw=1.2, label="500 random neurons" if axes is right else None
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
left.legend(frameon=False, fontsize="small", loc="upper left")
right.legend(frameon=False, fontsize="small", loc="center right", bbox_to_anchor=(1, 0.3))

# %%
# Train with few active neurons
# -----------------------------
# The network alone, means of two seeds (one differs from another by some .005). A batch's own
# labels, some 200 neurons here, are active anyway.
budgets, seeds = (16, 64, 256, 1024), range(2)
quality: dict[str, list[float]] = {"uniform": [], "random": [], "lsh": []}


def precision(sampler, n_active):
    scores = []
    for seed in seeds:
        model = SparseLSHMLPClassifier(
            (64,), sampler=sampler, n_active=n_active, n_neighbors=0, random_state=seed
        ).fit(data.X_train, data.Y_train)
        labels, _ = model.predict_topk(data.X_test, k=1)
        scores.append(precision_at_k(data.Y_test, labels, k=1))
    return np.mean(scores)


for sampler, curve in quality.items():
    curve.extend(precision(sampler, n_active) for n_active in budgets)
labels_only = precision("labels", "auto")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for (sampler, curve), color in zip(quality.items(), ("#4269d0", "#efb118", "#00798c"), strict=True):
    axes.plot(budgets, curve, "o-", lw=2, color=color, label=f'"{sampler}"')
axes.axhline(labels_only, color="0.35", ls="--", lw=1.2, label='"labels": none')
axes.set(xscale="log", xlabel="n_active", ylabel="P@1 on test rows")
axes.set_xticks(budgets, budgets)
axes.minorticks_off()
axes.spines[["top", "right"]].set_visible(False)
axes.grid(alpha=0.3)
axes.legend(title="sampler", frameon=False, loc="upper left")
plt.show()
for name, curve in {**quality, "labels": [labels_only]}.items():
    print(f"{name:8s} P@1", *(f"{precision:.3f}" for precision in curve))
for n_tables, points in by_tables.items():
    print(f"{n_tables:3d} tables, recall (cost):", *(f"{r:.2f} ({cost:.0f})" for r, cost in points))
for fold, recalls in {**by_fold, "no": [full]}.items():
    print(f"{fold:8s} fold, recall", *(f"{recall:.2f}" for recall in recalls))
