"""Sets of users and items: folders of matrices, a file of ratings, and others made of these.

    load(folder_of_sets, name) -> train, test

- a folder with train.npz, test.npz and valid.npz, which joins the training part;
- ``NAME:time`` and ``NAME:liked`` of a file of ratings (MovieLens-100k's u.data, or RecBole's
  ml-100k.inter): each user's last fifth is for testing, of all ratings or of those of 4 and 5;
  plain ``NAME``: a random fifth of all;
- ``NAME:labels`` of a folder of a multilabel set: rows are users, labels their items, a random
  fifth for testing (few items or many, many users);
- ``NAME:head``: the 2,000 items with the most users, users with five of them and more;
- ``NAME:turned``: items are users and users items.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

TEST, HEAD, LEAST, LIKED = 0.2, 2_000, 5, 4


def load(data: Path, name: str) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    base, _, kind = name.partition(":")
    path = data / base
    if path.is_file():
        return ratings(path, kind)
    if kind == "labels":
        parts = [sp.load_npz(path / f"Y_{part}.npz").tocsr() for part in ("train", "test")]
        pairs = sp.vstack(parts).tocoo()
        return split(pairs.row, pairs.col, random_part(pairs.nnz))
    train, test = folder(path)
    if kind == "turned":
        train, test = train.T.tocsr(), test.T.tocsr()
    elif kind == "head":
        items = np.sort(np.argsort(-np.bincount(train.indices), kind="stable")[:HEAD])
        train, test = train[:, items], test[:, items]
        users = np.diff(train.indptr) >= LEAST
        train, test = train[users], test[users]
    elif kind:
        raise ValueError(f"no kind {kind!r} of a folder")
    return train, test


def folder(path: Path):
    train = sp.csr_matrix(sp.load_npz(path / "train.npz"))
    if (path / "valid.npz").exists():
        train = train + sp.csr_matrix(sp.load_npz(path / "valid.npz"))
    train = sp.csr_matrix(train, dtype=np.float32)
    train.data[:] = 1
    return train, sp.csr_matrix(sp.load_npz(path / "test.npz"))


def ratings(path: Path, kind: str):
    with path.open() as file:
        header = 0 if file.readline().split()[0].isdigit() else 1
    table = np.loadtxt(path, usecols=(0, 1, 2, 3), skiprows=header)
    if kind == "liked":
        table = table[table[:, 2] >= LIKED]
    users, items = (np.unique(column, return_inverse=True)[1] for column in table[:, :2].T)
    if not kind:
        return split(users, items, random_part(len(users)))
    if kind not in ("time", "liked"):
        raise ValueError(f"no kind {kind!r} of a file of ratings")
    order = np.lexsort((table[:, 3], users))
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    late = np.zeros(len(users), dtype=bool)
    late[order] = place + 1 > (1 - TEST) * counts[users[order]]
    return split(users, items, late)


def random_part(n: int) -> np.ndarray:
    return np.random.default_rng(0).random(n) < TEST


def split(users, items, is_test):
    shape = users.max() + 1, items.max() + 1
    return [
        sp.csr_matrix((np.ones(part.sum(), dtype=np.float32), (users[part], items[part])), shape)
        for part in (~is_test, is_test)
    ]
