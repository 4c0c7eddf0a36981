"""The bundled data set: a part of WordNet 3.0."""

from __future__ import annotations

from importlib import resources

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

DESCR = """\
WordNet, related entries of living things and artefacts
-------------------------------------------------------
Which entries of a dictionary does an entry point to? A row is an entry (a synset) of
WordNet 3.0: tf-idf of the words that name and describe it. Its labels are the entries it is
related to (broader, narrower, part, member, attribute ...) among the nouns for living things
and artefacts (offsets 1,300,000 to 4,700,000). Rows without such a label were left out.

    training rows   18,820      features  14,531 words that occur in two training rows
    test rows        4,781      labels    12,607 entries that a training row points to
    entries of X   134,925 + 32,095          of Y   43,089 + 10,513

Values of X are of rows of length 1 before rare words were left out; a few rows have none
left. `label_names` are part of speech, offset and first word of an entry, such as
"n02084071:dog"; `feature_names` are words. Rows were parted at random, and tf-idf was
computed before that: fit for comparing methods on these same rows.

WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. The licence is in
the package, in the file `sklsh/datasets/data/LICENSE.wordnet`.

C. Fellbaum (ed.). "WordNet: An Electronic Lexical Database", MIT Press, 1998.
"""


def load_wordnet(*, return_X_y=False):
    """A real multilabel set that comes with the package: 12,607 labels, 1.1 MB.

    Parameters
    ----------
    return_X_y : bool, default=False
        Only the four matrices.

    Returns
    -------
    data : Bunch
        With the attributes

        - ``X_train`` csr_matrix (18820, 14531) of float32
        - ``X_test`` csr_matrix (4781, 14531) of float32
        - ``Y_train`` csr_matrix (18820, 12607) of float32, 0 and 1
        - ``Y_test`` csr_matrix (4781, 12607) of float32
        - ``feature_names`` ndarray (14531,) of str
        - ``label_names`` ndarray (12607,) of str
        - ``DESCR`` what the rows and labels are, and the licence.

        With `return_X_y` ``(X_train, X_test, Y_train, Y_test)`` instead, in the order of
        `sklearn.model_selection.train_test_split`.

    Notes
    -----
    Read from the package at each call, in some 50 ms.

    Examples
    --------
    >>> from sklsh.datasets import load_wordnet
    >>> data = load_wordnet()
    >>> data.X_train.shape, data.Y_train.shape
    ((18820, 14531), (18820, 12607))
    >>> data.label_names[data.Y_train[0].indices]
    array(['n04424418:thing'], dtype='<U62')
    """
    source = resources.files("sklsh.datasets") / "data" / "wordnet.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        matrices = [_matrix(arrays, name) for name in ("X_train", "X_test", "Y_train", "Y_test")]
        if return_X_y:
            return tuple(matrices)
        X_train, X_test, Y_train, Y_test = matrices
        return Bunch(
            X_train=X_train,
            X_test=X_test,
            Y_train=Y_train,
            Y_test=Y_test,
            feature_names=_names(arrays["feature_names"]),
            label_names=_names(arrays["label_names"]),
            DESCR=DESCR,
        )


def _matrix(arrays, name: str) -> sp.csr_matrix:
    """A CSR matrix from lengths of rows and steps between a row's column numbers."""
    lengths, steps = arrays[f"{name}_lengths"], arrays[f"{name}_steps"]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    # Sums over all steps, less what the rows before had summed up to.
    sums = np.concatenate([[0], np.cumsum(steps, dtype=np.int64)])
    indices = (sums[1:] - np.repeat(sums[indptr[:-1]], lengths)).astype(np.int32)
    values = arrays[f"{name}_values"] if name[0] == "X" else np.ones(len(steps), dtype=np.float32)
    return sp.csr_matrix((values, indices, indptr), shape=tuple(arrays[f"{name}_shape"].tolist()))


def _names(packed: np.ndarray) -> np.ndarray:
    return np.array(packed.tobytes().decode().split("\n"))
