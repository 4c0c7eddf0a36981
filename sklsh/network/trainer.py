"""One training step and one epoch of a `WideNetwork`, on an active set shared by the batch."""

from __future__ import annotations

import math

import numpy as np

from sklsh._utils.random import nth_seed
from sklsh._utils.threads import blocks, run_blocks
from sklsh.kernels.active import stamp_ids, stamp_labels_csr
from sklsh.kernels.counter import dropout_rows
from sklsh.kernels.layers import activation_gradient, softmax_residual
from sklsh.kernels.updates import (
    adagrad_features,
    adagrad_rows,
    adagrad_vector,
    transpose_batch,
)
from sklsh.network.journal import Journal
from sklsh.network.model import ACTIVATIONS, WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad
from sklsh.network.rows import SparseRows

ROWS, NEURONS, FEATURES = 32, 256, 256
"""Rows, neurons and features of one task. Constants, so that results don't hang on n_jobs."""


class Trainer:
    """Trains a network in place, batch by batch.

    Parameters
    ----------
    network : WideNetwork
    sampler : Sampler
    optimizer : RowwiseAdagrad
    dropout : float
        Share of the last hidden layer that is zeroed, by row and step.
    alpha : float
        L2 penalty, paid by a row only when it is touched.
    seed : int
    step_count : int
        Steps taken before: with `seed`, the source of randomness.
    n_threads : int
        Changes the time only.
    journal : Journal or None
        Told what is about to change.

    Notes
    -----
    A step costs O(nnz * n_hidden + n_rows * n_active * n_hidden) and allocates only when a
    batch is larger than all before it. BLAS runs on one thread in each of our tasks; the
    caller limits it (`one_blas_thread`).
    """

    def __init__(
        self,
        network: WideNetwork,
        sampler,
        optimizer: RowwiseAdagrad,
        *,
        dropout: float = 0.0,
        alpha: float = 0.0,
        seed: int = 0,
        step_count: int = 0,
        n_threads: int = 1,
        journal: Journal | None = None,
    ):
        self.network = network
        self.sampler = sampler
        self.optimizer = optimizer
        self.dropout = dropout
        self.alpha = np.float32(alpha)
        self.seed = seed
        self.n_threads = n_threads
        self.step_count = step_count
        self.journal = journal
        self._slots = np.full(network.n_labels, -1, dtype=np.int32)
        self._feature_slots = np.full(network.n_features, -1, dtype=np.int32)
        self._buffers: dict[str, np.ndarray] = {}
        self._scales = np.empty(0, dtype=np.float32)

    def _buffer(self, name, shape, dtype=np.float32):
        """A view of at least `shape`, kept from step to step and grown when too small."""
        held = self._buffers.get(name)
        size = math.prod(shape)
        if held is None or held.size < size:
            held = np.empty(size + size // 4, dtype=dtype)
            self._buffers[name] = held
        return held[:size].reshape(shape)

    def epoch(self, X: SparseRows, Y: SparseRows, order, batch_size, learning_rate, weights=None):
        """One pass over the rows `order`; mean loss. `learning_rate` may be a function of
        the position in ``[0, 1)`` within the epoch."""
        total, n_rows = 0.0, max(1, order.shape[0])
        for start in range(0, order.shape[0], batch_size):
            rate = learning_rate(start / n_rows) if callable(learning_rate) else learning_rate
            rows = order[start : start + batch_size]
            total += self.step(X, Y, rows, rate, weights)
        return total / n_rows

    def step(self, X: SparseRows, Y: SparseRows, rows, learning_rate, weights=None) -> float:
        """Train on ``X[rows]``; the sum of the rows' losses before the update.

        Nothing is learnt from a batch whose loss is not finite: the weights stay as they are.
        """
        # Long: phases of one batch share its buffers; handing them around would hide the order.
        network, n_threads = self.network, self.n_threads
        n_rows, learning_rate = rows.shape[0], np.float32(learning_rate)
        layers = self._forward(X, rows)
        hidden = layers[-1]

        # The active set: the batch's labels first, then the sampler's proposals.
        n_targets = int((Y.indptr[rows + 1] - Y.indptr[rows]).sum())
        capacity = min(network.n_labels, n_targets + self.sampler.n_active)
        active = self._buffer("active", (capacity,), np.int32)
        offsets = self._buffer("offsets", (capacity,))
        n_batch_labels = stamp_labels_csr(Y.indptr, Y.indices, rows, self._slots, active)
        offsets[:n_batch_labels] = 0
        n_active = n_batch_labels
        for ids, offset in self.sampler.propose(
            network, hidden, self._slots, self.step_count, n_threads
        ):
            n_active = stamp_ids(ids, np.float32(offset), self._slots, active, offsets, n_active)
        offsets[:n_active] += network.head_bias[active[:n_active]]
        if self.journal is not None:
            self.journal.neurons(active[:n_active])
        if self.dropout:
            seed, rate = nth_seed(self.seed, self.step_count), np.float32(self.dropout)

            def drop(start, stop):
                dropout_rows(seed, rows, rate, hidden, start, stop)

            run_blocks(drop, blocks(n_rows, ROWS), n_threads)

        # Forward through the active part of the head.
        head = self._buffer("head", (n_active, network.n_hidden))
        logits = self._buffer("logits", (n_rows, n_active))
        spans = blocks(n_active, NEURONS)

        def forward(start, stop):
            span = active[start:stop]
            np.take(network.head_weights, span, axis=0, out=head[start:stop], mode="clip")
            logits[:, start:stop] = hidden @ head[start:stop].T

        run_blocks(forward, spans, n_threads)

        row_weights = self._buffer("row_weights", (n_rows,))
        row_weights[:] = 1.0 if weights is None else weights[rows]
        losses = self._buffer("losses", (n_rows,))
        bits = self._buffer("bits", (n_rows, n_active), np.int32)

        def residual(start, stop):
            softmax_residual(
                logits, offsets, n_active, Y.indptr, Y.indices, rows, self._slots,
                row_weights, bits, bits.view(np.float32), losses, start, stop,
            )  # fmt: skip

        run_blocks(residual, blocks(n_rows, ROWS), n_threads)
        self._slots[active[:n_active]] = -1
        loss = float(losses.sum())
        if not np.isfinite(loss):
            return loss
        logits *= np.float32(1.0 / n_rows)

        # Backward: neurons are updated block by block, each after its share of dL/dH is taken.
        partials = self._buffer("partials", (len(spans), n_rows, network.n_hidden))
        gradients = self._buffer("gradients", (n_active, network.n_hidden))
        bias_gradients = self._buffer("bias_gradients", (n_active,))
        state = self.optimizer

        def backward(start, stop):
            block = logits[:, start:stop]
            np.matmul(block, head[start:stop], out=partials[start // NEURONS])
            np.matmul(block.T, hidden, out=gradients[start:stop])
            np.add.reduce(block, axis=0, out=bias_gradients[start:stop])
            adagrad_rows(
                network.head_weights, state.head_weights, active, gradients,
                learning_rate, self.alpha, start, stop,
            )  # fmt: skip
            adagrad_vector(
                network.head_bias, state.head_bias, active, bias_gradients,
                learning_rate, start, stop,
            )  # fmt: skip

        run_blocks(backward, spans, n_threads)
        self._backward_body(X, rows, layers, partials, learning_rate)
        self.step_count += 1
        return loss

    def _forward(self, X, rows):
        """Activations of every hidden layer, in buffers."""
        layers: list[np.ndarray] = []
        for layer, weights in enumerate(self.network.body_weights):
            out = self._buffer(f"layer{layer}", (rows.shape[0], weights.shape[1]))
            if layer == 0:
                self._scales = self.network.first_layer(X, rows, out, self.n_threads)
            else:
                self.network.dense_layer(layer, layers[-1], out, self.n_threads)
            layers.append(out)
        return layers

    def _backward_body(self, X, rows, layers, partials, learning_rate):
        """From d loss / d (last hidden layer), in parts, down to the first layer's rows."""
        network, state, n_rows = self.network, self.optimizer, rows.shape[0]
        code = ACTIVATIONS[network.activation]
        scale = np.float32(1.0 / (1.0 - self.dropout))
        for layer in range(len(layers) - 1, -1, -1):
            output = layers[layer]
            gradient = self._buffer(f"gradient{layer}", output.shape)
            layer_partials = partials

            def through(start, stop, output=output, gradient=gradient, parts=layer_partials,
                        scale=scale):  # fmt: skip
                activation_gradient(parts, output, scale, code, gradient, start, stop)

            run_blocks(through, blocks(n_rows, ROWS), self.n_threads)
            n_out = output.shape[1]
            bias_gradient = self._buffer(f"bias_gradient{layer}", (n_out,))
            np.add.reduce(gradient, axis=0, out=bias_gradient)
            adagrad_vector(
                network.body_biases[layer], state.body_biases[layer],
                np.arange(n_out, dtype=np.int32), bias_gradient, learning_rate, 0, n_out,
            )  # fmt: skip
            if layer == 0:
                self._update_features(X, rows, gradient, learning_rate)
                return
            weights = network.body_weights[layer]
            partials = (gradient @ weights.T)[None]
            weights_gradient = layers[layer - 1].T @ gradient
            n_in = weights.shape[0]
            adagrad_rows(
                weights, state.body_weights[layer], np.arange(n_in, dtype=np.int32),
                weights_gradient, learning_rate, self.alpha, 0, n_in,
            )  # fmt: skip
            scale = np.float32(1.0)

    def _update_features(self, X, rows, gradient, learning_rate):
        """First-layer rows of the features that the batch has."""
        network, state = self.network, self.optimizer
        n_entries = int((X.indptr[rows + 1] - X.indptr[rows]).sum())
        features = self._buffer("features", (n_entries,), np.int32)
        starts = self._buffer("starts", (n_entries + 1,), np.int64)
        columns = self._buffer("columns", (n_entries,), np.int32)
        values = self._buffer("values", (n_entries,))
        n_found = transpose_batch(*X, rows, self._feature_slots, features, starts, columns, values)
        values *= self._scales[columns]
        if self.journal is not None:
            self.journal.features(features[:n_found])
        spans = blocks(n_found, FEATURES)
        scratch = self._buffer("scratch", (max(1, len(spans)), gradient.shape[1]))

        def update(start, stop):
            adagrad_features(
                network.body_weights[0], state.body_weights[0], features, starts, columns,
                values, gradient, learning_rate, self.alpha, scratch[start // FEATURES],
                start, stop,
            )  # fmt: skip

        run_blocks(update, spans, self.n_threads)
