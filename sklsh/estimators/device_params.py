"""A federation's input, checked and resolved: groups, devices' settings, limits of a round."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from sklearn.utils._param_validation import validate_parameter_constraints

from sklsh._utils.containers import array_of_one_kind, plain
from sklsh._utils.random import child_seed
from sklsh._utils.validation import unique_inverse
from sklsh.federated.cache import Cache, DiskCache, MemoryCache
from sklsh.federated.device import Device
from sklsh.federated.parts import MOST_ROWS
from sklsh.federated.plan import Plan
from sklsh.federated.secure.masking import require
from sklsh.federated.settings import DeviceSettings, n_samples_of, resolve_device
from sklsh.federated.start import STATISTICS
from sklsh.hashing import find_family
from sklsh.network.rows import SparseRows
from sklsh.network.settings import Settings


def round_limits(client_statistics, settings: Settings, local_steps, fraction) -> dict:
    """What devices' sizes say of a round: rows an update may count for, devices expected."""
    typical = int(np.median([c.n_samples for c in client_statistics.values()]))
    max_rows = n_samples_of(steps_of(local_steps), typical, settings.batch_size)
    if not isinstance(local_steps, Integral):
        # A device's share of its rows: one far larger than the rest counts for ten.
        max_rows *= 10
    return {
        "max_rows": int(max_rows), "batch_size": int(settings.batch_size),
        "expected_devices": float(fraction * len(client_statistics)),
    }  # fmt: skip


def check_powers(powers) -> tuple[float, float]:
    if len(powers) != 2 or not all(isinstance(p, Real) and 0 <= float(p) <= 1 for p in powers):
        raise ValueError(f"contributor_power must be two numbers in [0, 1], got {powers!r}")
    return float(powers[0]), float(powers[1])


def steps_of(local_steps) -> int | float:
    """`local_steps` as messages have it: None is the whole of a device's rows."""
    if local_steps is None:
        return 1.0
    return int(local_steps) if isinstance(local_steps, Integral) else float(local_steps)


def plan_of(federation, settings: Settings) -> Plan:
    """What the server decides, from an estimator's parameters; devices' sizes come later."""
    powers = federation.contributor_power
    if not isinstance(federation.holder_power, str):
        warnings.warn(
            "holder_power is called contributor_power now, and will be gone in 0.2",
            FutureWarning, stacklevel=2,
        )  # fmt: skip
        powers = federation.holder_power
    head_power, body_power = check_powers(powers)
    same = (
        "n_rounds", "body_exchange", "payload", "sketch_rounds", "sketch_tolerance",
        "local_optimizer", "server_optimizer", "aggregation", "server_learning_rate",
        "clip_norm", "noise_multiplier",
    )  # fmt: skip
    plan = Plan(
        head_power=head_power, body_power=body_power,
        local_steps=steps_of(federation.local_steps), learning_rate=settings.learning_rate_init,
        secure_rows=float(federation.public_rows) if federation.secure_aggregation else 0.0,
        **fold_of(settings), **{name: getattr(federation, name) for name in same},
    )  # fmt: skip
    # A checkpoint is JSON, which knows Python's numbers alone.
    numbers = {
        name: value.item() for name, value in vars(plan).items() if isinstance(value, np.generic)
    }
    return replace(plan, **numbers)


def fold_of(settings: Settings) -> dict:
    """The sketch that all devices get: families without a fold hash the whole head."""
    if not find_family(settings.family).compresses:
        return {"fold": "identity", "sketch_dim": None}
    return {"fold": settings.fold, "sketch_dim": settings.sketch_dim}


def check_groups(groups, n_samples):
    """Sorted device ids, and the position of each row's."""
    if groups is None:
        return np.zeros(1, dtype=np.int64), np.zeros(n_samples, dtype=np.int64)
    groups = array_of_one_kind(plain(groups, "groups"), "groups")
    if groups.shape != (n_samples,):
        raise ValueError(
            f"groups must have one device id for each of the {n_samples} rows, got shape "
            f"{groups.shape}"
        )
    return unique_inverse(groups, "groups")


def numbered(device_ids: np.ndarray, known: np.ndarray | None) -> tuple[np.ndarray, list[int]]:
    """Ids that are known with new ones behind them, and where `device_ids` are among these.

    So a device keeps its number, whichever others a later call brings.
    """
    if known is None:
        return device_ids, list(range(device_ids.shape[0]))
    had = set(known.tolist())
    fresh = device_ids[[device not in had for device in device_ids.tolist()]]
    if (known.dtype.kind in "US") != (fresh.dtype.kind in "US"):
        # As one plain array, numbers would become text.
        known = known.astype(object)
    every = np.concatenate([known, fresh])
    number_of = {device: number for number, device in enumerate(every.tolist())}
    return every, [number_of[device] for device in device_ids.tolist()]


def own_params(device_params, device_ids) -> list[dict]:
    """One dict a device, from any of the three forms of `device_params`."""
    n_devices = device_ids.shape[0]
    if device_params is None:
        return [{}] * n_devices
    if isinstance(device_params, list):
        for i, own in enumerate(device_params):
            if not isinstance(own, Mapping):
                raise ValueError(f"device_params must be dicts, got {own!r} at position {i}")
        if len(device_params) != n_devices:
            raise ValueError(
                f"device_params must be one dict for each of {n_devices} devices, "
                f"got {len(device_params)}"
            )
        return device_params
    values = list(device_params.values())
    if values and all(isinstance(value, Mapping) for value in values):
        unknown = set(device_params) - set(device_ids.tolist())
        if unknown:
            raise ValueError(f"device_params names devices that are not in groups: {unknown}")
        return [device_params.get(device, {}) for device in device_ids.tolist()]
    return [device_params] * n_devices


def check_privacy(clip_norm, aggregation, public_statistics) -> None:
    """Noise has a meaning only beside a longest change, in a plain sum, and where nothing is
    asked that no noise goes on."""
    if clip_norm is None or aggregation != "mean":
        raise ValueError(
            'noise_multiplier > 0 needs a clip_norm and aggregation="mean", got '
            f"clip_norm={clip_norm!r} and aggregation={aggregation!r}"
        )
    if public_statistics is None:
        raise ValueError(
            "noise_multiplier > 0 needs public_statistics, a dict of the n_samples, row_norm and "
            "labels_per_row of a typical device: what devices say of themselves would be in no "
            "epsilon"
        )


def check_secure(federation) -> None:
    """What a server can do that sees nothing but a sum, and who answers in nothing else."""
    own = federation.device_params
    if not federation.secure_aggregation:
        if own and "masked_only" in setting_names(own):
            raise ValueError(
                "device_params' masked_only needs secure_aggregation=True: such a device sends "
                "nothing else"
            )
        return
    if not federation.public_rows:
        raise ValueError(
            "secure_aggregation needs public_rows above 0: where each device has rows of its own, "
            "their numbers would name them"
        )
    if federation.aggregation != "mean":
        raise ValueError(
            'secure_aggregation needs aggregation="mean": a median is of updates that are seen '
            f"one by one, got aggregation={federation.aggregation!r}"
        )
    if federation.clip_norm is not None or federation.noise_multiplier:
        raise ValueError(
            "secure_aggregation must be without clip_norm and noise_multiplier: the server cannot "
            f"clip what it does not see, got clip_norm={federation.clip_norm!r} and "
            f"noise_multiplier={federation.noise_multiplier!r}"
        )
    if own and "public_rows" in setting_names(own):
        raise ValueError(
            "device_params must not set 'public_rows' with secure_aggregation: the rows of a sum "
            "are the same on all devices"
        )
    require()


def check_secure_rounds(n_devices: int, fraction: float) -> None:
    """A ValueError where rounds have so few devices that their sum would tell whose it is."""
    from sklsh.federated.secure.device_side import FEWEST

    invited = max(1, round(fraction * n_devices))
    if invited < FEWEST:
        raise ValueError(
            f"secure_aggregation needs {FEWEST} devices in a round, got {invited} of {n_devices} "
            f"with fraction={fraction!r}"
        )


def setting_names(device_params) -> list[str]:
    """Settings that any of the devices has."""
    parts = device_params if isinstance(device_params, list) else [device_params]
    found: list[str] = []
    for part in parts:
        if not isinstance(part, Mapping):
            continue  # refused later, by position
        for name, value in part.items():
            found += value if isinstance(value, Mapping) else [name]
    return found


def check_public_statistics(given) -> None:
    """Three numbers of a typical device."""
    if given is None:
        return
    if set(given) != set(STATISTICS):
        raise ValueError(
            f"public_statistics must have {', '.join(STATISTICS)}, got {sorted(map(str, given))}"
        )
    for name, value in given.items():
        kind = Integral if name == "n_samples" else Real
        good = isinstance(value, kind) and not isinstance(value, bool)
        if not good or not 0 < float(value) <= MOST_ROWS:
            raise ValueError(
                f"public_statistics must have {'an int' if kind is Integral else 'a number'} "
                f"above 0 and at most {MOST_ROWS} as {name}, got {value!r}"
            )


def check_own(own: Mapping, constraints: Mapping) -> None:
    """The estimator's parameters among a device's `own` settings, by the estimator's rules."""
    mine = {name: value for name, value in own.items() if name in constraints}
    validate_parameter_constraints(constraints, mine, "device_params")


def device_settings(params, own, places, n_labels, defaults, constraints) -> list[DeviceSettings]:
    """Settings of each device: the estimator's `params` with its `own` on top."""
    counts = np.bincount(places)
    for mine in own:
        check_own(mine, constraints)
    return [
        resolve_device(params, mine, int(n_rows), n_labels, defaults)
        for mine, n_rows in zip(own, counts, strict=True)
    ]


def make_caches(cache_dir, device_ids, settings: list[DeviceSettings]) -> list[Cache]:
    """An empty cache for each device: a folder of its own under `cache_dir`, or in memory.

    Raises
    ------
    ValueError
        `cache_dir` is no folder that can be written to.
    """
    if cache_dir is None:
        return [MemoryCache(own.cache_bytes) for own in settings]
    folder = Path(cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cache_dir must be a folder to write to, got {cache_dir!r}") from error
    names = [sha256(repr(device).encode()).hexdigest()[:16] for device in device_ids.tolist()]
    return [
        DiskCache(folder / name, own.cache_bytes) for name, own in zip(names, settings, strict=True)
    ]


def make_devices(
    X: SparseRows, Y: SparseRows, numbers, places, shape, activation, settings, caches, seed,
    **shared,
) -> list[Device]:  # fmt: skip
    """One `Device` for each place, with the rows that `places` puts there.

    Parameters
    ----------
    numbers : list of int
        Under which the devices are known.
    places : ndarray (n_samples,)
        Device of each row, 0 .. n_devices - 1.
    shape : (int, int)
        n_features, n_labels.
    settings : list of DeviceSettings
    caches : list of Cache
    shared
        `body_exchange`, `payload` and `local_optimizer` of `Device`.
    """
    order = np.argsort(places, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(places))[:-1])
    n_features, n_labels = shape
    return [
        Device(
            numbers[i], X.take(part), Y.take(part), n_features, n_labels, activation, settings[i],
            child_seed(seed, numbers[i]), cache=caches[i], **shared,
        )
        for i, part in enumerate(parts)
    ]  # fmt: skip
