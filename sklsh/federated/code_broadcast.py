"""`CodeBroadcast`: the head as codes that devices score, and what has changed of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sklsh._utils.random import REDRAW, nth_seed
from sklsh.federated.messages import CodedHead
from sklsh.federated.sketch_broadcast import goes_on, rows_to_send
from sklsh.hashing.codes import CodeFamily, Coder, Codes, ProductCodes, SignCodes, SVDSketch
from sklsh.network.model import WideNetwork

BLOCK = 8192
"""Neurons compared at a time with what is published."""


def code_family(name: str, n_bytes: int, n_hidden: int) -> CodeFamily:
    """The family of that name with codes of `n_bytes`, at most one a hidden unit.

    Product codes are of the coordinates as they are: what a learnt rotation gains is half a
    point of recall, and it would have to be sent.
    """
    if name == "signs":
        return SignCodes(8 * n_bytes)
    n_bytes = min(n_bytes, n_hidden)
    return ProductCodes(n_bytes, rotation="none") if name == "products" else SVDSketch(n_bytes)


def coder_of(message: CodedHead) -> Coder:
    """What scores a whole message's codes."""
    row_mean, hidden_mean = message.means
    family = code_family(message.family, message.n_bytes, row_mean.shape[0])
    return family.coder(row_mean, hidden_mean, message.learnt, message.seed)


def codes_of(message: CodedHead) -> Codes:
    return Codes(message.packed, message.scale, message.bias)


@dataclass
class CodeBroadcast:
    """Codes the head each round; a neuron's code is published anew if it is not what is out.

    As `SketchBroadcast`: rows published after a round bring a device of that round up to date.

    Parameters
    ----------
    family : {"signs", "products", "svd"}
    n_bytes : int
        Of a code, beside its factor and bias of two bytes each; one of `CODE_BYTES`.
    payload : {"float32", "float16"}
        Of what has been learnt.
    n_rounds : int
        Rounds with the same rotation or codebooks; then they are drawn or learnt anew.
    tolerance : float
        A row whose code, decoded, has changed by less than this share of its length stays.
    seed : int
    """

    family: str
    n_bytes: int
    payload: str
    n_rounds: int
    tolerance: float
    seed: int
    first_round: int = -1
    round: int = -1
    coder: Coder | None = None
    codes: Codes | None = None
    published: np.ndarray | None = None
    _messages: dict = field(default_factory=dict)

    def publish(self, network: WideNetwork, number: int, hidden_centre=None) -> None:
        """The codes of round `number`; what `topk_codes` finds in them orders the logits.

        O(n_labels * n_hidden * (8 n_bytes, or 256 for products)); learning codebooks, once in
        `n_rounds`, does not grow with the head.
        """
        if self.round == number:
            return
        self._messages, self.round = {}, number
        weights, bias = network.head_weights, network.head_bias
        if self.codes is None or self.first_round < number // self.n_rounds * self.n_rounds:
            family = code_family(self.family, self.n_bytes, network.n_hidden)
            self._seed = nth_seed(self.seed, number, REDRAW)
            fitted = family.fit(weights, hidden_mean=hidden_centre, seed=self._seed)
            learnt = tuple(array.astype(self.payload) for array in fitted.learnt)
            self._adopt(family, fitted.row_mean, fitted.hidden_mean, learnt)
            self.codes, self.first_round = self.coder.encode(weights, bias), number
            self.published = np.full(network.n_labels, number, dtype=np.int32)
            return
        new = self.coder.encode(weights, bias)
        moved = np.concatenate([self._moved(new, i, i + BLOCK) for i in range(0, new.n, BLOCK)])
        self.codes = self.codes.replaced(moved, new.take(moved))
        self.published = self.published.copy()
        self.published[moved] = number

    def _adopt(self, family: CodeFamily, row_mean, hidden_mean, learnt) -> None:
        """Code as who has been sent `learnt` does."""
        self._learnt = learnt
        self.coder = family.coder(row_mean, hidden_mean, learnt, self._seed)

    def _moved(self, new: Codes, start: int, stop: int) -> np.ndarray:
        rows = slice(start, stop)
        new, old = new.take(rows), self.codes.take(rows)
        moved = (new.packed != old.packed).any(axis=1) | (new.bias != old.bias)
        if new.scale.size:
            moved |= new.scale != old.scale
        if self.tolerance > 0:
            (now, bias), (had, old_bias) = self.coder.decode(new), self.coder.decode(old)
            change = np.square(now - had).sum(axis=1) + np.square(bias - old_bias)
            moved &= change > self.tolerance**2 * (np.square(now).sum(axis=1) + np.square(bias))
        return np.flatnonzero(moved) + start

    def message(self, since: int) -> CodedHead:
        """What a device needs that has the codes of round `since`; -1: it has none."""
        rounds = self.first_round, self.round
        ids = rows_to_send(self.published, rounds, since, self.codes.bytes_per_row)
        key = -1 if ids is None else since
        if key not in self._messages:
            part = self.codes.take(slice(None) if ids is None else ids)
            means, learnt = None, ()
            if ids is None:
                means, learnt = (
                    np.stack([self.coder.row_mean, self.coder.hidden_mean]),
                    self._learnt,
                )
            self._messages[key] = CodedHead(
                self.round, self.family, self.n_bytes, self._seed, part.packed, part.scale,
                part.bias, means, learnt, ids, key,
                keep=goes_on(self.round, self.n_rounds),
            )  # fmt: skip
        return self._messages[key]

    # A checkpoint's ---------------------------------------------------------------------------

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Numbers and arrays to go on from."""
        arrays = {
            "packed": self.codes.packed, "scale": self.codes.scale, "bias": self.codes.bias,
            "means": np.stack([self.coder.row_mean, self.coder.hidden_mean]),
            "published": self.published,
            **{f"learnt_{i}": array for i, array in enumerate(self._learnt)},
        }  # fmt: skip
        names = ("family", "n_bytes", "first_round", "_seed")
        return {name: getattr(self, name) for name in names}, arrays

    def restore(self, numbers: dict, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `state`."""
        self.first_round, self._seed = numbers["first_round"], numbers["_seed"]
        self.codes = Codes(arrays["packed"], arrays["scale"], arrays["bias"])
        self.published = arrays["published"]
        row_mean, hidden_mean = arrays["means"]
        n_learnt = sum(name.startswith("learnt_") for name in arrays)
        learnt = tuple(arrays[f"learnt_{i}"] for i in range(n_learnt))
        family = code_family(self.family, self.n_bytes, row_mean.shape[0])
        self._adopt(family, row_mean, hidden_mean, learnt)
