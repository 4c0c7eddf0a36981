"""LSHRecommender beside its peers, as a stream, by hash tables, and for users it never saw.

Sets are folders of user x item matrices under --data: train.npz and test.npz, and valid.npz,
which joins the training part. Recall@20 and nDCG@20 are over all users with test items,
training items left out. Systems run one after the other in this process, after a short run
that compiles.

    python benchmarks/bench_recommender.py --data FOLDER --sets gowalla,amazon-beauty

A set may also be MovieLens-100k's file of ratings, or made of others (`recommender_sets`).
`--seeds 3` gives means of our defaults.

`--tune` first chooses each peer's parameters on a validation part of the training data
(valid.npz, or a tenth of the entries) by Recall@20 of 4,000 users, and keeps them in
results/recommender-tuned.json, where later runs find them. Our own parameters are defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

# Before numpy is loaded: one thread of BLAS a thread of implicit, as it asks for.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import scipy.sparse as sp
from recommender_peers import GRIDS, PEERS, THREADS, K
from recommender_sets import load

from sklsh import LSHRecommender
from sklsh.metrics import ndcg_at_k, psp_at_k, recall_at_k
from sklsh.network.interactions import leave_some_out
from sklsh.network.rows import SparseRows

RESULTS = Path(__file__).parent / "results"
RUNS, TUNED = RESULTS / "recommender.json", RESULTS / "recommender-tuned.json"
N_CHUNKS = 20
N_VALIDATION_USERS = 4_000
UNSEEN = 0.1


def hide(users, rate, seed):
    """Rows without a share of their entries, and these entries."""
    parts = leave_some_out(SparseRows.from_matrix(users), rate, seed)
    return [sp.csr_matrix(part.to_matrix(users.shape[1])) for part in parts]


def validation_split(data: Path, name: str):
    folder = data / name
    if not folder.is_dir():
        return hide(load(data, name)[0], 0.1, 1)
    train = sp.csr_matrix(sp.load_npz(folder / "train.npz"), dtype=np.float32)
    train.data[:] = 1
    if (folder / "valid.npz").exists():
        return train, sp.csr_matrix(sp.load_npz(folder / "valid.npz"))
    return hide(train, 0.1, 1)


def tune(system: str, data: Path, name: str) -> dict:
    """Each parameter's best value in turn, the others as they are by then."""
    train, valid = validation_split(data, name)
    users = np.flatnonzero(np.diff(valid.indptr))
    users = np.sort(np.random.default_rng(0).permutation(users)[:N_VALIDATION_USERS])
    best = {name: values[0] for name, values in GRIDS[system].items()}
    known = {}

    def recall(params):
        key = tuple(params.items())
        if key not in known:
            ranked = PEERS[system](train, **params)(users)
            known[key] = recall_at_k(valid[users], ranked, K)
            print(f"  {params}: {known[key]:.4f}", flush=True)
        return known[key]

    for name, values in GRIDS[system].items():
        best[name] = max(values, key=lambda value, name=name: recall({**best, name: value}))
    return best


# Ours -------------------------------------------------------------------------------------


def sklsh_with(**params):
    def fit(train):
        kwargs = {"random_state": 0, "n_jobs": THREADS, **params}
        model = LSHRecommender(**kwargs).fit(train)
        return lambda users: model.predict_topk(train[users], K)[0]

    return fit


chunk_seconds: list[float] = []


def sklsh_stream(train):
    """Users in random order, in chunks; the time of each is kept."""
    model = LSHRecommender(random_state=0, n_jobs=THREADS)
    order = np.random.default_rng(0).permutation(train.shape[0])
    chunk_seconds.clear()
    for chunk in np.array_split(order, N_CHUNKS):
        part = train[chunk]
        start = time.perf_counter()
        model.partial_fit(part)
        chunk_seconds.append(round(time.perf_counter() - start, 3))
    return lambda users: model.predict_topk(train[users], K)[0]


OURS = {
    "LSHRecommender": sklsh_with(),
    "network alone": sklsh_with(n_neighbors=0),
    "by hash tables": sklsh_with(prediction="lsh"),
    "stream of 20": sklsh_stream,
    "one epoch": sklsh_with(max_iter=1),
    "no validation rows": sklsh_with(max_iter=1, validation_fraction=0.001),
    "item_weight": sklsh_with(item_weight="propensity"),
}


def measure(system: str, fit, train, test) -> dict:
    start, start_cpu = time.perf_counter(), time.process_time()
    rank = fit(train)
    fitted, fitted_cpu = time.perf_counter(), time.process_time()
    ranked = rank(np.arange(train.shape[0]))
    done, done_cpu = time.perf_counter(), time.process_time()
    asked = np.flatnonzero(np.diff(test.indptr))
    run = {
        "system": system,
        "fit_s": fitted - start,
        "predict_ms": 1e3 * (done - fitted) / train.shape[0],
        # Of all threads: what a machine that others use too tells.
        "fit_cpu_s": fitted_cpu - start_cpu,
        "predict_cpu_ms": 1e3 * (done_cpu - fitted_cpu) / train.shape[0],
        "recall@20": recall_at_k(test[asked], ranked[asked], K),
        "ndcg@20": ndcg_at_k(test[asked], ranked[asked], K),
        "psp@20": psp_at_k(test[asked], ranked[asked], K, y_train=train),
    }
    if system == "stream of 20":
        run["chunk_s"] = list(chunk_seconds)
    return run


def over_seeds(train, test, n_seeds: int) -> dict:
    """Defaults with so many seeds: means of what is measured, and each run's recall and nDCG."""
    runs = [
        measure("LSHRecommender", sklsh_with(random_state=seed), train, test)
        for seed in range(n_seeds)
    ]
    numbers = [name for name in runs[0] if name != "system"]
    run = {"system": "LSHRecommender"} | {n: float(np.mean([r[n] for r in runs])) for n in numbers}
    run["seeds"] = [[r["recall@20"], r["ndcg@20"]] for r in runs]
    return run


def unseen_users(train) -> dict:
    """Two equal groups of users, both asked for one half of their items, given the other.

    Training has seen the first group's given halves and nothing of the second group.
    """
    users = np.random.default_rng(0).permutation(train.shape[0])
    n_group = int(UNSEEN * train.shape[0])
    groups = {"seen": users[:n_group], "unseen": users[n_group : 2 * n_group]}
    given, hidden = hide(train, 0.5, 2)
    model = LSHRecommender(random_state=0, n_jobs=THREADS)
    model.fit(sp.vstack([train[users[2 * n_group :]], given[groups["seen"]]], format="csr"))
    run = {"system": "unseen users"}
    for name, group in groups.items():
        asked = group[(np.diff(hidden.indptr)[group] > 0) & (np.diff(given.indptr)[group] > 0)]
        ranked = model.predict_topk(given[asked], K)[0]
        run[f"{name} recall@20"] = recall_at_k(hidden[asked], ranked, K)
        run[f"{name} ndcg@20"] = ndcg_at_k(hidden[asked], ranked, K)
    return run


def saved(path: Path):
    return json.loads(path.read_text()) if path.exists() else []


def keep(run: dict) -> None:
    """Into the file of runs, in the place of an older run of the same system and set."""
    runs = [r for r in saved(RUNS) if (r["set"], r["system"]) != (run["set"], run["system"])]
    RESULTS.mkdir(exist_ok=True)
    RUNS.write_text(json.dumps([*runs, run], indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="gowalla,amazon-beauty")
    parser.add_argument("--systems", default=",".join([*OURS, "unseen users", *PEERS]))
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="of our defaults")
    args = parser.parse_args()
    if args.data is None:
        print("bench_recommender needs --data, a folder of data sets: nothing measured")
        return
    systems = args.systems.split(",")
    for name in args.sets.split(","):
        train, test = load(args.data, name)
        print(f"\n{name}: {train.shape[0]:,} users, {train.shape[1]:,} items")
        if args.tune:
            for system in systems:
                if system in GRIDS:
                    print(f"{system}, on a validation part:")
                    best = {"set": name, "system": system, "params": tune(system, args.data, name)}
                    others = [r for r in saved(TUNED) if (r["set"], r["system"]) != (name, system)]
                    TUNED.write_text(json.dumps([*others, best], indent=1))
            continue
        # Compile, as an installed package has long done.
        LSHRecommender((8,), max_iter=1, random_state=0).fit(train[:2000]).partial_fit(
            train[:100]
        ).predict_topk(train[:100], K)
        tuned = {r["system"]: r["params"] for r in saved(TUNED) if r["set"] == name}
        print(f"{'system':16s}{'fit s':>9s}{'ms/user':>9s}{'recall':>9s}{'nDCG':>9s}{'PSP':>9s}")
        for system in systems:
            if system == "unseen users":
                run = unseen_users(train)
                print(system, {key: round(v, 4) for key, v in run.items() if key != "system"})
                keep({"set": name, **run})
                continue
            params = tuned.get(system, {})
            fit = OURS.get(system) or (
                lambda users, system=system, params=params: PEERS[system](users, **params)
            )
            try:
                if system == "LSHRecommender":
                    run = over_seeds(train, test, args.seeds)
                else:
                    run = measure(system, fit, train, test)
            except ImportError as error:
                print(f"{system:16s} left out: {error}")
                continue
            keep({"set": name, "params": params, **run})
            print(
                f"{system:16s}{run['fit_s']:9.1f}{run['predict_ms']:9.2f}"
                f"{run['recall@20']:9.4f}{run['ndcg@20']:9.4f}{run['psp@20']:9.4f}  {params or ''}",
                flush=True,
            )
            if "chunk_s" in run:
                print(f"{'':16s}seconds of each chunk: {run['chunk_s']}")


if __name__ == "__main__":
    main()
