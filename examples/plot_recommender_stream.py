"""
Recommend from a stream, day by day
===================================

Every day brings new users and new items. `LSHRecommender.partial_fit` learns a day's rows for
what these rows cost, and lets the item axis grow. Here the recall of the *next* day's users is
watched, each asked for the fifth of their items that is hidden; popularity, counted over the
same days, is the line to beat, and `fit` on all the days so far the one to come near.
"""

# %%
# A made-up shop: items belong to one of 60 tastes, popular ones and rare ones; a user follows
# two tastes. Each day 40 more items are on the shelves.
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp

from sklsh import LSHRecommender
from sklsh.metrics import recall_at_k

N_DAYS, N_USERS, N_TASTES = 14, 400, 60
rng = np.random.default_rng(0)
taste_of = rng.integers(0, N_TASTES, 1_000 + 40 * N_DAYS)
popularity_of = 1 / (1 + rng.permutation(taste_of.shape[0])) ** 0.6


def one_day(day):
    n_items = 1_000 + 40 * day
    rows = np.zeros((N_USERS, n_items), dtype=np.float32)
    for user in range(N_USERS):
        liked = np.isin(taste_of[:n_items], rng.integers(0, N_TASTES, 2))
        chances = np.where(liked, 1.0, 0.01) * popularity_of[:n_items]
        rows[user, rng.choice(n_items, 12, replace=False, p=chances / chances.sum())] = 1
    return sp.csr_array(rows)


days = [one_day(day) for day in range(N_DAYS)]

# %%
# Each day is first the test of what was learnt before, then a lesson. Items that are new on
# the day cannot be known; only the columns of the model are asked for.


def ask(model, day):
    """Recall@20 of the day's users for hidden items that the model may know."""
    n_known = model.n_features_in_
    rows = sp.csr_array(sp.csc_array(days[day])[:, :n_known])
    hide = np.random.default_rng(day).random(rows.nnz) < 0.2
    visible, hidden = rows.copy(), rows.copy()
    visible.data[hide], hidden.data[~hide] = 0, 0
    hidden.eliminate_zeros()
    asked = np.flatnonzero(np.diff(hidden.indptr))
    best, _ = model.predict_topk(visible, k=20)
    popular = np.argsort(-model.item_counts_, kind="stable")
    by_popularity = np.empty_like(best)
    for user in range(N_USERS):
        row = visible.indices[visible.indptr[user] : visible.indptr[user + 1]]
        seen = row[visible.data[visible.indptr[user] : visible.indptr[user + 1]] > 0]
        by_popularity[user] = popular[~np.isin(popular, seen)][:20]
    return (
        recall_at_k(hidden[asked], best[asked], 20),
        recall_at_k(hidden[asked], by_popularity[asked], 20),
    )


def all_until(day):
    n_items = days[day].shape[1]
    wide = [
        sp.csr_array((d.data, d.indices, d.indptr), (N_USERS, n_items)) for d in days[: day + 1]
    ]
    return sp.vstack(wide, format="csr")


stream = LSHRecommender((64,), random_state=0).partial_fit(days[0])
curve = []
for day in range(1, N_DAYS):
    curve.append(ask(stream, day))
    stream.partial_fit(days[day])

again = [1, 5, 9, N_DAYS - 1]
refitted = [
    ask(LSHRecommender((64,), random_state=0).fit(all_until(day - 1)), day)[0] for day in again
]

# %%
# The stream stays close to a fit on everything, which costs more every day.
recall, popular = np.transpose(curve)
print(f"last day: stream {recall[-1]:.3f}, refitted {refitted[-1]:.3f}, popular {popular[-1]:.3f}")
figure, axes = plt.subplots(figsize=(7, 4))
axes.plot(range(1, N_DAYS), recall, marker="o", label="partial_fit day by day")
axes.plot(again, refitted, "s", label="fit on all days so far")
axes.plot(range(1, N_DAYS), popular, color="grey", label="popularity")
axes.set(xlabel="day", ylabel="Recall@20 of the day's users", ylim=(0, None))
axes.legend()
plt.show()
