"""A trained network to carry: its body in few bits, its head as codes, no float of either."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sklsh._utils.threads import blocks, run_blocks
from sklsh._utils.validation import check_choice, check_int
from sklsh.hashing.codes import Coder, Codes, ProductCodes, estimates, topk_codes
from sklsh.kernels.topk import select_topk_rows
from sklsh.network.linear import LinearView
from sklsh.network.merging import merge_topk
from sklsh.network.model import WideNetwork
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.predictor import Predictor
from sklsh.network.rows import SparseRows

BODIES = ("codes", "int8", "float16")

MANY, QUERIES, LABELS = 64, 256, 2048
"""From so many rows on, blocks of the head are decoded for a matrix product: looking up a byte's
part of the score for each row takes longer. Rows and labels of a block."""

BODY_BLOCK = 4
"""Coordinates of a byte of the body's codes. Two take a fifth more of the model and are no better
on three data sets (`benchmarks/bench_compress.py`)."""

EXTRA_BYTES = 4
"""Of a neuron's bias and factor, in float16."""


@dataclass
class NarrowRows:
    """Rows in float16, or in int8 with a factor each.

    Attributes
    ----------
    values : ndarray (n, width), float16 or int8
    scale : ndarray (n,), float32; of shape (0,) for float16
    """

    values: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, dtype: str) -> NarrowRows:
        if dtype == "float16":
            largest = np.finfo(np.float16).max
            return cls(rows.clip(-largest, largest).astype(dtype), np.empty(0, np.float32))
        scale = np.abs(rows).max(axis=1, initial=0.0) / np.float32(127)
        scale[scale == 0] = 1
        return cls(np.rint(rows / scale[:, None]).astype(np.int8), scale)

    def take(self, ids) -> np.ndarray:
        """Rows `ids`, float32."""
        rows = self.values[ids].astype(np.float32)
        return rows * self.scale[ids, None] if self.scale.size else rows


@dataclass
class CodedRows:
    """Rows as codes, biases too.

    Attributes
    ----------
    coder : Coder
    codes : Codes
    """

    coder: Coder
    codes: Codes

    @classmethod
    def of(cls, rows, n_bytes: int, bias=None, hidden_mean=None, n_jobs=1) -> CodedRows:
        # Blocks of the coordinates as they are: rotations gain next to nothing at these sizes,
        # and take as many bytes as thousands of rows.
        family = ProductCodes(min(n_bytes, rows.shape[1]), rotation="none", scaled=True)
        coder = family.fit(rows, hidden_mean=hidden_mean, n_jobs=n_jobs)
        return cls(coder, coder.encode(rows, bias, n_jobs))

    def take(self, ids) -> np.ndarray:
        """Rows `ids`, float32."""
        return self.coder.decode(self.codes.take(ids))[0]


@dataclass
class CompressedNetwork:
    """What `compress` leaves of a `WideNetwork`.

    Attributes
    ----------
    first : NarrowRows or CodedRows
        First layer, a row a feature.
    dense : list of ndarray, float16
        Weights of further hidden layers.
    biases : list of ndarray, float32
    head : CodedRows
        Of the neurons of observed labels.
    n_features, n_labels : int
    activation, input_scale, observed_ids
        As of `WideNetwork`.
    """

    first: NarrowRows | CodedRows
    dense: list[np.ndarray]
    biases: list[np.ndarray]
    head: CodedRows
    n_features: int
    n_labels: int
    activation: str
    input_scale: float
    observed_ids: np.ndarray | None

    @classmethod
    def of(
        cls, network: WideNetwork, bytes_per_label: int = 128, body: str = "codes",
        hidden_mean=None, n_threads=1,
    ) -> CompressedNetwork:  # fmt: skip
        """Code a network; it stays as it is.

        Parameters
        ----------
        network : WideNetwork
        bytes_per_label : int
            Of a neuron's code, bias and factor, at least 5.
        body : {"codes", "int8", "float16"}
            First layer: product codes of a byte for two numbers; int8 with a factor a
            row; float16.
        hidden_mean : ndarray (n_hidden,), optional
            Scores of the mean hidden vector are kept as they are: half of the error at 32 bytes.
        """
        bytes_per_label = check_int(bytes_per_label, "bytes_per_label", 1 + EXTRA_BYTES)
        check_choice(body, "body", BODIES)
        weights, seen = network.body_weights[0], network.observed_ids
        if not network.n_observed:
            raise ValueError("compress needs a model that has learnt a label, this one has not yet")
        if body == "codes":
            n_bytes = -(-weights.shape[1] // BODY_BLOCK)
            first: NarrowRows | CodedRows = CodedRows.of(weights, n_bytes, n_jobs=n_threads)
        else:
            first = NarrowRows.of(weights, body)
        head, bias = network.head_weights, network.head_bias
        if seen is not None:
            head, bias = head[seen], bias[seen]
        return cls(
            first,
            [layer.astype(np.float16) for layer in network.body_weights[1:]],
            [layer.copy() for layer in network.body_biases],
            CodedRows.of(head, bytes_per_label - EXTRA_BYTES, bias, hidden_mean, n_threads),
            network.n_features, network.n_labels, network.activation, network.input_scale,
            None if seen is None else seen.copy(),
        )  # fmt: skip

    def hidden(self, X: SparseRows, rows: np.ndarray, n_threads: int = 1) -> np.ndarray:
        """Last hidden layer, ``(n_rows, n_hidden)`` float32, of some rows of `X`."""
        X = X.take(rows)
        features, numbers = np.unique(X.indices, return_inverse=True)
        X = X._replace(indices=numbers.astype(np.int32))
        body = [self.first.take(features), *(layer.astype(np.float32) for layer in self.dense)]
        none = np.empty((0, body[-1].shape[1]), dtype=np.float32)
        network = WideNetwork(
            body, self.biases, none, none[:, 0], self.activation, self.input_scale
        )
        return network.hidden(X, n_threads=n_threads)

    def topk(self, hidden: np.ndarray, k: int, n_threads: int = 1):
        """Labels and estimated logits of the `k` best codes, as `sklsh.network.topk.exact_topk`."""
        coder, codes = self.head.coder, self.head.codes
        if hidden.shape[0] < MANY:
            return topk_codes(coder, codes, hidden, k, self.observed_ids, n_threads)
        seen = self.observed_ids
        if seen is None:
            seen = np.arange(self.n_labels, dtype=np.int32)
        labels = np.full((hidden.shape[0], k), -1, dtype=np.int64)
        scores = np.full((hidden.shape[0], k), -np.inf, dtype=np.float32)

        def task(start, stop):
            for first, last in blocks(codes.n, LABELS):
                weights, bias = coder.decode(codes.take(slice(first, last)))
                products = hidden[start:stop] @ weights.T
                select_topk_rows(
                    products, bias, seen[first:last], scores[start:stop], labels[start:stop],
                    0, stop - start,
                )  # fmt: skip

        run_blocks(task, blocks(hidden.shape[0], QUERIES), n_threads)
        return labels, scores

    def _codes_of(self, labels: np.ndarray) -> tuple[Codes, np.ndarray]:
        """Codes of ascending labels, and the places among them whose label is not observed."""
        seen, codes = self.observed_ids, self.head.codes
        if seen is None:
            return codes.take(labels), labels[:0]
        places = np.minimum(np.searchsorted(seen, labels), seen.shape[0] - 1)
        return codes.take(places), np.flatnonzero(seen[places] != labels)

    def rows_of(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decoded rows and biases of ascending labels; zeros of those not observed."""
        codes, unknown = self._codes_of(labels)
        weights, bias = self.head.coder.decode(codes)
        weights[unknown], bias[unknown] = 0, 0
        return weights, bias

    def logits_of(self, labels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Estimated logits of ascending labels for one row, ``(1, n_hidden)``; 0 if not observed.

        Bytes are looked up, which takes a fifth of decoding what one row alone needs.
        """
        codes, unknown = self._codes_of(labels)
        logits = estimates(self.head.coder, codes, hidden)[0]
        logits[unknown] = 0
        return logits


@dataclass
class CompressedPredictor(Predictor):
    """Top k and logits of a compressed network: O(n_rows * n_labels * bytes_per_label).

    Attributes
    ----------
    network : CompressedNetwork
    """

    network: CompressedNetwork  # type: ignore[assignment]

    n_rows_at_once: ClassVar[int] = 512
    """Of the body, only what so many read is there as float32."""

    def head_topk(self, hidden: np.ndarray, k: int):
        return self.network.topk(hidden, k, self.n_threads)

    def head_logits(self, hidden: np.ndarray, out: np.ndarray) -> None:
        head, seen = self.network.head, self.network.observed_ids
        out[:] = 0
        out[:, slice(None) if seen is None else seen] = estimates(head.coder, head.codes, hidden)

    def merged(self, hidden: np.ndarray, found, neighbors=None, gains=None):
        """As `Predictor`. Only neurons that neighbours and gains name are decoded."""
        if neighbors is None and gains is None:
            return found
        named = [found[0].ravel()]
        memory = None
        if self.memory is not None and neighbors is not None:
            memory, neighbors = self.memory.among(neighbors)
            named.append(memory.labels.indices)
        if gains is not None:
            named.append(gains[0].ravel())
        names = np.unique(np.concatenate(named))
        names = names[names >= 0]

        def places_of(labels):
            return np.where(labels >= 0, np.searchsorted(names, labels), -1)

        if memory is not None:
            memory = replace(memory, labels=memory.labels.among(names))
        if gains is not None:
            gains = places_of(gains[0]).astype(np.int32), gains[1]
        if hidden.shape[0] == 1:  # the logits as weights of a hidden vector of one 1
            weights = self.network.logits_of(names, hidden)[:, None]
            bias, hidden = np.zeros_like(weights[:, 0]), np.ones((1, 1), dtype=np.float32)
        else:
            weights, bias = self.network.rows_of(names)
        best, scores = merge_topk(
            (np.ascontiguousarray(weights), bias), hidden, (places_of(found[0]), found[1]),
            found[0].shape[1], memory, neighbors, gains, self.n_threads,
        )  # fmt: skip
        return np.where(best >= 0, names[best], -1), scores


@dataclass
class CompressedLearner:
    """What a compressed estimator answers from: nothing that could be trained.

    Attributes
    ----------
    network : CompressedNetwork
    memory : NeighborMemory or None
    linear : LinearView or None
    temperature : float
    chances : ndarray or None
    named_only : bool
        As of the float model.
    """

    network: CompressedNetwork
    memory: NeighborMemory | None = None
    linear: LinearView | None = None
    temperature: float = 1.0
    chances: np.ndarray | None = None
    named_only: bool = False

    def predictor(self, n_threads: int = 1) -> CompressedPredictor:
        return CompressedPredictor(
            self.network, self.memory, n_threads, linear=self.linear, named_only=self.named_only
        )
