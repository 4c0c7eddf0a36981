"""The on-device framework: server, devices, messages, rounds. Plain classes.

======================  ==========================================================================
a round                 `rounds` says what is asked, `exchange` asks and checks; `ledger` counts
what travels            `messages`, made of `parts`; by `transports`; `training_config` goes along
the server              `server` and its `plan`; `start`, before the first round
what it sends           `sketch_broadcast`, `code_broadcast`: each round's `round_broadcast`
what updates become     `aggregation`, `merging` with `server_optimizers`; `undo` if it went wrong
what it believes        `norm_bound`, `limits`, `agreement`, `defence`; `privacy` by noise, `secure`
a device                `device`, its `settings` and its `policy`; `submodels` that it trains
which ids it asks for   `id_requests`, `decoys`; `selection` by hashing, `scoring` of codes
what it keeps           `cache`, read and written by `device_state`
beside                  `cardinality`, the multilabel threshold; `memory` by formula; `checkpoint`
======================  ==========================================================================
"""

from sklsh.federated.device import Device
from sklsh.federated.ledger import Ledger
from sklsh.federated.plan import Plan
from sklsh.federated.rounds import RoundReport, run_round, set_prototypes, take_client_statistics
from sklsh.federated.server import Server
from sklsh.federated.settings import DeviceSettings, resolve_device
from sklsh.federated.transports import JoblibTransport, Transport

__all__ = [
    "Device",
    "DeviceSettings",
    "JoblibTransport",
    "Ledger",
    "Plan",
    "RoundReport",
    "Server",
    "Transport",
    "resolve_device",
    "run_round",
    "set_prototypes",
    "take_client_statistics",
]
