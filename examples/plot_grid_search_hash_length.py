"""
Grid search over the hash length
================================

One-hot hash codes are features: two rows have as many in common as tables in which they
collide, so that a linear model on them is a kernel machine with the collision probability as
its kernel. Which hash length is best depends on the data and on the number of tables: long codes
tell much apart but rarely repeat, short ones repeat but say little. The hasher is a
transformer like any other, and `GridSearchCV` finds out.
"""

# %%
# Codes are of directions from the origin, so the features are centred first.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklsh import CompressedLSHHasher

X, y = load_digits(return_X_y=True)
pipeline = make_pipeline(
    StandardScaler(with_std=False),
    CompressedLSHHasher(sketch_dim=32, random_state=0),
    RidgeClassifier(alpha=5.0),
)
grid = {
    "compressedlshhasher__hash_length": [1, 2, 4, 6, 8, 10, 12],
    "compressedlshhasher__n_tables": [8, 32, 128],
}
search = GridSearchCV(pipeline, grid, cv=5).fit(X, y)
print(search.best_params_, f"{search.best_score_:.3f}")

# %%
# The same linear model on the plain features is the line to beat.
plain = GridSearchCV(make_pipeline(StandardScaler(with_std=False), RidgeClassifier()), {}, cv=5)
plain = plain.fit(X, y).best_score_

lengths, tables = grid.values()
results = search.cv_results_
shape = (len(lengths), len(tables))
mean = results["mean_test_score"].reshape(shape)
error = results["std_test_score"].reshape(shape) / np.sqrt(5)
seconds = (results["mean_fit_time"] + results["mean_score_time"]).reshape(shape)
figure, (axes, times) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for i, n_tables in enumerate(tables):
    color = plt.cm.viridis(0.15 + 0.3 * i)
    axes.fill_between(
        lengths, mean[:, i] - error[:, i], mean[:, i] + error[:, i], color=color, alpha=0.2, lw=0
    )
    axes.plot(lengths, mean[:, i], "o-", color=color, lw=2, label=f"{n_tables} tables")
    times.plot(lengths, seconds[:, i], "o-", color=color, lw=2)
axes.axhline(plain, color="0.5", ls="--", lw=1)
axes.annotate(
    "plain features", (12, plain), (0, 4), textcoords="offset points", ha="right", color="0.4"
)
best = search.best_params_
star = {"ms": 17, "color": "#efb118", "mec": "black", "mew": 0.6, "label": "best", "zorder": 4}
axes.plot(best["compressedlshhasher__hash_length"], search.best_score_, "*", **star)
axes.set(ylabel="accuracy, 5-fold")
times.set(ylabel="seconds of fit and score, a fold", yscale="log")
for part in (axes, times):
    part.set(xlabel="hash_length (bits of one code)", xticks=lengths)
    part.spines[["top", "right"]].set_visible(False)
    part.grid(alpha=0.3)
axes.legend(frameon=False, loc="lower center")
plt.show()

# %%
# The same search over `SparseLSHMLPClassifier(hash_length=...)` with its other defaults would
# find nothing, and the classifier says so: up to 100,000 labels it computes negatives without
# tables. With ``sampler="lsh"`` or ``prediction="lsh"`` it hashes, and the length matters.
