"""What a device makes of its cache: the last sketch, a body of its own, its accumulators."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh.federated.cache import Cache, CacheMiss
from sklsh.federated.code_broadcast import codes_of
from sklsh.federated.messages import CodedHead, Sketch
from sklsh.federated.parts import BodyPart, HeadPart, Rejected, check_array, check_ids
from sklsh.network.optimizers import fresh_accumulators


@dataclass(frozen=True)
class DeviceStateStore:
    """Reads and writes a device's cache; what does not fit the model counts as lost.

    Parameters
    ----------
    cache : Cache
    n_features, n_labels : int
    run : int
        Of the invitation.
    """

    cache: Cache
    n_features: int
    n_labels: int
    run: int

    # Sketch -----------------------------------------------------------------------------------

    def _sketch(self) -> dict | None:
        kept = self.cache.get("sketch", (self.run,))
        if kept is None:
            return None
        try:
            check_array(kept["values"], "values", (self.n_labels, kept["values"].shape[1]))
            check_array(kept["bias"], "bias", (self.n_labels,))
            int(kept["round"]), int(kept["seed"])
        except (TypeError, KeyError, IndexError, ValueError, Rejected):
            return None
        return kept

    def sketch_round(self) -> int:
        """Round of the sketch at hand, -1 without."""
        kept = self._sketch()
        return -1 if kept is None else int(kept["round"])

    def whole(self, sketch: Sketch) -> Sketch:
        """The sketch with all its rows, and kept if it is to be.

        Raises
        ------
        CacheMiss
            A delta came, and what it goes on top of is gone.
        """
        if sketch.ids is not None:
            kept = self._sketch()
            if kept is None or int(kept["round"]) != sketch.since:
                raise CacheMiss("sketch")
            if int(kept["seed"]) != sketch.seed or kept["values"].shape[1] != sketch.sketch_dim:
                raise CacheMiss("sketch")
            values, bias = kept["values"].copy(), kept["bias"].copy()
            values[sketch.ids], bias[sketch.ids] = sketch.values, sketch.bias
            sketch = replace(sketch, values=values, bias=bias, ids=None)
        if sketch.keep:
            numbers = {"round": np.array(sketch.round), "seed": np.array(sketch.seed)}
            self.cache.put(
                "sketch", (self.run,), {"values": sketch.values, "bias": sketch.bias, **numbers}
            )
        return sketch

    # Codes ------------------------------------------------------------------------------------

    def _codes(self, family: str, n_bytes: int) -> CodedHead | None:
        """The last whole message, its arrays sound."""
        kept = self.cache.get("codes", (self.run,))
        if kept is None:
            return None
        try:
            if (str(kept["family"]), int(kept["n_bytes"])) != (family, n_bytes):
                return None
            number, seed = int(kept["round"]), int(kept["seed"])
            n_scales = kept["scale"].shape[0] and self.n_labels
            check_array(kept["scale"], "scale", (n_scales,))
            check_array(kept["bias"], "bias", (self.n_labels,))
            check_array(kept["means"], "means", (2, kept["means"].shape[1]))
            packed, learnt = kept["packed"], _numbered(kept, "learnt")
            for array in learnt:
                check_array(array, "learnt", array.shape)
            if packed.dtype not in (np.uint8, np.int8) or packed.shape[0] != self.n_labels:
                return None
        except (TypeError, KeyError, IndexError, ValueError, Rejected):
            return None
        arrays = (packed, kept["scale"], kept["bias"], kept["means"], learnt)
        return CodedHead(number, family, n_bytes, seed, *arrays)

    def codes_round(self, family: str, n_bytes: int) -> int:
        """Round of the codes at hand, -1 without."""
        kept = self._codes(family, n_bytes)
        return -1 if kept is None else kept.round

    def whole_codes(self, message: CodedHead) -> CodedHead:
        """The message with all neurons' codes, and kept if it is to be.

        Raises
        ------
        CacheMiss
            A delta came, and what it goes on top of is gone.
        """
        if message.ids is not None:
            kept = self._codes(message.family, message.n_bytes)
            if kept is None or (kept.round, kept.seed) != (message.since, message.seed):
                raise CacheMiss("codes")
            codes = codes_of(kept).replaced(message.ids, codes_of(message))
            message = replace(
                kept, round=message.round, packed=codes.packed, scale=codes.scale,
                bias=codes.bias, keep=message.keep,
            )  # fmt: skip
        if message.keep:
            numbers = {
                name: np.array(getattr(message, name))
                for name in ("round", "family", "n_bytes", "seed")
            }
            names = ("packed", "scale", "bias", "means")
            arrays = {name: getattr(message, name) for name in names}
            arrays |= _named("learnt", message.learnt)
            self.cache.put("codes", (self.run,), {**arrays, **numbers})
        return message

    # Body -------------------------------------------------------------------------------------

    def body(self) -> BodyPart | None:
        """The body that never leaves the device, with its accumulators."""
        kept = self.cache.get("body", (self.run,))
        if kept is None:
            return None
        try:
            check_ids(kept["features"], "features", self.n_features)
            n = kept["features"].shape[0]
            check_array(kept["rows"], "rows", (n, kept["rows"].shape[1]))
            check_array(kept["state"], "state", (n,))
            scale = float(kept["input_scale"])
            if not np.isfinite(scale):
                return None
            weights = kept.get("weights")
            if weights is not None:
                check_array(weights, "weights", (n,))
            dense, dense_state = _numbered(kept, "dense"), _numbered(kept, "dense_state")
            for array, state in zip(dense, dense_state, strict=True):
                check_array(array, "dense", array.shape)
                check_array(state, "dense_state", array.shape[:1])
        except (TypeError, KeyError, IndexError, ValueError, Rejected):
            return None
        return BodyPart(
            kept["features"], kept["rows"], kept["state"], dense, dense_state, scale, weights
        )

    def keep_body(self, body: BodyPart) -> None:
        arrays = {
            "features": body.features, "rows": body.rows, "state": body.state,
            "input_scale": np.array(body.input_scale),
        }  # fmt: skip
        if body.weights is not None:
            arrays["weights"] = body.weights
        arrays |= _named("dense", body.dense) | _named("dense_state", body.dense_state)
        self.cache.put("body", (self.run,), arrays)

    # Accumulators -----------------------------------------------------------------------------

    def with_states(self, head: HeadPart | None, body: BodyPart, *, fresh: bool):
        """Parts that came without accumulators, with those kept; tiny ones where none are."""
        kept = None if fresh else self.cache.get("accumulators", (self.run,))
        if head is not None:
            state = _looked_up(kept, "head", head.ids, (2,))
            head = replace(head, state=state)
        if body.state.shape[0] != body.features.shape[0] or not body.dense_state:
            state = _looked_up(kept, "body", body.features, ())
            dense = [a if a.ndim == 1 else a[:, 0] for a in body.dense]
            old = () if kept is None else _numbered(kept, "dense_state")
            if [a.shape for a in old] != [a.shape for a in dense]:
                old = tuple(fresh_accumulators(a.shape) for a in dense)
            body = replace(body, state=state, dense_state=old)
        return head, body

    def keep_states(self, head: HeadPart, body: BodyPart | None) -> None:
        """Accumulators as they are after training, beside those of rows not in it.

        O(rows kept): at most one pair of floats a label and one a feature.
        """
        kept = self.cache.get("accumulators", (self.run,))
        arrays = _merged(kept, "head", head.ids, head.state)
        if body is not None:
            arrays |= _merged(kept, "body", body.features, body.state)
            arrays |= _named("dense_state", body.dense_state)
        self.cache.put("accumulators", (self.run,), arrays)


def _named(prefix: str, arrays) -> dict[str, np.ndarray]:
    return {f"{prefix}_{i}": array for i, array in enumerate(arrays)}


def _numbered(kept: dict, prefix: str) -> tuple[np.ndarray, ...]:
    n = sum(key.rpartition("_")[0] == prefix for key in kept)
    return tuple(kept[f"{prefix}_{i}"] for i in range(n))


def _usable(kept: dict | None, name: str, tail: tuple[int, ...]):
    """Ids and states kept under a name, or none."""
    try:
        ids, state = (kept or {})[f"{name}_ids"], (kept or {})[f"{name}_state"]
        check_ids(ids, "ids", np.iinfo(np.int32).max)
        check_array(state, "state", (ids.shape[0], *tail))
    except (KeyError, Rejected):
        return np.empty(0, np.int32), np.empty((0, *tail), np.float32)
    return ids, state


def _looked_up(kept, name, ids, tail) -> np.ndarray:
    out = fresh_accumulators((ids.shape[0], *tail))
    had, state = _usable(kept, name, tail)
    _, here, there = np.intersect1d(ids, had, assume_unique=True, return_indices=True)
    out[here] = state[there]
    return out


def _merged(kept, name, ids, state) -> dict[str, np.ndarray]:
    had, old = _usable(kept, name, state.shape[1:])
    union = np.union1d(had, ids).astype(np.int32)
    out = np.empty((union.shape[0], *state.shape[1:]), dtype=np.float32)
    out[np.searchsorted(union, had)] = old
    out[np.searchsorted(union, ids)] = state
    return {f"{name}_ids": union, f"{name}_state": out}
