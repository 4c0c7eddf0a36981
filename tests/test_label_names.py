"""Names in, names out: lists of labels, frames with named columns, classes of every kind."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from sklsh import FederatedLSHClassifier, SparseLSHMLPClassifier
from sklsh.datasets import make_extreme_classification
from sklsh.metrics import (
    make_topk_scorer,
    ndcg_at_k,
    precision_at_1_scorer,
    precision_at_k,
    recall_at_k,
)
from sklsh.persistence import load_model, save_model


def small(**params):
    return SparseLSHMLPClassifier(**{"hidden_layer_sizes": (32,), "random_state": 0} | params)


@pytest.fixture(scope="module")
def wide():
    X, Y = make_extreme_classification(900, 600, 40, random_state=0)
    return X[:700], sp.csr_array(Y)[:700], X[700:], sp.csr_array(Y)[700:]


NAMES = np.array([f"label {chr(122 - i % 26)}{i}" for i in range(40)])


def lists(Y, names=NAMES):
    return [names[Y.indices[a:b]].tolist() for a, b in zip(Y.indptr, Y.indptr[1:], strict=False)]


def frame(Y, names=NAMES):
    return pd.DataFrame(Y.toarray().astype(int), columns=names)


@pytest.mark.parametrize("container", ["lists", "tuples", "sets", "Series", "numbers"])
def test_lists_of_labels(wide, container, tmp_path):
    X, Y, X_test, Y_test = wide
    names = np.arange(40) * 3 + 7 if container == "numbers" else NAMES
    make = {
        "lists": list,
        "tuples": lambda rows: list(map(tuple, rows)),
        "sets": lambda rows: list(map(set, rows)),
        "Series": lambda rows: pd.Series(rows, index=np.arange(len(rows))[::-1]),
        "numbers": lambda rows: list(map(set, rows)),
    }[container]
    true, true_test = make(lists(Y, names)), make(lists(Y_test, names))
    model = small().fit(X, true)
    used = np.unique(Y.indices)
    assert model.label_names_.tolist() == sorted(names[used].tolist())
    # The same columns, in the order of their names.
    order = used[np.argsort(names[used])]
    plain = small().fit(X, Y[:, order])
    ranked, scores = model.predict_topk(X_test, 5)
    columns, expected = plain.predict_topk(X_test, 5)
    np.testing.assert_array_equal(scores, expected)
    np.testing.assert_array_equal(ranked, names[order][columns])
    named = model.predict(X_test)
    answers = plain.predict(X_test)
    assert [sorted(row) for row in lists(answers, names[order])] == named.tolist()
    for metric in (precision_at_k, recall_at_k, ndcg_at_k):
        ours = metric(true_test, ranked, k=3)
        assert ours == pytest.approx(metric(Y_test[:, order], columns, k=3), abs=0.02)
        assert make_topk_scorer(metric, k=3)(model, X_test, true_test) == pytest.approx(ours)
    sets = [set(a) == set(b) for a, b in zip(true_test, named, strict=True)]
    assert model.score(X_test, true_test) == pytest.approx(np.mean(sets))
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model").predict_topk(X_test, 5)[0]
    np.testing.assert_array_equal(again, ranked)
    np.testing.assert_array_equal(
        model.compress(neighbors=True, linear=True).predict_topk(X_test, 1)[0].shape, (200, 1)
    )


def test_columns_of_a_frame(wide):
    X, Y, X_test, Y_test = wide
    model, plain = small().fit(X, frame(Y)), small().fit(X, Y)
    assert model.label_names_.tolist() == NAMES.tolist() and plain.label_names_ is None
    ranked, _ = model.predict_topk(X_test, 4)
    columns, _ = plain.predict_topk(X_test, 4)
    np.testing.assert_array_equal(ranked, NAMES[columns])
    expected = precision_at_k(Y_test, columns, k=2)
    assert precision_at_k(frame(Y_test), ranked, k=2) == expected
    shuffled = np.random.default_rng(0).permutation(40)
    assert precision_at_k(frame(Y_test).iloc[:, shuffled], ranked, k=2) == expected
    for y in (frame(Y_test), Y_test):
        assert precision_at_1_scorer(model, X_test, y) == precision_at_1_scorer(plain, X_test, y)
    np.testing.assert_array_equal(model.predict(X_test), plain.predict(X_test).toarray())
    sparse = frame(Y).astype(pd.SparseDtype(int, 0))
    np.testing.assert_array_equal(small().fit(X, sparse).predict_topk(X_test, 4)[0], ranked)
    numbered = small().fit(X, pd.DataFrame(Y.toarray().astype(int)))
    assert numbered.label_names_ is None


def test_columns_in_another_order_are_refused_or_found_by_name(wide):
    X, Y, X_test, Y_test = wide
    model, turned = small().fit(X, frame(Y)), frame(Y_test).iloc[:, ::-1]
    piped = make_pipeline(MaxAbsScaler(), small()).fit(X, frame(Y))
    federated = FederatedLSHClassifier(small(), n_rounds=1, random_state=0).fit(X, frame(Y))
    for one in (model, piped, federated, model.compress()):
        for judge in (one.score, partial(precision_at_1_scorer, one)):
            judge(X_test, frame(Y_test))
            with pytest.raises(
                ValueError, match="y must have the columns of before, in their order"
            ):
                judge(X_test, turned)
    ranked = model.predict_topk(X_test, 3)[0]
    assert precision_at_k(turned, ranked, 3) == precision_at_k(frame(Y_test), ranked, 3)


def test_names_in_streams_and_growth(wide):
    X, Y, X_test, _ = wide
    of_lists, of_frames = small(new_classes="grow"), small(new_classes="grow")
    for begin, width in ((0, 20), (350, 40)):
        part = slice(begin, begin + 350)
        of_lists.partial_fit(X[part], lists(Y[part, :width]))
        of_frames.partial_fit(X[part], frame(Y[part, :width], NAMES[:width]))
    assert of_frames.label_names_.tolist() == NAMES.tolist()
    late = set(NAMES[20:])
    for model in (of_lists, of_frames):
        assert late & set(model.predict_topk(X_test, 5)[0].ravel())
    with pytest.raises(ValueError, match="columns of before, in their order: 'label z0'"):
        of_frames.partial_fit(X[:5], frame(Y[:5], NAMES[::-1]))
    with pytest.raises(ValueError, match="must be lists of labels as before"):
        of_lists.partial_fit(X[:5], Y[:5])
    with pytest.raises(ValueError, match="must be no lists of labels as before"):
        of_frames.partial_fit(X[:5], lists(Y[:5]))
    with pytest.raises(ValueError, match="must name its 1 new columns"):
        of_frames.partial_fit(X[:5], sp.hstack([Y[:5], Y[:5, :1]]).tocsr())
    strict = small().partial_fit(X[:350], lists(Y[:350, :20]))
    with pytest.raises(ValueError, match="labels that were not there before"):
        strict.partial_fit(X, lists(Y))


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        ([2.0, -5.0, 7.0], [2, -5, 7]),
        (pd.array([2, -5, 7], dtype="Int64"), [2, -5, 7]),
        (pd.array([2, -5, 7], dtype="Float64"), [2, -5, 7]),
        (pd.array(["b", "a", "c"], dtype="string"), ["b", "a", "c"]),
        (pd.Categorical(["b", "a", "c"]), ["b", "a", "c"]),
        ([True, False, True], [1, 0, 1]),
    ],
)
def test_classes_of_every_kind_are_ranked_by_name(classes, named):
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 150)
    X = np.eye(3)[which] + 0.1 * rng.standard_normal((150, 3))
    y = pd.Series(classes).iloc[which].reset_index(drop=True)
    model = small().fit(X, y)
    ranked, _ = model.predict_topk(X, 2)
    assert ranked.dtype.kind in "iU"
    right = np.array(named)[which]
    assert (ranked[:, 0] == right).mean() > 0.95
    assert precision_at_1_scorer(model, X, y) == pytest.approx((ranked[:, 0] == right).mean())
    if not np.any(np.isin(right, [-5])):
        assert precision_at_k(y, ranked, k=1) > 0.95


def test_a_federation_keeps_names(wide):
    X, Y, X_test, _ = wide
    model = FederatedLSHClassifier(small(), n_rounds=2, random_state=0)
    for y in (lists(Y), frame(Y)):
        model.fit(X, y, groups=np.arange(700) % 3)
        assert set(model.predict_topk(X_test, 2)[0].ravel()) <= set(model.label_names_)


@pytest.mark.parametrize("y", [[{"a"}, {1}], [{1.5}, {2}], [["a"], ["a"]], [[], []]])
def test_refused(y):
    with pytest.raises((ValueError, TypeError)):
        small().fit(np.eye(2), y)


def test_metrics_of_labels_that_are_unknown():
    ranked = np.array([["a", "b"], ["c", ""]])
    assert precision_at_k([["a"], ["d"]], ranked, k=1) == 0.5
    assert recall_at_k([["a", "b"], []], ranked, k=2) == 0.5
    assert precision_at_k(pd.DataFrame({"a": [1, 0], "b": [0, 1]}), ranked, k=1) == 0.5
    with pytest.raises(TypeError, match="dtype"):
        precision_at_k(np.eye(2), ranked, k=1)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (pd.DataFrame(np.eye(3, dtype=int), columns=["a", "b", "a"]), "names, got 'a' twice"),
        (pd.DataFrame(np.eye(3, dtype=int), columns=["a", "", "b"]), "must not be called ''"),
        ([["a"], ["b", ""], ["a"]], "must not be called '', with which answers are padded"),
        ([{1}, {2, -1}, {2}], "must not be called -1"),
    ],
)
def test_names_that_no_answer_could_tell_apart(y, said):
    with pytest.raises(ValueError, match=said):
        small().fit(np.eye(3), y)
    ranked = np.array([["a", ""]] * 3)
    with pytest.raises(ValueError, match=said):
        precision_at_k(y, ranked if "-1" not in said else np.array([[1, -1]] * 3), k=2)


def test_classes_that_are_empty_text_are_no_padding():
    with pytest.raises(ValueError, match="classes in y_true must not be called ''"):
        precision_at_k(["", "b"], np.array([["a", ""], ["b", ""]]), k=1)


def test_a_part_or_a_test_without_any_label(wide):
    X, Y, X_test, _ = wide
    model = small().partial_fit(X, lists(Y))
    expected = small().partial_fit(X, lists(Y))
    expected.partial_fit(X[:2], [[], []])
    model.partial_fit(X[:2], [set(), set()])
    np.testing.assert_array_equal(*(m.predict_topk(X_test)[1] for m in (model, expected)))
    named = np.mean([len(row) == 0 for row in model.predict(X_test)])
    assert model.score(X_test, [[]] * 200) == named
    assert recall_at_k([[], []], np.array([["a"], ["b"]]), k=1) == 0


def test_rows_of_labels_as_arrays(wide):
    """As pandas reads them from a parquet file."""
    X, Y, X_test, _ = wide
    rows = pd.Series([np.array(row, dtype=object) for row in lists(Y)])
    model, expected = small().fit(X, rows), small().fit(X, lists(Y))
    assert model.label_names_.tolist() == expected.label_names_.tolist()
    np.testing.assert_array_equal(*(m.predict_topk(X_test)[0] for m in (model, expected)))


def test_what_is_scored_is_of_the_kind_of_fit(wide):
    X, Y, X_test, Y_test = wide
    model = small().fit(X, lists(Y))
    with pytest.raises(ValueError, match="each of the 200 rows of X, got 3"):
        model.score(X_test, lists(Y_test)[:3])
    with pytest.raises(ValueError, match="y must be lists of labels as at fit"):
        model.score(X_test, Y_test)
    with pytest.raises(ValueError, match="y must be no lists of labels as at fit"):
        small().fit(X, Y).score(X_test, lists(Y_test))


def test_classes_are_the_names_of_the_columns(wide):
    X, Y, *_ = wide
    y, names = frame(Y), NAMES.tolist()
    assert small().partial_fit(X, y, classes=names).label_names_.tolist() == names
    for model in (small(), small().partial_fit(X, y)):
        with pytest.raises(ValueError, match="names of y's columns in their order"):
            model.partial_fit(X, y, classes=names[::-1])
    with pytest.raises(ValueError, match="labels that are not in classes"):
        small().partial_fit(X, lists(Y), classes=names[:3])
