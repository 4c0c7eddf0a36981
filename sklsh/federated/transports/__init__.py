"""How messages get to devices and back."""

from sklsh.federated.transports.base import Transport
from sklsh.federated.transports.joblib import JoblibTransport

__all__ = ["JoblibTransport", "Transport"]
