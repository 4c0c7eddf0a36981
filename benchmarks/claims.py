"""Targets of the package, and where the benchmarks' JSON files have the results.

A claim that no file has a figure for is listed as not measured.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Claim:
    """One line of the table.

    Attributes
    ----------
    about, target : str
    file : str
        Of the figures.
    measure : callable
        Content of the file to (text, whether it was met); KeyError, IndexError or
        StatisticsError where it has no such figure.
    """

    about: str
    target: str
    file: str
    measure: Callable[[object], tuple[str, bool]]


def runs(of: list, system: str, name: str, key: str) -> float:
    """Median of a figure over a system's runs on a set."""
    return statistics.median(r[key] for r in of if (r["system"], r["set"]) == (system, name))


def ahead_of_peers(name: str):
    """P@1, P@3 and P@5 beside the best peer's, each."""

    def measure(of):
        ours, best = (
            [max(runs(of, system, name, f"P@{k}") for system in systems) for k in (1, 3, 5)]
            for systems in (["sklsh"], PEERS)
        )
        shown = [
            " / ".join(f"{p:.4f}".lstrip("0") for p in precisions) for precisions in (ours, best)
        ]
        met = all(p >= q for p, q in zip(ours, best, strict=True))
        return f"{shown[0]} against {shown[1]}", met

    return measure


def everywhere(ratio_on: Callable[[list, str], float], limit: float, most: bool):
    """A ratio on every set: the median, and which sets miss the limit."""

    def measure(of):
        ratios = {name: ratio_on(of, name) for name in SETS}
        missing = {n: r for n, r in ratios.items() if (r > limit if most else r < limit)}
        named = ", ".join(f"{name} {ratio:.2f}" for name, ratio in missing.items())
        shown = f"{statistics.median(ratios.values()):.2f} x, the median"
        return f"{shown}; missed on {named}" if named else shown, not missing

    return measure


def ratio_of(key: str, system: str, peer: str):
    """Of a figure of a system to a peer's, on a set."""
    return lambda of, name: runs(of, system, name, key) / runs(of, peer, name, key)


def in_time_of(peer: str, name: str, factor: float, system: str = "sklsh"):
    def measure(of):
        ratio = ratio_of("train_s", system, peer)(of, name)
        return f"{ratio:.2f} x", ratio <= factor

    return measure


def at_least(name: str, value: float, system: str):
    def measure(of):
        found = runs(of, system, name, "P@1")
        return f"{found:.4f}", found >= value

    return measure


def throughput(peer: str, factor: float):
    def measure(of):
        ratio = of["throughput"]["sklsh random"] / of["throughput"][peer]
        return f"{ratio:.1f} x", ratio >= factor

    return measure


def growth(of):
    names = {n.split()[0] for n in of["scaling"]}
    ratios = {
        n: of["scaling"][f"{n} 670091"] / of["scaling"][f"{n} 10000"]
        for n in sorted(names)
        if f"{n} 670091" in of["scaling"]
    }
    return ", ".join(f"{r:.2f} x {n}" for n, r in ratios.items()), max(ratios.values()) <= 1.5


def no_decline(of):
    drops = {name: max(p.values()) - p["3 x"] for name, p in of["decline"].items()}
    text = ", ".join(f"{100 * drop:.2f} {name}" for name, drop in drops.items())
    return text, max(drops.values()) <= 0.005


def model_figure(key: str, limit: float, digits: int = 2):
    def measure(of):
        found = [m[key] for m in of["model"].values()]
        return f"{min(found):.{digits}f} to {max(found):.{digits}f}", min(found) <= limit

    return measure


def federated_quality(points: float, method: str = "default"):
    def measure(of):
        of = of["result"]
        gap = 100 * (of["central"] - max(of["methods"][method]["precision_by_round"]))
        return f"{abs(gap):.2f} points {'below' if gap > 0 else 'above'}", gap <= points

    return measure


def federated_bytes(share: float):
    """Head, sketch and ids sent until P@1 is a point below the central one."""

    def measure(of):
        target, sent, reached = of["result"]["central"] - 0.01, {}, {}
        for name in ("default", "dense FedAvg"):
            run = of["result"]["methods"][name]
            rounds = [i for i, p in enumerate(run["precision_by_round"]) if p >= target]
            reached[name] = bool(rounds)
            sent[name] = run["head_bytes_by_round"][rounds[0] if rounds else -1]
        if not reached["default"]:
            return "never there", False
        ratio = sent["default"] / sent["dense FedAvg"]
        there = "" if reached["dense FedAvg"] else ", which is not there at its end"
        return f"{100 * ratio:.1f} %{there}", ratio <= share

    return measure


def recall(system: str, name: str, limit: float | str):
    def measure(of):
        best: dict[str, float] = {}
        for run in of:
            if run["set"] == name and "recall@20" in run:
                best[run["system"]] = run["recall@20"]
        found = best.pop(system)
        if isinstance(limit, str):
            theirs = {s: r for s, r in best.items() if s.startswith(limit) or s == "user-kNN"}
            peer = max(theirs, key=theirs.__getitem__)
            return f"{found:.4f} against {theirs[peer]:.4f} ({peer})", found > theirs[peer]
        return f"{found:.4f}", found >= limit

    return measure


def share_of(system: str, other: str, name: str, share: float):
    def measure(of):
        found = {r["system"]: r["recall@20"] for r in of if r["set"] == name and "recall@20" in r}
        ratio = found[system] / found[other]
        return f"{100 * ratio:.1f} %", ratio >= share

    return measure


def federated_recommender(of):
    of = of["result"]
    ratio = of["federated"] / of["central, network alone"]
    return f"{100 * ratio:.1f} %", ratio >= 0.9


SETS = (
    "wordnet-related", "gowalla-items", "citeulike-t-xmc", "packages-depends",
    "packages-depends-long", "packages-tags", "packages-source", "glosses-lemmas",
    "glosses-hypernyms", "citeulike-t-xmc-words", "wordnet-related-words", "amazon-beauty-items",
    "mulan-delicious", "bundled",
)  # fmt: skip
PEERS = ("libpecos", "libpecos-3", "omikuji", "napkinxc")
AMAZON, NARROW = "amazon-shaped", "sklsh-narrow"

CLAIMS = [
    *(
        Claim(f"P@1 / P@3 / P@5 on {name}", "each at least the best peer's", "classifier.json",
              ahead_of_peers(name))
        for name in SETS
    ),
    Claim(f"training on these {len(SETS)}, beside omikuji", "<= 1.0 x its time", "classifier.json",
          everywhere(ratio_of("train_s", "sklsh", "omikuji"), 1.0, most=True)),
    Claim('the same, effort="fast" beside libpecos', "<= 1.0 x its time", "classifier.json",
          everywhere(ratio_of("train_s", "sklsh-fast", "libpecos"), 1.0, most=True)),
    Claim('P@1 of effort="fast" beside libpecos', ">= 1.0 x its P@1", "classifier.json",
          everywhere(ratio_of("P@1", "sklsh-fast", "libpecos"), 1.0, most=False)),
    Claim("P@1 at Amazon-670K's shape", ">= .84", "classifier.json",
          at_least(AMAZON, 0.84, NARROW)),
    Claim("training there, beside libpecos", "<= 0.5 x its time", "classifier.json",
          in_time_of("libpecos", AMAZON, 0.5, NARROW)),
    Claim("rows a second at 670,091 labels, beside PyTorch's sampled softmax", ">= 10 x",
          "engine.json", throughput("torch sampled", 10)),
    Claim("the same beside PyTorch's dense softmax", ">= 200 x", "engine.json",
          throughput("torch dense", 200)),
    Claim("seconds a row, from 10,000 to 670,091 labels", "<= 1.5 x", "engine.json", growth),
    Claim("saved model to its parameters", "<= 1.1 x", "engine.json",
          model_figure("disk_to_size", 1.1)),
    Claim("seconds to map it", "< 1", "engine.json", model_figure("load_s", 1.0)),
    Claim("prediction in batch, ms a row", "<= 0.4", "engine.json",
          model_figure("batch_ms_a_row", 0.4)),
    Claim("points of P@1 below the peak after 3 x the default epochs", "<= 0.5", "engine.json",
          no_decline),
    Claim("hashing 670,091 x 128 (c = 8, k = 8, L = 50), beside plain numpy", ">= 8 x",
          "hashing.json", lambda of: (f"{of['times_numpy']:.1f} x", of["times_numpy"] >= 8)),
    Claim("the same, seconds", "<= 0.6", "hashing.json",
          lambda of: (f"{of['seconds']['total']:.3f}", of["seconds"]["total"] <= 0.6)),
    *(
        Claim(f"its extra memory, {mode}", "<= what is kept", "hashing.json",
              lambda of, mode=mode: (
                  f"{of['bytes'][mode]['peak_extra'] / 1e6:.1f} of "
                  f"{of['bytes'][mode]['allowed'] / 1e6:.1f} MB",
                  of["bytes"][mode]["peak_extra"] <= of["bytes"][mode]["allowed"]))
        for mode in ("tables", "serial")
    ),
    Claim("P@1 of 8 devices, bundled set, beside the network trained in one place",
          "within 0.5 points",
          "federated-methods-wordnet-subset-8.json", federated_quality(0.5)),
    Claim("the same, 32 devices, wordnet-related", "within 0.5 points",
          "federated-methods-wordnet-related-32.json", federated_quality(0.5)),
    Claim('the same with the settings of "many devices"', "within 0.5 points",
          "federated-methods-wordnet-related-32.json", federated_quality(0.5, "many devices")),
    Claim("bytes of head and sketch to 1 point below central, 32 devices, wordnet-related, beside "
          "dense FedAvg", "<= 10 %",
          "federated-methods-wordnet-related-32.json", federated_bytes(0.1)),
    Claim("the same, 8 devices, citeulike-t-xmc", "<= 20 %",
          "federated-methods-citeulike-t-xmc-8.json", federated_bytes(0.2)),
    Claim("Recall@20 of a federated recommender, gowalla, 100 groups", ">= 90 % of the central one",
          "federated-recommender-gowalla-100.json", federated_recommender),
    Claim("Recall@20 on gowalla", ">= .170", "recommender.json",
          recall("LSHRecommender", "gowalla", 0.170)),
    Claim("Recall@20 on amazon-beauty, beside implicit and user-kNN", "above the best",
          "recommender.json", recall("LSHRecommender", "amazon-beauty", "implicit")),
    Claim("Recall@20 of a stream of 20 chunks, gowalla", ">= 95 % of fit", "recommender.json",
          share_of("stream of 20", "LSHRecommender", "gowalla", 0.95)),
    Claim("Recall@20 by hash tables, gowalla", ">= 98 % of exact", "recommender.json",
          share_of("by hash tables", "LSHRecommender", "gowalla", 0.98)),
]  # fmt: skip


def table(results: Path, claims=CLAIMS) -> list[tuple[str, str, str, str]]:
    """(about, target, result, verdict) of each claim, from the files in `results`."""
    rows = []
    for claim in claims:
        path = results / claim.file
        try:
            measured, met = claim.measure(json.loads(path.read_text()))
            verdict = "met" if met else "missed"
        except (FileNotFoundError, KeyError, IndexError, ValueError):
            measured, verdict = "", "not measured"
        rows.append((claim.about, claim.target, measured, verdict))
    return rows
