"""The README's two tables, from the records of the benchmarks: no figure there is typed in."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
CLASSIFIERS = ("sklsh", "libpecos", "omikuji")
CLASSIFIER_SETS = {
    "mulan-delicious": "mulan-delicious, 983 labels",
    "citeulike-t-xmc": "citeulike-t, 21,427 labels",
    "citeulike-t-xmc-dense": "the same from 200 dense columns",
    "wordnet-related": "WordNet, 71,179 labels",
    "amazon-shaped": "Amazon-670K's shape, synthetic; `(128,), max_iter=1`",
}
NARROWED = {("amazon-shaped", "sklsh"): "sklsh-narrow"}
"""Where a row is of other settings than the defaults."""
RECOMMENDERS = {
    "LSHRecommender": "sklsh", "implicit ALS": "implicit's ALS, tuned", "user-kNN": "user-kNN",
}  # fmt: skip
RECOMMENDER_SETS = {
    "gowalla": "gowalla, 40,981 items", "amazon-beauty": "amazon-beauty, 57,289 items",
}  # fmt: skip


def tables(results: Path) -> str:
    """Both as Markdown: medians of the runs on record, the best of a row in bold."""
    classifier = json.loads((results / "classifier.json").read_text())
    recommender = json.loads((results / "recommender.json").read_text())
    ours = {
        (name, system): _figures(
            classifier, name, NARROWED.get((name, system), system), "P@1", "train_s"
        )
        for name in CLASSIFIER_SETS
        for system in CLASSIFIERS
    }
    others = {
        (name, system): _figures(recommender, name, system, "recall@20", "fit_s")
        for name in RECOMMENDER_SETS
        for system in RECOMMENDERS
    }
    first = _table("P@1", CLASSIFIER_SETS, dict(zip(CLASSIFIERS, CLASSIFIERS)), ours)
    return f"{first}\n{_table('Recall@20', RECOMMENDER_SETS, RECOMMENDERS, others)}"


def _figures(runs: list[dict], name: str, system: str, quality: str, seconds: str):
    """Median quality and seconds of a system on a set; None if it was not run there."""
    found = [
        run for run in runs if (run["set"], run["system"]) == (name, system) and quality in run
    ]
    if not found:
        return None
    return tuple(statistics.median(run[key] for run in found) for key in (quality, seconds))


def _table(measure: str, sets: dict, systems: dict, figures: dict) -> str:
    lines = [f"| {measure} | {' | '.join(systems.values())} |", "|---" * (len(systems) + 1) + "|"]
    for name, title in sets.items():
        of = [figures[name, system] for system in systems]
        best = max(f"{pair[0]:.3f}" for pair in of if pair)
        lines.append(f"| {title} | {' | '.join(_cell(pair, best) for pair in of)} |")
    return "\n".join(lines) + "\n"


def _cell(pair, best: str) -> str:
    if pair is None:
        return "not run"
    quality = f"{pair[0]:.3f}"
    shown = f"**{quality}**" if quality == best else quality
    return f"{shown.replace('0.', '.')} ({pair[1]:.1f})"


def written(text: str, results: Path) -> str:
    """The README with the tables of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables(results) + END + after
