"""Codes that are scored: a few bytes of a neuron estimate its score for a hidden vector.

Hash tables say who may be near; a code says how near. All families keep one protocol: a
`CodeFamily` is fitted to a `Coder`, which turns rows into `Codes` and scores these, asymmetrically:
hidden vectors are not coded.
"""

from sklsh.hashing.codes.base import CodeFamily, Coder, Codes
from sklsh.hashing.codes.product import ProductCodes
from sklsh.hashing.codes.search import estimates, topk_codes
from sklsh.hashing.codes.signs import SignCodes
from sklsh.hashing.codes.svd import SVDSketch

__all__ = [
    "CodeFamily", "Coder", "Codes", "ProductCodes", "SVDSketch", "SignCodes", "estimates",
    "topk_codes",
]  # fmt: skip
