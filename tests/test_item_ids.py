"""Names of items, as users have them: lists, arrays, columns of a frame."""

import numpy as np
import pandas as pd
import pytest

from sklsh.estimators.item_ids import ItemIds


@pytest.mark.parametrize(
    "convert",
    [list, np.array, lambda ids: np.array(ids, dtype=object), pd.Series,
     lambda ids: pd.Series(ids, dtype=object)],
)  # fmt: skip
def test_text_in_any_container(convert):
    names = ItemIds.learn(convert(["b", "ä", "a"]), 3)
    assert names.names.tolist() == ["b", "ä", "a"]
    assert names.columns(convert(["a", "b"]), "items").tolist() == [2, 0]
    assert names.extend(convert(["b", "ä", "a", "c"]), 4).columns("c", "items") == 3
    with pytest.raises(ValueError, match=r"items must be ids of items, got .*'z'"):
        names.columns(convert(["a", "z"]), "items")


def test_objects_that_are_no_text():
    mixed = np.array(["a", 1], dtype=object)
    with pytest.raises(TypeError, match="item_ids must be integers or text, got dtype object"):
        ItemIds.learn(mixed, 2)
    with pytest.raises(TypeError, match=r"items must be item ids \(text\), got dtype object"):
        ItemIds.learn(["a", "b"], 2).columns(mixed, "items")


@pytest.mark.parametrize(("ids", "said"), [([3, -1], "-1"), (["a", ""], "''")])
def test_what_pads_answers_names_no_item(ids, said):
    with pytest.raises(
        ValueError, match=f"item_ids must not be {said}, with which answers are pad"
    ):
        ItemIds.learn(ids, 2)
    assert ItemIds.learn([3, -2], 2).names_of(np.array([1, -1])).tolist() == [-2, -1]


def test_unsigned_integers():
    largest = 2**63 - 1
    ids = np.array([largest, largest - 1, 5], dtype=np.uint64)
    names = ItemIds.learn(ids, 3)
    assert names.names.dtype == np.int64
    # Compared as floats, the first two would be one.
    assert names.columns(ids, "items").tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=f"item_ids must be at most {largest}, got {largest + 1}"):
        ItemIds.learn(ids + np.uint64(1), 3)
    with pytest.raises(ValueError, match=f"items must be at most {largest}, got {largest + 1}"):
        names.columns(ids + np.uint64(1), "items")
