"""Nearest centroids and Lloyd's algorithm, on blocks of coordinates."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sklsh.hashing._blocks import run_rows
from sklsh.kernels.codes import nearest_centroids

ROW_BLOCK = 4096


def nearest(rows, columns: list[tuple[int, int]], centroids, n_jobs=1) -> np.ndarray:
    """Which centroid of each block of columns is nearest, ``(n, len(columns))`` uint8.

    ``centroids[s]`` is of shape (n_centroids <= 256, width of the block).
    O(n * n_centroids * width of all blocks).
    """
    padded, halves = [], []
    for block in centroids:
        wide = np.zeros((block.shape[0], -(-block.shape[1] // 8) * 8), dtype=np.float32)
        wide[:, : block.shape[1]] = block
        padded.append(wide)
        halves.append(np.einsum("ij,ij->i", wide, wide) / np.float32(2))
    out = np.empty((rows.shape[0], len(columns)), dtype=np.uint8)

    def task(start, stop):
        for s, (first, last) in enumerate(columns):
            nearest_centroids(rows, first, last, padded[s], halves[s], out, s, start, stop)

    run_rows(task, rows.shape[0], ROW_BLOCK, n_jobs)
    return out


def moved(rows, codes, centroids) -> np.ndarray:
    """Lloyd's step of one block: each centroid the mean of its rows; without any, a row.

    The rows that stand in are taken from the largest clusters, one of each.
    """
    k, n = centroids.shape[0], rows.shape[0]
    ones = np.ones(n, dtype=np.float32)
    members = sp.csr_array((ones, (codes, np.arange(n))), shape=(k, n))
    counts = np.bincount(codes, minlength=k)
    means = (members @ rows) / np.maximum(counts, 1)[:, None].astype(np.float32)
    empty = np.flatnonzero(counts == 0)
    if empty.size:
        largest = np.argsort(-counts, kind="stable")[: empty.size]
        order = np.argsort(codes, kind="stable")
        last = np.cumsum(counts)[largest] - 1
        means[empty] = rows[order[last]]
    return means.astype(np.float32)
