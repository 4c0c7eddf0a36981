"""Where prediction looks for the best labels: at all, or among candidates that find as much."""

from __future__ import annotations

from sklsh._utils.validation import check_int
from sklsh.hashing import HashFamily, make_family
from sklsh.network.calibration import hits
from sklsh.network.lsh import LSHCandidates
from sklsh.network.sampling import N_CANDIDATES
from sklsh.network.settings import Settings
from sklsh.network.validation_rows import DEPTH, ValidationRows

WIDE_HEAD = 100_000
"""Observed labels beyond which ``prediction="auto"`` tries hash tables."""

NARROW_HEAD = 4_096
"""Observed labels up to which ``prediction="auto"`` looks at all: that takes no time."""

KEPT = {1: 0.99, 5: 0.99}
"""Share of the exact P@1 and P@5 that tables must keep to be used."""

KEPT_NAMED = {1: 0.998, 5: 0.998, DEPTH: 0.99}
"""The same of labels that neighbours and linear view name, which find nearly all; the last as
probabilities are of so many labels."""


def family_of(settings: Settings) -> HashFamily:
    """The hash family of an estimator's settings."""
    return make_family(
        settings.family, n_tables=settings.n_tables, fold=settings.fold,
        hash_length=settings.hash_length, sketch_dim=settings.sketch_dim,
    )  # fmt: skip


def candidates_of(settings: Settings, seed: int) -> LSHCandidates:
    """Tables that are still empty."""
    return LSHCandidates(family_of(settings), N_CANDIDATES, settings.rehash_interval, seed)


def check_hashing(settings: Settings, n_labels: int) -> None:
    """A ValueError, before anything is trained, for hash functions that can't be drawn."""
    tries = settings.prediction == "auto" and n_labels > WIDE_HEAD
    if not tries and "lsh" not in (settings.sampler, settings.shuffle, settings.prediction):
        return
    width = settings.hidden_layer_sizes[-1]
    if settings.sketch_dim is not None:
        check_int(settings.sketch_dim, "sketch_dim", 1, width, "the last hidden layer's width")
    family_of(settings).draw(width + 1, 0)  # a neuron and its bias


def fit_search(
    validation_rows: ValidationRows, settings: Settings, seed: int, held_out: bool
) -> tuple[LSHCandidates | None, bool, dict]:
    """Where prediction is to look, and how much of the exact best labels is found there.

    With ``prediction="auto"`` labels that neighbours and linear view name are tried first, if the
    validation rows are held out, then tables over a very wide head, see `KEPT`.

    Returns
    -------
    index : LSHCandidates or None
        Tables over the head.
    named_only : bool
        Whether to look at labels that neighbours and linear view name.
    stats : dict
        Recall and precision of what was tried last; empty if nothing was.
    """
    n_observed, way = validation_rows.network.n_observed, settings.prediction
    named = validation_rows.memory is not None or validation_rows.gains is not None
    stats: dict = {}
    if named and (way == "candidates" or (way == "auto" and held_out and n_observed > NARROW_HEAD)):
        stats = _recall(validation_rows, KEPT_NAMED)
        if way == "candidates" or _keeps(stats, KEPT_NAMED):
            return None, True, stats
    if way == "lsh" or (way == "auto" and n_observed > WIDE_HEAD):
        index = candidates_of(settings, seed)
        index.build(validation_rows.network, validation_rows.hidden, 0, validation_rows.n_threads)
        assert index.tables is not None
        stats = _recall(validation_rows, KEPT, index) | index.tables.stats()
        return (index if way == "lsh" or _keeps(stats, KEPT) else None), False, stats
    return None, False, stats


def _keeps(stats: dict, kept: dict[int, float]) -> bool:
    return all(stats[f"found_P@{k}"] >= kept[k] * stats[f"exact_P@{k}"] for k in kept)


def _recall(validation_rows: ValidationRows, depths, index=None) -> dict:
    """What a search for the best so many labels finds of the exact ones, and P@k of both.

    Among what tables name; without an index, what neighbours and view name.
    """
    most = min(max(depths), validation_rows.network.n_labels)
    whole, stats = validation_rows.topk(most)[0], {}
    # What tables name depends on how many are asked for.
    named = validation_rows.topk(most, named_only=True)[0] if index is None else None
    for k in depths:
        exact = whole[:, :k]
        found = validation_rows.topk(min(k, most), index)[0] if named is None else named[:, :k]
        recalled = (exact[:, :, None] == found[:, None, :]).any(axis=2)
        stats[f"recall@{k}"] = float(recalled.mean())
        for name, labels in ("exact", exact), ("found", found):
            right = hits(labels, validation_rows.Y, validation_rows.rows)
            stats[f"{name}_P@{k}"] = float(right.mean())
    return stats
