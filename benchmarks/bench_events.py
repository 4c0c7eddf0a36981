"""What it takes to make a matrix of a log of events: seconds of a processor, and memory.

    python benchmarks/bench_events.py [--events 10000000] [--kinds pandas mapping polars pyarrow]

Users are text, items integers, times datetimes; a tenth of the users and items have most of the
events. Memory is the highest of the process while the matrix is made, less what it had with the
frame. At most 2 GB beyond the frame are asked for, for ten million events. Libraries that are
not installed are left out. Writes results/events.json.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path

import numpy as np

from sklsh.datasets import Interactions

RESULTS = Path(__file__).parent / "results"
GIB = 2**30
HALF_LIFE = np.timedelta64(30, "D")
COLUMNS = {"user": "user", "item": "item", "time": "time", "weight": "weight"}


def columns(n_events: int, n_users: int, n_items: int) -> dict[str, np.ndarray]:
    """A log whose popularity falls as that of real ones."""
    rng = np.random.default_rng(0)
    names = np.array([f"user-{i:08d}" for i in range(n_users)], dtype=object)
    day = np.datetime64("2026-01-01", "us")
    return {
        "user": names[(n_users * rng.random(n_events) ** 3).astype(np.int64)],
        "item": (n_items * rng.random(n_events) ** 3).astype(np.int64) + 1_000_000,
        "time": day + rng.integers(0, 90 * 86_400 * 10**6, n_events).astype("timedelta64[us]"),
        "weight": rng.integers(1, 5, n_events),
    }


def frame_of(kind: str, log: dict[str, np.ndarray]):
    if kind == "mapping":
        return log | {"user": log["user"].astype(str)}
    library = import_module(kind)
    if kind == "pyarrow":
        return library.table(log)
    return library.DataFrame(log)


def high_water(reset: bool = False) -> int:
    """Most bytes that the process has had in memory, since the last reset (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measured(kind: str, what: str, make) -> dict:
    before = high_water(reset=True)
    wall, cpu = time.perf_counter(), time.process_time()
    found = make()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "frame": kind, "what": what, "seconds": round(seconds[0], 2),
        "processor_seconds": round(seconds[1], 2),
        "gib_beyond_frame": round((high_water() - before) / GIB, 3),
        "entries": int(sum(part.matrix.nnz for part in found)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="*", default=["pandas", "mapping", "polars", "pyarrow"])
    args = parser.parse_args()
    results = []
    for kind in args.kinds:
        try:
            frame = frame_of(kind, columns(args.events, args.users, args.items))
        except ImportError:
            print(f"{kind} is not installed")
            continue
        for what, make in {
            "matrix": lambda frame=frame: [
                Interactions.from_events(frame, **COLUMNS, half_life=HALF_LIFE)
            ],
            "last of each": lambda frame=frame: [
                Interactions.from_events(frame, **COLUMNS, duplicates="last")
            ],
            "stream of 20": lambda frame=frame: Interactions.stream(frame, 20, **COLUMNS),
        }.items():
            results.append({"events": args.events, **measured(kind, what, make)})
            print(json.dumps(results[-1]), flush=True)
        del frame
    (RESULTS / "events.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
