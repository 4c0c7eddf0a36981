"""The on-device framework: server, devices, messages, rounds. Plain classes."""

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
