"""Hash families, base projections and tables: numpy in, numpy out, no estimator needed.

`base` is what a family is, `families` has them, behind a `projection`. `tables` hold codes, their
states are `buckets`; `serial` counts collisions without tables, `theory` says how many to expect.
`codes` are another thing: not only found but scored.
"""

from sklsh.hashing.base import HashFamily, HashFunctions
from sklsh.hashing.families import (
    DWTA,
    FAMILIES,
    PGHash,
    PGHashD,
    SimHash,
    find_family,
    make_family,
)
from sklsh.hashing.projection import (
    PROJECTIONS,
    CoordinateSample,
    Identity,
    PeriodicFold,
    Projection,
    SignedFold,
    auto_sketch_dim,
    make_projection,
)
from sklsh.hashing.serial import serial_candidates
from sklsh.hashing.tables import HashTables

__all__ = [
    "DWTA",
    "FAMILIES",
    "PROJECTIONS",
    "CoordinateSample",
    "HashFamily",
    "HashFunctions",
    "HashTables",
    "Identity",
    "PGHash",
    "PGHashD",
    "PeriodicFold",
    "Projection",
    "SignedFold",
    "SimHash",
    "auto_sketch_dim",
    "find_family",
    "make_family",
    "make_projection",
    "serial_candidates",
]
