"""Hash tables over the trained head, where prediction may look: when they are made, and kept."""

from __future__ import annotations

from sklsh._utils.validation import check_int
from sklsh.hashing import HashFamily, make_family
from sklsh.network.calibration import hits
from sklsh.network.lsh import LSHCandidates
from sklsh.network.sampling import N_CANDIDATES
from sklsh.network.settings import Settings
from sklsh.network.validation_rows import ValidationRows

WIDE_HEAD = 100_000
"""Observed labels beyond which ``prediction="auto"`` tries hash tables."""

KEPT = 0.99
"""Share of exact P@1 and P@5 that tables must keep to be used."""


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


def fit_index(
    validation_rows: ValidationRows, settings: Settings, seed: int
) -> tuple[LSHCandidates | None, dict]:
    """Hash the trained head, if prediction is to look there, and say how much it finds.

    With ``prediction="auto"`` only a wide head is hashed, and the tables are kept only if they
    keep `KEPT` of the exact P@1 and P@5 on the validation rows.
    """
    network = validation_rows.network
    wide = network.n_observed > WIDE_HEAD
    if settings.prediction == "exact" or (settings.prediction == "auto" and not wide):
        return None, {}
    index = candidates_of(settings, seed)
    index.build(network, validation_rows.hidden, 0, validation_rows.n_threads)
    assert index.tables is not None
    stats = _recall(validation_rows, index) | index.tables.stats()
    kept = all(stats[f"lsh_{p}"] >= KEPT * stats[f"exact_{p}"] for p in ("P@1", "P@5"))
    return (index if kept or settings.prediction == "lsh" else None), stats


def _recall(validation_rows: ValidationRows, index: LSHCandidates) -> dict[str, float]:
    """What tables find of the exact best labels, and the precision of both."""
    k = min(5, validation_rows.network.n_labels)
    found = {
        name: validation_rows.topk(k, tables)[0]
        for name, tables in (("exact", None), ("lsh", index))
    }
    right = {
        name: hits(labels, validation_rows.Y, validation_rows.rows)
        for name, labels in found.items()
    }
    kept = (found["lsh"][:, :, None] == found["exact"][:, None, :]).any(axis=1)
    return {
        "recall@1": float(kept[:, 0].mean()),
        "recall@5": float(kept.mean()),
        **{f"{name}_P@1": float(right[name][:, 0].mean()) for name in right},
        **{f"{name}_P@5": float(right[name].mean()) for name in right},
    }
