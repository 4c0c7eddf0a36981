"""`WideNetwork`: the arrays of a body and a very wide head, and how activations flow through."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.layers import (
    IDENTITY,
    RELU,
    TANH,
    activate_rows,
    gather_accumulate_csr,
    scale_rows_csr,
)
from sklsh.network.rows import SparseRows

ACTIVATIONS = {"relu": RELU, "identity": IDENTITY, "tanh": TANH}
ROW_BLOCK = 64
"""Rows of one forward task: results depend on it in the last bit, so it is a constant."""

HIDDEN_NORM = 0.34
"""Length of a fresh network's hidden vectors; .1 to .5 train alike, 1 loses points of P@1."""

LONGEST = 8.0
"""Scaled rows longer than this are shortened to it: a stray one must not drown the others."""

MAX_INPUT_SCALE = 1e37
"""Entries near zero are not made larger than this, to stay finite in float32."""


@dataclass
class WideNetwork:
    """Weights of a multilayer perceptron whose last layer has one row per label.

    Attributes
    ----------
    body_weights : list of ndarray, float32
        ``(n_features, n_hidden_1), (n_hidden_1, n_hidden_2), ...``
    body_biases : list of ndarray, float32
    head_weights : ndarray (n_labels, n_hidden), float32
        Row = neuron.
    head_bias : ndarray (n_labels,), float32
    activation : {"relu", "identity", "tanh"}
        Of every hidden layer.
    input_scale : float
        Entries of rows are multiplied by this, so that training does as well in any unit; those
        of rows that would be longer than `LONGEST`, by less.
    observed_ids : ndarray of int32 or None
        Neurons of observed labels, which some training row has, ascending. The others are
        neither sampled nor hashed nor predicted, and their rows of zeros are never touched.
        None: every neuron.
    """

    body_weights: list[np.ndarray]
    body_biases: list[np.ndarray]
    head_weights: np.ndarray
    head_bias: np.ndarray
    activation: str = "relu"
    input_scale: float = 1.0
    observed_ids: np.ndarray | None = None

    @classmethod
    def initialise(
        cls, n_features, hidden_layer_sizes, n_labels, *, activation="relu", row_norm=1.0, rng
    ) -> WideNetwork:
        """Random body (He or Glorot normal), head of zeros.

        Rows are scaled to norm 1 by their typical norm, `row_norm`. The first layer is drawn for
        such rows rather than by its fan-in (sparse rows touch a handful of the features), and
        small, so that a feature's first update outweighs its random start: hidden vectors
        have norm `HIDDEN_NORM`.
        """
        body_weights, body_biases = [], []
        n_in, gain = n_features, 2.0 if activation == "relu" else 1.0
        for layer, n_out in enumerate(hidden_layer_sizes):
            scale = np.sqrt(gain / (n_out if layer == 0 else n_in))
            if layer == 0:
                scale *= HIDDEN_NORM
            weights = rng.standard_normal((n_in, n_out), dtype=np.float32)
            weights *= np.float32(scale)
            body_weights.append(weights)
            body_biases.append(np.zeros(n_out, dtype=np.float32))
            n_in = n_out
        return cls(
            body_weights,
            body_biases,
            np.zeros((n_labels, n_in), dtype=np.float32),
            np.zeros(n_labels, dtype=np.float32),
            activation,
            input_scale=_input_scale(row_norm),
        )

    @property
    def n_features(self) -> int:
        return self.body_weights[0].shape[0]

    @property
    def n_hidden(self) -> int:
        return self.head_weights.shape[1]

    @property
    def n_labels(self) -> int:
        return self.head_weights.shape[0]

    @property
    def n_observed(self) -> int:
        """Number of neurons of observed labels."""
        return self.n_labels if self.observed_ids is None else self.observed_ids.shape[0]

    @property
    def seen_ids(self) -> np.ndarray | None:
        """Deprecated: former name of `observed_ids`, until 0.2."""
        message = "seen_ids is called observed_ids now, and will be gone in 0.2"
        warnings.warn(message, FutureWarning, stacklevel=2)
        return self.observed_ids

    def see(self, labels: np.ndarray, *, only: bool = False) -> None:
        """Take `labels` as observed, beside (or instead of) those that are."""
        observed = np.zeros(self.n_labels, dtype=bool)
        observed[labels] = True
        if not only:
            observed[slice(None) if self.observed_ids is None else self.observed_ids] = True
        self.observed_ids = None if observed.all() else np.flatnonzero(observed).astype(np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes of all parameters."""
        return sum(array.nbytes for array in self.parameters())

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases of all neurons."""
        return self.head_weights, self.head_bias

    def rows_of(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases of some neurons, copied."""
        return self.head_weights[labels], self.head_bias[labels]

    def parameters(self) -> list[np.ndarray]:
        """Every parameter array, body first."""
        return [*self.body_weights, *self.body_biases, self.head_weights, self.head_bias]

    def first_layer(self, X: SparseRows, rows, out, n_threads=1) -> np.ndarray:
        """Activations of the first hidden layer for ``X[rows]`` into `out`.

        Returns what each row's entries were multiplied by, ``(n_rows,)`` float32.
        """
        code = ACTIVATIONS[self.activation]
        weights, bias = self.body_weights[0], self.body_biases[0]
        scale, scales = np.float32(self.input_scale), np.empty(rows.shape[0], dtype=np.float32)

        def task(start, stop):
            scale_rows_csr(X.indptr, X.data, rows, scale, LONGEST, scales, start, stop)
            gather_accumulate_csr(*X, rows, scales, weights, bias, code, out, start, stop)

        run_blocks(task, blocks(rows.shape[0], ROW_BLOCK), n_threads)
        return scales

    def dense_layer(self, layer: int, previous, out, n_threads=1) -> None:
        """Activations of hidden layer `layer` >= 1 from those of the layer before."""
        code = ACTIVATIONS[self.activation]
        weights, bias = self.body_weights[layer], self.body_biases[layer]

        def task(start, stop):
            np.matmul(previous[start:stop], weights, out=out[start:stop])
            activate_rows(out, bias, code, start, stop)

        run_blocks(task, blocks(previous.shape[0], ROW_BLOCK), n_threads)

    def hidden(self, X: SparseRows, rows=None, n_threads=1) -> np.ndarray:
        """Last hidden layer, ``(n_rows, n_hidden)`` float32, of all or some rows of `X`."""
        if rows is None:
            rows = np.arange(X.n_rows, dtype=np.int32)
        values = np.empty((rows.shape[0], self.body_weights[0].shape[1]), dtype=np.float32)
        self.first_layer(X, rows, values, n_threads)
        for layer in range(1, len(self.body_weights)):
            shape = (rows.shape[0], self.body_weights[layer].shape[1])
            values, previous = np.empty(shape, dtype=np.float32), values
            self.dense_layer(layer, previous, values, n_threads)
        return values


def _input_scale(row_norm: float) -> float:
    """About 1 is taken for 1: rows of unit length are read, and weights shown, as they are."""
    return 1.0 if abs(row_norm - 1) < 0.01 else min(1 / row_norm, MAX_INPUT_SCALE)
