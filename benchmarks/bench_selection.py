"""Is it worth finding a device's neurons? P@1 of a federation by what devices look for them in.

    python benchmarks/bench_selection.py [--data FOLDER] [--without-labels] [--modes ...]

"oracle" scores the head itself, in turn; "random" looks at nothing; "labels" asks for the labels
of the rows alone. With --without-labels devices ask for nothing beside what they find, as in the
paper. Rows are added to results/selection.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from bench_federated import load, precision

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import split_devices
from sklsh.federated import device as devices
from sklsh.federated import server as servers
from sklsh.federated.scoring import RowsBest
from sklsh.network.rows import SparseRows

RESULTS = Path(__file__).parent / "results" / "selection.json"
CODES = {
    f"{family}, {n} bytes": {"selection": "codes", "code_family": family, "code_bytes": n}
    for family in ("signs", "products", "svd")
    for n in (4, 8, 16, 32)
}
MODES: dict[str, dict] = {
    "labels": {"sampler": "labels"}, "random": {"sampler": "random"}, "tables": {},
    "fold": {"selection": "scores"}, "oracle": {"selection": "scores"},
    "oracle, mass": {"selection": "scores", "batch_rule": "mass"}, **CODES,
}  # fmt: skip


class Oracle:
    """Puts the head itself in the place of what devices are sent."""

    def __enter__(self):
        self.kept = servers.Server.sketches, devices.best_of_sketch
        sketches, _ = self.kept

        def watched(server, since):
            self.network = server.network
            return sketches(server, since)

        servers.Server.sketches, devices.best_of_sketch = watched, self.best
        return self

    def __exit__(self, *_):
        servers.Server.sketches, devices.best_of_sketch = self.kept

    def best(self, sketch, hidden) -> RowsBest:
        weights, bias = self.network.head_weights, self.network.head_bias

        def lists(depth):
            found = []
            for start in range(0, len(hidden), 64):
                logits = hidden[start : start + 64] @ weights.T + bias
                ids = np.argpartition(-logits, depth - 1, axis=1)[:, :depth]
                scores = np.take_along_axis(logits, ids, 1)
                order = np.argsort(-scores, axis=1)
                found.append([np.take_along_axis(a, order, 1) for a in (ids, scores)])
            return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))

        return RowsBest(weights.shape[0], len(hidden), lists)


def run(data, mode: str, seed: int, args) -> dict:
    """One federation: P@1 after each round, and bytes."""
    X, Y, X_test, Y_test = data
    step = max(1, X_test.shape[0] // 8000)
    rows, Y_test, scores = SparseRows.from_matrix(X_test[::step]), Y_test[::step], []
    began = time.process_time()
    model = FederatedLSHClassifier(
        SparseLSHMLPClassifier(
            (args.hidden,), sampler="lsh", n_active=max(1, int(args.share * Y.shape[1]))
        ),
        n_rounds=args.rounds, device_params=MODES[mode], sketch_rounds=args.sketch_rounds,
        include_labels=not args.without_labels, random_state=seed, n_jobs=2,
        callback=lambda network, _: scores.append(precision(network, rows, Y_test)),
    )  # fmt: skip
    model.fit(X, Y, groups=split_devices(Y, args.devices, random_state=0))
    ledger = model.ledger_
    return {
        "system": mode, "seed": seed, "precision_by_round": scores,
        "bytes_looked_at": ledger.total(kind="sketch") + ledger.total(kind="codedhead"),
        "bytes": ledger.total(), "cpu_s": time.process_time() - began,
    }  # fmt: skip


SETTINGS = ("hidden", "devices", "share", "rounds", "sketch_rounds", "without_labels")


def draw(rows: list[dict], path: Path) -> None:
    """P@1 at the end against bytes looked at; means over seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    ends: dict = {}
    for row in rows:
        name = row["system"].split(",")[0] + (", kept" if row["sketch_rounds"] > 1 else "")
        if row["system"] != "oracle, mass":
            points = ends.setdefault(name, {}).setdefault(row["bytes_looked_at"] // 10**5, [])
            points.append((row["bytes_looked_at"] / 1e6, row["precision_by_round"][-1]))
    for i, (name, points) in enumerate(ends.items()):
        x, y = zip(*sorted(np.mean(p, axis=0).tolist() for p in points.values()), strict=True)
        if name in ("random", "oracle"):
            axis.axhline(np.mean(y), color="gray", ls="--" if name == "oracle" else ":", label=name)
        else:
            axis.plot(x, y, f"-{'os^vDPX*'[i % 8]}", label=name, ms=5)
    axis.set(xlabel="MB of sketches or codes, all devices and rounds", ylabel="P@1")
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.01, help="of the neurons, beside labels")
    parser.add_argument("--rounds", type=int, default=6, help="of half a pass")
    parser.add_argument("--sketch-rounds", type=int, default=1)
    parser.add_argument("--without-labels", action="store_true")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--modes", default="random;tables;fold;signs, 8 bytes", help="with ;")
    args = parser.parse_args()
    data, name = load(args.data), "wordnet-subset" if args.data is None else Path(args.data).name
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for seed in map(int, args.seeds.split(",")):
        for mode in args.modes.split(";"):
            settings = {"data": name, **{key: getattr(args, key) for key in SETTINGS}}
            if mode.startswith("oracle"):
                with Oracle():
                    row = settings | run(data, mode, seed, args)
            else:
                row = settings | run(data, mode, seed, args)
            print(json.dumps(row), flush=True)
            key = (*settings, "system", "seed")
            known = [r for r in known if [r[k] for k in key] != [row[k] for k in key]] + [row]
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    names = ("data", *(name for name in SETTINGS if name != "sketch_rounds"))
    same = [r for r in known if all(r[n] == settings[n] for n in names)]
    draw(same, RESULTS.with_name(f"selection-{name}.png"))


if __name__ == "__main__":
    main()
