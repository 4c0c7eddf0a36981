"""Do the arrays of what was read from a folder point into each other? Kernels take it as given.

Checksums tell damage; this tells a folder that was made wrong, or by somebody who means harm:
an index beyond its array would be read by a kernel, from memory that is anybody's.
"""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from sklsh.estimators.classifier import SparseLSHMLPClassifier
from sklsh.estimators.federated import FederatedLSHClassifier
from sklsh.estimators.hasher import CompressedLSHHasher
from sklsh.estimators.recommender import LSHRecommender
from sklsh.estimators.text import TextTagger
from sklsh.hashing.base import MAX_CODE_BITS
from sklsh.hashing.codes.product import ProductCoder
from sklsh.hashing.codes.signs import SignCoder
from sklsh.hashing.families import SignFunctions, WinnerFunctions
from sklsh.hashing.projection import Projection
from sklsh.hashing.tables import HashTables
from sklsh.network.autoencoder import Autoencoder
from sklsh.network.calibration import THRESHOLDS
from sklsh.network.coded_head import FAMILY, CodedCandidates
from sklsh.network.compressed import CodedRows, CompressedLearner, CompressedNetwork
from sklsh.network.cooccurrence import ItemMemory
from sklsh.network.label_tree import TreeLevel
from sklsh.network.learner import Learner
from sklsh.network.linear import LinearView
from sklsh.network.lowpass import LowPass
from sklsh.network.lsh import LSHCandidates
from sklsh.network.model import WideNetwork
from sklsh.network.nearest import DenseRows, InvertedRows
from sklsh.network.neighbors import NeighborMemory
from sklsh.network.regression import ItemRegression
from sklsh.network.window import RecentRows


@singledispatch
def check_ranges(thing) -> None:
    """Raise a ValueError if an index of an object that was read points out of range."""


@check_ranges.register
def _(tagger: TextTagger) -> None:
    model = tagger.classifier_
    shaped(tagger.terms_, (model.n_features_in_,), "terms_")
    shaped(tagger.idf_, (model.n_features_in_,), "idf_")
    shaped(tagger.classes_, (model.classes_.shape[0],), "classes_")
    right = tagger.terms_.dtype.kind == tagger.classes_.dtype.kind == "U"
    require(right, "terms_ and classes_ must be text")


def require(right, what: str) -> None:
    if not right:
        raise ValueError(f"damaged: {what}")


def within(array: np.ndarray, low: int, end: int, what: str) -> None:
    require(array.dtype.kind in "iu", f"{what} must be integers, got {array.dtype}")
    right = not array.size or (array.min() >= low and array.max() < end)
    require(right, f"{what} must be in [{low}, {end})")


def shaped(array: np.ndarray, shape: tuple, what: str) -> None:
    """Whether an array has the shape, or, where that has None, any length."""
    right = array.ndim == len(shape) and all(
        wanted in (None, got) for got, wanted in zip(array.shape, shape, strict=True)
    )
    require(right, f"{what} must have shape {shape}, got {array.shape}")


def ascending(indptr: np.ndarray, n: int, end: int | None, what: str) -> None:
    """``n + 1`` integers that ascend from 0 to `end`; None: wherever they end."""
    shaped(indptr, (n + 1,), what)
    require(indptr.dtype.kind in "iu", f"{what} must be integers, got {indptr.dtype}")
    right = indptr[0] == 0 and (np.diff(indptr) >= 0).all() and end in (None, indptr[-1])
    require(right, f"{what} must ascend from 0 to {'the end' if end is None else end}")


def rows_within(rows, n_rows: int, n_columns: int, what: str) -> None:
    """CSR arrays: row pointers that ascend to the number of entries, columns in range."""
    indptr, indices, data = rows
    ascending(indptr, n_rows, indices.shape[0], f"{what}.indptr")
    shaped(data, indices.shape, f"{what}.data")
    shaped(indices, (None,), f"{what}.indices")
    within(indices, 0, n_columns, f"{what}.indices")


# Hashing ----------------------------------------------------------------------------------


@check_ranges.register
def _(projection: Projection) -> None:
    shaped(projection.weights, projection.bins.shape, "weights of a projection")
    within(projection.bins, -1, projection.sketch_dim, "bins of a projection")


@check_ranges.register
def _(functions: WinnerFunctions) -> None:
    shaped(functions.coordinates, (functions.n_tables, None, None), "coordinates")
    within(functions.coordinates, 0, functions.projection.sketch_dim, "coordinates")
    n_bins, width = functions.coordinates.shape[1:]
    right = n_bins * functions.digit_bits == functions.code_bits
    require(right and width <= 2**functions.digit_bits, "bits of codes must be those of bins")


@check_ranges.register
def _(functions: SignFunctions) -> None:
    width = -(-functions.projection.sketch_dim // 8) * 8
    shaped(functions.planes, (functions.n_tables, functions.code_bits, width), "planes")


@check_ranges.register
def _(tables: HashTables) -> None:
    bits, prefix = tables.code_bits, tables.prefix_bits
    require(0 < prefix <= bits <= MAX_CODE_BITS, "bits of prefix and code must fit")
    n_tables, n_ids = tables.codes.shape
    shaped(tables.present, (n_ids,), "present")
    require(tables.present.dtype == bool, "present must be bool")
    n_present = int(tables.present.sum())
    shaped(tables.buckets, (n_tables, n_present), "buckets")
    shaped(tables.starts, (n_tables, 2**prefix + 1), "starts")
    within(tables.codes, 0, 2**bits, "codes")
    within(tables.buckets, 0, n_ids, "buckets")
    starts = tables.starts
    within(starts, 0, n_present + 1, "starts")
    right = (starts[:, 0] == 0).all() and (starts[:, -1] == n_present).all()
    require(right and (np.diff(starts, axis=1) >= 0).all(), "starts must ascend over all buckets")


# Networks ---------------------------------------------------------------------------------


@check_ranges.register
def _(network: WideNetwork) -> None:
    n_in = network.body_weights[0].shape[0] if network.body_weights else None
    require(len(network.body_weights) == len(network.body_biases), "a bias for each layer")
    for weights, bias in zip(network.body_weights, network.body_biases, strict=True):
        shaped(weights, (n_in, None), "weights of a layer")
        n_in = weights.shape[1]
        shaped(bias, (n_in,), "bias of a layer")
    shaped(network.head_weights, (None, n_in), "weights of the head")
    shaped(network.head_bias, network.head_weights.shape[:1], "bias of the head")
    if network.observed_ids is not None:
        shaped(network.observed_ids, (None,), "observed_ids")
        within(network.observed_ids, 0, network.n_labels, "observed_ids")


@check_ranges.register
def _(index: InvertedRows) -> None:
    n_features = index.postings.indptr.shape[0] - 1
    rows_within(index.postings, n_features, index.n_rows, "postings")


@check_ranges.register
def _(memory: ItemMemory) -> None:
    shaped(memory.counts, (memory.ids.shape[0],), "counts of items")
    shaped(memory.ids, (memory.counts.shape[0], None), "neighbours of items")
    shaped(memory.values, memory.ids.shape, "values of neighbours")
    within(memory.ids, -1, memory.ids.shape[0], "neighbours of items")


@check_ranges.register
def _(regression: ItemRegression) -> None:
    n_items, n_choices = regression.indptr.shape[0] - 1, len(regression.choices)
    shaped(regression.values, (n_choices, regression.items.shape[0]), "coefficients")
    require(0 <= regression.chosen < n_choices, "the regression's choice must be one of them")
    rows = regression.indptr, regression.items, regression.values[0]
    rows_within(rows, n_items, n_items, "regression")


@check_ranges.register
def _(low_pass: LowPass) -> None:
    shaped(low_pass.factors, (None, None, None), "factors of items")
    n_kinds = len({(flat, exponent) for _, flat, exponent in low_pass.filters})
    require(low_pass.factors.shape[0] == n_kinds, f"factors must be of {n_kinds} kinds")
    shaped(low_pass.scales, low_pass.factors.shape[:2], "scales of items")
    right = 0 <= low_pass.chosen < len(low_pass.filters)
    require(right, "the low pass's filter must be one of them")


@check_ranges.register
def _(window: RecentRows) -> None:
    n_columns = int(window.indices.max(initial=-1)) + 1
    rows_within(window.rows(), window.indptr.shape[0] - 1, n_columns, "latest rows")


@check_ranges.register
def _(view: LinearView) -> None:
    for tree in view.trees:
        n_nodes = 1
        for level in tree.levels:
            n_nodes = _check_level(level, n_nodes)
        shaped(tree.order, (n_nodes,), "labels in a tree's leaves")
        within(tree.order, 0, view.n_labels, "labels in a tree's leaves")


def _check_level(level: TreeLevel, n_nodes: int) -> int:
    """Number of the children of its nodes."""
    ascending(level.first_child, n_nodes, None, "children of a tree's nodes")
    n_children, widest = int(level.first_child[-1]), int(np.diff(level.first_child).max(initial=0))
    shaped(level.features, (None,), "features of a tree's nodes")
    ascending(level.feature_indptr, n_nodes, level.features.shape[0], "rows of a tree's features")
    n_entries = level.children.shape[0]
    ascending(level.entry_indptr, level.features.shape[0], n_entries, "rows of a tree's weights")
    within(level.children, 0, widest, "children in a tree's weights")
    shaped(level.values, (n_entries,), "a tree's weights")
    coded = level.values.dtype == np.uint8
    shaped(level.book, (256 if coded else 0,), "sizes of a tree's weights")
    shaped(level.intercepts, (n_children,), "intercepts of a tree")
    return n_children


@check_ranges.register
def _(network: CompressedNetwork) -> None:
    first, head = network.first, network.head
    n_seen = network.n_labels
    if network.observed_ids is not None:
        n_seen = network.observed_ids.shape[0]
        within(network.observed_ids, 0, network.n_labels, "observed_ids")
    widths = [*(layer.shape[0] for layer in network.dense), head.coder.n_features]
    if isinstance(first, CodedRows):
        _check_codes(first, network.n_features, widths[0])
    else:
        shaped(first.values, (network.n_features, widths[0]), "rows of the first layer")
        narrow = first.values.dtype == np.float16
        shaped(first.scale, (0 if narrow else network.n_features,), "factors of the first layer")
    for layer, n_in, n_out in zip(network.dense, widths[:-1], widths[1:], strict=True):
        shaped(layer, (n_in, n_out), "weights of a layer")
    require(len(network.biases) == len(widths), "a bias for each layer")
    for bias, width in zip(network.biases, widths, strict=True):
        shaped(bias, (width,), "bias of a layer")
    _check_codes(head, n_seen, widths[-1])


def _check_codes(rows: CodedRows, n: int, width: int) -> None:
    coder, codes = rows.coder, rows.codes
    if not isinstance(coder, ProductCoder):
        raise ValueError(f"damaged: codes must be of products, got a {type(coder).__name__}")
    shaped(coder.centroids, (None, None, None), "centroids")
    n_blocks, n_centroids, widest = coder.centroids.shape
    ascending(coder.edges, n_blocks, width, "edges of blocks")
    fits = int(np.diff(coder.edges).max(initial=0)) <= widest
    require(fits, "blocks must be as wide as centroids")
    for mean in (coder.row_mean, coder.hidden_mean):
        shaped(mean, (width,), "means of codes")
    for matrix in (coder.to_code, coder.to_query):
        shaped(matrix, (width, width) if matrix.size else (0, 0), "rotation of codes")
    shaped(codes.packed, (n, n_blocks // 2 if coder.four_bits else n_blocks), "codes")
    require(codes.packed.dtype == np.uint8, "codes must be bytes")
    parts = (codes.packed >> 4, codes.packed & 15) if coder.four_bits else (codes.packed,)
    for part in parts:
        within(part, 0, n_centroids, "codes")
    shaped(codes.scale, (n if codes.scale.size else 0,), "factors of codes")
    shaped(codes.bias, (n,), "biases of codes")


@check_ranges.register
def _(learner: CompressedLearner) -> None:
    if learner.memory is not None:
        _check_neighbors(learner.memory, learner.network)
    _check_view(learner.linear, learner.network)


def _check_view(view: LinearView | None, network) -> None:
    fits = view is None or view.n_labels == network.n_labels
    require(fits, "labels of trees must be the network's")


@check_ranges.register
def _(learner: Learner) -> None:
    network, optimizer = learner.network, learner.optimizer
    for name in ("body_weights", "body_biases"):
        states, arrays = getattr(optimizer, name), getattr(network, name)
        require(len(states) == len(arrays), f"accumulators of {name}")
        for state, array in zip(states, arrays, strict=True):
            shaped(state, array.shape[:1], f"accumulators of {name}")
    for state in (optimizer.head_weights, optimizer.head_bias):
        shaped(state, (network.n_labels,), "accumulators of the head")
    if learner.adjustment is not None:
        shaped(learner.adjustment, (network.n_labels,), "adjustment of logits")
    if learner.chances is not None:
        # Two rows: a model of before the best label had a curve of its own.
        n_rows = 2 if len(learner.chances) == 2 else 4
        shaped(learner.chances, (n_rows, None), "chances")
        require(bool((np.diff(learner.chances) >= 0).all()), "chances must ascend")
    if learner.label_counts is not None:
        shaped(learner.label_counts.named, THRESHOLDS.shape, "label_counts")
    if learner.memory is not None:
        _check_neighbors(learner.memory, network)
    _check_view(learner.linear, network)
    for candidates in (learner.index, getattr(learner.sampler, "candidates", None)):
        _check_candidates(candidates, network)


def _check_neighbors(memory: NeighborMemory, network: WideNetwork | CompressedNetwork) -> None:
    index = memory.index
    if isinstance(index, InvertedRows):
        n_rows, n_features = index.n_rows, index.postings.indptr.shape[0] - 1
    elif isinstance(index, DenseRows):
        shaped(index.rows, (None, None), "training rows")
        n_rows, n_features = index.rows.shape
    else:
        raise ValueError(f"damaged: training rows must not be a {type(index).__name__}")
    require(n_features == network.n_features, f"features of training rows must be {n_features}")
    rows_within(memory.labels, n_rows, network.n_labels, "labels of training rows")


def _check_candidates(candidates, network: WideNetwork) -> None:
    if isinstance(candidates, CodedCandidates) and candidates.coder is not None:
        _check_coded(candidates, network)
    if not isinstance(candidates, LSHCandidates) or candidates.tables is None:
        return
    n_ids = candidates.tables.n_ids
    if candidates.ids is None:
        require(n_ids <= network.n_labels, "tables must be of the network's labels")
        return
    shaped(candidates.ids, (None,), "ids in tables")
    require(n_ids <= candidates.ids.shape[0], "tables must be of the observed ids")
    within(candidates.ids, 0, network.n_labels, "ids in tables")


def _check_coded(candidates: CodedCandidates, network: WideNetwork) -> None:
    coder, n_bytes = candidates.coder, FAMILY.n_bits // 8
    if not isinstance(coder, SignCoder) or coder.projection is not None:
        raise ValueError("damaged: the sampler's coder must be of signs, without a fold")
    shaped(coder.directions, (8 * n_bytes, network.n_hidden), "the sampler's directions")
    shaped(candidates.packed, (network.n_labels, n_bytes), "the sampler's codes")
    require(candidates.packed.dtype == np.uint8, "the sampler's codes must be bytes")
    for name in ("scale", "bias"):
        shaped(getattr(candidates, name), (network.n_labels,), f"the sampler's {name}")
    within(candidates.changed, 0, network.n_labels, "the sampler's neurons to code")


@check_ranges.register
def _(autoencoder: Autoencoder) -> None:
    network, n_items = autoencoder.learner.network, autoencoder.n_items
    shaped(autoencoder.counts, (network.n_labels,), "counts of users")
    require(network.n_features == n_items, f"features of items must be {n_items}")
    if autoencoder.memory is not None:
        shaped(autoencoder.memory.ids, (n_items, None), "neighbours of items")
    if autoencoder.regression is not None:
        shaped(autoencoder.regression.indptr, (n_items + 1,), "regression.indptr")
    if autoencoder.low_pass is not None:
        shaped(autoencoder.low_pass.scales, (None, n_items), "scales of items")
    within(autoencoder.window.indices, 0, n_items, "latest rows")
    if autoencoder.item_bonus is not None:
        shaped(autoencoder.item_bonus, (n_items,), "bonus of items")
    _check_candidates(autoencoder.index, network)


# Estimators -------------------------------------------------------------------------------


@check_ranges.register
def _(model: SparseLSHMLPClassifier) -> None:
    if "learner_" not in vars(model):  # the setting of a federation, not fitted
        return
    network = model.learner_.network
    shaped(np.asarray(model.classes_), (network.n_labels,), "classes_")
    require(model.n_features_in_ == network.n_features, "n_features_in_ must be the network's")


@check_ranges.register
def _(model: LSHRecommender) -> None:
    if "autoencoder_" not in vars(model):
        return
    shaped(model.ids_.names, (model.autoencoder_.n_items,), "names of items")
    require(model.n_features_in_ == model.autoencoder_.n_items, "n_features_in_ must be the items")


@check_ranges.register
def _(model: FederatedLSHClassifier) -> None:
    require(model.n_features_in_ == model.estimator_.n_features_in_, "n_features_in_ must agree")


@check_ranges.register
def _(model: CompressedLSHHasher) -> None:
    functions, tables = model.functions_, model.tables_
    right = functions.projection.n_features == model.n_features_in_
    require(right, "features of the hash functions must be n_features_in_")
    fits = (functions.n_tables, functions.code_bits) == (tables.n_tables, tables.code_bits)
    require(fits, "tables must be of the hash functions")
    n_buckets = model.bucket_codes_.shape[0]
    shaped(model.bucket_starts_, (tables.n_tables + 1,), "bucket_starts_")
    within(model.bucket_starts_, 0, n_buckets + 1, "bucket_starts_")
    require((np.diff(model.bucket_starts_) >= 0).all(), "bucket_starts_ must ascend")
