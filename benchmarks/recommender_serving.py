"""What a recommender takes in memory, and how long one user waits beside an update.

    python benchmarks/recommender_serving.py memory --items 100000 --events 5000000
    python benchmarks/recommender_serving.py waits --items 200000 --events 1000000

Users, items and events are made: an item's popularity falls with a power of its rank, users have
a log-normal number of items, most of them of one of 200 tastes. `memory` is the highest resident
size of a process of its own that makes the data, fits the defaults and recommends to everybody,
and what it had before the fit. `waits` asks for one user at a time, first alone and with filters,
then while another process teaches the model's twin new users and writes it anew, which is read as
soon as it is there, as in the guide "every night". Adds to results/recommender-serving.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from bench_events import GIB, high_water

from sklsh import LSHRecommender
from sklsh.persistence import load_model, save_model

RESULTS = Path(__file__).parent / "results" / "recommender-serving.json"
TASTES, OWN_TASTE, FALL, BATCH, N = 200, 0.7, 0.8, 8192, 20
PART, N_REQUESTS, WARM = 1_000, 1_000, 50


def made(n_users: int, n_items: int, n_events: int, seed: int) -> sp.csr_matrix:
    """Users and their items; repeated events count once."""
    rng = np.random.default_rng([seed, n_items])
    lengths = rng.lognormal(0, 1, n_users)
    users = np.repeat(np.arange(n_users), rng.multinomial(n_events, lengths / lengths.sum()))
    popularity = np.cumsum(np.arange(1, n_items + 1) ** -FALL)
    ranks = np.searchsorted(popularity, rng.random(users.shape[0]) * popularity[-1])
    # Of a user's own taste: the nearest rank whose remainder is that taste's number.
    tastes = rng.integers(0, TASTES, n_users)[users]
    own = rng.random(users.shape[0]) < OWN_TASTE
    ranks[own] += (tastes - ranks)[own] % TASTES
    ranks[ranks >= n_items] -= TASTES
    order = np.random.default_rng(n_items).permutation(n_items)  # of all parts the same
    matrix = sp.csr_matrix(
        (np.ones(users.shape[0], dtype=np.float32), (users, order[ranks])), (n_users, n_items)
    )
    matrix.data[:] = 1
    return matrix


def memory(args, pipe) -> None:
    user_items = made(args.users, args.items, args.events, 0)
    before, start = high_water(reset=True), time.process_time()
    model = LSHRecommender(random_state=0, n_jobs=args.jobs).fit(user_items)
    fitted, fit_cpu = high_water(), time.process_time() - start
    high_water(reset=True)
    for begin in range(0, args.users, BATCH):
        part = user_items[begin : begin + BATCH]
        model.recommend(np.arange(part.shape[0]), part, N=N)
    pipe.send(
        {
            "interactions": int(user_items.nnz),
            "gib_before": round(before / GIB, 3),
            "gib_fit": round(fitted / GIB, 3),
            "gib_recommend": round(high_water() / GIB, 3),
            "fit_cpu_s": round(fit_cpu, 1),
            "recommend_cpu_ms": round(
                1e3 * (time.process_time() - start - fit_cpu) / args.users, 3
            ),
        }
    )


def update(folder: Path, args, stop) -> None:
    """Teach new users and write the model anew, until `stop`."""
    model, seed = load_model(folder, mmap_mode=None).set_params(n_jobs=1), 0
    while not stop.is_set():
        seed += 1
        model.partial_fit(made(PART, args.items, PART * args.events // args.users, seed))
        save_model(model, folder)


class Served:
    """The model of a folder, read again by who finds it changed."""

    def __init__(self, folder: Path):
        self.folder, self.stamp, self.n_read = folder, 0, 0

    def __call__(self) -> LSHRecommender:
        stamp = (self.folder / "metadata.json").stat().st_mtime_ns
        if stamp != self.stamp:
            self.model, self.stamp = load_model(self.folder), stamp
            self.n_read += 1
        return self.model


def asked(served: Served, rows, n: int, by_turns=({},)) -> list[list[tuple[float, float]]]:
    """Milliseconds of each request, and of them those of the processor: `n` of each of the options
    that come by turns, as a machine is faster at one time than at another."""
    out: list[list[tuple[float, float]]] = [[] for _ in by_turns]
    for i in range(n):
        for waits, options in zip(out, by_turns, strict=True):
            start, start_cpu = time.perf_counter(), time.thread_time()
            served().recommend(0, rows[i % len(rows)], N=N, **options)
            took = time.perf_counter() - start, time.thread_time() - start_cpu
            waits.append((1e3 * took[0], 1e3 * took[1]))
    return out


def percentiles(name: str, waits: list[tuple[float, float]]) -> dict[str, list[float]]:
    """Of waits; of processor time, which other people's processes leave alone."""
    return {
        f"{name} p{q}, ms and of processor": np.percentile(waits, q, axis=0).round(2).tolist()
        for q in (50, 99, 100)
    }


def waits(args) -> dict:
    user_items = made(args.users, args.items, args.events, 0)
    rows = [user_items[[i]] for i in range(200)]
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save_model(LSHRecommender(random_state=0, n_jobs=1).fit(user_items), folder)
        served = Served(folder)
        asked(served, rows, WARM)
        few, half = np.arange(0, args.items, 1000), np.arange(0, args.items, 2)
        options = {
            "alone": {}, "one filtered": {"filter_items": [0]},
            "a thousandth filtered": {"filter_items": few},
            "half allowed": {"items": half}, "a thousandth allowed": {"items": few},
            "half allowed by flags": {"items": np.arange(args.items) % 2 == 0},
        }  # fmt: skip
        found: dict[str, list[float]] = {}
        for name, of in zip(
            options, asked(served, rows, N_REQUESTS, options.values()), strict=True
        ):
            found |= percentiles(name, of)
        stop = spawn.Event()
        process = spawn.Process(target=update, args=(folder, args, stop))
        process.start()
        beside: list[tuple[float, float]] = []
        before = served.n_read
        while served.n_read - before < args.updates and process.is_alive():
            beside += asked(served, rows, 10)[0]
            time.sleep(0.01)
        stop.set()
        process.join()
    return found | percentiles("beside", beside) | {
        "requests": len(beside), "updates": served.n_read - before,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["memory", "waits"])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=0, help="a 25th of the events if not said")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--updates", type=int, default=5, help="to ask beside")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    args.users = args.users or max(1, args.events // 25)
    if args.what == "memory":
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        process = spawn.Process(target=memory, args=(args, there))
        process.start()
        there.close()
        found = here.recv()
        process.join()
    else:
        found = waits(args)
    run = {"what": args.what, "items": args.items, "users": args.users, "events": args.events}
    print(json.dumps(run | found))
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    kept = [r for r in kept if any(r[name] != run[name] for name in run)]
    RESULTS.write_text(json.dumps([*kept, run | found], indent=1))


if __name__ == "__main__":
    main()
