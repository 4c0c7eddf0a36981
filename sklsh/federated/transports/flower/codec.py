"""Messages of a federation as Flower's records, and back: arrays as they are, the rest as JSON.

A record dict has two records. "arrays" holds every array of every message under its path,
such as ``0.head.weights``, with dtype and shape kept (ids int32, weights float32 or float16).
"message" has one JSON text: class names, numbers, and which fields are arrays. Nothing is
pickled on either side, and no class but those of `sklsh.federated` is ever built.
"""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from sklsh.federated import messages
from sklsh.federated.parts import BodyPart, HeadPart, Payload
from sklsh.federated.secure import messages as secure

CLASSES = {
    cls.__name__: cls
    for cls in (
        messages.Invite, messages.Sketch, messages.CodedHead, messages.SubModel,
        messages.Centre, messages.ClientStatistics,
        messages.Request, messages.Select, messages.Counts, messages.HiddenMean,
        messages.Prototypes, messages.Update, HeadPart, BodyPart,
        secure.Peers, secure.PassedShares, secure.Survivors, secure.MaskingKeys,
        secure.SealedShares, secure.MaskedUpdate, secure.Unmasking,
    )
}  # fmt: skip
ARRAYS, MESSAGE, TEXT = "arrays", "message", "json"
DTYPES = tuple(map(np.dtype, (np.int32, np.float16, np.float32, np.uint8, np.int8)))
"""Of arrays that travel; others are not read."""

ARRAY, TUPLE, CLASS = "array", "tuple", "class"
"""What a JSON object stands for: an array at its path, a tuple, a message or a part of one."""


class Undecodable(ValueError):
    """A record dict that holds no messages of this package."""


def encode(parts: tuple, **header) -> RecordDict:
    """Records of some messages (or None in their places) and of plain values beside them.

    Parameters
    ----------
    parts : tuple of Payload or None
    header
        Anything that JSON can hold.

    Notes
    -----
    One copy of the arrays, as Flower keeps an array's bytes.
    """
    arrays: dict[str, Array] = {}
    packed = [_pack(part, str(i), arrays) for i, part in enumerate(parts)]
    text = json.dumps({"header": header, "parts": packed})
    return RecordDict({ARRAYS: ArrayRecord(arrays), MESSAGE: ConfigRecord({TEXT: text})})


def decode(records: RecordDict) -> tuple[tuple, dict]:
    """Messages and header of `encode`.

    Raises
    ------
    Undecodable
        Records are missing or of another kind; no JSON; an unknown class; a field that is
        missing or unknown; bytes that are no array of `DTYPES`. Whether values make sense is
        for `validate` of the messages.
    """
    try:
        text = records[MESSAGE][TEXT]
        content = json.loads(text)
        arrays = records[ARRAYS]
        return tuple(_unpack(part, arrays) for part in content["parts"]), dict(content["header"])
    except Exception as error:  # foreign bytes may raise anything on their way through parsers
        raise Undecodable(f"{type(error).__name__}: {error}") from error


def _pack(value, path: str, arrays: dict[str, Array]):
    if isinstance(value, np.ndarray):
        arrays[path] = Array(np.ascontiguousarray(value))
        return {ARRAY: path}
    if isinstance(value, tuple):
        return {TUPLE: [_pack(part, f"{path}.{i}", arrays) for i, part in enumerate(value)]}
    if isinstance(value, Payload):
        inside = {
            field.name: _pack(getattr(value, field.name), f"{path}.{field.name}", arrays)
            for field in fields(value)
        }
        return {CLASS: type(value).__name__, "fields": inside}
    return value.item() if isinstance(value, np.generic) else value


def _unpack(packed, arrays):
    if not isinstance(packed, dict):
        return packed
    if ARRAY in packed:
        array = arrays[packed[ARRAY]].numpy()
        if array.dtype not in DTYPES:
            raise ValueError(f"arrays must be one of {DTYPES}, got {array.dtype}")
        return array
    if TUPLE in packed:
        return tuple(_unpack(part, arrays) for part in packed[TUPLE])
    inside = {name: _unpack(value, arrays) for name, value in packed["fields"].items()}
    return CLASSES[packed[CLASS]](**inside)
