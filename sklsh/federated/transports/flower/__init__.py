"""Devices on many machines, through Flower (the extra ``flower``)."""

from sklsh.federated.transports.flower.client import client_app, load_data
from sklsh.federated.transports.flower.transport import Exchanged, FlowerTransport

__all__ = ["Exchanged", "FlowerTransport", "client_app", "load_data"]
