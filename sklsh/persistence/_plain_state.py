"""Fitted objects as plain data and back: a JSON-able tree, and the arrays that it numbers.

Only what fitted estimators are made of passes: numbers, text, containers, arrays of these, and
objects of classes that this package defines. Reading makes such objects without calling
anything but their `__setstate__`, so that no file can make it run code of its own.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

PACKAGE = __name__.partition(".")[0]
KINDS = "biufUSMm"
"""Kinds of arrays whose bytes are their content."""

MOVED = {
    f"{PACKAGE}.{old}": f"{PACKAGE}.estimators.{new}"
    for old, new in {
        "_classifier": "classifier",
        "_federated": "federated",
        "_hasher": "hasher",
        "_item_ids": "item_ids",
        "_recommender": "recommender",
        "_targets": "targets",
    }.items()
}
"""Where classes of model folders up to format 3 have gone."""
RENAMED = {
    f"{PACKAGE}.federated.server:Plan": f"{PACKAGE}.federated.plan:Plan",
    f"{PACKAGE}.federated.publishing:Publisher":
        f"{PACKAGE}.federated.sketch_broadcast:SketchBroadcast",
}  # fmt: skip
"""What those are called now that have another name."""
RENAMED_PARTS = {
    f"{PACKAGE}.estimators.federated:FederatedLSHClassifier": {"holder_power": "contributor_power"},
    f"{PACKAGE}.federated.server:Server": {
        "mover": "server_optimizer", "publisher": "sketch_broadcast",
    },
    f"{PACKAGE}.estimators.recommender:LSHRecommender": {"engine_": "autoencoder_"},
    f"{PACKAGE}.network.model:WideNetwork": {"seen_ids": "observed_ids"},
    f"{PACKAGE}.network.compressed:CompressedNetwork": {"seen_ids": "observed_ids"},
}  # fmt: skip
"""Attributes of theirs that have another name, by class."""


def flatten(*values) -> tuple[list[Any], list[np.ndarray]]:
    """The trees of values and their arrays. What is shared within or between them stays shared.

    Raises
    ------
    TypeError
        Something in it is not of the kinds above, by the path where it is.
    """
    writer = _Writer()
    return [writer.node(value, "") for value in values], writer.arrays


def unflatten(
    trees: list[Any], arrays: list[np.ndarray], check: Callable[[Any], None] = lambda made: None
) -> list[Any]:
    """The values of the trees that `flatten` has made.

    Parameters
    ----------
    trees, arrays
    check : callable
        Is given each object that was made, after those within it.

    Raises
    ------
    ValueError
        It is no such tree; or by `check`.
    """
    try:
        reader = _Reader(arrays, check)
        return [reader.value(tree) for tree in trees]
    except ValueError:
        raise
    except Exception as error:  # a tree of anybody's making may fail anywhere
        raise ValueError(f"{type(error).__name__}: {error}") from error


def arrays_of(tree) -> set[int]:
    """Numbers of the arrays that a part of a tree holds."""
    if isinstance(tree, dict):
        number = tree.get("array", tree.get("scalar"))
        return {number} if isinstance(number, int) else arrays_of(list(tree.values()))
    if isinstance(tree, list):
        return set().union(*map(arrays_of, tree))
    return set()


class _Writer:
    def __init__(self):
        self.arrays: list[np.ndarray] = []
        self._numbers: dict[int, int] = {}
        self._objects: dict[int, int] = {}
        self._alive: list = []  # an id is unique as long as what has it lives

    def node(self, value, path: str):
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value), path)["array"]}
        if type(value) in (list, tuple):
            items = [self.node(item, f"{path}[{i}]") for i, item in enumerate(value)]
            return {type(value).__name__: items}
        if type(value) is dict:
            return {"dict": self._pairs(value, path)}
        if type(value) is defaultdict and value.default_factory in (int, float):
            return {value.default_factory.__name__ + "s": self._pairs(value, path)}
        if isinstance(value, Path):
            return {"path": str(value)}
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.node(value.get_state(), path)}
        return self._object(value, path)

    def _pairs(self, value, path):
        return [[self.node(k, path), self.node(v, f"{path}[{k!r}]")] for k, v in value.items()]

    def _array(self, value, path):
        if value.dtype.kind == "O":
            return {"objects": [self.node(item, path) for item in value.ravel()],
                    "shape": list(value.shape)}  # fmt: skip
        if value.dtype.kind not in KINDS:
            raise TypeError(f"model{path} must be of numbers or text, got dtype {value.dtype}")
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.arrays)
            self.arrays.append(value)
        return {"array": self._numbers[id(value)]}

    def _object(self, value, path):
        kind = type(value)
        own = kind.__module__.partition(".")[0] == PACKAGE
        if own and isinstance(value, tuple) and hasattr(kind, "_fields"):
            items = [self.node(part, f"{path}[{i}]") for i, part in enumerate(value)]
            return {"class": _name_of(kind), "fields": items}
        if not own or isinstance(value, type | tuple | list | dict | set | str):
            raise TypeError(
                f"model{path} must be of {PACKAGE}'s own classes, numbers, text or arrays, got a "
                f"{kind.__module__}.{kind.__qualname__}; joblib and pickle write any object"
            )
        if id(value) in self._objects:
            return {"same": self._objects[id(value)]}
        self._objects[id(value)] = len(self._objects)
        self._alive.append(value)
        state = value.__getstate__() or {}
        if type(state) is not dict:
            raise TypeError(f"model{path} must have a dict as its state, got a {type(state)}")
        return {
            "class": _name_of(kind),
            "state": {name: self.node(part, f"{path}.{name}") for name, part in state.items()},
        }


class _Reader:
    def __init__(self, arrays, check):
        self._arrays = arrays
        self._check = check
        self._objects: list = []
        self._readers = {
            "array": lambda number: self._arrays[number],
            "scalar": lambda number: self._arrays[number][()],
            "list": self._items,
            "tuple": lambda items: tuple(self._items(items)),
            "dict": self._dict,
            "ints": lambda pairs: defaultdict(int, self._dict(pairs)),
            "floats": lambda pairs: defaultdict(float, self._dict(pairs)),
            "path": Path,
            "random_state": self._random_state,
            "same": lambda number: self._objects[number],
        }

    def value(self, node):
        if node is None or type(node) in (bool, int, float, str):
            return node
        if "class" in node and "fields" in node:
            return own_class(node["class"], tuple)(*self._items(node["fields"]))
        if "class" in node:
            return self._object(node["class"], node["state"])
        if "objects" in node:
            array = np.empty(len(node["objects"]), dtype=object)
            array[:] = self._items(node["objects"])
            return array.reshape(node["shape"])
        ((kind, content),) = node.items()
        return self._readers[kind](content)

    def _items(self, items):
        return [self.value(item) for item in items]

    def _dict(self, pairs):
        return {self.value(key): self.value(item) for key, item in pairs}

    def _random_state(self, state):
        random_state = np.random.RandomState()
        random_state.set_state(self.value(state))
        return random_state

    def _object(self, name, parts):
        kind = own_class(name)
        made = kind.__new__(kind)
        self._objects.append(made)
        names = RENAMED_PARTS.get(_name_of(kind), {})
        # A deprecated parameter stays beside the one that it is called now.
        names = {old: new for old, new in names.items() if new not in parts}
        read = {names.get(key, key): self.value(part) for key, part in parts.items()}
        # A class may have grown since: of that, it is as a new object.
        state = {**_defaults(kind), **read}
        if hasattr(kind, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        self._check(made)
        return made


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _defaults(kind: type) -> dict:
    """What a dataclass or an estimator is made with where nothing is said."""
    if is_dataclass(kind):
        return {
            f.name: f.default if f.default_factory is MISSING else f.default_factory()
            for f in fields(kind)
            if f.default is not MISSING or f.default_factory is not MISSING
        }
    if issubclass(kind, BaseEstimator):
        parameters = signature(kind).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}
    return {}


def own_class(name: str, base: type = object) -> Any:
    """The class of this package that ``module:name`` is; a ValueError if it is none."""
    module, _, qualified = RENAMED.get(name, name).partition(":")
    module = MOVED.get(module, module)
    if module.partition(".")[0] == PACKAGE:
        try:
            kind = getattr(importlib.import_module(module), qualified, None)
        except ImportError as error:
            raise ValueError(f"{name!r} needs what is not installed: {error}") from error
        if isinstance(kind, type) and kind.__module__ == module and issubclass(kind, base):
            return kind
    raise ValueError(f"{name!r} is no class of {PACKAGE}")
