"""Strange input: what a user, a file or another machine may hand in by mistake or by malice.

`SKLSH_FUZZ_EXAMPLES` sets how many cases each test tries (default 150).
"""

import os
import warnings
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

DOCUMENTED = (ValueError, TypeError, NotFittedError)

fuzzed = settings(
    max_examples=int(os.environ.get("SKLSH_FUZZ_EXAMPLES", "150")),
    deadline=None,
    derandomize="SKLSH_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking slow cases would take for ever
)


@contextmanager
def only_documented():
    """Passes over the exceptions that the documentation names; any other fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DOCUMENTED:
        pass


NUMBERS = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-300, 1e30, -1e30, 3.5e38, 1e300, np.nan, np.inf, -np.inf]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.sampled_from([-(2**63), 2**63, 2**70]),
    NUMBERS, st.sampled_from(["", "auto", "x", b"x", 1j, object, (), [], {}, {"a": 1}]),
    st.sampled_from([np.int8(3), np.float32(2), np.bool_(True), np.datetime64("2020-01-01")]),
    st.lists(st.integers(-2, 9), max_size=3),
)  # fmt: skip
"""What may be passed where a number, a name or None belongs."""

MODEST = SCALARS.filter(lambda value: not isinstance(value, int) or value < 10**6)
"""For parameters that are counts of work: a huge one is no error, and is waited for."""

DTYPES = [
    "f4",
    "f8",
    "f2",
    "i1",
    "u1",
    "i8",
    "u8",
    "?",
    "c8",
    "O",
    "U3",
    "S2",
    "M8[D]",
    "V4",
    ">f8",
]


@st.composite
def dense(draw, rows=12, columns=6):
    """Arrays and things like arrays, nearly of the right shape or not at all."""
    shape = draw(
        st.sampled_from(
            [(rows, columns)] * 6
            + [(), (0,), (rows,), (0, columns), (rows, 0), (1, columns), (rows + 1, columns)]
            + [(rows, columns + 1), (rows, columns, 1)]
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    X = rng.standard_normal(shape) * draw(st.sampled_from([1.0, 0.0, 1e30, 1e-40]))
    X = np.array(X)
    if X.size and draw(st.booleans()):
        X.reshape(-1)[draw(st.integers(0, X.size - 1))] = draw(NUMBERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            X = X.astype(draw(st.sampled_from(["f8"] * 6 + DTYPES)))
        except (TypeError, ValueError):
            X = X.astype("U3")
    form = draw(st.sampled_from(["C"] * 5 + ["F", "read", "list", "masked", "matrix", "strided"]))
    if form == "F":
        return np.asfortranarray(X)
    if form == "read":
        X.setflags(write=False)
    elif form == "list":
        return X.tolist()
    elif form == "masked":
        return np.ma.masked_array(X, mask=np.zeros(X.shape, dtype=bool))
    elif form == "matrix" and X.ndim == 2:
        return np.matrix(X)
    elif form == "strided" and X.ndim:
        return np.repeat(X, 2, axis=0)[::2]
    return X


@st.composite
def sparse(draw, rows=12, columns=6, binary=False):
    """Sparse matrices of every format, sound or corrupted."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    X = sp.random(rows, columns, density=0.3, format="csr", rng=rng, dtype=np.float64)
    if binary:
        X.data[:] = 1
    X = X.astype(draw(st.sampled_from(["f4", "f8", "i4", "?", "c16"])))
    if X.nnz and draw(st.booleans()):
        value = draw(NUMBERS)
        if X.dtype.kind == "i":
            value = int(value) if abs(value) < 2**31 else 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X.data[draw(st.integers(0, X.nnz - 1))] = value
    kind = draw(st.sampled_from(["matrix", "array"]))
    name = draw(st.sampled_from(["csr"] * 5 + ["csc"] * 2 + ["coo", "lil", "dok", "bsr", "dia"]))
    if draw(st.integers(0, 9)) == 0:
        X = X[: draw(st.integers(0, rows))]
    try:
        X = getattr(sp, f"{name}_{kind}")(X)
    except (TypeError, ValueError):
        X = sp.csr_matrix(X)
    if X.format in ("csr", "csc") and draw(st.booleans()):
        _corrupt(draw, X)
    elif X.format == "coo" and X.nnz and draw(st.booleans()):
        X.row[draw(st.integers(0, X.nnz - 1))] = draw(st.sampled_from([-1, 0, rows, 2**31 - 1]))
    return X


def _corrupt(draw, X):
    """Break the structure of a CSR or CSC matrix in place."""
    what = draw(
        st.sampled_from(["indptr", "index", "short", "long", "type", "shape", "flags", "swap"])
    )
    wild = draw(st.sampled_from([-1, -(2**31), 2**31 - 1, X.shape[1], X.shape[0], 5, 10**6]))
    if what == "indptr":
        X.indptr[draw(st.integers(0, X.indptr.size - 1))] = wild
    elif what == "index" and X.indices.size:
        X.indices[draw(st.integers(0, X.indices.size - 1))] = wild
    elif what == "short":
        X.data = X.data[: draw(st.integers(0, X.data.size))]
    elif what == "long":
        X.indices = np.append(X.indices, X.indices.dtype.type(wild))
    elif what == "type":
        X.indices = X.indices.astype(draw(st.sampled_from(["i8", "u4", "f8", "O"])))
        X.indptr = X.indptr.astype(draw(st.sampled_from(["i4", "i8", "u8", "f4"])))
    elif what == "shape":
        X._shape = draw(st.sampled_from([(3, 6), (12, 3), (13, 6), (2**31, 6), (12, 2**31)]))
    elif what == "flags":
        X.indices = X.indices[::-1].copy()
        X.has_sorted_indices = X.has_canonical_format = True
    elif X.indptr.size > 2:
        X.indptr[1], X.indptr[2] = X.indptr[2], X.indptr[1]


def matrices(rows=12, columns=6):
    """X in any shape."""
    return st.one_of(
        sparse(rows, columns),
        dense(rows, columns),
        SCALARS,
        st.just([[1, 2], [3]]),
        st.just("text"),
    )


@st.composite
def targets(draw, rows=12):
    """y in any shape."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    kind = draw(
        st.sampled_from(
            ["classes"] * 4 + ["text", "floats", "objects", "dense", "sparse", "strange", "short"]
        )
    )
    if kind == "classes":
        return rng.integers(-1, draw(st.sampled_from([0, 1, 3])) + 1, rows)
    if kind == "text":
        return rng.choice(["a", "b", ""], rows)
    if kind == "floats":
        y = rng.integers(0, 3, rows).astype(float)
        y[0] = draw(NUMBERS)
        return y
    if kind == "objects":
        return np.array([draw(SCALARS) for _ in range(3)] * (rows // 3) + [None], dtype=object)[
            :rows
        ]
    if kind == "dense":
        Y = rng.integers(0, 2, (rows, draw(st.sampled_from([1, 2, 4])))).astype("f8")
        if draw(st.booleans()):
            Y[0, 0] = draw(NUMBERS)
        return Y
    if kind == "sparse":
        return draw(sparse(rows, 4, binary=True))
    if kind == "short":
        return rng.integers(0, 2, rows - 1)
    return draw(st.one_of(SCALARS, dense(rows, 3)))
