"""Parameters that a federation does not read, its own and those of the estimator it trains."""

from __future__ import annotations

from collections.abc import Mapping

from sklsh.estimators.device_params import setting_names
from sklsh.estimators.unused import TABLES, unused_fold
from sklsh.federated.settings import NOT_READ
from sklsh.network.settings import DENSE_LABELS

OF_OWN_ROWS = ("include_labels", "n_decoys", "sketch_rounds", "sketch_tolerance", "prototypes")


def unused_in_federation(federation) -> dict[str, str]:
    """Of a federation's own parameters."""
    unused = {}
    if federation.sketch_rounds == 1:
        unused["sketch_tolerance"] = "sketch_rounds above 1"
    if not federation.noise_multiplier:
        unused["delta"] = "noise_multiplier above 0"
    if federation.server_optimizer == "adam":
        unused["contributor_power"] = 'server_optimizer="avg"'
    if not federation.include_labels:
        unused["n_decoys"] = "include_labels=True"
    if federation.public_rows:
        unused |= dict.fromkeys(OF_OWN_ROWS, "public_rows=0")
    return unused


def unused_on_devices(federation, params: Mapping, n_labels: int) -> dict[str, str]:
    """Of the estimator that a federation trains."""
    alone = "fit without a federation"
    unused = dict.fromkeys(NOT_READ, alone)
    own = federation.device_params
    # Devices may each have their own, for which the estimator's are only defaults.
    if own and set(setting_names(own)) & {"sampler", "selection", "shuffle", "family"}:
        return unused
    sampler, shuffle = params["sampler"], params["shuffle"]
    if shuffle is False:
        unused["shuffle"] = alone
    if sampler == "auto":
        sampler = "all" if n_labels <= DENSE_LABELS else "lsh"
    tables = sampler == "lsh" and not federation.public_rows
    if not tables:
        unused |= dict.fromkeys(TABLES, 'sampler="lsh"')
    if sampler in ("labels", "all"):
        unused["n_active"] = 'sampler of "lsh", "random", "uniform" or "exact"'
    if federation.public_rows:
        unused["n_active"] = "public_rows=0"
    if not (shuffle == "lsh" or (shuffle == "auto" and sampler != "all")):
        unused |= unused_fold(tables, params["family"], 'sampler or shuffle of "lsh"')
    return unused
