"""
How angle becomes a chance to collide
=====================================

Two vectors get the same code by chance, and the smaller the angle between them, the likelier.
That chance is what hash tables offer instead of a distance. Here it is counted on random pairs
(points, with two standard errors) and held against theory (curves).
"""

# %%
# **One code.** A bit of SimHash is the side of a random plane: of two vectors at an angle, both
# lie on the same side with probability 1 - angle / 180°, and k bits are equal with the k-th
# power. PGHash hashes a sketch of c of the 128 columns; angles of sketches scatter about the true
# one, with c = 8 more than with c = 32, and the scatter makes *distant* pairs collide more often:
# look at 90°, where most pairs of rows are. DWTA compares which of eight coordinates wins, twice.
#
# **Several tables.** A pair that has L chances is found with 1 - (1 - p^k)^L: longer codes and
# more tables turn the gentle slope into a step. Where it falls is the choice of k and L; that it
# costs L look-ups, the price.
import matplotlib.pyplot as plt
import numpy as np

from sklsh import CompressedLSHHasher
from sklsh.plotting import CollisionDisplay

X = np.eye(128)  # only the number of features matters here


def hasher(family, **settings):
    return CompressedLSHHasher(family, random_state=0, **settings).fit(X)


one_code = {
    "SimHash, k=8": hasher("simhash", n_tables=64, hash_length=8),
    "PGHash, k=8, c=32": hasher("pghash", n_tables=64, hash_length=8, sketch_dim=32),
    "PGHash, k=8, c=8": hasher("pghash", n_tables=64, hash_length=8, sketch_dim=8),
    "DWTA, k=2 winners of 8": hasher("dwta", n_tables=64, hash_length=2),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, fitted in one_code.items():
    CollisionDisplay.from_estimator(fitted, name=name, n_angles=11, n_pairs=1000, ax=left)
left.set(yscale="log", ylim=(3e-4, 1.3), xlim=(0, 125), title="equal codes in one table")
left.legend(frameon=False, loc="lower left")

for k, n_tables in ((1, 1), (4, 4), (8, 32), (12, 256)):
    fitted = hasher("simhash", n_tables=n_tables, hash_length=k)
    CollisionDisplay.from_estimator(
        fitted, any_table=True, name=f"k={k}, L={n_tables}", n_angles=23, ax=right
    )
right.set(title="equal codes in any of L tables (SimHash)", ylabel=None)
plt.show()
