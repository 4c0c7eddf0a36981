"""`CodeBroadcast`: the head as codes that devices score, and what has changed of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklsh._utils.random import REDRAW, nth_seed
from sklsh.federated.messages import CodedHead
from sklsh.federated.round_broadcast import RoundBroadcast, continues
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
    assert message.means is not None, "a delta is made whole first"
    row_mean, hidden_mean = message.means
    family = code_family(message.family, message.n_bytes, row_mean.shape[0])
    return family.coder(row_mean, hidden_mean, message.learnt, message.seed)


def codes_of(message: CodedHead) -> Codes:
    return Codes(message.packed, message.scale, message.bias)


@dataclass(frozen=True, eq=False)
class PublishedCodes:
    """What is out under one coder.

    Attributes
    ----------
    first_round : int
        Of the coder.
    seed : int
        Of what it draws.
    coder : Coder
        As who has been sent `learnt` codes.
    learnt : tuple of ndarray
        Codebooks or directions, as sent.
    codes : Codes
    published : ndarray (n_labels,), int32
        The round in which a row was last published.
    """

    first_round: int
    seed: int
    coder: Coder
    learnt: tuple[np.ndarray, ...]
    codes: Codes
    published: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """What neurons and hidden vectors are centred by, (2, n_hidden)."""
        return np.stack([self.coder.row_mean, self.coder.hidden_mean])

    def moved(self, new: Codes, start: int, stop: int, tolerance: float) -> np.ndarray:
        """Which rows of a block differ enough from what is out, ids."""
        rows = slice(start, stop)
        new, old = new.take(rows), self.codes.take(rows)
        moved = (new.packed != old.packed).any(axis=1) | (new.bias != old.bias)
        if new.scale.size:
            moved |= new.scale != old.scale
        if tolerance > 0:
            (now, bias), (had, old_bias) = self.coder.decode(new), self.coder.decode(old)
            change = np.square(now - had).sum(axis=1) + np.square(bias - old_bias)
            moved &= change > tolerance**2 * (np.square(now).sum(axis=1) + np.square(bias))
        return np.flatnonzero(moved) + start


@dataclass
class CodeBroadcast:
    """Codes the head each round; a neuron's code is published anew if it is not what is out.

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
    out : PublishedCodes or None
        None: nothing has been published.
    """

    family: str
    n_bytes: int
    payload: str
    n_rounds: int
    tolerance: float
    seed: int
    out: PublishedCodes | None = None

    def publish(
        self, network: WideNetwork, number: int, hidden_centre=None
    ) -> RoundBroadcast[CodedHead]:
        """The codes of round `number`; what `topk_codes` finds in them orders the logits.

        O(n_labels * n_hidden * (8 n_bytes, or 256 for products)); learning codebooks, once in
        `n_rounds`, does not grow with the head.
        """
        out = self.out
        if out is None or out.first_round < number // self.n_rounds * self.n_rounds:
            out = self._begun(network, number, hidden_centre)
        else:
            new = out.coder.encode(network.head_weights, network.head_bias)
            starts = range(0, new.n, BLOCK)
            moved = np.concatenate([out.moved(new, i, i + BLOCK, self.tolerance) for i in starts])
            published = out.published.copy()
            published[moved] = number
            codes = out.codes.replaced(moved, new.take(moved))
            out = replace(out, codes=codes, published=published)
        self.out = out
        codes = out.codes
        whole = CodedHead(
            number, self.family, self.n_bytes, out.seed, codes.packed, codes.scale, codes.bias,
            out.means, out.learnt, keep=continues(number, self.n_rounds),
        )  # fmt: skip

        def rows(ids):
            part = codes.take(ids)
            of_rows = {"packed": part.packed, "scale": part.scale, "bias": part.bias}
            return {**of_rows, "means": None, "learnt": ()}

        return RoundBroadcast(whole, rows, out.published, out.first_round, codes.bytes_per_row)

    def _begun(self, network: WideNetwork, number: int, hidden_centre) -> PublishedCodes:
        """With a coder of this round, every row published."""
        seed = nth_seed(self.seed, number, REDRAW)
        family = code_family(self.family, self.n_bytes, network.n_hidden)
        fitted = family.fit(network.head_weights, hidden_mean=hidden_centre, seed=seed)
        learnt = tuple(array.astype(self.payload) for array in fitted.learnt)
        coder = family.coder(fitted.row_mean, fitted.hidden_mean, learnt, seed)
        codes = coder.encode(network.head_weights, network.head_bias)
        published = np.full(network.n_labels, number, dtype=np.int32)
        return PublishedCodes(number, seed, coder, learnt, codes, published)

    # A checkpoint's ---------------------------------------------------------------------------

    def state(self, out: PublishedCodes) -> tuple[dict, dict[str, np.ndarray]]:
        """Numbers and arrays to go on from what is out."""
        arrays = {
            "packed": out.codes.packed, "scale": out.codes.scale, "bias": out.codes.bias,
            "means": out.means, "published": out.published,
            **{f"learnt_{i}": array for i, array in enumerate(out.learnt)},
        }  # fmt: skip
        numbers = {
            "family": self.family, "n_bytes": self.n_bytes, "first_round": out.first_round,
            "_seed": out.seed,
        }  # fmt: skip
        return numbers, arrays

    def restore(self, numbers: dict, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `state`."""
        row_mean, hidden_mean = arrays["means"]
        n_learnt = sum(name.startswith("learnt_") for name in arrays)
        learnt = tuple(arrays[f"learnt_{i}"] for i in range(n_learnt))
        family, seed = code_family(self.family, self.n_bytes, row_mean.shape[0]), numbers["_seed"]
        self.out = PublishedCodes(
            numbers["first_round"], seed, family.coder(row_mean, hidden_mean, learnt, seed), learnt,
            Codes(arrays["packed"], arrays["scale"], arrays["bias"]), arrays["published"],
        )  # fmt: skip
