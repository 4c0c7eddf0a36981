"""How fast is hashing a wide layer, and how much memory does it take beside the layer?

Sketch, codes and buckets of an Amazon-670K-shaped head (670,091 neurons, 128 wide; c = 8,
k = 8, L = 50) by `sklsh.hashing` and by plain numpy (per table: ``packbits(W @ S > 0)``,
stable argsort, bincount), one after the other in one run; then candidates in serial mode.
Memory is the peak of resident size above that before the call, in a fresh process each.

    python benchmarks/bench_hashing.py [--rows 670091] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np

from sklsh.hashing import HashTables, make_family, serial_candidates

N_FEATURES, SKETCH_DIM, HASH_LENGTH, N_TABLES = 128, 8, 8, 50
N_QUERIES, N_CANDIDATES = 8, 1000


def head(n_rows: int) -> np.ndarray:
    """Random head; its values do not matter to the cost."""
    return np.random.default_rng(0).standard_normal((n_rows, N_FEATURES), dtype=np.float32)


def draw():
    family = make_family(
        "pghash", n_tables=N_TABLES, hash_length=HASH_LENGTH, sketch_dim=SKETCH_DIM
    )
    return family.draw(N_FEATURES, seed=0)


def with_numpy(weights: np.ndarray):
    """The plain way: the periodic fold as a reshape and sum, then table by table."""
    sketch = weights.reshape(weights.shape[0], -1, SKETCH_DIM).sum(axis=1)
    rng = np.random.default_rng(1)
    tables = []
    for _ in range(N_TABLES):
        planes = rng.standard_normal((SKETCH_DIM, HASH_LENGTH), dtype=np.float32)
        codes = np.packbits(sketch @ planes > 0, axis=1)[:, 0]
        order = np.argsort(codes, kind="stable")
        tables.append((order, np.bincount(codes, minlength=2**HASH_LENGTH)))
    return tables


def with_sklsh(weights: np.ndarray) -> tuple[HashTables, np.ndarray, dict]:
    """Tables and sketch, with the seconds of each step."""
    functions, seconds = draw(), {}
    start = time.perf_counter()
    sketch = functions.sketch(weights)
    seconds["sketch"] = time.perf_counter() - start
    start = time.perf_counter()
    packed = functions.packed_codes(sketch)
    seconds["codes"] = time.perf_counter() - start
    start = time.perf_counter()
    present = np.ones(packed.shape[1], dtype=bool)
    tables = HashTables(packed, functions.code_bits, present)
    seconds["buckets"] = time.perf_counter() - start
    return tables, sketch, seconds


def query(functions, sketch, tables: HashTables):
    return tables.query(functions.codes(sketch[:N_QUERIES]), N_CANDIDATES)


def serially(functions, sketch):
    return serial_candidates(functions, sketch, sketch[:N_QUERIES], N_CANDIDATES)


def resident() -> int:
    """Bytes resident now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak(mode: str, n_rows: int, pipe) -> None:
    """In a fresh process: the highest resident size above the starting point, by /proc."""
    functions = draw()
    small = functions.sketch(head(20_000))
    serially(functions, small)  # compiled or loaded before anything is measured
    query(functions, small, HashTables.from_sketch(functions, small))
    weights = head(n_rows)
    sketch = functions.sketch(weights) if mode == "query" else None
    tables = HashTables.from_sketch(functions, sketch) if mode == "query" else None
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident()
    if mode == "tables":
        sketch = functions.sketch(weights)
        tables = HashTables.from_sketch(functions, sketch)
    elif mode == "serial":
        sketch = functions.sketch(weights)
        serially(functions, sketch)
    else:
        query(functions, sketch, tables)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    pipe.send(peak - before)


def peak_bytes(mode: str, n_rows: int) -> int:
    """Extra resident bytes at the peak of ``tables``, ``serial`` or ``query``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(mode, n_rows, theirs))
    process.start()
    extra = ours.recv()
    process.join()
    return extra


def median_seconds(call, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(n_rows: int, repeats: int) -> dict:
    """All figures, as they go into the JSON file."""
    functions = draw()
    tables, sketch, _ = with_sklsh(head(20_000))
    query(functions, sketch, tables)
    serially(functions, sketch)
    weights = head(n_rows)
    numpy_seconds = median_seconds(lambda: with_numpy(weights), repeats)
    steps = []
    for _ in range(repeats):
        tables, sketch, seconds = with_sklsh(weights)
        steps.append({**seconds, "total": sum(seconds.values())})
    figures = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "shape": {
            "n_rows": n_rows,
            "n_features": N_FEATURES,
            "sketch_dim": SKETCH_DIM,
            "hash_length": HASH_LENGTH,
            "n_tables": N_TABLES,
        },
        "seconds": {
            "numpy": numpy_seconds,
            **{name: statistics.median(s[name] for s in steps) for name in steps[0]},
            "query": median_seconds(lambda: query(functions, sketch, tables), repeats),
            "serial": median_seconds(lambda: serially(functions, sketch), repeats),
        },
    }
    figures["times_numpy"] = numpy_seconds / figures["seconds"]["total"]
    equal = zip(query(functions, sketch, tables), serially(functions, sketch), strict=True)
    figures["serial_equals_tables"] = all(np.array_equal(a, b) for a, b in equal)
    table_bytes = tables.nbytes // N_TABLES
    allowed = {
        "tables": sketch.nbytes + tables.nbytes,
        "serial": sketch.nbytes + table_bytes,
        "query": table_bytes * 4,
    }
    figures["bytes"] = {
        mode: {"peak_extra": peak_bytes(mode, n_rows), "allowed": allowed[mode]} for mode in allowed
    }
    return figures


def report(figures: dict) -> str:
    """The figures as a table."""
    seconds = figures["seconds"]
    ratio = f"{figures['times_numpy']:.1f} x numpy"
    lines = [
        f"{figures['shape']}",
        f"{'plain numpy':<44}{seconds['numpy']:8.3f} s",
        f"{'sklsh: sketch + codes + buckets':<44}{seconds['total']:8.3f} s   {ratio}",
    ]
    steps = ("sketch", "codes", "buckets")
    lines += [f"{'    ' + name:<44}{seconds[name]:8.3f} s" for name in steps]
    what = f"{N_QUERIES} queries, {N_CANDIDATES} candidates each"
    lines.append(f"{what + ', from tables':<44}{seconds['query']:8.4f} s")
    same = "the same" if figures["serial_equals_tables"] else "ANOTHER"
    lines.append(f"{what + ', serially':<44}{seconds['serial']:8.4f} s   {same} result")
    for mode, figure in figures["bytes"].items():
        lines.append(
            f"{'peak extra memory, ' + mode:<44}{figure['peak_extra'] / 1e6:8.1f} MB"
            f"  (allowed {figure['allowed'] / 1e6:.1f} MB)"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=670_091)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    figures = measure(arguments.rows, arguments.repeats)
    print(report(figures))
    target = Path(__file__).parent / "results" / "hashing.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
