"""Texts on the command line: a table's column of texts to names of labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

import sklsh
from sklsh._utils.containers import is_missing
from sklsh.datasets._tables import is_table, read_columns, split_labels, stem_of
from sklsh.metrics._names import indicator_by_name

if TYPE_CHECKING:  # estimators are loaded when they are asked for: help needs none
    from sklsh import SparseLSHMLPClassifier, TextTagger


def check_is_text(model_dir: Path, model, text: str | None, data: Path) -> bool:
    """Whether a model and what it is asked for are texts; a ValueError if they do not fit."""
    if isinstance(model, sklsh.TextTagger):
        return True
    if text is not None or is_table(data):
        raise ValueError(f"the model in {model_dir} is of no texts, so that it takes no table")
    return False


def default_folder(data: Path) -> Path:
    """Where the model of a table goes if nothing is said: ``texts.csv.gz -> texts.model``."""
    return data.with_name(stem_of(data) + ".model")


def train_tagger(
    data: Path, text: str, labels: str, separator: str, classifier: SparseLSHMLPClassifier
) -> tuple[TextTagger, sp.csr_matrix]:
    """A tagger that remembers its columns, and its training labels as an indicator."""
    if text == labels:
        raise ValueError(f"--text and --labels must be two columns, got {text!r} twice")
    found = read_columns(data, [text, labels])
    tags = split_labels(found[labels], separator, f"{data}, row")
    tagger = sklsh.TextTagger(classifier).fit(_texts(data, text, found[text]), tags)
    tagger.columns_ = [text, labels, separator]
    return tagger, tagger.encode(tags)


def read_texts(data: Path, tagger: TextTagger, text: str | None) -> list[str]:
    """The texts of a table, from the column that the tagger was trained on if none is named."""
    name = text or _columns(tagger)[0]
    return _texts(data, name, read_columns(data, [name])[name])


def read_labelled(data: Path, tagger: TextTagger, text: str | None, labels: str | None):
    """Vectors of a table's texts, and their labels as an indicator: those that the model knows,
    and behind them the others, which it misses."""
    own_text, own_labels, separator = _columns(tagger)
    names = [text or own_text, labels or own_labels]
    found = read_columns(data, names)
    tags = split_labels(found[names[1]], separator, f"{data}, row")
    others = sorted({name for row in tags for name in row} - set(tagger.classes_.tolist()))
    columns = np.concatenate([tagger.classes_, np.array(others, dtype=str)])
    Y = indicator_by_name(tags, columns)
    return tagger.transform(_texts(data, names[0], found[names[0]])), Y


def _columns(tagger: TextTagger) -> list[str]:
    return getattr(tagger, "columns_", ["text", "labels", ","])


def _texts(data: Path, name: str, values: list) -> list[str]:
    out = []
    for number, value in enumerate(values, 1):
        if is_missing(value):
            value = ""
        if not isinstance(value, str):
            raise ValueError(f"{data}, row {number}: {name!r} must be text, got {value!r}")
        out.append(value)
    return out
