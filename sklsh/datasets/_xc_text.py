"""Rows of the repository's text format as arrays: a block of lines at a time, checked whole.

All of a block is taken apart by operations on whole arrays and lists. Only where they do not
fit are its rows looked at one by one, to say which one is wrong, and how.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import scipy.sparse as sp

BLOCK_ROWS = 4096
TO_SPACES = bytes.maketrans(b"\t\v\f\r\n", b"     ")
COLON, SPACE = b": "


@dataclass(frozen=True)
class Shape:
    """What the header says, and what to call the file."""

    n_samples: int
    n_features: int
    n_labels: int
    name: str

    def wrong(self, row: int, message: str) -> ValueError:
        """An error of a row; both are numbered from 0, lines of the file from 1."""
        return ValueError(f"{self.name}: {message} in row {row} (line {row + 2})")


def read_rows(lines: Iterable[bytes], shape: Shape) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of the lines after the header.

    Raises
    ------
    ValueError
        A row that is not of the format, or not of the header's shape.
    """
    parts, n_rows, n_blank = [], 0, 0
    for block in _blocks(lines, shape.n_samples):
        parts.append(_Block(block, n_rows, shape).read())
        n_rows += len(block)
        n_blank += sum(not line.strip() for line in block)
    if n_rows != shape.n_samples:
        blank = f" ({n_blank} of them blank: rows with nothing)" if n_blank else ""
        raise ValueError(
            f"{shape.name}: the header says {shape.n_samples} rows, the body has {n_rows}{blank}"
        )
    x_lengths, features, values, y_lengths, labels = map(np.concatenate, zip(*parts, strict=True))
    X = _csr(x_lengths, features, values, (n_rows, shape.n_features))
    ones = np.ones(labels.shape[0], np.float32)
    Y = _csr(y_lengths, labels, ones, (n_rows, shape.n_labels))
    Y.data[:] = 1
    return X, Y


def _blocks(lines: Iterable[bytes], n_samples: int) -> Iterator[list[bytes]]:
    lines, n_rows = iter(lines), 0
    while block := list(islice(lines, BLOCK_ROWS)):
        # Beyond the last row, an empty line is nothing but the file's end.
        while n_rows + len(block) > n_samples and block and not block[-1].strip():
            del block[-1]
        n_rows += len(block)
        yield block


def _csr(lengths, columns, values, shape) -> sp.csr_matrix:
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    matrix = sp.csr_matrix((values, columns, indptr), shape=shape)
    # Features in any order, one that comes twice being the sum; and nothing stored that is 0.
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


class _Block:
    """Lines that follow each other, parted into the texts of labels and of features."""

    def __init__(self, lines: list[bytes], first_row: int, shape: Shape):
        self.first_row, self.shape = first_row, shape
        self.labels, self.features = [], []
        for line in lines:
            line = line.translate(TO_SPACES).partition(b"#")[0].strip(b" ")
            # The first word with a colon begins the features.
            start = line.rfind(b" ", 0, line.find(b":")) + 1 if b":" in line else len(line)
            self.labels.append(line[:start].rstrip())
            self.features.append(line[start:])

    def read(self):
        """Features a row, their numbers and values; labels a row and their numbers."""
        features = self._features()
        labels = self._labels()
        if features is None or labels is None:
            self._say_what_is_wrong()
        n_features, columns, values = features
        n_labels, numbers = labels
        self._check_range(columns, n_features, self.shape.n_features, "feature numbers")
        self._check_range(numbers, n_labels, self.shape.n_labels, "labels")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        return n_features, columns.astype(np.int32), values, n_labels, numbers.astype(np.int32)

    def _features(self):
        lengths = np.array([text.count(b":") for text in self.features], dtype=np.int64)
        text = b" ".join(b" ".join(self.features).split())
        if not text:
            return lengths, np.empty(0), np.empty(0)
        raw = np.frombuffer(text, dtype=np.uint8)
        at = np.flatnonzero((raw == COLON) | (raw == SPACE))
        # Number, colon, value, space, number ... and something between each two of them.
        right = at.shape[0] % 2 and (raw[at[::2]] == COLON).all() and (raw[at[1::2]] == SPACE).all()
        if not right or at[0] == 0 or at[-1] == len(text) - 1 or (np.diff(at) == 1).any():
            return None
        words = text.replace(b":", b" ").split(b" ")
        columns, values = _floats(words[::2]), _floats(words[1::2])
        return None if columns is None or values is None else (lengths, columns, values)

    def _labels(self):
        lengths = np.array(
            [text.count(b",") + 1 if text else 0 for text in self.labels], dtype=np.int64
        )
        filled = [text for text in self.labels if text]
        numbers = _floats(b",".join(filled).split(b",")) if filled else np.empty(0)
        return None if numbers is None else (lengths, numbers)

    def _check_range(self, numbers, lengths, end: int, what: str) -> None:
        wrong = np.flatnonzero(~((numbers >= 0) & (numbers < end) & (numbers == np.floor(numbers))))
        if wrong.size:
            row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
            raise self.shape.wrong(
                self.first_row + row,
                f"{what} must be integers in [0, {end}) by the header, got {numbers[wrong[0]]:g}",
            )

    def _say_what_is_wrong(self):
        for row, (labels, features) in enumerate(zip(self.labels, self.features, strict=True)):
            for label in labels.split(b",") if labels else []:
                if _floats([label]) is None:
                    raise self.shape.wrong(
                        self.first_row + row,
                        "labels must be integers with commas between them, then feature:value "
                        f"pairs, got {_shown(labels)}",
                    )
            for pair in features.split():
                number, _, value = pair.partition(b":")
                if _floats([number]) is None or _floats([value]) is None:
                    raise self.shape.wrong(
                        self.first_row + row,
                        "features must be feature:value pairs, an integer and a number without "
                        f"spaces, got {_shown(pair)}",
                    )
        raise ValueError(f"{self.shape.name}: rows from {self.first_row} on cannot be read")


def _floats(words: list[bytes]) -> np.ndarray | None:
    """The numbers that words are; None if one is none, or one that only Python writes (1_0)."""
    try:
        numbers = np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        return None
    return None if b"_" in b"".join(words) else numbers


def _shown(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", errors="replace"))
