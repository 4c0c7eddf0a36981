"""`JoblibTransport`: all devices on this machine (or joblib's cluster), several at a time."""

from __future__ import annotations

from dataclasses import replace

from joblib import Parallel, delayed

from sklsh._utils.threads import effective_n_threads, one_blas_thread
from sklsh.federated.cache import CacheMiss
from sklsh.federated.device import Device
from sklsh.federated.memory import Batch
from sklsh.federated.messages import Invite
from sklsh.federated.policy import Refused


class JoblibTransport:
    """Runs devices through joblib: threads by default, or any ``parallel_config`` backend.

    Kernels release the GIL, so threads scale and copy nothing. With processes ("loky"),
    joblib memory-maps large arrays, read-only, instead of copying them.

    Parameters
    ----------
    devices : list of Device
    n_jobs : int or None
        Devices at a time. Changes no result.
    """

    resends = False

    def __init__(self, devices: list[Device], n_jobs: int | None = None):
        self._devices = {device.id: device for device in devices}
        self.n_jobs = n_jobs

    @property
    def devices(self) -> list[int]:
        return list(self._devices)

    @property
    def caches(self) -> list:
        """What each device has kept."""
        return [device.cache for device in self._devices.values()]

    def batch(self, device: int, invite: Invite, n_ids: int) -> Batch:
        """What a step takes on a device: here nobody is kept from looking."""
        return self._devices[device].batch(invite, n_ids)

    def ask(self, question: str, messages: dict[int, tuple]) -> list:
        tasks = [
            delayed(_answer)(self._devices[device], question, parts)
            for device, parts in messages.items()
        ]
        n_jobs = min(effective_n_threads(self.n_jobs), max(1, len(tasks)))
        with one_blas_thread():
            answers = Parallel(n_jobs=n_jobs, prefer="threads")(tasks)
        # A worker process has written to a copy of the device's cache: that copy counts now.
        for device, (_, cache) in zip(messages, answers, strict=True):
            self._devices[device] = replace(self._devices[device], cache=cache)
        return [reply for reply, _ in answers if reply is not None]


def _answer(device: Device, question: str, parts: tuple):
    """The reply, None if the device refuses or has lost what it needs for one, and its cache."""
    with one_blas_thread():
        try:
            return getattr(device, question)(*parts), device.cache
        except (CacheMiss, Refused):
            return None, device.cache
