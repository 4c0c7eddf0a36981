"""`CompressedLSHHasher`: codes and bucket indicators of rows as a scikit-learn transformer."""

from __future__ import annotations

from numbers import Integral
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sklsh._utils.locks import answers, changes
from sklsh._utils.threads import blocks
from sklsh._utils.validation import check_float32, check_int, check_X
from sklsh.estimators.encodings import Buckets, bits
from sklsh.estimators.unused import unused_in_hashing, warn_unused
from sklsh.hashing import HashFamily, HashTables, make_family
from sklsh.hashing.base import MAX_CODE_BITS
from sklsh.hashing.families import FOLDS

SKETCH_ENTRIES = 1 << 22
"""Entries of a block's sketch: of the families that do not fold it is as wide as X, dense."""

LARGEST_EXPONENT = 50
"""Rows whose largest entry is beyond two to this power, or below its inverse, are scaled before
they are hashed: sums of them could leave float32."""


def mid_range(X):
    """`X`, its rows far from 1 in size times a power of two, which changes no code."""
    size = abs(X).max(axis=1)
    size = size.toarray().ravel() if sp.issparse(size) else np.asarray(size)
    exponents = np.frexp(size)[1]
    exponents[abs(exponents) <= LARGEST_EXPONENT] = 0
    if not exponents.any():
        return X
    if not sp.issparse(X):
        return np.ldexp(X, -exponents[:, None])
    X = X.copy()
    X.data = np.ldexp(X.data, -np.repeat(exponents, np.diff(X.indptr)))
    return X


class CompressedLSHHasher(TransformerMixin, BaseEstimator):
    """Locality-sensitive codes of rows, hashed from a compressed sketch.

    Rows are folded to `sketch_dim` columns and hashed `n_tables` times; rows with a small
    angle between them get equal codes. The encoded codes are features for a linear model, a
    kernel approximation; the index of the fitted rows answers similarity queries.

    Parameters
    ----------
    family : {"pghash", "pghash_d", "simhash", "dwta"} or HashFamily, default="pghash"
        Hash family. "pghash": signs of random planes of the sketch. "pghash_d": winners of
        bins of the sketch. "simhash" and "dwta" are the same of the full row, and use
        neither `sketch_dim` nor `fold`.
    n_tables : int, default=8
        Number of independent codes a row.
    hash_length : int, default=8
        Bits (or bins, for "pghash_d" and "dwta") of one code. Longer codes tell apart more
        and collide less.
    sketch_dim : int, default=None
        Columns of the sketch, at most the number of features. None: an eighth of the
        features, but at least 8 (or all) and at most 256.
    fold : {"signed", "periodic", "sample"}, default="signed"
        How rows are folded: "signed" adds with random signs in random bins and keeps inner
        products unbiased; "periodic" is the PGHash paper's; "sample" takes random
        coordinates (with "pghash_d": the paper's PGHash-D, where `hash_length` coordinates
        compete for one code).
    encode : {"onehot", "onehot-dense", "ordinal", "bits"}, default="onehot"
        What `transform` returns. "onehot": CSR, a column for each bucket that a fitted row
        fell in; a row of another bucket has no entry there. "onehot-dense": the same, dense.
        "ordinal": the codes, int64. "bits": the bits of the codes, highest first, as 0 and 1.
    sparse_output : bool, default=True
        False: "onehot" is dense, too, as ``set_output(transform="pandas")`` needs it.
    random_state : int, RandomState instance or None, default=None
        Seeds the projection and the hash functions.
    n_jobs : int, default=None
        Threads. None: all cores, or what `joblib.parallel_config` says. Never changes a
        result.

    Attributes
    ----------
    functions_ : HashFunctions
        The drawn projection and hash functions: arrays and numbers.
    tables_ : HashTables
        Index of the fitted rows, ids in their order.
    bucket_codes_ : ndarray (n_buckets,), int64
        Code of each bucket that fitted rows fell in, table by table, ascending.
    bucket_starts_ : ndarray (n_tables + 1,), int64
        Table t's buckets are ``bucket_codes_[bucket_starts_[t]:bucket_starts_[t + 1]]``.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If X had names.

    See Also
    --------
    sklearn.random_projection.SparseRandomProjection : Keeps the projection, real-valued.
    sklearn.feature_extraction.FeatureHasher : Hashes names of features, not rows.

    Notes
    -----
    Codes are of directions from the origin: centre the features, so that angles spread.
    Sparse X should not be centred; scale it, and prefer more bits. Fitting takes
    O(nnz + n_samples * sketch_dim * n_tables * hash_length) ("pghash").

    Threads: any number may call `query`, `transform` and the others at once, also while
    another one calls `fit` or `partial_fit` or changes `tables_`; each answer is that of the
    index before the change or after it, and changes wait for one another.

    References
    ----------
    T. Rabbani, M. Bornstein, F. Huang. "Large-Scale Distributed Learning via Private
    On-Device Locality-Sensitive Hashing", NeurIPS 2023, arXiv 2306.02563.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklsh import CompressedLSHHasher
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(with_std=False),
    ...     CompressedLSHHasher(n_tables=128, hash_length=6, sketch_dim=48, random_state=0),
    ...     LogisticRegression(max_iter=500),
    ... )
    >>> model.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "family": [str, HashFamily],  # whatever FAMILIES has by then: make_family checks
        "n_tables": [Interval(Integral, 1, 2**15, closed="both")],
        "hash_length": [Interval(Integral, 1, MAX_CODE_BITS, closed="both")],
        "sketch_dim": [None, Interval(Integral, 1, None, closed="left")],
        "fold": [StrOptions(set(FOLDS))],
        "encode": [StrOptions({"onehot", "onehot-dense", "ordinal", "bits"})],
        "sparse_output": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [
            None,
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
    }

    def __init__(
        self,
        family="pghash",
        *,
        n_tables=8,
        hash_length=8,
        sketch_dim=None,
        fold="signed",
        encode="onehot",
        sparse_output=True,
        random_state=None,
        n_jobs=None,
    ):
        self.family = family
        self.n_tables = n_tables
        self.hash_length = hash_length
        self.sketch_dim = sketch_dim
        self.fold = fold
        self.encode = encode
        self.sparse_output = sparse_output
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=False)
    def fit(self, X, y=None):
        """Draw hash functions and index the rows.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Bad input, such as entries beyond float32; settings that do not fit the number of
            features: `sketch_dim` above it, more bins than coordinates, codes of more than 62
            bits.
        """
        X = check_float32(check_X(self, X, reset=True))
        self.functions_ = self._draw(X.shape[1])
        warn_unused(self, unused_in_hashing(self.family, self.encode))
        self.tables_ = HashTables.build(
            self._hash(X), self.functions_.code_bits, n_jobs=self.n_jobs
        )
        self.bucket_codes_, self.bucket_starts_ = Buckets.of(self.tables_.codes)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @changes(in_place=False)
    def partial_fit(self, X, y=None):
        """Add rows to the index; `fit` of all rows at once gives the same.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            Their ids go on from those of the rows before. New buckets become new columns of
            the one-hot encodings, in between the old ones.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        first = not hasattr(self, "functions_")
        if first:
            return self.fit(X)
        X = check_float32(check_X(self, X, reset=False))
        ids = np.arange(self.tables_.n_ids, self.tables_.n_ids + X.shape[0])
        codes = self._hash(X)
        known = self.tables_.codes
        self.bucket_codes_, self.bucket_starts_ = Buckets.of(
            np.concatenate([known, codes.T.astype(known.dtype)], axis=1)
        )
        # Last, as it changes what the estimator has: whatever fails before leaves that alone.
        self.tables_.update(ids, codes, n_jobs=self.n_jobs)
        return self

    def _draw(self, n_features):
        family = make_family(
            self.family,
            n_tables=self.n_tables,
            hash_length=self.hash_length,
            sketch_dim=self.sketch_dim,
            fold=self.fold,
        )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        return family.draw(n_features, seed)

    def _hash(self, X):
        """Codes of checked rows, block by block: the sketch is the widest thing around."""
        functions = self.functions_
        rows = max(1, SKETCH_ENTRIES // functions.projection.sketch_dim)
        parts = [
            functions.codes(
                functions.sketch(mid_range(X[start:stop]), self.n_jobs), n_jobs=self.n_jobs
            )
            for start, stop in blocks(X.shape[0], rows)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def _buckets(self):
        return Buckets(self.bucket_codes_, self.bucket_starts_)

    def _check(self, X):
        check_is_fitted(self)
        return check_float32(check_X(self, X, reset=False))

    @answers
    def sketch(self, X):
        """Rows folded to `sketch_dim` columns.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples, sketch_dim), float32

        Raises
        ------
        ValueError
            A sum overflows float32.
        """
        found = self.functions_.sketch(self._check(X), self.n_jobs)
        if not np.isfinite(found).all():
            raise ValueError(
                "X must have entries whose sums are within float32, at most "
                f"{np.finfo(np.float32).max:.2g} in size, got larger ones"
            )
        return found

    @answers
    def codes(self, X):
        """Codes of rows, one a table.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        ndarray (n_samples, n_tables), int64
        """
        return self._hash(self._check(X))

    @answers
    def transform(self, X):
        """Encode the codes of rows, as `encode` says.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)

        Returns
        -------
        csr_matrix, csr_array or ndarray (n_samples, n_features_out)
            float32 for float32 rows, float64 for others; "ordinal": int64.
        """
        X = self._check(X)
        codes = self._hash(X)
        if self.encode == "ordinal":
            return codes
        if self.encode == "bits":
            return bits(codes, self.functions_.code_bits, X.dtype)
        encoded = self._buckets.indicators(codes, X.dtype)
        is_sparse = self.encode == "onehot" and self.sparse_output
        return encoded if is_sparse else encoded.toarray()

    @answers
    def query(self, X, n_candidates=None, *, n_probes=1):
        """Fitted rows that share buckets with each row of X.

        Parameters
        ----------
        X : array-like or sparse matrix (n_queries, n_features)
        n_candidates : int or None
            Keep this many with the most collisions, ties by id. None: all.
        n_probes : int
            Buckets to look up a table: the row's own and those nearest to it.

        Returns
        -------
        csr_matrix (n_queries, n_indexed), int32
            Collision counts, indices sorted.
        """
        X = self._check(X)
        n_probes = check_int(n_probes, "n_probes", 1, 2**16)
        if n_candidates is not None:
            n_candidates = check_int(n_candidates, "n_candidates", 1)
        keys = self.functions_.probes(self.functions_.sketch(mid_range(X), self.n_jobs), n_probes)
        tables = self.tables_.snapshot()  # others may change them
        indptr, ids, counts = tables.query(keys, n_candidates, n_jobs=self.n_jobs)
        found = sp.csr_matrix((counts, ids, indptr), shape=(X.shape[0], tables.n_ids))
        found.sort_indices()
        return found

    @answers
    def get_feature_names_out(self, input_features=None):
        """Names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str or None
            Only checked against the names seen at fit.

        Returns
        -------
        ndarray of object
            ``"table3_code17"``, for "ordinal" ``"table3"``, for "bits" ``"table3_bit0"``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        tables = range(self.functions_.n_tables)
        if self.encode == "ordinal":
            names = [f"table{t}" for t in tables]
        elif self.encode == "bits":
            places = range(self.functions_.code_bits)
            names = [f"table{t}_bit{b}" for t in tables for b in places]
        else:
            names = self._buckets.names()
        return np.asarray(names, dtype=object)

    @property
    def _n_features_out(self):
        if self.encode == "ordinal":
            return self.functions_.n_tables
        if self.encode == "bits":
            return self.functions_.n_tables * self.functions_.code_bits
        return self.bucket_codes_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        if self.encode != "ordinal":
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        else:
            tags.transformer_tags.preserves_dtype = []
        return tags
