"""Make the bundled WordNet data set from the whole one.

    python tools/make_wordnet_subset.py FOLDER [OUT]

FOLDER holds X_train.npz, X_test.npz, Y_train.npz, Y_test.npz (scipy CSR; rows are WordNet 3.0
entries as tf-idf of the words that describe them, labels the entries that they point to),
labels.json (such as "n01317541:domestic_animal": part of speech, offset, word) and
features.json (words). Kept are the living things and artefacts, nouns by their offset; rows
that point to at least one of them; labels that some training row points to; words that occur
in two training rows. OUT is the package's own file unless said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

FIRST_OFFSET, LAST_OFFSET = 1_300_000, 4_700_000
OUT = Path(__file__).resolve().parents[1] / "sklsh" / "datasets" / "data" / "wordnet.npz"


def is_kept(label: str) -> bool:
    return label[0] == "n" and FIRST_OFFSET <= int(label[1:9]) < LAST_OFFSET


def columns_in_rows(matrix, least: int) -> np.ndarray:
    """Mask of the columns that are stored in at least so many rows."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]) >= least


def packed_rows(name: str, matrix) -> dict[str, np.ndarray]:
    """Lengths of rows and steps between column numbers: small numbers compress well."""
    matrix = sp.csr_array(matrix)
    matrix.sort_indices()
    lengths = np.diff(matrix.indptr)
    steps = np.diff(matrix.indices, prepend=0)
    starts = matrix.indptr[:-1][lengths > 0]
    steps[starts] = matrix.indices[starts]
    assert steps.min() >= 0
    assert max(steps.max(), lengths.max()) < 2**16
    return {
        f"{name}_shape": np.array(matrix.shape),
        f"{name}_lengths": lengths.astype(np.uint16),
        f"{name}_steps": steps.astype(np.uint16),
    }


def packed_names(names) -> np.ndarray:
    assert not any("\n" in name for name in names)
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)


def main(folder: Path, out: Path) -> None:
    data = {
        name: sp.csr_array(sp.load_npz(folder / f"{name}.npz"))
        for name in ("X_train", "X_test", "Y_train", "Y_test")
    }
    labels = np.array(json.loads((folder / "labels.json").read_text()))
    features = np.array(json.loads((folder / "features.json").read_text()))

    kept = np.array([is_kept(label) for label in labels])
    kept &= columns_in_rows(data["Y_train"], 1)
    for part in ("train", "test"):
        Y = data[f"Y_{part}"][:, kept]
        rows = np.diff(Y.indptr) > 0
        data[f"Y_{part}"], data[f"X_{part}"] = Y[rows], data[f"X_{part}"][rows]
    words = columns_in_rows(data["X_train"], 2)
    for part in ("train", "test"):
        data[f"X_{part}"] = data[f"X_{part}"][:, words]

    arrays = {
        "label_names": packed_names(labels[kept]),
        "feature_names": packed_names(features[words]),
    }
    for name, matrix in data.items():
        arrays |= packed_rows(name, matrix)
        if name.startswith("X"):
            arrays[f"{name}_values"] = matrix.data.astype(np.float32)
        else:
            assert (matrix.data == 1).all()
        print(name, matrix.shape, "entries", matrix.nnz)
    np.savez_compressed(out, **arrays)
    print(f"{out.name}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else OUT)
