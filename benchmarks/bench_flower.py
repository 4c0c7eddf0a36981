"""Where does the time of a round over Flower go, and do large sketches pass?

A SuperLink and two SuperNodes on 127.0.0.1, processes of their own, stopped at the end.

    python benchmarks/bench_flower.py --part overhead     bundled WordNet subset, 2 rounds
    python benchmarks/bench_flower.py --part payload      670,091 labels, sketches of 8 and 64

Needs the extra ``flower``. Results go to benchmarks/results/flower-PART.json; the first part draws
a timeline beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parents[1]))

from sklsh.datasets import load_wordnet, split_devices
from tests.federated.loopback import Loopback, write_rows

RESULTS = Path(__file__).parent / "results"
AMAZON_670K, N_ROUNDS = 670_091, 2
LOADING = """
import time
import flwr.supernode.cli.flwr_clientapp
began = time.perf_counter()
import sklsh.flower
print(time.perf_counter() - began)
"""


def federations(X, Y, all_settings: list[dict], root: Path) -> list[dict]:
    """Train over two nodes, once for each settings; reports, with peak memory so far."""
    groups, reports = split_devices(Y, 2, random_state=0), []
    with Loopback(root, sizes=(X.shape[1], Y.shape[1])) as net:
        net.serve()
        for i in range(2):
            net.join(i, write_rows(root / f"data-{i}", X[groups == i], Y[groups == i]))
        for settings in all_settings:
            texts = [t for name, value in settings.items() for t in ("--set", f"{name}={value!r}")]
            began = time.perf_counter()
            net.run(*texts, "--n-devices", "2", "--timeout", "300")
            if net.finish("run"):
                raise RuntimeError(net.log("run"))
            report = json.loads((root / "model.json").read_text())
            report["seconds"] = time.perf_counter() - began
            report["peak_mb"] = {
                name: peak_mb(net.processes[name].pid) for name in ("link", "node-0", "node-1")
            }
            reports.append(report)
    return reports


def peak_mb(pid: int) -> float:
    """Most memory that a process has had at a time."""
    status = Path("/proc", str(pid), "status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def payload(root: Path) -> list[dict]:
    rng = np.random.default_rng(0)
    X = sp.random(1_000, 5_000, 0.01, "csr", np.float32, rng=rng)
    labels = rng.integers(0, AMAZON_670K, (1_000, 3))
    entries = (np.ones(3_000, np.float32), (np.repeat(np.arange(1_000), 3), labels.ravel()))
    Y = sp.csr_matrix(entries, shape=(1_000, AMAZON_670K))
    Y.data[:] = 1
    shared = {
        "estimator__hidden_layer_sizes": (64,), "estimator__sampler": "lsh",
        "estimator__n_tables": 4, "payload": "float32", "prototypes": False, "n_rounds": 1,
        "random_state": 0,
    }  # fmt: skip
    widths, out = (8, 64), []
    settings = [{**shared, "estimator__sketch_dim": width} for width in widths]
    for width, report in zip(widths, federations(X, Y, settings, root), strict=True):
        asked = [e for e in report["timeline"] if e["question"] == "select"]
        row = {
            "sketch_dim": width,
            "sketch_mb": report["bytes_by_message"]["sketch"] / 2e6,
            "used": report["history"][0]["n_used"],
            "select_seconds": [e["received"] - e["asked"] for e in asked],
            "device_seconds": [e["ended"] - e["began"] for e in asked],
            "seconds": report["seconds"],
            "peak_mb": report["peak_mb"],
        }
        print(row)
        out.append(row)
    return out


def overhead(root: Path) -> dict:
    data = load_wordnet()
    settings = {
        "estimator__hidden_layer_sizes": (128,), "estimator__sampler": "lsh", "n_rounds": N_ROUNDS,
        "prototypes": False, "random_state": 0,
    }  # fmt: skip
    (report,) = federations(data.X_train, data.Y_train, [settings], root)
    spans, answers = ours(report["timeline"])
    rounds = [e for e in report["timeline"] if e["question"] in ("request", "select", "train")]
    first, last = min(e["asked"] for e in rounds), max(e["received"] for e in rounds)
    loading = [
        float(
            subprocess.run([sys.executable, "-c", LOADING], capture_output=True, check=True).stdout
        )
        for _ in range(3)
    ]
    row = {
        "round_seconds": (last - first) / N_ROUNDS,
        "share": covered(spans, first, last) / (last - first),
        "loading_seconds_a_message": min(loading),
        "messages_a_round_and_device": 3,
        "answers": answers,
        **{k: report[k] for k in ("seconds", "peak_mb", "history", "timeline")},
    }
    print({k: v for k, v in row.items() if k not in ("timeline", "history")})
    draw(report["timeline"], first, RESULTS / "flower-overhead.png")
    return row


def ours(timeline: list[dict]) -> tuple[list[tuple[float, float]], dict[str, float]]:
    """When this package's code ran, on the server or a device; mean seconds of an answer."""
    spans, answers = [], {}
    for e in timeline:
        spans += [
            (e["asked"], e["encoded"]),
            (e["began"], e["ended"]),
            (e["arrived"], e["received"]),
        ]
        answers.setdefault(e["question"], []).append(e["ended"] - e["began"])
    # Between the last answer and the next question the server aggregates and samples.
    ordered = sorted(timeline, key=lambda e: e["asked"])
    for previous, following in zip(ordered[1:-1:2], ordered[2::2]):
        done = max(e["received"] for e in ordered if e["asked"] <= previous["asked"])
        spans.append((done, max(done, following["asked"])))
    return spans, {question: float(np.mean(times)) for question, times in answers.items()}


def covered(spans, first: float, last: float) -> float:
    """Seconds between first and last in which any span is under way."""
    total, reached = 0.0, first
    for began, ended in sorted(spans):
        began, ended = max(began, reached), min(ended, last)
        if ended > began:
            total, reached = total + ended - began, ended
    return total


def draw(timeline: list[dict], first: float, path: Path) -> None:
    """Bars of what each side did, a line a device and one for the server."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    colours = {"request": "tab:green", "select": "tab:orange", "train": "tab:red"}
    devices = sorted({e["device"] for e in timeline})
    figure, axes = plt.subplots(figsize=(9, 2.4), layout="constrained")
    for e in timeline:
        if e["asked"] < first:
            continue
        y = devices.index(e["device"]) + 1
        axes.barh(y, e["received"] - e["asked"], left=e["asked"] - first, color="0.88", height=0.7)
        label = e["question"]
        axes.barh(y, e["ended"] - e["began"], left=e["began"] - first, color=colours[label],
                  height=0.7)  # fmt: skip
        for start, stop in (("asked", "encoded"), ("arrived", "received")):
            axes.barh(0, e[stop] - e[start], left=e[start] - first, color="tab:blue", height=0.7)
    for question, colour in colours.items():
        axes.barh(0, 0, color=colour, label=f"device: {question}")
    axes.barh(0, 0, color="tab:blue", label="server: encode, decode")
    axes.barh(0, 0, color="0.88", label="Flower: carry, start a process, wait")
    names = ["server", *(f"device {i}" for i in range(len(devices)))]
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="seconds")
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["overhead", "payload"], required=True)
    part = parser.parse_args().part
    with tempfile.TemporaryDirectory() as folder:
        found = {"overhead": overhead, "payload": payload}[part](Path(folder))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"flower-{part}.json").write_text(json.dumps(found, indent=1) + "\n")
