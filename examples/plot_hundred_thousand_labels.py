"""
A hundred thousand labels from text
===================================

Short texts, tf-idf, and a label for each of 100,000 things: what a shop has that files its
questions, or a library its notes. Labels are names here; the classifier wants their columns, as a
sparse matrix that is never made dense.
"""

# %%
# The texts
# ---------
# Each thing has a name of four words, and a text about it has three of them among others. A few
# things are asked for often and most hardly ever.
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from sklsh import SparseLSHMLPClassifier
from sklsh.metrics import precision_at_k
from sklsh.persistence import load_model, save_model

N_THINGS, N_TEXTS = 100_000, 30_000
rng = np.random.default_rng(0)
syllables = ["ba", "di", "ko", "lu", "me", "na", "po", "ri", "su", "te", "va", "zo"]
words = np.array(["".join(rng.choice(syllables, 4)) for _ in range(20_000)])
names = words[rng.integers(len(words), size=(N_THINGS, 4))]

asked = (N_THINGS * rng.random(N_TEXTS) ** 4).astype(int)
texts = [
    " ".join([*rng.choice(names[thing], 3, replace=False), *rng.choice(words[:300], 5)])
    for thing in asked
]
print(texts[0])
print("->", *names[asked[0]])

# %%
# Rows and labels
# ---------------
vectorizer = TfidfVectorizer(dtype=np.float32)
X = vectorizer.fit_transform(texts)
Y = sp.csr_matrix((np.ones(N_TEXTS), asked, np.arange(N_TEXTS + 1)), shape=(N_TEXTS, N_THINGS))
print(X.shape, Y.shape)

# %%
# Train and ask
# -------------
# Dense, Y alone would take 24 GB, and the network's answers to 2,000 texts 800 MB.
n_train = N_TEXTS - 2000
start = time.perf_counter()
model = SparseLSHMLPClassifier((128,), random_state=0).fit(X[:n_train], Y[:n_train])
labels, scores = model.predict_topk(X[n_train:], k=5)
print(f"{time.perf_counter() - start:.0f} s, {model.network_.nbytes / 1e6:.0f} MB of parameters")

known = np.isin(asked[n_train:], asked[:n_train])
found = precision_at_k(Y[n_train:][known], labels[known], k=1)
print(f"{known.mean():.0%} of the things asked for are known from training, {found:.0%} found")

# %%
# Keep it
# -------
# A folder whose arrays are mapped, not read: many processes answer from one copy.
with tempfile.TemporaryDirectory() as folder:
    save_model(model, Path(folder, "things"))
    again = load_model(Path(folder, "things"))
    answer = again.predict_topk(vectorizer.transform([texts[-1]]), k=3)[0][0]
for thing in answer:
    print(" ".join(names[thing]))

# %%
# How often a thing was asked for in training, and how often it is found:
counts = np.bincount(asked[:n_train], minlength=N_THINGS)[asked[n_train:]]
hits = labels[:, 0] == asked[n_train:]
steps = [1, 2, 3, 5, 10]
shares = [hits[counts == n].mean() if (counts == n).any() else np.nan for n in steps]
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.bar([str(n) for n in steps], shares)
axis.set(xlabel="texts about it in training", ylabel="P@1", ylim=(0, 1))
plt.show()
