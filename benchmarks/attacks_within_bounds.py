"""Hostile devices that know the defence and stay just inside what it allows.

As in attacks.py: functions of the truthful replies of all devices. Used by bench_attacks.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from attacks import (
    TARGET,
    Attack,
    Seen,
    all_prototypes,
    both,
    flip_to_bound,
    push_up,
    turned_to_median,
    with_arrays,
)

from sklsh.federated import Device
from sklsh.federated.agreement import common_direction
from sklsh.federated.limits import LONGEST, high, rises, row_lengths
from sklsh.federated.messages import Prototypes, Select, Update
from sklsh.network.rows import SparseRows

JUST = 0.99
"""Of a bound."""


def limits(seen: Seen):
    """Of the others' updates: the direction that all hidden vectors have in common, how far along
    it (and by its bias) a neuron may be raised, and how long its change may be."""
    direction = common_direction(seen.others)
    found = [rises(update, direction) for update in seen.others]
    up, bias = (
        JUST * LONGEST * float(np.median([high(part) for part in parts]))
        for parts in zip(*found, strict=True)
    )
    lengths = [high(row_lengths(update.head.weights)) for update in seen.others]
    return direction, up, bias, JUST * LONGEST * float(np.median(lengths))


def raise_labels(pick, *, sideways: bool = False, sign: float = 1.0) -> Attack:
    """Some labels as far up (or down) as is allowed; all else as an honest device.

    Parameters
    ----------
    pick : callable
        ``pick(seen) -> ids``.
    sideways : bool
        The rest of a row's length in one more direction: up still further for half of all rows.
    """

    def attack(reply, seen):
        if isinstance(reply, Select):
            return replace(reply, ids=np.union1d(reply.ids, pick(seen)).astype(np.int32))
        if not isinstance(reply, Update):
            return reply
        direction, up, up_bias, longest = limits(seen)
        ids = reply.head.ids
        places = np.flatnonzero(np.isin(ids, pick(seen)))
        weights = reply.head.weights.astype(np.float32)
        bias = reply.head.bias.astype(np.float32)
        weights[places] = sign * up * direction
        if sideways:
            other = np.random.default_rng(0).standard_normal(direction.shape[0])
            other -= (other @ direction) * direction
            rest = np.sqrt(max(longest**2 - up**2, 0.0))
            weights[places] += (rest * other / np.linalg.norm(other)).astype(np.float32)
        bias[places] = sign * up_bias
        head = replace(
            reply.head, weights=weights.astype(reply.head.weights.dtype),
            bias=bias.astype(reply.head.bias.dtype),
        )  # fmt: skip
        return replace(reply, head=head)

    return attack


def one(seen):
    return [TARGET]


def frequent(seen):
    return [seen.frequent]


def many(seen):
    """64 labels, the same from all that are hostile and in all rounds."""
    return np.arange(0, seen.n_labels, max(1, seen.n_labels // 64))


def every_other_round(attack: Attack) -> Attack:
    def alternating(reply, seen):
        return attack(reply, seen) if seen.round % 2 else reply

    return alternating


def in_turn(attack: Attack) -> Attack:
    """One of two hostile devices each round, the other honest."""

    def alternating(reply, seen):
        return attack(reply, seen) if (seen.round + reply.device) % 2 else reply

    return alternating


def body_turned(reply, seen):
    """An honest head on a first layer that is turned round."""
    if not isinstance(reply, Update) or reply.body is None:
        return reply
    return replace(reply, body=replace(
        reply.body, rows=-reply.body.rows, dense=tuple(-a for a in reply.body.dense)
    ))  # fmt: skip


def unshared_rows_exchanged(reply, seen):
    """Of neurons that no other device has, each gets another's change: nobody can compare."""
    if not isinstance(reply, Update):
        return reply
    known = np.zeros(seen.n_labels, bool)
    for other in seen.others:
        known[other.head.ids] = True
    alone = np.flatnonzero(~known[reply.head.ids])
    weights = reply.head.weights.copy()
    weights[alone] = 1.9 * weights[np.roll(alone, 1)]
    return replace(reply, head=replace(reply.head, weights=weights))


def half_noise(reply, seen):
    """Half of an honest change, and noise as long: agrees as well as it must."""
    if not isinstance(reply, Update):
        return reply
    out = []
    for array in _arrays(reply):
        noise = seen.rng.standard_normal(array.shape)
        length = np.linalg.norm(array.astype(np.float64)) / max(np.linalg.norm(noise), 1e-30)
        out.append(0.5 * array + 1.7 * length * noise)
    return with_arrays(reply, out)


def _arrays(update):
    body = [] if update.body is None else [update.body.rows, *update.body.dense]
    return [update.head.weights, update.head.bias, *body]


def start_and_rounds(reply, seen):
    """One label's prototype along what all rows have in common, then up in each round."""
    if isinstance(reply, Prototypes):
        ids = np.union1d(reply.ids, [TARGET]).astype(np.int32)
        sums = np.zeros((ids.shape[0], reply.sums.shape[1]), np.float32)
        sums[np.searchsorted(ids, reply.ids)] = reply.sums
        sums[np.searchsorted(ids, TARGET)] = 1e3 * np.ones(sums.shape[1], np.float32)
        return replace(reply, n_samples=10**6, ids=ids, sums=sums.astype(reply.sums.dtype))
    return raise_labels(one, sideways=True)(reply, seen)


def some_labels_exchanged(share: float):
    """Trains on rows of which a share has others' labels: less to be noticed than all."""

    def spoil(device: Device) -> Device:
        Y = device.Y
        owner = np.repeat(np.arange(Y.n_rows), np.diff(Y.indptr))
        wrong = np.random.default_rng(0).random(Y.n_rows)[owner] < share
        ids = np.where(wrong, device.n_labels - 1 - Y.indices, Y.indices).astype(np.int32)
        order = np.lexsort((ids, owner))
        return replace(device, Y=SparseRows(Y.indptr, ids[order], Y.data[order]))

    return spoil


def honest(reply, seen):
    return reply


WITHIN: dict = {
    "one label up, just inside": (raise_labels(one), None),
    "one label up, just inside, and sideways": (raise_labels(one, sideways=True), None),
    "the most frequent label up, just inside": (raise_labels(frequent, sideways=True), None),
    "the most frequent label down, just inside": (raise_labels(frequent, sign=-1.0), None),
    "64 labels up, just inside": (raise_labels(many, sideways=True), None),
    "start and rounds: one label up": (start_and_rounds, None),
    "start and rounds: all prototypes, label up": (
        both(all_prototypes(), push_up("batches")), None
    ),
    "first layer turned, head honest": (body_turned, None),
    "neurons of no other exchanged": (unshared_rows_exchanged, None),
    "half honest, half noise": (half_noise, None),
    "half of the labels flipped": (honest, some_labels_exchanged(0.5)),
    "every other round: sign flip, to the bound": (
        every_other_round(flip_to_bound("batches")), None
    ),
    "in turn: sign flip, 2 medians long": (in_turn(turned_to_median(2.0)), None),
    "in turn: one label up, just inside": (in_turn(raise_labels(one, sideways=True)), None),
}  # fmt: skip
"""As `attacks.ATTACKS`."""
