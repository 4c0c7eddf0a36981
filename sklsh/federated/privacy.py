"""Differential privacy of devices: clipped changes, Gaussian noise, and what epsilon it buys.

A device's whole update is scaled to length `clip_norm` at most. The server sums the updates,
adds Gaussian noise of standard deviation ``noise_multiplier * clip_norm`` to *every*
parameter (noise on touched rows alone would show which were touched) and divides by the
expected number of devices, a constant. Each device is invited with probability `fraction`,
on its own. Whoever sees the models of all rounds then learns of one device's data no more
than (epsilon, delta) allows: neighbours are a federation and the same one in which one device
answers nothing. Nothing else of these rounds is kept (`sklsh.federated.rounds.released`). The
server itself is trusted: it sees requests and updates.

The promise hangs on noise and invitations that nobody can redo: see `private_generator`. They
are numpy's, floating-point and no cryptographer's.

References
----------
M. Abadi et al. "Deep learning with differential privacy", CCS 2016; H. B. McMahan et al.
"Learning differentially private recurrent language models", ICLR 2018.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from numbers import Integral

import numpy as np

from sklsh.federated.messages import Update, bodies_of
from sklsh.federated.parts import HeadPart
from sklsh.network.model import WideNetwork

BLOCK = 4096
"""Rows that noise is drawn for at a time."""


def private_generator(random_state, number: int) -> np.random.Generator:
    """Draws who is invited to round `number`, and its noise.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An integer: the same draws each time, from a hash of it, so that no seed that travels
        says more of them than of the integer itself. Anything else: the operating system's
        randomness, kept nowhere.
    number : int
    """
    if not isinstance(random_state, Integral):
        return np.random.default_rng(secrets.randbits(128))
    text = f"{int(random_state)} {number}".encode()
    digest = blake2b(text, digest_size=16, person=b"sklsh noise").digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def norm_of(update: Update) -> float:
    """Euclidean length of everything that an update moves."""
    squares = (np.square(a, dtype=np.float64).sum() for a in update.changes().values())
    return float(np.sqrt(sum(squares)))


def clipped(update: Update, clip_norm: float) -> Update:
    """The update, scaled down to length `clip_norm` if it is longer."""
    scale = np.float32(min(1.0, clip_norm / max(norm_of(update), 1e-30)))
    if scale == 1.0:
        return update

    def scaled(array):
        return array.astype(np.float32) * scale

    head: HeadPart = update.head
    head = replace(head, weights=scaled(head.weights), bias=scaled(head.bias))
    body = update.body
    if body is not None:
        body = replace(body, rows=scaled(body.rows), dense=tuple(map(scaled, body.dense)))
    return replace(update, head=head, body=body)


def private_change(
    network: WideNetwork, updates: list[Update], plan, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The change of every array that travels, head first: noisy sum / expected devices.

    Parameters
    ----------
    plan : Plan
        Its `clip_norm`, `noise_multiplier` and `expected_devices`.

    Notes
    -----
    O(size of the model) a round, on the server alone: noise is not sent.
    """
    updates = [clipped(update, plan.clip_norm) for update in updates]
    deviation = np.float32(plan.noise_multiplier * plan.clip_norm)
    heads = [update.head for update in updates]
    targets: list[tuple[np.ndarray, list[tuple]]] = [
        (network.head_weights, [(h.ids, h.weights) for h in heads]),
        (network.head_bias, [(h.ids, h.bias) for h in heads]),
    ]
    if plan.with_body:
        bodies = bodies_of(updates)
        targets.append((network.body_weights[0], [(b.features, b.rows) for b in bodies]))
        dense = [*network.body_weights[1:], *network.body_biases]
        targets += [
            (array, [(slice(None), b.dense[i]) for b in bodies]) for i, array in enumerate(dense)
        ]
    for array, parts in targets:
        total = np.zeros_like(array)
        for rows, change in parts:
            total[rows] += change
        for start in range(0, array.shape[0], BLOCK):
            block = total[start : start + BLOCK]
            block += deviation * rng.standard_normal(block.shape, dtype=np.float32)
        total /= np.float32(plan.expected_devices)
        yield total


def epsilon_spent(rounds: Sequence[Sequence[float]], delta: float) -> float:
    """Epsilon of some rounds, by the Renyi accountant of dp-accounting.

    Parameters
    ----------
    rounds : sequence of (float, float)
        Of each round `noise_multiplier` and `fraction`, the probability that a device was
        invited.
    delta : float

    Returns
    -------
    float
        Infinity, if a round had no noise.

    Raises
    ------
    ImportError
        Without the package dp-accounting (``pip install sklsh[dp]``).
    """
    kinds = Counter((noise_multiplier, fraction) for noise_multiplier, fraction in rounds)
    if any(noise_multiplier == 0 for noise_multiplier, _ in kinds):
        return float("inf")
    try:
        import dp_accounting
        from dp_accounting.rdp import RdpAccountant
    except ImportError as error:
        raise ImportError(
            "noise_multiplier > 0 needs dp-accounting: pip install sklsh[dp]"
        ) from error
    accountant = RdpAccountant()
    for (noise_multiplier, fraction), count in kinds.items():
        event = dp_accounting.GaussianDpEvent(noise_multiplier)
        if fraction < 1:
            event = dp_accounting.PoissonSampledDpEvent(fraction, event)
        accountant.compose(event, count)
    return float(accountant.get_epsilon(delta))
