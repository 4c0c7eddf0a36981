"""`CompressedLSHHasher` as a scikit-learn transformer."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklsh import CompressedLSHHasher
from sklsh.hashing import FAMILIES, HashTables

ENCODINGS = ["onehot", "onehot-dense", "ordinal", "bits"]


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((60, 20)).astype(np.float32)


@parametrize_with_checks(
    [CompressedLSHHasher()]
    + [CompressedLSHHasher(n_tables=3, encode=encode) for encode in ENCODINGS[1:]]
    + [CompressedLSHHasher(family="simhash", fold="periodic", n_jobs=2)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("encode", ENCODINGS)
def test_encodings_say_the_same_as_the_codes(X, family, encode):
    hasher = CompressedLSHHasher(
        family, n_tables=3, hash_length=4, encode=encode, random_state=0
    ).fit(X[:40])
    codes, out = hasher.codes(X), hasher.transform(X)
    assert out.shape == (60, hasher.get_feature_names_out().shape[0])
    if encode == "ordinal":
        assert out.dtype == np.int64
        np.testing.assert_array_equal(out, codes)
        return
    assert out.dtype == np.float32
    assert hasher.transform(X.astype(np.float64)).dtype == np.float64
    if encode == "bits":
        bits = out.reshape(60, 3, -1).astype(np.int64)
        np.testing.assert_array_equal(bits @ (1 << np.arange(bits.shape[2])[::-1]), codes)
        return
    assert sp.issparse(out) == (encode == "onehot")
    dense = out.toarray() if sp.issparse(out) else out
    for name, column in zip(hasher.get_feature_names_out(), dense.T, strict=True):
        table, code = name.removeprefix("table").split("_code")
        np.testing.assert_array_equal(column, codes[:, int(table)] == int(code))
        assert column[:40].any()


def test_partial_fit_on_parts_is_fit_on_the_whole(X):
    whole = CompressedLSHHasher(random_state=0).fit(X)
    parts = CompressedLSHHasher(random_state=0)
    for start in range(0, 60, 25):
        parts.partial_fit(X[start : start + 25])
    assert whole.tables_ == parts.tables_
    assert (whole.transform(X) != parts.transform(X)).nnz == 0
    np.testing.assert_array_equal(whole.get_feature_names_out(), parts.get_feature_names_out())


def test_query_counts_collisions(X):
    hasher = CompressedLSHHasher(n_tables=10, hash_length=3, random_state=0).fit(X)
    assert isinstance(hasher.tables_, HashTables)
    codes = hasher.codes(X)
    expected = (codes[:, None, :] == codes[None, :, :]).sum(axis=2)
    found = hasher.query(X)
    assert found.has_sorted_indices and found.shape == (60, 60)
    np.testing.assert_array_equal(found.toarray(), expected)
    few = hasher.query(X, n_candidates=5).toarray()
    assert ((few > 0).sum(axis=1) == 5).all()
    for row in range(60):
        best = np.lexsort((np.arange(60), -expected[row]))[:5]
        np.testing.assert_array_equal(few[row, best], expected[row, best])
    more = hasher.query(X, n_probes=3).toarray()
    assert (more >= expected).all() and more.sum() > expected.sum()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_sparse_rows_have_the_codes_of_dense_ones(X, family, container):
    X[X < 0.5] = 0
    hasher = CompressedLSHHasher(family, hash_length=5, random_state=0).fit(X)
    np.testing.assert_array_equal(hasher.codes(container(X)), hasher.codes(X))
    np.testing.assert_array_equal(hasher.sketch(container(X)), hasher.sketch(X))


@pytest.mark.parametrize(
    "changed",
    [
        {"family": "pghash_d"},
        {"family": "simhash"},
        {"n_tables": 9},
        {"hash_length": 7},
        {"sketch_dim": 10},
        {"fold": "periodic"},
        {"fold": "sample"},
        {"random_state": 1},
    ],
)
def test_each_parameter_changes_the_codes(X, changed):
    settings = {"n_tables": 8, "hash_length": 8, "sketch_dim": 8, "random_state": 0}
    codes = CompressedLSHHasher(**settings).fit(X).codes(X)
    other = CompressedLSHHasher(**{**settings, **changed}).fit(X).codes(X)
    assert codes.shape != other.shape or (codes != other).any()


def test_threads_change_nothing(X):
    X = np.tile(X, (400, 1)) + np.random.default_rng(1).standard_normal((24000, 20))
    one = CompressedLSHHasher(random_state=0, n_jobs=1).fit(X)
    two = CompressedLSHHasher(random_state=0, n_jobs=2).fit(X)
    np.testing.assert_array_equal(one.codes(X), two.codes(X))
    assert one.tables_ == two.tables_
    assert (one.query(X[:50], 7) != two.query(X[:50], 7)).nnz == 0


def test_random_state_instance_is_drawn_from_and_clones_agree(X):
    hasher = CompressedLSHHasher(random_state=3).fit(X)
    np.testing.assert_array_equal(hasher.codes(X), clone(hasher).fit(X).codes(X))
    state = np.random.RandomState(3)
    np.testing.assert_array_equal(
        hasher.codes(X), CompressedLSHHasher(random_state=state).fit(X).codes(X)
    )


def test_pickles(X):
    hasher = CompressedLSHHasher(random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(hasher))
    assert (hasher.query(X, 4) != again.query(X, 4)).nnz == 0


def test_set_output_pandas(X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(20)])
    hasher = CompressedLSHHasher(encode="onehot-dense", random_state=0)
    out = hasher.set_output(transform="pandas").fit_transform(frame)
    assert isinstance(out, pd.DataFrame) and (out.dtypes == np.float32).all()
    assert list(out.columns) == list(hasher.get_feature_names_out(frame.columns))


def test_column_transformer_and_feature_union(X):
    y = X[:, 0] > 0
    columns = ColumnTransformer(
        [
            ("a", CompressedLSHHasher(random_state=0), slice(0, 10)),
            ("b", "passthrough", [12]),
        ]
    )
    union = FeatureUnion(
        [(f, CompressedLSHHasher(f, hash_length=3, random_state=0)) for f in FAMILIES]
    )
    for features in (columns, union):
        model = make_pipeline(features, LogisticRegression()).fit(X, y)
        assert model.score(X, y) > 0.9
        assert features.get_feature_names_out().shape[0] == features.transform(X).shape[1]


def test_grid_search(X):
    y = (X[:, 0] > 0).astype(int)
    grid = {
        "compressedlshhasher__hash_length": [2, 6],
        "compressedlshhasher__sketch_dim": [4, 20],
    }
    model = make_pipeline(CompressedLSHHasher(random_state=0), LogisticRegression())
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 2


def test_digits_documented_setting_learns():
    X, y = load_digits(return_X_y=True)
    model = make_pipeline(
        StandardScaler(with_std=False),
        CompressedLSHHasher(n_tables=128, hash_length=6, sketch_dim=48, random_state=0),
        LogisticRegression(max_iter=500),
    )
    assert cross_val_score(model, X, y, cv=3).mean() >= 0.93


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hash_length": 0}, "hash_length"),
        ({"hash_length": -3}, "hash_length"),
        ({"hash_length": 63}, "hash_length"),
        ({"hash_length": 2.5}, "hash_length"),
        ({"n_tables": 0}, "n_tables"),
        ({"sketch_dim": 21}, r"sketch_dim must be in \[1, 20\].*20 features.*got 21"),
        ({"sketch_dim": 0}, "sketch_dim"),
        (
            {"family": "dwta", "hash_length": 21},
            r"hash_length must be .*20 coordinates.*got 21",
        ),
        ({"family": "dwta", "hash_length": 60}, "hash_length"),
        ({"family": "pghash_d", "fold": "sample", "hash_length": 9}, "hash_length"),
        ({"family": "lsh"}, "family"),
        ({"fold": "twice"}, "fold"),
        ({"encode": "binary"}, "encode"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_bad_settings_are_named(X, settings, message):
    hasher = CompressedLSHHasher(**settings)
    with pytest.raises(ValueError, match=message):
        hasher.fit(X)
    assert not hasattr(hasher, "functions_")


def test_bad_queries_are_named(X):
    hasher = CompressedLSHHasher().fit(X)
    with pytest.raises(ValueError, match="n_candidates must be at least 1, got 0"):
        hasher.query(X, 0)
    with pytest.raises(TypeError, match=r"n_candidates must be an integer, got 2\.5"):
        hasher.query(X, 2.5)
    with pytest.raises(ValueError, match="n_probes"):
        hasher.query(X, n_probes=0)


@pytest.mark.parametrize("family", ["pghash", "pghash_d", "simhash", "dwta"])
class TestUnits:
    X = np.random.default_rng(0).uniform(-1, 1, (30, 24)).astype(np.float32)

    @pytest.mark.parametrize("exponent", [-1000, -120, -60, 60, 128])
    @pytest.mark.parametrize("container", [np.asarray, sp.csr_array])  # 128: sums overflow
    def test_codes_do_not_change_with_the_unit(self, family, exponent, container):
        model = CompressedLSHHasher(family, hash_length=4, random_state=0).fit(self.X)
        rows = container(
            np.ldexp(self.X.astype(float), np.where(np.arange(30) % 2, exponent, 0)[:, None])
        )
        assert np.array_equal(model.codes(rows), model.codes(self.X))
        assert (model.query(rows) != model.query(self.X)).nnz == 0
        assert np.array_equal(model.fit(rows).codes(self.X), model.codes(rows))

    @pytest.mark.parametrize("method", ["fit", "partial_fit", "codes", "sketch", "query"])
    def test_entries_beyond_float32_are_refused(self, family, method):
        model = CompressedLSHHasher(family, hash_length=4, random_state=0).fit(self.X)
        with pytest.raises(ValueError, match="X must have entries within float32"):
            getattr(model, method)(self.X.astype(np.float64) * 1e39)


def test_a_sketch_that_overflows_is_refused():
    with pytest.raises(ValueError, match="sums are within float32"):
        CompressedLSHHasher(fold="periodic").fit(np.ones((2, 40))).sketch(np.full((1, 40), 3e38))


def test_a_dense_output_for_frames():
    X = np.random.default_rng(0).standard_normal((30, 6))
    sparse = CompressedLSHHasher(n_tables=3, hash_length=3, random_state=0).fit(X)
    dense = CompressedLSHHasher(n_tables=3, hash_length=3, sparse_output=False, random_state=0)
    frame = dense.set_output(transform="pandas").fit_transform(X)
    assert frame.columns.tolist() == sparse.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame.to_numpy(), sparse.transform(X).toarray())
    with pytest.raises(ValueError, match="dense array"):
        sparse.set_output(transform="pandas").transform(X)
    with pytest.warns(UserWarning, match=r'sparse_output \(used with encode="onehot"\)'):
        dense.set_params(encode="bits").fit(X)
