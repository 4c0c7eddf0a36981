"""Files of recommendations: one line a user and item, or one a user, written batch by batch."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sklsh._utils.containers import ids_in_order
from sklsh._utils.files import replacing
from sklsh._utils.progress import RowProgress
from sklsh._utils.threads import blocks
from sklsh._utils.validation import check_int

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
"""All but the last may be compressed, with `.gz` behind."""

COLUMNS = ("user", "item", "rank", "score")


REASONS = ("user", "item", "rank", "score", "because", "contribution")
"""Of a table that tells which of a user's items speak for each item."""


class BatchWriter(Protocol):
    """What takes a batch: names of users (n,), of their items and scores (n, k), padded.

    Or the columns of a table, those that the writer was made with.
    """

    def write(self, users: np.ndarray, items: np.ndarray, scores: np.ndarray) -> None: ...

    def write_columns(self, columns: Sequence[np.ndarray]) -> None: ...


def check_ending(path: Path) -> str:
    """What kind of file a name asks for.

    Raises
    ------
    ValueError
        None of `ENDINGS`; parquet where pyarrow is not installed.
    """
    endings = [part.lower() for part in path.suffixes]
    packed = endings[-1:] == [".gz"]
    ending = endings[-2 if packed else -1] if len(endings) > packed else ""
    if ending not in ENDINGS or (packed and ending == ".parquet"):
        raise ValueError(
            f"{path} must end in one of {', '.join(ENDINGS)} (.gz behind all but the last)"
        )
    if ending == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise ValueError(f"{path}: parquet needs pyarrow ({error})") from error
    return ending


@contextmanager
def recommendations_file(path, columns: Sequence[str] = COLUMNS) -> Iterator[BatchWriter]:
    """A writer of a file that appears whole at the end or not at all; its name tells the kind.

    Raises
    ------
    ValueError, OSError
        As `check_ending`, and `sklsh._utils.files.replacing`.
    """
    path = Path(path)
    ending = check_ending(path)
    with replacing(path) as file:
        if ending == ".parquet":
            with _Parquet(file, columns) as writer:
                yield writer
            return
        raw: Any = file
        if path.suffix.lower() == ".gz":
            raw = gzip.GzipFile(path.stem, "wb", fileobj=file)
        text = io.TextIOWrapper(raw, "utf-8", newline="")
        yield _Lines(text, columns) if ending == ".jsonl" else TableWriter(text, ending, columns)
        text.flush()
        if raw is not file:
            text.close()
        else:
            text.detach()


class TableWriter:
    """A line a row of a table, below a header: of recommendations one a user and item."""

    def __init__(self, file, ending: str = ".csv", columns: Sequence[str] = COLUMNS):
        def writer(quoting):
            delimiter = "\t" if ending == ".tsv" else ","
            return csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=quoting)

        # By itself csv leaves a carriage return unquoted, which readers take for the end of a row.
        self._plain, self._quoted = writer(csv.QUOTE_MINIMAL), writer(csv.QUOTE_NONNUMERIC)
        self._plain.writerow(columns)

    def write(self, users, items, scores) -> None:
        self.write_columns(_long(users, items, scores))

    def write_columns(self, columns: Sequence[np.ndarray]) -> None:
        text = (names for names in columns if names.dtype.kind == "U")
        broken = any("\r" in name for names in text for name in names.tolist())
        writer = self._quoted if broken else self._plain
        writer.writerows(zip(*map(_printed, columns), strict=True))


class _Lines:
    """An object a user, or a row of a table."""

    def __init__(self, file, columns: Sequence[str]):
        self._file, self._names = file, columns

    def write(self, users, items, scores) -> None:
        for user, names, values in zip(
            users.tolist(), items.tolist(), scores.tolist(), strict=True
        ):
            n = sum(np.isfinite(values).tolist())
            row = {"user": user, "items": names[:n],
                   "scores": [float(f"{value:.7g}") for value in values[:n]]}  # fmt: skip
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def write_columns(self, columns: Sequence[np.ndarray]) -> None:
        plain: list[list[Any]] = [
            [float(text) for text in _printed(of)] if of.dtype.kind == "f" else of.tolist()
            for of in columns
        ]
        for row in zip(*plain, strict=True):
            named = dict(zip(self._names, row, strict=True))
            self._file.write(json.dumps(named, ensure_ascii=False) + "\n")


class _Parquet:
    def __init__(self, file, columns: Sequence[str]):
        self._file, self._names = file, columns
        self._writer: Any = None

    def __enter__(self):
        return self

    def write(self, users, items, scores) -> None:
        self.write_columns(_long(users, items, scores))

    def write_columns(self, columns: Sequence[np.ndarray]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        named = dict(zip(self._names, columns, strict=True))
        table = pa.table(named | {"rank": named["rank"].astype(np.int32)})
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def __exit__(self, *exception):
        if self._writer is not None:
            self._writer.close()


def _printed(column: np.ndarray):
    """Numbers as text of seven digits; what is no fraction as it is."""
    return [f"{value:.7g}" for value in column.tolist()] if column.dtype.kind == "f" else column


def _long(users, items, scores) -> list:
    """Columns of one row a user and item, without padding."""
    row, place = np.nonzero(np.isfinite(scores))
    return [users[row], items[row, place], place + 1, scores[row, place]]


def _names_of_rows(user_ids, n_users: int) -> np.ndarray:
    """What users are called: as given, or the row numbers.

    Raises
    ------
    ValueError, TypeError
        Not one a row; a set, which has no order; neither integers nor text.
    """
    if user_ids is None:
        return np.arange(n_users)
    return ids_in_order(user_ids, "user_ids", n_users, order="rows", of="rows of user_items")


class WritesRecommendations:
    """`recommend` for many users, into a file."""

    recommend: Callable[..., tuple[np.ndarray, np.ndarray]]

    def recommend_to(
        self, path, user_items, user_ids=None, N=10, *, batch_size=8192, verbose=False, **how
    ):
        """Recommendations of many users into a file, in bounded memory.

        Parameters
        ----------
        path : str or path-like
            ``.csv`` or ``.tsv`` (``.gz`` behind, if it is to be packed) or ``.parquet`` (with
            pyarrow) with the columns user, item, rank (from 1) and score, or ``.jsonl`` with an
            object a user, of user, items and scores. The file appears when it is whole.
        user_items : array-like or sparse matrix (n_users, n_items)
            The users' items.
        user_ids : array-like (n_users,) of int or str, default=None
            What users are called: `user_ids` of `sklsh.datasets.Interactions`. None: the row
            numbers.
        N : int, default=10
            As in `recommend`.
        batch_size : int, default=8192
            Users asked for at a time: what memory grows with.
        verbose : bool, default=False
            Show how far it is.
        **how
            Further arguments of `recommend`.

        Returns
        -------
        int
            Number of users that were named something.

        Raises
        ------
        ValueError, TypeError, OSError
            As `recommend`; another kind of file; a place that cannot be written; `user_ids` that
            are not one a row, a set, or neither integers nor text.

        Notes
        -----
        Other threads may train the model meanwhile: each batch is answered by one state of it.
        """
        check_is_fitted(self)
        batch_size = check_int(batch_size, "batch_size", 1)
        matrix: Any = user_items
        if sp.issparse(matrix):
            matrix = matrix.tocsr()
        elif not hasattr(matrix, "columns") or hasattr(matrix, "column_names"):
            matrix = np.asarray(matrix)  # other frames have names, which are to be compared
        if len(matrix.shape) != 2:
            raise ValueError(f"user_items must be 2-d, got shape {matrix.shape}")
        part = matrix.iloc if hasattr(matrix, "iloc") else matrix
        n_users = matrix.shape[0]
        users = _names_of_rows(user_ids, n_users)
        # Each batch asks anew.
        how = {name: list(v) if isinstance(v, Iterator) else v for name, v in how.items()}
        n_named = 0
        with recommendations_file(path) as writer, RowProgress(verbose, n_users) as progress:
            for start, stop in blocks(n_users, batch_size) or [(0, 0)]:
                rows = np.arange(start, stop)
                ids, scores = self.recommend(rows, part[start:stop], N, **how)
                writer.write(users[start:stop], ids, scores)
                n_named += int(np.isfinite(scores).any(axis=1).sum())
                progress(stop)
        return n_named
