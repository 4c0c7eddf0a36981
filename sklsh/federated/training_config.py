"""`TrainingConfig`: what devices that run elsewhere must be told, with every question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import scipy.sparse as sp

from sklsh.federated.cache import Cache
from sklsh.federated.device import Device
from sklsh.federated.settings import resolve_device
from sklsh.network.rows import SparseRows


@dataclass(frozen=True)
class TrainingConfig:
    """The server's settings that a device needs; all can be said in JSON.

    Attributes
    ----------
    params : dict
        The estimator's parameters, as `resolve_device` takes them.
    options : dict
        Defaults of a device's options: `include_labels`, `n_decoys`, `public_rows`.
    n_features, n_labels : int
        Numbering that all devices share.
    activation, body_exchange, payload, local_optimizer : str
        As in `Device`.
    """

    params: dict
    options: dict
    n_features: int
    n_labels: int
    activation: str
    body_exchange: str
    payload: str
    local_optimizer: str

    def to_dict(self) -> dict:
        """Plain values; ``TrainingConfig(**values)`` is the same training configuration."""
        return asdict(self)

    def device(self, number: int, X, Y, own: Mapping, seed: int, cache: Cache) -> Device:
        """A device of this federation.

        Parameters
        ----------
        number : int
            Its id.
        X : dense or sparse matrix (n_samples, n_features)
        Y : dense or sparse indicator (n_samples, n_labels), or 1-d int (n_samples,)
            Rows' labels, or the one label of each, numbered as on the server.
        own : dict
            Settings of this device that differ, as in `device_params`.
        seed : int
        cache : Cache

        Raises
        ------
        ValueError
            Data of other sizes than these, without rows, negative labels, NaN, inf or
            corrupted; unknown settings.
        """
        rows, labels = _rows(X, "X", self.n_features), _labels(Y, self.n_labels)
        if rows.n_rows != labels.n_rows or not rows.n_rows:
            raise ValueError(
                "a device's X and Y must have one row or more, and as many of each, got "
                f"{rows.n_rows} and {labels.n_rows}"
            )
        settings = resolve_device(self.params, own, rows.n_rows, self.n_labels, self.options)
        return Device(
            number, rows, labels, self.n_features, self.n_labels, self.activation, settings, seed,
            body_exchange=self.body_exchange, payload=self.payload,
            local_optimizer=self.local_optimizer, cache=cache,
        )  # fmt: skip


def _rows(X, name: str, n_columns: int) -> SparseRows:
    """Sound rows with sorted, different columns and finite entries.

    scipy's own check, not the package's: most questions need no compiled kernel, and a device
    that loads none has answered sooner than it would have started one.
    """
    given = sp.csr_matrix(X)
    # A fresh matrix: flags that came with the given one are not believed.
    matrix = sp.csr_matrix((given.data, given.indices, given.indptr), shape=given.shape)
    matrix.check_format(full_check=True)
    if matrix.shape[1] != n_columns:
        raise ValueError(
            f"a device's {name} must have {n_columns} columns, as the training configuration says, "
            f"got {matrix.shape[1]}"
        )
    if not matrix.has_canonical_format or not matrix.data.all():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    with np.errstate(over="ignore"):
        rows = SparseRows.from_matrix(matrix)
    if not np.isfinite(rows.data).all():
        raise ValueError(f"a device's {name} must be finite as float32, got NaN, inf or beyond it")
    return rows


def _labels(Y, n_labels: int) -> SparseRows:
    if getattr(Y, "ndim", 2) != 1:
        rows = _rows(Y, "Y", n_labels)
        if rows.data.min(initial=1) < 0:
            raise ValueError("a device's Y must not be negative")
        return rows
    if Y.dtype.kind not in "iu" or Y.min(initial=0) < 0 or Y.max(initial=0) >= n_labels:
        raise ValueError(f"a device's 1-d Y must be labels in [0, {n_labels})")
    return SparseRows.from_classes(Y)
