"""Files of the extreme classification repository: text, plain or compressed, and npz pairs."""

from __future__ import annotations

import bz2
import gzip
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklsh._utils.containers import plain
from sklsh._utils.files import replacing
from sklsh._utils.matrices import read_matrix
from sklsh._utils.threads import blocks
from sklsh._utils.validation import INT32_MAX, check_choice, check_sparse
from sklsh.datasets._xc_text import Shape, read_rows

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
SUBSETS = ("train", "test")
TEXT_ENDINGS = (".txt", ".txt.gz", ".txt.bz2")
BLOCK_ROWS = 4096


def load_xc(path, subset="train"):
    """Read a data set of the extreme classification repository.

    Parameters
    ----------
    path : str or path-like
        - A text file, ``.gz`` and ``.bz2`` being unpacked on the way: a header line
          ``n_samples n_features n_labels``, then a line a row, ``label,label
          feature:value feature:value``, numbered from 0. A line of a row without labels
          starts with a space, that of a row with nothing at all is empty. Features may come
          in any order, those that come twice are summed; spaces may follow a label's comma,
          tabs stand for spaces, ``#`` begins a comment; a byte order mark and Windows' line
          ends are left out.
        - A folder with ``X_train.npz`` and ``Y_train.npz`` (`scipy.sparse.save_npz`), or
          with ``train.txt``, possibly compressed; the same for "test".
    subset : {"train", "test"}, default="train"
        Which of a folder. A text file is one subset already, and read whatever this says.

    Returns
    -------
    X : csr_matrix (n_samples, n_features) of float32
    Y : csr_matrix (n_samples, n_labels) of float32
        0 and 1.

    Raises
    ------
    FileNotFoundError
        No such file, or nothing of `subset` in the folder.
    ValueError
        An empty file, no header, a header that disagrees with the body, a feature or label
        that is negative or too large, values that are no finite numbers, a compressed file
        that is cut off or damaged, X and Y of different lengths. The message names the
        file and the row, counted from 0; of a text its line too, counted from 1.

    Notes
    -----
    O(nnz) time and memory; a text is read 4,096 rows at a time.

    References
    ----------
    K. Bhatia et al. "The extreme classification repository: Multi-label datasets and code",
    2016.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklsh.datasets import load_xc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "tiny.txt")
    ...     _ = path.write_text("2 4 3\\n0,2 1:0.5 3:1\\n 0:2\\n")
    ...     X, Y = load_xc(path)
    >>> X.toarray()
    array([[0. , 0.5, 0. , 1. ],
           [2. , 0. , 0. , 0. ]], dtype=float32)
    >>> Y.toarray()
    array([[1., 0., 1.],
           [0., 0., 0.]], dtype=float32)
    """
    check_choice(subset, "subset", SUBSETS)
    path = Path(path)
    if path.is_dir():
        pair = [path / f"{letter}_{subset}.npz" for letter in "XY"]
        if all(file.exists() for file in pair):
            return _read_pair(*pair)
        for ending in TEXT_ENDINGS:
            if (path / f"{subset}{ending}").exists():
                return _read_text(path / f"{subset}{ending}")
        raise FileNotFoundError(
            f"{path} has no {subset} set: neither X_{subset}.npz with Y_{subset}.npz nor "
            f"{subset}.txt (or .txt.gz, .txt.bz2)"
        )
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    return _read_text(path)


def _read_pair(X_path: Path, Y_path: Path):
    matrices = []
    for path in (X_path, Y_path):
        matrix = read_matrix(path)
        try:
            matrix = sp.csr_matrix(check_sparse(matrix, path.name)).astype(np.float32)
            matrix.sum_duplicates()
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
        matrices.append(matrix)
    X, Y = matrices
    if X.shape[0] != Y.shape[0]:
        raise ValueError(
            f"{X_path.name} and {Y_path.name} in {X_path.parent} must have as many rows, "
            f"got {X.shape[0]} and {Y.shape[0]}"
        )
    wrong, row = _not_finite(X)
    if wrong is not None:
        raise ValueError(
            f"{X_path}: values must be finite float32 numbers, got {wrong} in row {row}"
        )
    if not (Y.data >= 0).all():
        raise ValueError(f"{Y_path}: an indicator must be 0 and 1, got {Y.data.min()}")
    Y.eliminate_zeros()
    Y.data[:] = 1
    return X, Y


def _not_finite(X):
    """A value that is none, and its row; None and 0 if all are."""
    wrong = np.flatnonzero(~np.isfinite(X.data))
    if not wrong.size:
        return None, 0
    return X.data[wrong[0]], int(np.searchsorted(X.indptr, wrong[0], side="right")) - 1


# Text: reading ----------------------------------------------------------------------------


def _read_text(path: Path):
    damaged = f"{path}: the compressed file is cut off or damaged"
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as file:
            shape = _read_header(file, path)
            X, Y = read_rows(file, shape)
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{damaged} ({error})") from error
    except OSError as error:
        if path.suffix not in OPENERS or error.errno is not None:
            raise
        raise ValueError(f"{damaged} ({error})") from error
    wrong, row = _not_finite(X)
    if wrong is not None:
        raise shape.wrong(row, f"values must be finite float32 numbers, got {wrong}")
    return X, Y


def _read_header(file, path: Path) -> Shape:
    line = file.readline(10_000)
    if not line:
        raise ValueError(f"{path}: the file is empty; it must start with a header line")
    words = line.removeprefix(BYTE_ORDER_MARK).decode("utf-8", errors="replace").split()
    try:
        n_samples, n_features, n_labels = (int(word) for word in words)
    except ValueError:
        shown = line[:60].decode("utf-8", errors="replace").rstrip()
        raise ValueError(
            f"{path}: the first line must be the header `n_samples n_features n_labels`, "
            f"got {shown!r}"
        ) from None
    if not all(1 <= number <= INT32_MAX for number in (n_samples, n_features, n_labels)):
        raise ValueError(
            f"{path}: the numbers of the header must be in [1, {INT32_MAX}], got {' '.join(words)}"
        )
    return Shape(n_samples, n_features, n_labels, str(path))


# Text: writing ----------------------------------------------------------------------------


def save_xc(path, X, Y) -> None:
    """Write a text file of the extreme classification repository's format.

    `load_xc` reads the same matrices back, to the bit. The file appears whole or not at
    all: it is written beside its place and then renamed.

    Parameters
    ----------
    path : str or path-like
        Compressed if it ends in ``.gz`` or ``.bz2``.
    X : sparse matrix or array-like (n_samples, n_features)
        Written as float32; zeros are left out.
    Y : sparse matrix or array-like (n_samples, n_labels)
        Positive entries are labels.

    Raises
    ------
    ValueError
        Another number of rows, no rows or columns, values that are not finite as float32, a
        negative entry of Y.

    Notes
    -----
    O(nnz) time, a block of rows at a time.
    """
    path = Path(path)
    X, Y = (_as_csr(matrix, name) for matrix, name in ((X, "X"), (Y, "Y")))
    if X.shape[0] != Y.shape[0]:
        raise ValueError(f"X and Y must have as many rows, got {X.shape[0]} and {Y.shape[0]}")
    if 0 in X.shape or 0 in Y.shape:
        raise ValueError(f"X and Y must not be empty, got shapes {X.shape} and {Y.shape}")
    if not np.isfinite(X.data).all():
        raise ValueError("X must be finite as float32, got NaN or inf")
    if not (Y.data >= 0).all():
        raise ValueError(f"Y must be an indicator of 0 and 1, got {Y.data.min()}")
    with replacing(path) as whole, _packed(whole, path) as file:
        file.write(f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}\n".encode())
        for start, stop in blocks(X.shape[0], BLOCK_ROWS):
            file.write(_text_of_rows(X[start:stop], Y[start:stop]).encode())


def _packed(file, path: Path):
    if path.suffix == ".gz":
        # By its own name: the temporary one would be what is unpacked.
        return gzip.GzipFile(path.stem, "wb", fileobj=file)
    return bz2.open(file, "wb") if path.suffix == ".bz2" else nullcontext(file)


def _as_csr(matrix, name: str):
    matrix = plain(matrix, name)
    matrix = check_sparse(matrix, name) if sp.issparse(matrix) else np.asarray(matrix)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be a 2-d matrix of numbers, got shape {matrix.shape} of {matrix.dtype}"
        )
    with np.errstate(over="ignore"):
        matrix = sp.csr_array(matrix).astype(np.float32)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _text_of_rows(X, Y) -> str:
    # Nine digits are what a float32 needs to come back the same.
    pairs = [f"{j}:{v:.9g}" for j, v in zip(X.indices.tolist(), X.data.tolist(), strict=True)]
    labels = [str(j) for j in Y.indices.tolist()]
    lines = [
        ",".join(labels[y0:y1]) + " " + " ".join(pairs[x0:x1])
        for x0, x1, y0, y1 in zip(
            X.indptr[:-1], X.indptr[1:], Y.indptr[:-1], Y.indptr[1:], strict=True
        )
    ]
    return "\n".join(lines) + "\n"
