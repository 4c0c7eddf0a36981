"""Labels and scores as lines, to the screen or to a file of the kind that its name says."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer

from sklsh._utils.files import replacing

OTHER_KINDS = (".csv", ".tsv", ".parquet")
"""Names that promise a table, as which neither kind of lines can be read."""


def check_kind(output: Path | None, *, json: bool = False) -> None:
    """A ValueError where a file's name promises something else than the lines that are written."""
    if output is None:
        return
    path = output.with_suffix("") if output.suffix.lower() == ".gz" else output
    others = OTHER_KINDS if json else (*OTHER_KINDS, ".jsonl", ".ndjson")
    if path.suffix.lower() in others:
        lines, ending = ("JSON lines", ".jsonl") if json else ("lines of label:score", ".txt")
        raise ValueError(
            f"{output}: what is written are {lines}; end in {ending} (.gz behind, if it is to be "
            "packed) or .npz"
        )


def write_scores(output: Path | None, labels: np.ndarray, scores: np.ndarray, n_labels: int):
    write_lines(output, score_lines(labels, scores, n_labels), labels=labels, scores=scores)


def write_lines(output: Path | None, lines: Iterable[str], **arrays: Any) -> None:
    """Lines as text, or `arrays` where the output is .npz."""
    if output is None:
        for line in lines:
            typer.echo(line)
        return
    sys.stdout.flush()  # which `output` may lead to
    with replacing(output) as file:
        if output.suffix.lower() == ".npz":
            np.savez_compressed(file, **arrays)
        elif output.suffix.lower() == ".gz":
            # By its own name: the temporary one would be what is unpacked.
            with gzip.GzipFile(output.stem, "wb", fileobj=file) as packed:
                packed.writelines(f"{line}\n".encode() for line in lines)
        else:
            file.writelines(f"{line}\n".encode() for line in lines)


def score_lines(labels: np.ndarray, scores: np.ndarray, n_labels: int):
    yield f"{labels.shape[0]} {n_labels}"
    for row, values in zip(labels.tolist(), scores.tolist(), strict=True):
        yield " ".join(f"{j}:{v:.7g}" for j, v in zip(row, values, strict=True) if j >= 0)


def json_lines(labels: np.ndarray, scores: np.ndarray) -> Iterator[str]:
    """A row's labels and scores a line, best first."""
    for names, values in zip(labels.tolist(), scores.tolist(), strict=True):
        n = sum(name != "" for name in names)
        row = {"labels": names[:n], "scores": [round(value, 6) for value in values[:n]]}
        yield json.dumps(row, ensure_ascii=False)
