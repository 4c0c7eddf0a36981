"""A trained model to a folder and back.

A folder holds `metadata.json` - what the model is, as text - and `arrays.bin`, its arrays one
after the other, which can be mapped into memory. **Nothing in a folder is run when it is read**:
it can make no objects but those of this package's own classes. Checksums tell damage of either
file, and indices are held against what they point into. They are no signature: who can write the
folder can also make a model that answers nonsense.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.locks import lock_of
from sklsh.persistence._label_counts import count_labels
from sklsh.persistence._places import (
    ARRAYS,
    ARRAYS_NAME,
    METADATA,
    another_name,
    check_place,
    move_in,
    new_folder,
    refuse_elsewhere,
    take_place,
    unchanged,
)
from sklsh.persistence._plain_state import KINDS, arrays_of, flatten, unflatten

__all__ = ["save_model", "load_model", "read_metadata", "read_label_counts"]

FORMAT = "sklsh model"
FORMAT_VERSION = 4
READABLE_VERSIONS = (3, FORMAT_VERSION)
"""Format 3 differs in the modules that its classes are named by alone."""
EVERY_KEY = {
    "class": str, "versions": dict, "params": dict, "shapes": dict, "table_stats": dict,
    "memory": dict, "model_bytes": int, "arrays": list, "state": list,
}  # fmt: skip
OWN_KEYS = {"arrays", "state", "checksum", "file"}
"""Keys that say where things are, and are nobody else's business."""
PLAIN_TYPE = re.compile(rf"[<>|=][{KINDS}]\d+(\[\w+\])?")
"""Names of types of arrays: numpy would parse one with a comma as Python."""
ALIGNMENT = 64
"""Each array begins at a multiple of this: kernels and BLAS read whole cache lines."""


def save_model(model, folder, *, y_train=None, label_counts=None, federation_state=False) -> None:
    """Write a fitted estimator to a folder.

    The folder appears whole or not at all: it is written beside its place and then put there,
    in one step. A model that was there before is replaced, and at any time a reader finds the
    old one or the new one, whole; so does who comes after a kill or a loss of power. What a
    killed save has left beside the folder is removed by the next one. A symbolic link stays,
    and the folder that it leads to is written.

    Parameters
    ----------
    model : fitted estimator
        One of this package's.
    folder : str or path-like
        Need not exist; its parent must.
    y_train : indicator (n_samples, n_labels), lists of labels or labels (n_samples,), default=None
        Labels of the training rows. Their counts are kept, so that propensity-scored
        precision can be computed later without the training data.
    label_counts : (ndarray (n_labels,) of int, int), default=None
        In its stead: the counts themselves and the number of rows, as `read_label_counts` has
        them of another folder.
    federation_state : bool, default=False
        Of a `FederatedLSHClassifier`, keep what further rounds need too: the server with its
        accumulators, what each device holds in its cache (bodies that never left it among
        it), device ids and settings, and the ledger. Without, the folder has the model and
        may be given away: it predicts, and `partial_fit` on devices is refused. Of other
        models everything is kept.

    Raises
    ------
    TypeError
        `model` is no estimator, or holds an object that is no class of this package's: use
        joblib or skops for pipelines.
    sklearn.exceptions.NotFittedError
        It is not fitted.
    ValueError
        Labels in `y_train` that the model has not; both `y_train` and `label_counts`.
    FileExistsError
        `folder` is a file, or a folder with other things than a model in it.
    FileNotFoundError
        Its parent does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_digits
    >>> from sklsh import SparseLSHMLPClassifier
    >>> from sklsh.persistence import load_model, save_model
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseLSHMLPClassifier((32,), random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     save_model(model, Path(parent, "digits"))
    ...     again = load_model(Path(parent, "digits"), mmap_mode=None)
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    if not isinstance(model, BaseEstimator):
        raise TypeError(f"model must be an estimator, got {type(model).__name__}")
    from sklsh.estimators.federated import FederatedLSHClassifier  # not to read metadata

    check_is_fitted(model)
    if y_train is not None:
        if label_counts is not None:
            raise ValueError("only one of y_train and label_counts may be given, got both")
        label_counts = count_labels(model, y_train)
    with lock_of(model).read():  # another thread may be training it
        if isinstance(model, FederatedLSHClassifier) and not federation_state:
            model = model._published()
        _save_model(model, Path(folder), label_counts)


def _save_model(model, folder: Path, label_counts) -> None:
    folder = check_place(folder)
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "class": _class_name(model),
        "versions": {name: _version(name) for name in ("sklsh", "scikit-learn", "numpy", "numba")},
        "params": {name: repr(value) for name, value in sorted(model.get_params().items())},
        "shapes": _shapes(model),
        "table_stats": _table_stats(model),
    }
    counts = None
    if label_counts is not None:
        counts, metadata["n_train_samples"] = label_counts
    # The counts come first, to be found without the rest.
    trees, arrays = flatten(counts, model)
    metadata["memory"] = _memory(trees[1]["state"], arrays)
    with new_folder(folder) as temporary:
        table = _write_arrays(temporary / ARRAYS, arrays)
        metadata["model_bytes"] = (temporary / ARRAYS).stat().st_size
        metadata |= {"arrays": table, "state": trees}
        _write_text(temporary / METADATA, metadata)
        if not take_place(temporary, folder):
            metadata["file"] = name = another_name()
            (temporary / ARRAYS).rename(temporary / name)
            _write_text(temporary / METADATA, metadata)
            move_in(temporary, folder)


def _write_text(path: Path, metadata: dict) -> None:
    content = {**metadata, "checksum": _checksum(metadata)}
    path.write_text(json.dumps(content, indent=1) + "\n")


def load_model(folder, mmap_mode="c", *, verify=True):
    """Read a model that `save_model` has written. Runs nothing of the folder's.

    Parameters
    ----------
    folder : str or path-like
    mmap_mode : {None, "r", "c"}, default="c"
        "c": arrays stay on disk and are read as they are used; many processes share them,
        and writing changes the process's own copy. "r": the same, and writing is an error;
        kernels are compiled once more for read-only arrays, some seconds at first use.
        None: arrays are read into memory, as it takes to go on training.
    verify : bool, default=True
        Compare the checksums of the arrays, which reads each of them once. Without, only those
        that hold indices are read, whose ranges are always checked.

    Returns
    -------
    estimator

    Raises
    ------
    FileNotFoundError
        No such folder, or a file of it is missing.
    ValueError
        No model folder, one of an earlier or later format, or damaged; indices out of range;
        files that lie elsewhere; another `mmap_mode`.
    """
    if mmap_mode not in (None, "r", "c"):
        raise ValueError(f"mmap_mode must be None, 'r' or 'c', got {mmap_mode!r}")
    folder = Path(folder)

    def read():
        metadata = _read(folder)
        every = range(len(metadata["arrays"]))
        return metadata, _read_arrays(folder, metadata, mmap_mode, every, verify)

    from sklsh.persistence._ranges import check_ranges  # brings every estimator along

    metadata, arrays = unchanged(folder, read)
    try:
        _, model = unflatten(metadata["state"], arrays, check_ranges)
    except ValueError as error:
        raise ValueError(
            f"{folder} was made by versions that do not fit ({metadata['versions']}): {error}"
        ) from error
    if not isinstance(model, BaseEstimator):
        raise ValueError(f"{folder} must hold an estimator, got a {type(model).__name__}")
    return model


def read_metadata(folder) -> dict:
    """What a model folder says of itself; reads no array and makes no object.

    Returns
    -------
    dict
        format, format_version, class, versions, params (as text), shapes (of weights and
        biases), table_stats, memory (bytes of arrays by attribute), model_bytes, and
        n_train_samples if labels were given.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_model`.
    """
    folder = Path(folder)
    metadata = unchanged(folder, lambda: _read(folder))
    return {k: v for k, v in metadata.items() if k not in OWN_KEYS}


def read_label_counts(folder) -> tuple[np.ndarray, int] | None:
    """Training rows of each label and of all, or None if they were not kept."""
    folder = Path(folder)

    def read():
        metadata = _read(folder)
        n_samples = metadata.get("n_train_samples")
        if n_samples is None:
            return None
        return _read_arrays(folder, metadata, None, [0], True)[0], n_samples

    return unchanged(folder, read)


def _read(folder: Path) -> dict:
    """Everything in the metadata, checked as text."""
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist")
    path = folder / METADATA
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it has no {METADATA}")
    refuse_elsewhere(path)
    try:
        metadata = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder} is damaged: {METADATA} is no JSON ({error})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"{folder} is no model folder: its {METADATA} is not of an sklsh model")
    found, versions = metadata.get("format_version"), metadata.get("versions")
    if found not in READABLE_VERSIONS:
        made_by = versions.get("sklsh") if isinstance(versions, dict) else None
        todo = "save it again with this one"
        if isinstance(found, int) and found > FORMAT_VERSION:
            todo = "upgrade this one"
        raise ValueError(
            f"{folder} is of format {found}, made by sklsh {made_by}; this sklsh reads formats "
            f"{READABLE_VERSIONS[0]} to {FORMAT_VERSION}: {todo}"
        )
    if metadata.get("checksum") != _checksum(metadata):
        raise ValueError(f"{folder} is damaged: {METADATA} has another checksum than it says")
    wrong = sorted(k for k, kind in EVERY_KEY.items() if type(metadata.get(k)) is not kind)
    if wrong:
        raise ValueError(f"{folder} is damaged: {METADATA} lacks {wrong}, or has something else")
    return metadata


def _checksum(metadata: dict) -> int:
    """Of all but the checksum itself, whatever the white space."""
    content = {key: value for key, value in metadata.items() if key != "checksum"}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _write_arrays(path: Path, arrays: list[np.ndarray]) -> list:
    """Write arrays; type, shape, order, offset and checksum of each."""
    table = []
    with path.open("wb") as file:
        for array in arrays:
            dtype = array.dtype.newbyteorder("<")
            by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
            rows = np.ascontiguousarray(array.T if by_columns else array, dtype=dtype)
            raw = rows.reshape(-1).view(np.uint8).data
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            order = "F" if by_columns else "C"
            table.append([dtype.str, list(array.shape), order, file.tell(), zlib.crc32(raw)])
            file.write(raw)
    return table


def _read_arrays(folder: Path, metadata: dict, mmap_mode, numbers, verify: bool) -> list:
    """Some arrays of the table, mapped or read."""
    name = metadata.get("file", ARRAYS)
    if not (isinstance(name, str) and ARRAYS_NAME.fullmatch(name)):
        raise ValueError(f"{folder} is damaged: its arrays cannot be in {name!r}")
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is damaged: it has no {name}")
    refuse_elsewhere(path)
    n_bytes = path.stat().st_size
    if n_bytes != metadata["model_bytes"]:
        raise ValueError(
            f"{folder} is damaged: {ARRAYS} must have {metadata['model_bytes']} bytes, "
            f"got {n_bytes}"
        )
    whole = None
    if mmap_mode is not None and n_bytes:
        # A plain array over the mapping: parts of a memmap, which is a class, are dear to take.
        whole = np.asarray(np.memmap(path, dtype=np.uint8, mode=mmap_mode))
    arrays = []
    for number in numbers:
        dtype, shape, order, offset, checksum = _entry(folder, metadata["arrays"], number)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if offset + size > n_bytes:
            raise ValueError(f"{folder} is damaged: array {number} ends beyond {ARRAYS}")
        if whole is None:
            raw = np.fromfile(path, dtype=np.uint8, count=size, offset=offset)
        else:
            raw = whole[offset : offset + size]
        if verify and zlib.crc32(raw.data) != checksum:
            raise ValueError(f"{folder} is damaged: array {number} of {ARRAYS} has changed")
        arrays.append(raw.view(dtype).reshape(shape, order=order))
    return arrays


def _entry(folder: Path, table: list, number: int) -> list:
    """Type, shape, order, offset and checksum of an array, if they can be."""
    entry: list = []
    try:
        entry = table[number]
        dtype, shape, order, offset, _ = entry
        right = PLAIN_TYPE.fullmatch(dtype) and np.dtype(dtype) and order in ("C", "F")
        numbers = [offset, *shape]
        right = right and all(type(n) is int and n >= 0 for n in numbers)
    except (IndexError, TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(f"{folder} is damaged: array {number} must have plain bytes, got {entry}")
    return entry


def is_model_folder(folder) -> bool:
    """Whether a folder claims to be a model, sound or not."""
    return (Path(folder) / METADATA).is_file()


def _class_name(model) -> str:
    # The public module: where the private one lies may change.
    return f"{type(model).__module__.split('.')[0]}.{type(model).__name__}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _shapes(model) -> dict[str, list]:
    return {
        name: [list(array.shape) for array in getattr(model, name)]
        for name in ("coefs_", "intercepts_")
        if isinstance(getattr(model, name, None), list)
    }


def _table_stats(model) -> dict:
    """Of the hash tables that a model answers with, if it does."""
    stats = getattr(model, "table_stats_", {})
    index = getattr(getattr(model, "autoencoder_", None), "index", None)
    tables = getattr(model, "tables_", None) if index is None else index.tables
    if tables is not None:
        stats = {**stats, **tables.stats()}
    return {name: np.asarray(value).tolist() for name, value in stats.items()}


def _memory(state: dict, arrays: list[np.ndarray]) -> dict[str, int]:
    """Bytes of arrays by attribute and, where it is an object, by that one's attributes."""
    found = {}
    for name, part in state.items():
        inner = part["state"] if isinstance(part, dict) and "state" in part else {"": part}
        for inner_name, node in inner.items():
            n_bytes = sum(arrays[number].nbytes for number in arrays_of(node))
            if n_bytes:
                found[f"{name}.{inner_name}".rstrip(".")] = n_bytes
    return found
