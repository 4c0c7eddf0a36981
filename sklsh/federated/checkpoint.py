"""A federation on disk: all that a server needs to resume after it was killed.

One file, ``federation.npz``, written beside its place after each round and moved there: it is
always that of some whole round. Arrays as arrays, the rest as JSON; nothing runs when it is read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sklsh._utils.archive import Archive, listed, unlisted
from sklsh.federated.defence import Defence
from sklsh.federated.ledger import Ledger
from sklsh.federated.messages import ClientStatistics
from sklsh.federated.plan import Plan
from sklsh.federated.server import Server
from sklsh.federated.server_optimizers import FedAdam
from sklsh.federated.sketch_broadcast import PublishedSketch
from sklsh.network.model import WideNetwork
from sklsh.network.optimizers import RowwiseAdagrad

FILE = "federation.npz"
FORMAT = 4
KEPT = ("seed", "round", "first_round", "n_counted", "start_faults", "noise_of_rounds", "threshold")
"""What is kept of the server as it is."""


@dataclass
class Progress:
    """A federation between two rounds.

    Attributes
    ----------
    server : Server
    client_statistics : dict of ClientStatistics
        By device, as taken before the first round.
    ledger : Ledger
    history : list of dict
        A round each.
    rng : numpy.random.Generator
        Picks the devices of a round. Not of a private one, whose draws are kept nowhere.
    """

    server: Server
    client_statistics: dict[int, ClientStatistics]
    ledger: Ledger
    history: list[dict]
    rng: np.random.Generator


@dataclass(frozen=True)
class Checkpoint:
    """The file of one federation in a folder.

    Parameters
    ----------
    folder : path
        Made when something is saved. One federation and one writer at a time.
    fingerprint : str
        Of everything that must be the same when the federation resumes.
    """

    folder: Path
    fingerprint: str

    @property
    def _archive(self) -> Archive:
        return Archive(self.folder / FILE, FORMAT, self.fingerprint)

    def save(self, progress: Progress) -> None:
        """Write the federation in the place of the one before, whole or not at all.

        O(size of the model): parameters, accumulators, and Adam's moments and the published
        sketch where there are any.
        """
        self._archive.write(*_packed(progress))

    def load(self) -> Progress | None:
        """The federation as last saved; None if none was.

        Raises
        ------
        ValueError
            The file is damaged, of a later format, or of another federation.
        """
        found = self._archive.read()
        return None if found is None else _unpacked(*found)


def _packed(progress: Progress) -> tuple[dict, dict[str, np.ndarray]]:
    server = progress.server
    network, optimizer, sketch = server.network, server.optimizer, server.sketch_broadcast.out
    arrays = {
        **listed("body_weights", network.body_weights),
        **listed("body_biases", network.body_biases),
        "head_weights": network.head_weights,
        "head_bias": network.head_bias,
        **listed("state_body_weights", optimizer.body_weights),
        **listed("state_body_biases", optimizer.body_biases),
        "state_head_weights": optimizer.head_weights,
        "state_head_bias": optimizer.head_bias,
    }
    optional = {
        "seen_ids": network.observed_ids, "hidden_centre": server.hidden_centre,
        "label_counts": server.label_counts,
    }  # fmt: skip
    arrays |= {name: array for name, array in optional.items() if array is not None}
    if sketch is not None:
        arrays |= {
            "sketch": sketch.values, "sketch_bias": sketch.bias,
            "sketch_published": sketch.published,
        }  # fmt: skip
    if isinstance(server.server_optimizer, FedAdam):
        for name, moments in server.server_optimizer.moments.items():
            arrays |= listed(f"moments.{name}", list(moments))
    codes: list[dict] = []
    for broadcast in server.code_broadcasts.values():
        if broadcast.out is not None:
            of_codes, code_arrays = broadcast.state(broadcast.out)
            arrays |= {f"codes_{len(codes)}.{name}": a for name, a in code_arrays.items()}
            codes.append(of_codes)
    numbers = {
        "codes": codes,
        "plan": asdict(server.plan),
        "activation": network.activation,
        "input_scale": network.input_scale,
        "server": {name: getattr(server, name) for name in KEPT},
        "defence": server.defence.to_dict(),
        "sketch_round": -1 if sketch is None else sketch.first_round,
        "client_statistics": [
            asdict(client_statistics) for client_statistics in progress.client_statistics.values()
        ],
        "traffic": [[*key, count] for key, count in progress.ledger.traffic.items()],
        "memory": [[*key, count] for key, count in progress.ledger.memory.items()],
        "history": progress.history,
        "rng": progress.rng.bit_generator.state,
    }
    return numbers, arrays


def _unpacked(numbers: dict, arrays: dict[str, np.ndarray]) -> Progress:
    network = WideNetwork(
        unlisted("body_weights", arrays), unlisted("body_biases", arrays),
        arrays["head_weights"], arrays["head_bias"], numbers["activation"],
        numbers["input_scale"], arrays.get("seen_ids"),
    )  # fmt: skip
    optimizer = RowwiseAdagrad(
        unlisted("state_body_weights", arrays), unlisted("state_body_biases", arrays),
        arrays["state_head_weights"], arrays["state_head_bias"],
    )  # fmt: skip
    server = Server(
        network, optimizer, Plan(**numbers["plan"]), **numbers["server"],
        defence=Defence.from_dict(numbers["defence"]),
        hidden_centre=arrays.get("hidden_centre"), label_counts=arrays.get("label_counts"),
    )  # fmt: skip
    if isinstance(server.server_optimizer, FedAdam):
        names = {key.split(".")[1] for key in arrays if key.startswith("moments.")}
        for name in sorted(names):
            first, second, count = unlisted(f"moments.{name}", arrays)
            server.server_optimizer.moments[name] = (first, second, count)
    if "sketch" in arrays:
        server.sketch_broadcast.out = PublishedSketch(
            numbers["sketch_round"], arrays["sketch"], arrays["sketch_bias"],
            arrays["sketch_published"],
        )  # fmt: skip
    for i, of_codes in enumerate(numbers.get("codes", ())):
        prefix = f"codes_{i}."
        mine = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
        server.code_broadcast(of_codes["family"], of_codes["n_bytes"]).restore(of_codes, mine)
    ledger = Ledger()
    ledger.traffic.update({tuple(key): count for *key, count in numbers["traffic"]})
    ledger.memory.update({tuple(key): count for *key, count in numbers["memory"]})
    client_statistics = {
        entry["device"]: ClientStatistics(**entry) for entry in numbers["client_statistics"]
    }
    rng = np.random.default_rng()
    rng.bit_generator.state = numbers["rng"]
    return Progress(server, client_statistics, ledger, numbers["history"], rng)
