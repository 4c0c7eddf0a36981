"""Where are the best neurons of a wide head? Exact products, hash tables and codes beside faiss.

    python benchmarks/bench_search.py [--data FOLDER --set NAME] [--repeats 3]
    python benchmarks/bench_search.py --markdown

A default model is fitted to a set of `bench_classifier` (by default the one of the shape of
Amazon-670K). Each system then finds the five best observed neurons of every test row's hidden
vector, ``w @ h + b``, on two threads; peers get ``[w, b]`` and ``[h, 1]`` as inner products. Recall
is of the exact five. Systems with a dial are run at several settings: compare times at like
recalls. Rows go to results/search.json. Peers are left out where they are not installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from bench_classifier import SYNTHETIC, THREADS, load

from sklsh import SparseLSHMLPClassifier
from sklsh._utils.threads import blocks, one_blas_thread, run_blocks
from sklsh.hashing.codes import ProductCodes, topk_codes
from sklsh.kernels.topk import probe_topk_rows
from sklsh.network.head_index import candidates_of
from sklsh.network.model import WideNetwork
from sklsh.network.rows import SparseRows
from sklsh.network.settings import Settings
from sklsh.network.topk import exact_topk, lsh_topk

RESULTS = Path(__file__).parent / "results" / "search.json"
K, ALONE = 5, 200


@dataclass
class Head:
    """Observed neurons, and the hidden vectors that ask for them."""

    network: WideNetwork
    queries: np.ndarray
    sample: np.ndarray
    settings: Settings

    @property
    def vectors(self) -> np.ndarray:
        """Rows with their biases as one more coordinate, and zeros to a multiple of 32."""
        return widened(self.network.head_weights, self.network.head_bias)

    @property
    def asked(self) -> np.ndarray:
        return widened(self.queries, np.ones(len(self.queries)))


def widened(rows, last) -> np.ndarray:
    padding = np.zeros((rows.shape[0], -(rows.shape[1] + 1) % 32))
    return np.column_stack([rows, last, padding]).astype(np.float32)


Search = Callable[[np.ndarray], np.ndarray]
"""From rows of queries to the numbers of the best neurons, (n, K)."""


def exact(head: Head) -> Iterator[tuple[str, Search]]:
    yield "", lambda hidden: one_blas_thread()(exact_topk)(head.network, hidden, K, THREADS)[0]


def tables(head: Head) -> Iterator[tuple[str, Search]]:
    """What ``prediction="lsh"`` does, by number of candidates."""
    index = candidates_of(head.settings, 0)
    index.build(head.network, head.sample, 0, THREADS)

    def search(hidden):
        return lsh_topk(head.network, index, hidden, K, THREADS)[0]

    kept = index.n_candidates
    for factor in (0.25, 0.5, 1, 2, 4):
        index.n_candidates = max(K, int(factor * kept))
        yield f"{index.n_candidates} candidates", search


def codes(head: Head) -> Iterator[tuple[str, Search]]:
    """The best of product codes of 16 bytes, scored again exactly."""
    network = head.network
    family = ProductCodes(16)
    mean = head.sample.mean(axis=0)
    moment = (head.sample - mean).T @ (head.sample - mean) / len(head.sample)
    coder = family.fit(network.head_weights, hidden_mean=mean, hidden_moment=moment, n_jobs=THREADS)
    coded = coder.encode(network.head_weights, network.head_bias, n_jobs=THREADS)
    nobody = np.full(network.n_labels, -1, dtype=np.int32)
    for n in (10, 50, 250):

        def search(hidden, n=n):
            found = topk_codes(coder, coded, hidden, n, n_threads=THREADS)[0].astype(np.int32)
            starts = np.arange(0, found.size + 1, n, dtype=np.int64)
            labels = np.empty((len(hidden), K), dtype=np.int32)
            scores = np.empty((len(hidden), K), dtype=np.float32)

            def task(start, stop):
                probe_topk_rows(
                    hidden, network.head_weights, network.head_bias, starts, found.ravel(), nobody,
                    scores, labels, start, stop,
                )  # fmt: skip

            run_blocks(task, blocks(len(hidden), 16), THREADS)
            return labels

        yield f"{n} again", search


def faiss_index(head: Head, recipe: str, dial: str, values) -> Iterator[tuple[str, Search]]:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    vectors = head.vectors
    index = faiss.index_factory(vectors.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    space = faiss.ParameterSpace()
    for value in values:
        space.set_index_parameter(index, dial, value)
        yield f"{dial} {value}", lambda asked: index.search(asked, K)[1]


def faiss_lists(head: Head):
    return faiss_index(head, "IVF1024,Flat", "nprobe", (1, 4, 16, 64))


def faiss_products(head: Head):
    return faiss_index(head, "IVF1024,PQ32,RFlat", "nprobe", (4, 16, 64))


def faiss_graph(head: Head):
    return faiss_index(head, "HNSW16", "efSearch", (16, 64, 256))


def hnswlib_graph(head: Head) -> Iterator[tuple[str, Search]]:
    import hnswlib

    vectors = head.vectors
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=100)
    index.set_num_threads(THREADS)
    index.add_items(vectors)
    for value in (16, 64, 256):
        index.set_ef(value)
        yield f"ef {value}", lambda asked: index.knn_query(asked, k=K)[0]


SYSTEMS = {
    "exact": exact,
    "hash tables": tables,
    "product codes": codes,
    "faiss IVF": faiss_lists,
    "faiss IVF-PQ": faiss_products,
    "faiss HNSW": faiss_graph,
    "hnswlib": hnswlib_graph,
}


def trained(name: str, folder: str | None) -> Head:
    """The head of a default model, of observed neurons alone."""
    X, X_test, Y, _ = load(name, folder)
    model = SparseLSHMLPClassifier(n_neighbors=0, linear=False, random_state=0, n_jobs=THREADS)
    network = model.fit(X, Y).network_
    seen = network.observed_ids
    rows = np.random.default_rng(0).permutation(X.shape[0])[:1000].astype(np.int32)
    hidden = [
        network.hidden(SparseRows.from_matrix(part), np.asarray(ids, dtype=np.int32), THREADS)
        for part, ids in ((X_test, range(X_test.shape[0])), (X, rows))
    ]
    if seen is not None:
        network = WideNetwork([], [], network.head_weights[seen], network.head_bias[seen])
    params = model.set_params(prediction="lsh").get_params()
    return Head(network, *hidden, Settings.resolve(params, X.shape[0], network.n_labels))


def timed(search: Search, queries: np.ndarray, repeats: int) -> dict:
    """Medians of milliseconds a row, all at once and one by one."""
    search(queries[:20])  # compiles
    batches, alone = [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        search(queries)
        batches.append(1e3 * (time.perf_counter() - begin) / queries.shape[0])
    for row in range(ALONE):
        begin = time.perf_counter()
        search(queries[row : row + 1])
        alone.append(1e3 * (time.perf_counter() - begin))
    return {"batch_ms": statistics.median(batches), "alone_ms": statistics.median(alone)}


def run(name: str, folder: str | None, repeats: int) -> list[dict]:
    head = trained(name, folder)
    true, found = None, []
    for system, make in SYSTEMS.items():
        peer = system.split()[0]
        if peer in ("faiss", "hnswlib") and find_spec(peer) is None:
            print(f"{system}: {peer} is not installed")
            continue
        queries = head.asked if peer in ("faiss", "hnswlib") else head.queries
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        begin, built = time.perf_counter(), 0.0
        for setting, search in make(head):
            built = built or time.perf_counter() - begin  # before the first: the others share it
            labels = search(queries)
            true = labels if true is None else true
            recall = float((labels[:, :, None] == true[:, None, :]).any(axis=1).mean())
            row = {
                "set": name, "n": head.network.n_labels, "width": head.network.n_hidden,
                "system": system, "setting": setting, "recall": recall, "build_s": built,
                **timed(search, queries, repeats),
            }  # fmt: skip
            found.append(row)
            print(row, flush=True)
    return found


def markdown(rows: list[dict]) -> str:
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = [row for row in rows if row["set"] == name]
        lines += [
            f"| {name}: {of_set[0]['n']:,} neurons of {of_set[0]['width']} | recall of the best "
            f"{K} | ms a row, in batch / alone | built in, s |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row['system']}{', ' * bool(row['setting'])}{row['setting']} | {row['recall']:.3f} "
            f"| {row['batch_ms']:.3f} / {row['alone_ms']:.2f} | {row['build_s']:.1f} |"
            for row in of_set
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--set", default=SYNTHETIC)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--markdown", action="store_true", help="run nothing: the table")
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    if not args.markdown:
        found = run(args.set, args.data, args.repeats)
        rows = [row for row in rows if row["set"] != args.set] + found
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
