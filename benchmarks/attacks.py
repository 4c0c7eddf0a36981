"""Hostile devices of a federation: what they answer in the place of the truth.

Each attack is a function of the truthful replies of *all* devices (an attacker who knows
everything) that returns those of a hostile one; `Hostile` is a transport that lets them in.
Used by bench_attacks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sklsh.federated import Device, JoblibTransport
from sklsh.federated.messages import (
    ClientStatistics,
    Counts,
    HiddenMean,
    Prototypes,
    Request,
    Select,
    Update,
)
from sklsh.network.rows import SparseRows

TARGET = 7
"""The label that is pushed up."""

MANY = 10**9
"""Rows that a liar says it has."""

LOG_GROWTH = 1 + np.log(1e6 / 1e-10)
"""Of the optimizer's bound on a row's change: see `sklsh.federated.norm_bound`."""


@dataclass(frozen=True)
class Seen:
    """What an attacker knows while it answers."""

    rate: float
    """Learning rate of the round; 0 before the first."""
    batch_size: int
    n_labels: int
    others: list
    """Truthful replies of the devices that are not hostile, to the same question."""
    rng: np.random.Generator
    """The same for all that are hostile: they act together."""
    round: int = -1
    frequent: int = 0
    """The label that most rows have."""


Attack = Callable[[object, Seen], object]


# Parts of updates -----------------------------------------------------------------------------


def arrays_of(update: Update) -> list[np.ndarray]:
    """What moves parameters."""
    body = [] if update.body is None else [update.body.rows, *update.body.dense]
    return [update.head.weights, update.head.bias, *body]


def with_arrays(update: Update, arrays) -> Update:
    """The update with other changes, in the wire's types."""
    cast = [np.asarray(new).astype(old.dtype) for new, old in zip(arrays, arrays_of(update))]
    head = replace(update.head, weights=cast[0], bias=cast[1])
    body = update.body
    if body is not None:
        body = replace(body, rows=cast[2], dense=tuple(cast[3:]))
    return replace(update, head=head, body=body)


def scaled(update: Update, factor: float) -> Update:
    with np.errstate(over="ignore"):
        return with_arrays(update, [a.astype(np.float32) * factor for a in arrays_of(update)])


def norm(update: Update) -> float:
    return float(np.sqrt(sum(np.square(a, dtype=np.float64).sum() for a in arrays_of(update))))


def to_bound(update: Update, longest: float, sign: float = -1.0) -> Update:
    """Every row turned round and as long as `longest` an entry, root mean square, allows."""
    out = []
    for array in arrays_of(update):
        rows = array.reshape(array.shape[0], -1).astype(np.float32)
        lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        limit = 0.99 * longest * np.sqrt(rows.shape[1])
        turned = sign * rows / np.where(lengths > 0, lengths, 1) * limit
        out.append(np.clip(turned, -6e4, 6e4).reshape(array.shape))
    return with_arrays(update, out)


def n_batches(update: Update, seen: Seen) -> int:
    return -(-update.n_samples // seen.batch_size)


# Attacks --------------------------------------------------------------------------------------


def silent(reply, seen):
    return None


def sign_flip(factor: float = 1.0, n_samples: int | None = None) -> Attack:
    def attack(reply, seen):
        if not isinstance(reply, Update):
            return reply
        return scaled(claiming(reply, n_samples), -factor)

    return attack


def claiming(reply, n_samples: int | None):
    return reply if n_samples is None else replace(reply, n_samples=n_samples)


def flip_to_bound(counted_in: str, n_samples: int | None = None) -> Attack:
    """As far as the optimizer's bound allows that many steps: one a batch, or one a row."""

    def attack(reply, seen):
        if not isinstance(reply, Update):
            return reply
        steps = reply.n_samples if counted_in == "rows" else n_batches(reply, seen)
        longest = seen.rate * np.sqrt(steps * LOG_GROWTH)
        return to_bound(claiming(reply, n_samples), longest)

    return attack


def turned_to_median(factor: float) -> Attack:
    """Turned round, as long as so many medians of the honest."""

    def attack(reply, seen):
        if not isinstance(reply, Update):
            return reply
        typical = np.median([norm(other) for other in seen.others])
        return scaled(reply, -factor * typical / max(norm(reply), 1e-30))

    return attack


def noise_to_median(factor: float) -> Attack:
    """Noise as long as so many medians of the honest, the same from all hostile ones."""

    def attack(reply, seen):
        if not isinstance(reply, Update):
            return reply
        noise = [seen.rng.standard_normal(a.shape) for a in arrays_of(reply)]
        out = with_arrays(reply, noise)
        typical = np.median([norm(other) for other in seen.others])
        return with_arrays(reply, [factor * typical / norm(out) * a for a in noise])

    return attack


def against_the_mean(factor: float) -> Attack:
    """The honest devices' mean change of each row, turned round (inner product manipulation)."""

    def attack(reply, seen):
        if not isinstance(reply, Update):
            return reply
        parts = [_as_rows(update) for update in seen.others]
        out = []
        for i, (ids, rows) in enumerate(_as_rows(reply)):
            total = np.zeros(rows.shape, np.float32)
            count = np.zeros(rows.shape[0], np.float32)
            for part in parts:
                theirs, change = part[i]
                _, mine, there = np.intersect1d(ids, theirs, True, return_indices=True)
                total[mine] += change[there]
                count[mine] += 1
            shape = (-1, *[1] * (rows.ndim - 1))
            out.append(-factor * total / np.maximum(count, 1).reshape(shape))
        return with_arrays(reply, out)

    return attack


def _as_rows(update: Update) -> list[tuple[np.ndarray, np.ndarray]]:
    head, body = update.head, update.body
    out = [(head.ids, head.weights), (head.ids, head.bias)]
    if body is not None:
        out.append((body.features, body.rows))
        out += [(np.arange(a.shape[0], dtype=np.int32), a) for a in body.dense]
    return out


def rare_rows(reply, seen):
    """Honest, but for neurons that one other device at most has changed: these are turned."""
    if not isinstance(reply, Update):
        return reply
    count = np.zeros(seen.n_labels, np.int32)
    for other in seen.others:
        count[other.head.ids] += 1
    rare = count[reply.head.ids] <= 1
    weights, bias = reply.head.weights.copy(), reply.head.bias.copy()
    weights[rare] *= -3
    bias[rare] *= -3
    return replace(reply, head=replace(reply.head, weights=weights, bias=bias))


def all_rows(reply, seen):
    """Asks for every neuron; turns round what it has learnt of each."""
    if isinstance(reply, Select) or (isinstance(reply, Request) and reply.ids is not None):
        return replace(reply, ids=np.arange(seen.n_labels, dtype=np.int32))
    return sign_flip(3.0)(reply, seen)


def push_up(counted_in: str) -> Attack:
    """One label to the top: its bias and its neuron as far up as the bound allows."""

    def attack(reply, seen):
        if isinstance(reply, Select):
            return replace(reply, ids=np.union1d(reply.ids, [TARGET]).astype(np.int32))
        if not isinstance(reply, Update):
            return reply
        steps = reply.n_samples if counted_in == "rows" else n_batches(reply, seen)
        longest = 0.99 * seen.rate * np.sqrt(steps * LOG_GROWTH)
        place = np.searchsorted(reply.head.ids, TARGET)
        if place >= reply.head.ids.shape[0] or reply.head.ids[place] != TARGET:
            return reply
        weights, bias = reply.head.weights.copy(), reply.head.bias.copy()
        # Hidden units are not negative: up everywhere is up for every row.
        weights[place] = longest
        bias[place] = longest
        return replace(reply, head=replace(reply.head, weights=weights, bias=bias))

    return attack


def grow_accumulators(amount: float) -> Attack:
    def attack(reply, seen):
        if not isinstance(reply, Update):
            return reply
        head, body = reply.head, reply.body
        head = replace(head, state=head.state + np.float32(amount))
        body = replace(
            body, state=body.state + np.float32(amount),
            dense_state=tuple(a + np.float32(amount) for a in body.dense_state),
        )  # fmt: skip
        return replace(reply, head=head, body=body)

    return attack


def all_prototypes(n_samples: int | None = None) -> Attack:
    """A neuron's start for every label: all one direction, as long as is allowed."""

    def attack(reply, seen):
        if not isinstance(reply, Prototypes):
            return reply
        reply = claiming(reply, n_samples)
        direction = seen.rng.standard_normal(reply.sums.shape[1])
        length = min(reply.n_samples, 6e4)
        sums = np.tile(length * direction / np.linalg.norm(direction), (seen.n_labels, 1))
        ids = np.arange(seen.n_labels, dtype=np.int32)
        return replace(reply, ids=ids, sums=sums.astype(reply.sums.dtype))

    return attack


def turned_start(reply, seen):
    """Prototypes of its own labels turned round, and a mean hidden vector that is not so."""
    if isinstance(reply, Prototypes):
        return replace(reply, n_samples=MANY, sums=(-100 * reply.sums).astype(reply.sums.dtype))
    if isinstance(reply, HiddenMean):
        return replace(reply, n_samples=MANY, mean=-100 * reply.mean)
    return reply


def statistics_of(**changes) -> Attack:
    def attack(reply, seen):
        return replace(reply, **changes) if isinstance(reply, ClientStatistics) else reply

    return attack


def statistics_lie(reply, seen):
    """Everything that is counted, wrong: sizes, counts, losses."""
    if isinstance(reply, ClientStatistics):
        return replace(reply, n_samples=MANY, row_norm=1e6, labels_per_row=float(seen.n_labels))
    if isinstance(reply, Counts):
        ids = np.arange(seen.n_labels, dtype=np.int32)
        counts = np.full(seen.n_labels, 2**31 - 1, np.int32)
        return replace(reply, n_samples=2**31, ids=ids, counts=counts)
    if isinstance(reply, HiddenMean):
        return replace(reply, n_samples=MANY)
    if isinstance(reply, Update):
        return replace(reply, n_samples=MANY, loss=1e30)
    return reply


def both(*attacks: Attack) -> Attack:
    def attack(reply, seen):
        for one in attacks:
            reply = one(reply, seen)
        return reply

    return attack


def flipped_labels(device: Device) -> Device:
    """Trains on labels that are all another's: n - 1 - label."""
    Y = device.Y
    wrong = (device.n_labels - 1 - Y.indices).astype(np.int32)
    order = np.lexsort((wrong, np.repeat(np.arange(Y.n_rows), np.diff(Y.indptr))))
    return replace(device, Y=SparseRows(Y.indptr, wrong[order], Y.data[order]))


def claims(n_samples: int) -> Attack:
    def attack(reply, seen):
        return claiming(reply, n_samples) if isinstance(reply, Update) else reply

    return attack


ATTACKS: dict[str, tuple[Attack, Callable | None]] = {
    "does not answer": (silent, None),
    "sign flip": (sign_flip(), None),
    "sign flip, to the bound in rows": (flip_to_bound("rows"), None),
    "sign flip, to the bound in batches": (flip_to_bound("batches"), None),
    "sign flip, to the bound, n_samples=1e9": (flip_to_bound("batches", MANY), None),
    "sign flip, 3 medians long": (turned_to_median(3.0), None),
    "sign flip, .5 median long": (turned_to_median(0.5), None),
    "noise, 1 median long": (noise_to_median(1.0), None),
    "noise, 10 medians long": (noise_to_median(10.0), None),
    "the others' mean, turned": (against_the_mean(1.0), None),
    "rare neurons turned": (rare_rows, None),
    "asks for all neurons, turns them": (all_rows, None),
    "labels flipped": (claims(10**3), flipped_labels),
    "labels flipped, n_samples=1e9": (claims(MANY), flipped_labels),
    "one label up, to the bound in rows": (push_up("rows"), None),
    "one label up, to the bound in batches": (push_up("batches"), None),
    "accumulators +1e6": (grow_accumulators(9e5), None),
    "accumulators +1": (grow_accumulators(1.0), None),
    "prototypes of all labels": (all_prototypes(), None),
    "prototypes of all labels, n_samples=1e9": (all_prototypes(MANY), None),
    "start turned, n_samples=1e9": (turned_start, None),
    "client statistics: 50 labels a row": (statistics_of(labels_per_row=50.0), None),
    "client statistics: 1e9 rows": (statistics_of(n_samples=MANY), None),
    "all statistics": (statistics_lie, None),
    "all at once": (
        both(statistics_lie, all_prototypes(MANY), flip_to_bound("batches"), grow_accumulators(1)),
        None,
    ),
}  # fmt: skip
"""Name -> what is answered, and what is done to the device's rows."""


class Hostile(JoblibTransport):
    """Devices on this machine, the first few of them hostile."""

    attack: Attack = staticmethod(silent)
    spoil: Callable | None = None
    n_hostile = 1
    batch_size = 64

    def __init__(self, devices, n_jobs=None):
        bad = {device.id for device in devices[: self.n_hostile]}
        if self.spoil is not None:
            devices = [self.spoil(d) if d.id in bad else d for d in devices]
        super().__init__(devices, n_jobs)
        self.bad, self.n_labels = bad, devices[0].n_labels
        self.frequent = int(np.bincount(np.concatenate([d.Y.indices for d in devices])).argmax())
        self.n_asked = 0

    def ask(self, question, messages):
        replies = super().ask(question, messages)
        self.n_asked += 1
        invite = next((m[0] for m in messages.values() if m and hasattr(m[0], "learning_rate")), 0)
        others = [reply for reply in replies if reply.device not in self.bad]
        out = []
        for reply in replies:
            if reply.device in self.bad:
                device = self._devices[reply.device]
                seen = Seen(
                    invite.learning_rate if invite else 0.0, device._batch_size(), self.n_labels,
                    others, np.random.default_rng(self.n_asked), invite.round if invite else -1,
                    self.frequent,
                )  # fmt: skip
                reply = type(self).attack(reply, seen)
            if reply is not None:
                out.append(reply)
        return out
