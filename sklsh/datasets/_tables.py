"""Columns of a table in a file: CSV, JSON lines or parquet."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from ast import literal_eval
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import IO

import numpy as np

from sklsh._utils.containers import is_missing

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""The first four may be compressed, with `.gz` behind."""

MAX_FIELD = 1 << 27
"""Characters of a field: csv's own limit, 131,072, is shorter than some texts."""


def stem_of(path: Path) -> str:
    """A table's name without what says that it is one: ``a.b.csv.gz -> a.b``."""
    packed = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return (packed.with_suffix("") if packed.suffix.lower() in ENDINGS else packed).name


def is_table(path) -> bool:
    """Whether a file's name ends as that of a table does."""
    return _ending(Path(path)) in ENDINGS


def read_columns(path, names: list[str]) -> dict[str, list]:
    """Some columns of a table, by name.

    Parameters
    ----------
    path : str or path-like
        CSV or TSV with a header (quotes, newlines within quotes and a byte order mark as usual),
        a JSON object a line, or parquet, for which pyarrow is needed. All of UTF-8.
    names : list of str

    Returns
    -------
    dict of list
        Text in CSV; whatever there is in JSON; None where a row has no such field.

    Raises
    ------
    ValueError
        Another kind of file, no such column, a line that cannot be read: naming file and line.
    OSError
        No such file, or a folder.
    """
    path, names = Path(path), list(dict.fromkeys(names))
    ending = _ending(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; a table is one file ({', '.join(ENDINGS)})")
    if ending not in ENDINGS:
        raise ValueError(f"{path} must end in one of {', '.join(ENDINGS)} to be read as a table")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if ending == ".parquet":
        return _parquet_lists(path, names)
    read = _json_rows if ending in (".jsonl", ".ndjson") else _csv_rows
    found: dict[str, list] = {name: [] for name in names}
    try:
        with _opened(path) as file:
            for row in read(path, file, names, "\t" if ending == ".tsv" else ","):
                for name in names:
                    found[name].append(row.get(name))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not found[names[0]]:
        raise ValueError(f"{path} has no rows")
    return found


def _ending(path: Path) -> str:
    endings = [part.lower() for part in path.suffixes]
    if endings[-1:] == [".gz"]:
        endings.pop()
        if endings[-1:] == [".parquet"]:
            return ".gz"
    return endings[-1] if endings else ""


def _opened(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _csv_rows(path: Path, file, names: list[str], delimiter: str) -> Iterator[dict]:
    csv.field_size_limit(MAX_FIELD)
    reader = csv.DictReader(file, delimiter=delimiter, strict=True)
    try:
        check_columns(path, names, list(reader.fieldnames or []))
        for row in reader:
            if None in row:
                raise ValueError(
                    f"{path}, line {reader.line_num}: more fields than the header's "
                    f"{len(reader.fieldnames or [])}"
                )
            yield row
    except csv.Error as error:
        raise ValueError(f"{path}, after line {reader.line_num}: {error}") from error


def _json_rows(path: Path, file, names: list[str], _delimiter: str) -> Iterator[dict]:
    fields: dict[str, None] = {}
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: must be an object, got {line.strip()[:40]}")
        fields |= dict.fromkeys(row)
        yield row
    check_columns(path, names, list(fields))


def read_parquet(path: Path, names: list[str]):
    """Some columns of a parquet file, a pyarrow table.

    Raises
    ------
    ValueError
        No such column, no parquet file, or pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ValueError(f"{path}: parquet needs pyarrow ({error})") from error
    try:
        check_columns(path, names, list(parquet.read_schema(path).names))
        return parquet.read_table(path, columns=names)
    except (OSError, ValueError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} cannot be read as parquet: {error}") from error


def _parquet_lists(path: Path, names: list[str]) -> dict[str, list]:
    table = read_parquet(path, names)
    if not table.num_rows:
        raise ValueError(f"{path} has no rows")
    return {name: table.column(name).to_pylist() for name in names}


def check_columns(table: Path | str, names: list[str], found: list[str]) -> None:
    """Raise a ValueError that says what there is unless all `names` are `found`, once each."""
    for name in names:
        if found.count(name) > 1:
            raise ValueError(f"{table} has {found.count(name)} columns {name!r}: give them names")
        if name not in found:
            near = get_close_matches(str(name), map(str, found), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            there = ", ".join(map(repr, found[:20])) or "none at all"
            raise ValueError(f"{table} has no column {name!r}, but {there}{hint}")


def split_labels(values: list, separator: str = ",", where: str = "row") -> list[list[str]]:
    """Names in each field: a list as it is, a list in JSON or as Python writes it, or text with
    separators.

    Blanks around names, empty names and missing ones are left out; whole numbers are named so.

    Raises
    ------
    ValueError
        A name that is no text and no number, with the number of its row behind `where`.
    """
    found = []
    for number, value in enumerate(values, 1):
        try:
            found.append(_names_in(value, separator))
        except TypeError as error:
            raise ValueError(f"{where} {number}: {error}") from error
    return found


def _names_in(value, separator: str) -> list[str]:
    if is_missing(value):
        return []
    if isinstance(value, str):
        parts = _list_in(value)
        if parts is None:
            parts = value.split(separator) if separator else [value]
    elif hasattr(value, "__iter__") and not isinstance(value, Mapping | bytes):
        parts = list(value)
    else:
        parts = [value]
    return [name for part in parts if not is_missing(part) and (name := _name(part))]


def _list_in(text: str) -> list | None:
    """The list that a text is, in JSON or as `str` writes lists; None: a name may begin so."""
    if not text.lstrip().startswith("["):
        return None
    for read in (json.loads, literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def _name(part) -> str:
    if isinstance(part, str):
        return part.strip()
    if not isinstance(part, Real | bool | np.bool_):
        raise TypeError(f"labels must be text or numbers, got {part!r}")
    return str(int(part) if isinstance(part, float) and float(part).is_integer() else part)
