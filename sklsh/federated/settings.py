"""Who decides what: the training configuration that all share, and a device's private settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

from sklsh._utils.validation import check_choice, check_int
from sklsh.federated.cache import MAX_BYTES
from sklsh.federated.messages import CODE_BYTES, CODE_FAMILIES
from sklsh.federated.parts import neuron_bytes
from sklsh.federated.policy import Policy
from sklsh.federated.scoring import RULES
from sklsh.network.settings import DENSE_LABELS, Settings

BODY_EXCHANGES = ("full", "touched", "local")
LOCAL_OPTIMIZERS = ("sent", "fresh", "kept")
PAYLOADS = ("float32", "float16")

SHARED = (
    "hidden_layer_sizes", "activation", "fold", "sketch_dim", "learning_rate_init", "max_iter",
    "random_state", "n_jobs",
)  # fmt: skip
"""Estimator parameters that the server decides: a device may not have its own."""

NOT_READ = (
    "max_iter", "tol", "n_iter_no_change", "early_stopping", "validation_fraction",
    "n_neighbors", "n_factors", "linear", "n_estimators", "prediction", "warm_start",
    "new_classes", "class_weight", "effort", "rehash_interval", "checkpoint_dir",
    "checkpoint_interval",
)  # fmt: skip
"""Estimator parameters that a federation does not read."""

ELSEWHERE = ("verbose", "item_weight")
"""Those that the server reads, and no device."""

LIMITS = ("least_rows", "most_steps", "most_rounds", "most_bytes")
POLICY = (*LIMITS, "masked_only")
"""What a device refuses: see `sklsh.federated.policy.Policy`."""

LOCAL_SAMPLERS = ("auto", "random", "uniform", "labels", "exact", "all")
SELECTIONS = ("collisions", "buckets", "scores", "codes")
DEVICE_OPTIONS = (
    "local_steps", "active_bytes", "n_decoys", "include_labels", "n_probes", "local_sampler",
    "cache_bytes", "selection", "code_family", "code_bytes", "batch_rule", "public_rows", *POLICY,
)  # fmt: skip
"""What a device may set beside the estimator's parameters."""

MAX_LOCAL_STEPS = 1_000_000
"""Most batches of a device in a round: it lists their rows before it begins."""


DROPOUT = 0.3
"""Automatic dropout: without k-NN scores, after ten passes over few rows, a tenth lets P@1
decline by half a point where rows are long, and as much is lost with .3 where they are short."""


@dataclass(frozen=True)
class DeviceSettings:
    """A device's own settings; they never leave it.

    Attributes
    ----------
    training : Settings
        The estimator's, resolved for this device: sampler, tables, batch size, dropout ...
    n_active : int
        Neurons asked for a round beside the labels.
    active_bytes : int or None
        In place of `n_active`: bytes of the messages of a round that these neurons take, on their
        way here and back; as many are asked for as fit.
    local_steps : int or None
        Most steps a round; None: as many as the server says.
    n_decoys : float
        Decoys for each label (and feature) of the device: see `sklsh.federated.decoys`.
    include_labels : bool
        Ask for the labels of the round's rows; False: the paper's, only what collides.
    n_probes : int
        Rows that look up their neurons, most; others in each round.
    selection : {"collisions", "buckets", "scores", "codes"}
        What a device looks for neurons in. "collisions": tables of its own hash functions over
        the sketch name the neurons that collide most with all rows. "buckets": those that share
        a bucket with any row, table by table until the budget is full, the paper's. "scores": rows
        of the sketch are scored as they are. "codes": the server sends codes in the sketch's
        stead, and these are scored.
    code_family : {"signs", "products", "svd"}
        Of "codes": see `sklsh.hashing.codes`.
    code_bytes : {4, 8, 16, 32, 64}
        Of a neuron's code, beside four bytes of factor and bias ("products": two). Of products
        and "svd", at most one a hidden unit.
    batch_rule : {"turn", "mass"}
        Which scored neurons are asked for, for all rows together. "turn": each row's best, then
        each one's second best ... "mass": those with the largest sum of the rows' softmax.
    local_sampler : {"auto", "random", "uniform", "labels", "exact", "all"}
        Which neurons of the sub-model a batch computes beside its labels. "auto": as
        `sampler` says, but for "lsh" and "random", which picked the sub-model: of these few,
        the ones that score best ("exact"), or the best of random ones ("random") where
        labels are items. "all": the whole sub-model, the paper's.
    input_dropout : float
        Share of a row's entries that training does not see, others in each round; only
        where rows are read as interactions.
    public_rows : float in [0, 1]
        Above 0: the device asks for this share of all neurons, the same for all devices and
        others in each round (see `sklsh.federated.id_requests`), and for all features; it trains on
        rows with a label among them first, and says nothing of single labels before the first
        round.
    cache_bytes : int
        Most that the device keeps between messages.
    policy : Policy
        What it refuses. Its fields are options of their own: `least_rows`, `most_steps`,
        `most_rounds`, `most_bytes`, `masked_only`.
    """

    training: Settings
    n_active: int
    active_bytes: int | None = None
    local_steps: int | None = None
    n_decoys: float = 0.0
    include_labels: bool = True
    n_probes: int = 256
    local_sampler: str = "exact"
    selection: str = "collisions"
    code_family: str = "signs"
    code_bytes: int = 8
    batch_rule: str = "turn"
    input_dropout: float = 0.0
    public_rows: float = 0.0
    cache_bytes: int = MAX_BYTES
    policy: Policy = field(default_factory=Policy)


def resolve_device(
    params: Mapping, own: Mapping, n_samples: int, n_labels: int, defaults: Mapping
) -> DeviceSettings:
    """Settings of one device: the estimator's `params` with its `own` on top.

    Raises
    ------
    ValueError
        A setting that only the server may decide, that no device reads or can follow, or that
        nobody knows; an option beside the estimator's parameters that makes no sense. These
        parameters are the estimator's to check.
    """
    for name in own:
        if name in SHARED:
            raise ValueError(f"device_params must not set {name!r}: it is the same on all devices")
        allowed = {*params, *DEVICE_OPTIONS} - {*SHARED, *NOT_READ, *ELSEWHERE}
        if name in params and name not in allowed:
            raise ValueError(f"device_params must not set {name!r}: devices do not read it")
        if name not in allowed:
            raise ValueError(
                f"device_params has an unknown setting {name!r}; allowed are {sorted(allowed)}"
            )
    merged = {**params, **{k: v for k, v in own.items() if k in params}}
    options = {**defaults, **{k: v for k, v in own.items() if k in DEVICE_OPTIONS}}
    _check_options(options)
    if merged["sampler"] == "auto":
        # The paper's. Random ones end as high where the guide compares them.
        merged["sampler"] = "all" if n_labels <= DENSE_LABELS else "lsh"
    if merged["sampler"] == "codes":
        raise ValueError(
            'sampler must not be "codes" on devices, which have no head to code: sampler="lsh" '
            'with device_params={"selection": "codes"} has them choose by codes that they are sent'
        )
    if merged["dropout"] == "auto":
        merged["dropout"] = DROPOUT
    if options.get("local_sampler", "auto") == "auto":
        options["local_sampler"] = _local_sampler(merged["sampler"], "input_dropout" in merged)
    # There are no k-NN scores in a federation: hash-clustered batches pay. Nor is there a linear
    # view: its weights say by which features a device's rows have which label.
    alone = {"n_neighbors": 0, "linear": False}
    training = Settings.resolve({**merged, **alone}, n_samples, n_labels)
    n_active = merged["n_active"]
    if isinstance(n_active, str):
        n_active = automatic_budget(n_labels)
    options["input_dropout"] = float(merged.get("input_dropout", 0.0))
    if (most := options.get("active_bytes")) is not None:
        public = options.get("public_rows", 0.0)
        _check_active_bytes(most, own, public, merged["sampler"], training.hidden_layer_sizes[-1])
    policy = Policy(**{name: options.pop(name) for name in POLICY if name in options})
    return DeviceSettings(training, min(n_labels, n_active), policy=policy, **options)


def _check_active_bytes(most: int, own: Mapping, public, sampler: str, n_hidden: int) -> None:
    """Raise if nothing reads it, it stands beside `n_active`, or is less than a neuron takes."""
    if "n_active" in own:
        raise ValueError("device_params must not set both n_active and active_bytes")
    if public or sampler in ("labels", "all"):
        why = f"public_rows={public!r}" if public else f"sampler={sampler!r}"
        raise ValueError(
            f"device_params must not set active_bytes with {why}: no neurons are chosen"
        )
    least = neuron_bytes(n_hidden, "float16", False)
    if most < least:
        raise ValueError(
            f"device_params' active_bytes must be at least {least}, what a neuron of {n_hidden} "
            f"hidden units takes, got {most}"
        )


def _local_sampler(sampler: str, interactions: bool) -> str:
    """Of neurons that were picked once, a batch computes those that score best.

    Not of items: what a user has not had and scores high is often what the user would take.
    """
    if sampler not in ("lsh", "random"):
        return sampler
    return "random" if interactions else "exact"


def _check_options(options: Mapping) -> None:
    """Raise unless each of `DEVICE_OPTIONS` that is there is what it may be."""
    of = "device_params' "
    for name, most in ("local_steps", MAX_LOCAL_STEPS), ("active_bytes", None):
        if options.get(name) is not None:
            check_int(options[name], of + name, 1, most)
    for name, least in (("n_probes", 1), ("cache_bytes", 0), *((name, 1) for name in LIMITS)):
        if name in options:
            check_int(options[name], of + name, least)
    if "local_sampler" in options:
        check_choice(options["local_sampler"], f"{of}local_sampler", LOCAL_SAMPLERS)
    for name, allowed in (
        ("selection", SELECTIONS), ("code_family", CODE_FAMILIES), ("batch_rule", tuple(RULES)),
    ):  # fmt: skip
        if name in options:
            check_choice(options[name], of + name, allowed)
    if (size := options.get("code_bytes", CODE_BYTES[0])) not in CODE_BYTES:
        raise ValueError(f"{of}code_bytes must be one of {CODE_BYTES}, got {size!r}")
    for name in ("include_labels", "masked_only"):
        if not isinstance(flag := options.get(name, True), bool | np.bool_):
            raise ValueError(f"{of}{name} must be True or False, got {flag!r}")
    share = options.get("public_rows", 0.0)
    if not isinstance(share, Real) or not 0 <= float(share) <= 1:
        raise ValueError(f"{of}public_rows must be a number in [0, 1], got {share!r}")
    decoys = options.get("n_decoys", 0.0)
    if not isinstance(decoys, Real) or not 0 <= float(decoys) < np.inf:
        raise ValueError(f"{of}n_decoys must be a finite number, at least 0, got {decoys!r}")


def automatic_budget(n_labels: int) -> int:
    """Neurons a round beside the labels: 1,024 or all there are."""
    return min(n_labels, 1_024)


def n_samples_of(local_steps: int | float, n_rows: int, batch_size: int) -> int:
    """Rows that a round trains on, repeats counted; see `Invite.local_steps`."""
    if isinstance(local_steps, float):
        return max(1, math.ceil(local_steps * n_rows))
    return local_steps * batch_size
