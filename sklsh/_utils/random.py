"""Stateless draws: a number is a function of (seed, stream, position), on every machine.

The mixer is the one of `sklsh.kernels.counter`, written on whole arrays. Nothing depends on
numpy's generators, whose streams may change between versions: a server and its devices
must draw the same base projection from the same seed.
"""

from __future__ import annotations

import numpy as np

REDRAW = 7919
"""Stride of hash functions and folds that are drawn anew after so many steps or rounds."""

PASS = 1_000_003
"""Stride of learners' seeds, each of which numbers its passes over the rows from there."""

TREE, NODE = 1 << 32, 1 << 8
"""Strides of a label tree's order, and of the nodes of its levels."""

_STREAM, _DRAW = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


def random_bits(seed: int, stream: int, n: int) -> np.ndarray:
    """`n` independent 64-bit words of one stream, ``(n,)`` uint64."""
    start = np.array([int(seed) % 2**64], dtype=np.uint64)
    start = start + np.array([int(stream) % 2**64], dtype=np.uint64) * _STREAM
    return mixed(start + np.arange(n, dtype=np.uint64) * _DRAW)


def mixed(z: np.ndarray) -> np.ndarray:
    """Words whose bits each depend on all bits of one of `z`, uint64 (splitmix64's finaliser)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def child_seed(seed: int, tag: int) -> int:
    """A seed whose streams have nothing to do with those of `seed`; 63 bits."""
    return int(random_bits(seed, ~tag, 1)[0] >> np.uint64(1))


def nth_seed(seed: int, n: int, stride: int = 1) -> int:
    """Seed of the `n`-th in a series of draws, from 0, whose own draws take up to `stride` seeds.

    Adding is enough, as whatever takes a seed mixes its bits; two series from one seed need
    different strides (`REDRAW`, `TREE`, `NODE`), or readers that mix differently.
    """
    return seed + stride * n


def random_signs(seed: int, stream: int, n: int) -> np.ndarray:
    """`n` fair signs, float32."""
    bits = random_bits(seed, stream, n) >> np.uint64(63)
    return np.where(bits == 0, np.float32(1.0), np.float32(-1.0))


def random_permutation(seed: int, stream: int, n: int) -> np.ndarray:
    """A uniform permutation of ``range(n)``, int64. O(n log n)."""
    return np.argsort(random_bits(seed, stream, n), kind="stable")


def random_normal(seed: int, stream: int, n: int) -> np.ndarray:
    """`n` standard normal numbers, float64 (Box-Muller)."""
    half = (n + 1) // 2
    uniform = ((random_bits(seed, stream, 2 * half) >> np.uint64(11)) + 0.5) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform[:half]))
    angle = 2.0 * np.pi * uniform[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]
