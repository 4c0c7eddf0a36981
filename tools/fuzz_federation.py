"""Tampered replies of a device: whatever comes, the round goes on and the model is finite.

    python tools/fuzz_federation.py [codec | fields] [--masked] [--n 5000] [--seed 0]

"codec" tampers with the records that Flower would carry (the JSON text, the arrays' bytes and
types) and reads them as `FlowerTransport` does, without Flower's processes; it needs the extra
``flower``. "fields" puts strange objects into the fields of replies, as a transport in the same
process might. Each trial is a start and a round of four devices, in which one answer of one
device is tampered with. Prints how many trials ended the run, left a model that is not finite,
were counted as faults, or were accepted because what came is what a device may truthfully say
(such as another number of rows). Ends with status 1 if any trial is of the first two kinds, or
if one that is wrong by construction was accepted.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections import Counter
from copy import copy, deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from sklsh.federated import Ledger, run_round, set_prototypes, take_client_statistics  # noqa: E402
from sklsh.federated.parts import Payload  # noqa: E402
from sklsh.federated.rounds import count_labels  # noqa: E402
from tests.federated.problems import federation  # noqa: E402

BAD = 2
"""The device whose answer is tampered with."""

QUESTIONS = (
    "client_statistics", "counts", "request_all", "hidden_mean", "prototypes", "request",
    "select", "train",
)  # fmt: skip

MASKED = ("request", "masking_keys", "masking_shares", "train_masked", "unmask")
"""Of a round of masked updates."""


class Recorded:
    """A transport that answers as devices did once; `tamper` changes one answer."""

    def __init__(self, transport):
        self.transport, self.replies = transport, {}
        self.question, self.tamper = "", None

    @property
    def devices(self):
        return self.transport.devices

    def ask(self, question, messages):
        if question not in self.replies:
            self.replies[question] = self.transport.ask(question, messages)
        replies = [r for r in self.replies[question] if r.device in messages]
        if question != self.question:
            return replies
        return [self.tamper(r) if r.device == BAD else r for r in replies]


def whole_run(server, transport) -> dict:
    """Start and a round; the faults of all of it."""
    ledger = Ledger()
    if server.plan.secure_rows:
        return run_round(server, transport, np.random.default_rng(0), ledger=ledger).faults
    _, faults = take_client_statistics(transport, ledger)
    count_labels(server, transport, ledger)
    server.label_counts = None  # of a recommender; here labels are no features
    set_prototypes(server, transport, ledger, 5.0)
    report = run_round(server, transport, np.random.default_rng(0), ledger=ledger)
    total = Counter(faults) + Counter(server.start_faults) + Counter(report.faults)
    assert np.isfinite(report.loss) or not report.n_used
    return dict(total)


# Fields ---------------------------------------------------------------------------------------


class Angry:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = None

    def __bool__(self):
        raise RuntimeError("bool")

    def __array__(self, *args, **kwargs):
        raise RuntimeError("array")

    def __repr__(self):
        raise RuntimeError("repr")


class Odd(np.ndarray):
    """An array that lies about itself."""

    def __array_finalize__(self, obj):
        pass

    @property
    def nbytes(self):
        raise MemoryError


NO_VALUES = (
    "x", b"x", [], [1], {}, (), set(), object(), 1j, 10**400, -(10**400), -(2**63), 2**70,
    float("nan"), float("inf"), -float("inf"), 1e300, -1e300, np.float64("nan"), Angry(),
    range(3), lambda: 0, np.array([1, "x"], dtype=object), np.ones((2, 2, 2)), [[]] * 3,
)  # fmt: skip
"""What no field may be."""


def wrong_array(rng, array):
    """Something in the place of an array that no array there may be."""
    array = np.asarray(array)
    kinds = [
        lambda: array.astype(np.float64), lambda: array.astype(np.int64),
        lambda: array.astype(object), lambda: array.astype(str), lambda: array.astype(complex),
        lambda: array[None], lambda: array.tolist(), lambda: array.view(Odd),
        lambda: np.append(array, array[:1], axis=0) if array.ndim else array[None],
    ]  # fmt: skip
    if array.dtype.kind == "f" and array.size:

        def spoilt(value):
            out = array.copy()
            with np.errstate(over="ignore"):
                out.flat[rng.integers(out.size)] = value
            return out

        kinds += [lambda: spoilt(np.nan), lambda: spoilt(np.inf), lambda: spoilt(-np.inf)]
        kinds += [lambda: np.full(array.shape, 1e300), lambda: array[:-1]]
    if array.dtype.kind == "i" and array.size > 1:
        kinds += [
            lambda: array[::-1], lambda: array - np.int32(1 + array.max()),
            lambda: array + np.int32(2**30), lambda: np.zeros_like(array),
            lambda: array.astype(np.uint32),
        ]  # fmt: skip
    return kinds[rng.integers(len(kinds))]()


def tampered_fields(reply, rng):
    """A reply with one field, nested ones too, that is wrong; None: try again."""
    names = [field.name for field in fields(reply)]
    name = names[rng.integers(len(names))]
    value = getattr(reply, name)
    if is_dataclass(value) and rng.random() < 0.8:
        inside = tampered_fields(value, rng)
        return None if inside is None else _forced(reply, name, inside)
    if isinstance(value, tuple) and value and rng.random() < 0.8:
        i = rng.integers(len(value))
        new = (*value[:i], wrong_array(rng, value[i]), *value[i + 1 :])
    elif isinstance(value, np.ndarray) and rng.random() < 0.7:
        new = wrong_array(rng, value)
        if name == "counts" and getattr(new, "dtype", None) == np.int32 and new.min() > 0:
            return None  # other counts, that a device may have
    else:
        new = NO_VALUES[rng.integers(len(NO_VALUES))]
        if type(new) is int and name == "sketch_round":
            return None  # of a round that never was: it is sent the whole sketch
    return _forced(reply, name, new)


def _forced(value, name, new):
    out = copy(value)
    object.__setattr__(out, name, new)
    return out


# Codec ----------------------------------------------------------------------------------------

NO_JSON = (
    "1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000, "1e999", "NaN", "-Infinity", '"x"', "[]",
    "[1, 2, 3]", "{}", '{"array": "nowhere"}', '{"tuple": 7}', '{"class": "Invite", "fields": {}}',
    '{"class": "Server", "fields": {}}', '{"class": 3}', "[" * 3000 + "]" * 3000, '{"array": [1]}',
    '{"tuple": [{"array": "0.head.ids"}]}', '{"array": "0.mean"}', "1.5", "-7",
)  # fmt: skip
"""What stands for no field of a reply, as JSON."""


def leaves(value, path=()):
    """Paths of a JSON value's parts."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, inside in value.items() if isinstance(value, dict) else ():
        yield from leaves(inside, (*path, key))


def put(value, path, new):
    if not path:
        return new
    out = copy(value)
    out[path[0]] = put(value[path[0]], path[1:], new)
    return out


def tampered_records(records, rng):
    """Flower's records with text or arrays tampered with."""
    from flwr.app import ArrayRecord, ConfigRecord, RecordDict

    text, arrays = records["message"]["json"], dict(records["arrays"])
    kind = rng.integers(4) if arrays else rng.integers(2)
    if kind == 0:
        content = json.loads(text)
        paths = list(leaves(content))
        path = paths[rng.integers(len(paths))]
        text = json.dumps(put(content, path, "\0here"))
        text = text.replace('"\\u0000here"', NO_JSON[rng.integers(len(NO_JSON))])
    elif kind == 1:
        at = rng.integers(len(text))
        cuts = [text[:at], text[at:], text[:at] + "\udcff" + text[at:], text[:at] + text[at + 1 :]]
        text = cuts[rng.integers(3)]
    else:
        name = list(arrays)[rng.integers(len(arrays))]
        if kind == 2:
            arrays[name] = other_bytes(arrays[name], rng)
        else:
            arrays[name] = any_array(np.asarray(wrong_array(rng, arrays[name].numpy())))
        if rng.random() < 0.1:
            del arrays[name]
    out = RecordDict()
    out["arrays"] = ArrayRecord(arrays)
    out["message"] = ConfigRecord({"json": text})
    return out


def any_array(array):
    """An array record of any type, pickled where it must be."""
    from flwr.app import Array

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return Array(str(array.dtype), array.shape, "numpy.ndarray", buffer.getvalue())


def other_bytes(array, rng):
    """An array record whose bytes are not what they were."""
    from flwr.app import Array

    data = bytearray(array.data)
    kind = rng.integers(4)
    if kind == 0:
        data = data[: rng.integers(len(data))]
    elif kind == 1:
        for at in rng.integers(0, min(len(data), 120), 3):
            data[at] = rng.integers(256)
    elif kind == 2:
        data = bytearray(rng.bytes(len(data)))
    else:
        data = bytearray(b"\x80\x04c__builtin__\neval\n" + bytes(data))
    return Array(array.dtype, array.shape, array.stype, bytes(data))


def through_codec(rng):
    """As devices' answers come in over Flower, one of them tampered with."""
    from sklsh.federated.transports.flower.codec import encode
    from sklsh.federated.transports.flower.transport import FlowerTransport

    reader = FlowerTransport.__new__(FlowerTransport)
    reader.timeline = []

    def tamper(reply):
        records = tampered_records(encode((reply,), began=1.0, ended=2.0), rng)
        return reader._read(SimpleNamespace(content=records), "train", BAD, (0.0, 0.0))

    return tamper


# Trials ---------------------------------------------------------------------------------------


def same(one, other) -> bool:
    """Whether two replies hold the same, types too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Payload):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def trial(fresh, transport, tamper) -> tuple[str, str]:
    """What became of one, and a word about it."""
    server = deepcopy(fresh)
    transport.tamper = tamper
    try:
        faults = whole_run(server, transport)
    except Exception as error:  # what this tool looks for
        return "ended", f"{type(error).__name__}: {error}"
    if not all(np.isfinite(array).all() for array in server.network.parameters()):
        return "nan", ""
    return ("fault" if faults else "accepted"), ""


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=("codec", "fields"), default=None)
    parser.add_argument("--masked", action="store_true")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    questions = MASKED if args.masked else QUESTIONS
    masked = {"own": {"public_rows": 0.5}, "secure_rows": 0.5}
    server, devices = federation(**(masked if args.masked else {}))
    transport = Recorded(devices)
    whole_run(deepcopy(server), transport)
    failed = False
    for kind in ("codec", "fields") if args.kind is None else (args.kind,):
        rng = np.random.default_rng(args.seed)
        counts, words = Counter(), Counter()
        while sum(counts.values()) < args.n:
            question = questions[rng.integers(len(questions))]
            true = next(r for r in transport.replies[question] if r.device == BAD)
            new = through_codec(rng)(true) if kind == "codec" else tampered_fields(true, rng)
            if new is None or same(new, true):
                continue
            transport.question = question
            outcome, word = trial(server, transport, lambda reply, new=new: new)
            counts[outcome] += 1
            if word or (outcome == "accepted" and kind == "fields"):
                words[question, word] += 1
        failed |= bool(counts["ended"] or counts["nan"])
        failed |= kind == "fields" and bool(counts["accepted"])
        print(f"{kind}: {dict(counts)} of {args.n}", flush=True)
        for word, count in words.most_common(10):
            print(f"  {count} x {word}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
