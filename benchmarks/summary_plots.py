"""Pictures of the benchmarks' JSON files: quality against time, and against bytes."""

from __future__ import annotations

import json
import statistics
from pathlib import Path


def draw(results: Path) -> list[str]:
    """Draw what there are figures for; the names of the pictures in `results`."""
    import matplotlib

    matplotlib.use("Agg")
    names = [classifier(results), recommender(results), *sampling(results)]
    names += [federated(path) for path in sorted(results.glob("federated-methods-*.json"))]
    return [name for name in names if name]


def scatter(points: dict[str, dict[str, tuple[float, float]]], labels, path: Path) -> str:
    """A panel a set, a point a system."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(points), figsize=(3.4 * len(points), 3.2), squeeze=False, layout="constrained"
    )
    for axis, (name, of_set) in zip(axes[0], points.items()):
        for i, (system, (x, y)) in enumerate(of_set.items()):
            axis.plot(x, y, "o", color=f"C{i}")
            axis.annotate(system, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
        axis.set(title=name, xlabel=labels[0], ylabel=labels[1], xscale="log")
        axis.margins(0.25)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path.name


def medians(path: Path, x: str, y: str) -> dict[str, dict[str, tuple[float, float]]]:
    runs: dict[str, dict[str, list]] = {}
    for run in json.loads(path.read_text()):
        if x in run and y in run:
            runs.setdefault(run["set"], {}).setdefault(run["system"], []).append((run[x], run[y]))
    return {
        name: {
            system: tuple(statistics.median(column) for column in zip(*of_system))
            for system, of_system in of_set.items()
        }
        for name, of_set in runs.items()
    }


def classifier(results: Path) -> str | None:
    path = results / "classifier.json"
    points = medians(path, "train_s", "P@1") if path.exists() else {}
    labels = ("training, seconds", "P@1")
    return scatter(points, labels, results / "classifier.png") if points else None


def recommender(results: Path) -> str | None:
    path = results / "recommender.json"
    points = medians(path, "fit_s", "recall@20") if path.exists() else {}
    labels = ("training, seconds", "Recall@20")
    return scatter(points, labels, results / "recommender.png") if points else None


def sampling(results: Path) -> list[str]:
    """P@1 of the samplers against the cost of fits of several lengths, and against n_active."""
    path = results / "sampling.json"
    rows = [row for row in json.loads(path.read_text()) if "P@1" in row] if path.exists() else []
    drawn = []
    for name, varied, x, label in (
        ("sampling-epochs", "max_iter", "processor_s", "processor seconds of a fit"),
        ("sampling-active", "n_active", None, "active neurons beside the batch's labels"),
    ):
        curves: dict[str, dict[str, dict[int, list]]] = {}
        for row in rows:
            others = {"max_iter", "n_active"} - {varied}
            if row[varied] != "auto" and all(row[other] == "auto" for other in others):
                of_set = curves.setdefault(row["set"], {}).setdefault(row["sampler"], {})
                of_set.setdefault(row[varied], []).append(row)
        if curves:
            drawn.append(lines(curves, x, label, results / f"{name}.png"))
    return drawn


def lines(curves: dict, x: str | None, label: str, path: Path) -> str:
    """A panel a set, a line a sampler: medians of seeds, with their ranges."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(curves), figsize=(3.8 * len(curves), 3.6), squeeze=False, layout="constrained"
    )
    samplers = sorted({name for of_set in curves.values() for name in of_set})
    for axis, (name, of_set) in zip(axes[0], curves.items()):
        for sampler, points in sorted(of_set.items()):
            points = dict(sorted(points.items()))
            across = [statistics.median(r[x] for r in rows) if x else at
                      for at, rows in points.items()]  # fmt: skip
            found = [[r["P@1"] for r in rows] for rows in points.values()]
            middle = [statistics.median(values) for values in found]
            below = [m - min(values) for m, values in zip(middle, found)]
            above = [max(values) - m for m, values in zip(middle, found)]
            axis.errorbar(across, middle, yerr=[below, above], label=sampler, linewidth=1,
                          marker=".", capsize=2, color=f"C{samplers.index(sampler)}")  # fmt: skip
        axis.set(title=name, xlabel=label, ylabel="P@1", xscale="linear" if x else "log")
        axis.legend(fontsize=6)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path.name


def federated(path: Path) -> str:
    """P@1 after each round against bytes sent until then."""
    from matplotlib import pyplot

    result = json.loads(path.read_text())["result"]
    figure, axis = pyplot.subplots(figsize=(5, 3.4), layout="constrained")
    for name, run in result["methods"].items():
        n_bytes = [run["start_bytes"] + n for n in run["bytes_by_round"]]
        axis.plot(n_bytes, run["precision_by_round"], label=name, linewidth=1)
    axis.axhline(result["central"], color="black", linestyle=":", label="central")
    axis.set(xscale="log", xlabel="bytes, all devices", ylabel="P@1", title=path.stem)
    axis.legend(fontsize=6)
    picture = path.with_suffix(".png")
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
    return picture.name
