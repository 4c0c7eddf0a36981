"""A trained model to a folder and back.

A folder holds `model.joblib`, uncompressed so that its arrays can be mapped into memory,
`metadata.json`, which can be read without running anything, and, if the training labels were
given, `label_counts.npy`.

.. warning::
   ``model.joblib`` is a pickle: **loading it can run any code that its maker put there**. Load
   only folders from people and places that you trust.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklsh._ranking import relevant_labels

__all__ = ["save_model", "load_model", "read_metadata", "read_label_counts"]

FORMAT = "sklsh model"
FORMAT_VERSION = 1
MODEL, METADATA, COUNTS = "model.joblib", "metadata.json", "label_counts.npy"


def save_model(model, folder, *, y_train=None) -> None:
    """Write a fitted estimator to a folder.

    The folder appears whole or not at all: it is written beside its place and then renamed.
    A model that was there before is replaced.

    Parameters
    ----------
    model : fitted estimator
    folder : str or path-like
        Need not exist; its parent must.
    y_train : indicator (n_samples, n_labels) or label columns (n_samples,), default=None
        Labels of the training rows. Their counts are kept, so that propensity-scored
        precision can be computed later without the training data.

    Raises
    ------
    TypeError
        `model` is no estimator.
    sklearn.exceptions.NotFittedError
        It is not fitted.
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
    check_is_fitted(model)
    folder = Path(folder)
    if not folder.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {folder.absolute().parent} does not exist")
    _refuse_foreign(folder)
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "class": _class_name(model),
        "versions": {name: _version(name) for name in ("sklsh", "scikit-learn", "numpy", "numba")},
        "params": {name: repr(value) for name, value in sorted(model.get_params().items())},
        "shapes": _shapes(model),
    }
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    try:
        joblib.dump(model, temporary / MODEL)
        if y_train is not None:
            Y = relevant_labels(y_train, "y_train")
            counts = np.bincount(Y.indices, minlength=Y.shape[1])
            np.save(temporary / COUNTS, counts.astype(np.int64))
            metadata["n_train_samples"] = Y.shape[0]
        metadata["model_bytes"] = (temporary / MODEL).stat().st_size
        (temporary / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")
        temporary.chmod(0o755)
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_model(folder, mmap_mode="c"):
    """Read a model that `save_model` has written.

    **Loading runs code that the folder's maker chose: load only what you trust.**

    Parameters
    ----------
    folder : str or path-like
    mmap_mode : {None, "r", "c"}, default="c"
        "c": arrays stay on disk and are read as they are used; many processes share them,
        and writing changes the process's own copy. "r": the same, and writing is an error;
        kernels are compiled once more for read-only arrays, some seconds at first use.
        None: arrays are read into memory, as it takes to go on training.

    Returns
    -------
    estimator

    Raises
    ------
    FileNotFoundError
        No such folder, or a file of it is missing.
    ValueError
        No model folder, one of a later format, or damaged; another `mmap_mode`.
    """
    if mmap_mode not in (None, "r", "c"):
        raise ValueError(f"mmap_mode must be None, 'r' or 'c', got {mmap_mode!r}")
    folder = Path(folder)
    metadata = read_metadata(folder)
    path = folder / MODEL
    if not path.exists():
        raise FileNotFoundError(f"{folder} is damaged: it has no {MODEL}")
    if path.stat().st_size != metadata["model_bytes"]:
        raise ValueError(
            f"{folder} is damaged: {MODEL} must have {metadata['model_bytes']} bytes, "
            f"got {path.stat().st_size}"
        )
    try:
        model = joblib.load(path, mmap_mode=mmap_mode)
    except Exception as error:  # a broken pickle may raise anything
        raise ValueError(
            f"{folder} is damaged, or made by versions that do not fit "
            f"({metadata['versions']}): {type(error).__name__}: {error}"
        ) from error
    if _class_name(model) != metadata["class"]:
        raise ValueError(
            f"{folder} is damaged: {MODEL} must hold a {metadata['class']}, "
            f"got a {_class_name(model)}"
        )
    return model


def read_metadata(folder) -> dict:
    """What a model folder says of itself; runs nothing.

    Returns
    -------
    dict
        format, format_version, class, versions, params (as text), shapes (of weights and
        biases), model_bytes, and n_train_samples if labels were given.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_model`.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist")
    path = folder / METADATA
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it has no {METADATA}")
    try:
        metadata = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{folder} is damaged: {METADATA} is no JSON ({error})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"{folder} is no model folder: its {METADATA} is not of an sklsh model")
    found = metadata.get("format_version")
    if isinstance(found, int) and found > FORMAT_VERSION:
        raise ValueError(
            f"{folder} is of format {found}, made by sklsh "
            f"{metadata.get('versions', {}).get('sklsh')}; this sklsh reads up to format "
            f"{FORMAT_VERSION}: upgrade it"
        )
    missing = {"format_version", "class", "versions", "params", "shapes", "model_bytes"} - set(
        metadata
    )
    if missing:
        raise ValueError(f"{folder} is damaged: {METADATA} lacks {sorted(missing)}")
    return metadata


def read_label_counts(folder) -> tuple[np.ndarray, int] | None:
    """Training rows of each label and of all, or None if they were not kept."""
    n_samples = read_metadata(folder).get("n_train_samples")
    path = Path(folder) / COUNTS
    if n_samples is None:
        return None
    try:
        return np.load(path, allow_pickle=False), n_samples
    except Exception as error:  # numpy parses the header as Python: it may raise anything
        raise ValueError(f"{folder} is damaged: {COUNTS} cannot be read ({error})") from error


def is_model_folder(folder) -> bool:
    """Whether a folder claims to be a model, sound or not."""
    return (Path(folder) / METADATA).is_file()


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; a model is written to a folder")
    others = {path.name for path in folder.iterdir()} - {MODEL, METADATA, COUNTS}
    if others:
        raise FileExistsError(
            f"{folder} holds other things than a model ({sorted(others)[0]!r}, for one) and "
            "is left alone; name a new folder"
        )


def _take_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.absolute().parent))
    folder.rename(old / "model")
    try:
        temporary.rename(folder)
    except OSError:
        (old / "model").rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


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
