"""Targets in and out: what is learnt of y, what is refused, and the container it came in."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sklsh.estimators.targets import Targets, is_indicator

Y = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
CONTAINERS = {
    "array": np.asarray,
    "csr_matrix": sp.csr_matrix,
    "csr_array": sp.csr_array,
}


def dense(rows, n_columns=3):
    return rows.to_matrix(n_columns).toarray()


@pytest.mark.parametrize(
    "y",
    [
        np.array([7, -2, 7, 1000]),
        np.array(["b", "a", "b", "ä"]),
        np.array(["b", "a", "b", "c"], dtype=object),
        np.array([True, False, True, False]),
        np.array([1.0, 0.0, 1.0, 3.0]),
        np.array([3, 1, 3, 9], dtype=np.uint8),
        [3, 1, 3, 9],
        pd.Series(["x", "y", "x", "z"]),
    ],
)
def test_classes(y):
    targets, rows = Targets.learn(y)
    assert not targets.multilabel
    np.testing.assert_array_equal(targets.classes, np.unique(np.asarray(y)))
    np.testing.assert_array_equal(rows.indptr, np.arange(5))
    np.testing.assert_array_equal(targets.classes[rows.indices], np.asarray(y))
    np.testing.assert_array_equal(rows.data, 1)
    assert [a.dtype for a in rows] == [np.int64, np.int32, np.float32]


def test_a_column_is_a_vector_with_a_warning():
    with pytest.warns(Warning, match="column-vector y was passed"):
        targets, rows = Targets.learn(np.array([[4], [2], [4]]))
    assert targets.classes.tolist() == [2, 4] and rows.indices.tolist() == [1, 0, 1]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool, np.float32, np.float64])
def test_indicator_answers_in_its_container_and_type(container, dtype):
    y = CONTAINERS[container](Y.astype(dtype))
    targets, rows = Targets.learn(y)
    assert targets.multilabel and targets.classes.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(dense(rows), Y)
    answer = targets.indicator(rows.indptr, rows.indices)
    assert type(answer) is type(y) and answer.dtype == dtype
    back = answer if container == "array" else answer.toarray()
    np.testing.assert_array_equal(back, Y)
    np.testing.assert_array_equal(dense(targets.encode(y)), Y)


@pytest.mark.parametrize("convert", [sp.csc_matrix, sp.coo_array, sp.lil_matrix])
def test_other_sparse_formats(convert):
    targets, rows = Targets.learn(convert(Y))
    np.testing.assert_array_equal(dense(rows), Y)
    assert targets.container == ("csr_array" if convert is sp.coo_array else "csr_matrix")


def test_lists_and_frames_are_dense_indicators():
    for y in (Y.tolist(), pd.DataFrame(Y, columns=list("abc"))):
        targets, rows = Targets.learn(y)
        assert targets.container == "array"
        np.testing.assert_array_equal(dense(rows), Y)


def test_stored_zeros_and_unsorted_indices_leave_y_alone():
    data, indices = np.array([1, 0, 1, 1]), np.array([2, 1, 0, 1])
    y = sp.csr_matrix((data, indices, [0, 3, 3, 4]), shape=(3, 3))
    before = [a.copy() for a in (y.data, y.indices, y.indptr)]
    _, rows = Targets.learn(y)
    np.testing.assert_array_equal(dense(rows), Y)
    assert rows.indices.tolist() == [0, 2, 1]
    for old, now in zip(before, (y.data, y.indices, y.indptr), strict=True):
        np.testing.assert_array_equal(old, now)


def corrupt():
    y = sp.csr_matrix(Y)
    y.indices[0] = 7
    return y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 1, 1], r"y must have at least 2 classes, got 1 class: \[1\]"),
        ([0.5, 1.5, 2.5], "y must be classes.*continuous"),
        ([1.0, np.nan, 2.0], "Input y contains NaN"),
        ([1.0, np.inf, 2.0], "Input y contains infinity"),
        ([[1], [2, 3]], "y must be 1-d classes, a 2-d indicator, or lists of labels that are text"),
        (Y[:, :, None], r"y must be 1-d classes or a 2-d indicator, got shape \(3, 3, 1\)"),
        (2 * Y, "y must be an indicator of 0 and 1, got the value 2"),
        (-Y, "y must be an indicator of 0 and 1, got the value -1"),
        (0.5 * Y, r"y must be an indicator of 0 and 1, got the value 0\.5"),
        (Y * np.nan, "Input y contains NaN"),
        (sp.csr_matrix(Y * np.nan), "y must be an indicator of 0 and 1, got the value nan"),
        (sp.csr_array(3 * Y), "y must be an indicator of 0 and 1, got the value 3"),
        (Y.astype(str), "y must be a numeric 0/1 indicator, got dtype"),
        (sp.csr_matrix(Y * 1j), "y must be a numeric 0/1 indicator, got dtype complex128"),
        (0 * Y, "y must have at least one positive entry, got none"),
        (sp.csr_matrix((3, 4)), "y must have at least one positive entry, got none"),
        (sp.csr_matrix(Y[:, :1]), "y must have at least 2 columns, got 1"),
        (corrupt(), r"y\.indices must be in \[0, 3\)"),
        # A label stored twice in a row sums to 2.
        (sp.csr_matrix(([1, 1], [0, 0], [0, 2, 2]), (2, 3)), "of 0 and 1, got the value 2"),
    ],
)
def test_refused(y, message):
    with pytest.raises(ValueError, match=message):
        Targets.learn(y)


def test_mixed_types_are_a_type_error():
    with pytest.raises(TypeError, match="y must be classes: integers, booleans or text"):
        Targets.learn(np.array(["a", 1], dtype=object))


def test_known_classes():
    targets, rows = Targets.learn(["b", "c"], classes=["d", "c", "b", "a"])
    assert targets.classes.tolist() == list("abcd") and rows.indices.tolist() == [1, 2]
    assert targets.encode(["a", "d"]).indices.tolist() == [0, 3]
    assert targets.same_classes(list("dcba")) and not targets.same_classes(list("abc"))
    with pytest.raises(ValueError, match=r"y has values that are not in classes: \['z'\]"):
        targets.encode(["a", "z"])
    with pytest.raises(ValueError, match="y must be 1-d classes as before, got a multilabel"):
        targets.encode(Y)
    with pytest.raises(ValueError, match="values that are not in classes"):
        Targets.learn([1, 2], classes=[1, 3])
    with pytest.raises(ValueError, match="Input classes contains NaN"):
        Targets.learn([1, 2], classes=[1.0, np.nan])


def test_known_columns():
    targets, _ = Targets.learn(Y, classes=["a", "b", "c"])
    assert targets.same_classes(["a", "b", "c"]) and not targets.same_classes(["a", "b"])
    # A part of a stream may be without labels.
    assert targets.encode(0 * Y).counts().tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="classes must name the 3 columns of a multilabel y"):
        Targets.learn(Y, classes=[0, 1])
    with pytest.raises(ValueError, match="y must have 3 columns as before, got 2"):
        targets.encode(Y[:, :2])
    with pytest.raises(ValueError, match="y must be a multilabel indicator as before"):
        targets.encode([0, 1, 2])


def test_names_of_labels():
    labels = np.array([[1, 0, -1]])
    for y, expected in (
        ([5, -9], [5, -9, -1]),
        ([0.0, 4.0], [4, 0, -1]),
        ([False, True], [1, 0, -1]),
        (np.array([3, 200], dtype=np.uint8), [200, 3, -1]),
    ):
        names = Targets.learn(y)[0].names(labels)
        assert names.dtype == np.int64 and names.tolist() == [expected]
    for y in (["a", "b"], np.array(["a", "b"], dtype=object)):
        assert Targets.learn(y)[0].names(labels).tolist() == [["b", "a", ""]]
    assert Targets.learn(Y)[0].names(labels) is labels


def test_classes_beyond_int64_have_no_names():
    """They can be predicted; as ranked labels they would be negative, like the -1 for none."""
    largest = 2**63 - 1
    targets, rows = Targets.learn(np.array([largest, 3], dtype=np.uint64))
    assert targets.names(rows.indices).tolist() == [largest, 3]
    targets, rows = Targets.learn(np.array([largest + 1, 3], dtype=np.uint64))
    assert targets.classes[rows.indices].tolist() == [largest + 1, 3]
    with pytest.raises(ValueError, match=f"classes must be at most {largest} .* got {largest + 1}"):
        targets.names(rows.indices)


def test_is_indicator():
    assert is_indicator(Y) and is_indicator(sp.csr_matrix(Y)) and is_indicator(Y.tolist())
    assert not is_indicator([1, 2]) and not is_indicator([[1], [2]])
