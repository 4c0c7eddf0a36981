"""Names of items, as users have them: lists, arrays, columns of a frame."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    names=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30, unique=True)
    | st.lists(st.integers(-40, 40), min_size=1, max_size=30, unique=True)
    | st.lists(st.integers(10**12, 10**12 + 80), min_size=1, max_size=30, unique=True),
    asked=st.data(),
)
def test_numbers_near_one_another_and_far_apart(names, asked):
    """As the naive search says, also beside and beyond the least and the largest."""
    names = [name for name in names if name != -1] or [0]
    ids = ItemIds.learn(names, len(names))
    some = asked.draw(st.lists(st.sampled_from(names), min_size=1, max_size=40))
    assert ids.columns(some, "items").tolist() == [names.index(one) for one in some]
    beside = {name + step for name in names for step in (-1, 1)} | {-(2**63), 2**63 - 1, 0}
    for other in beside - set(names):
        if -(2**63) <= other < 2**63:
            with pytest.raises(ValueError, match=f"must be ids of items, got {other}$"):
                ids.columns([*some, other], "items")


def test_numbers_near_one_another_are_read_off_wherever_they_begin():
    for first in (-(10**12), 0, 10**12):
        ids = ItemIds.learn(first + np.arange(5) * 3, 5)
        assert ids._column_of_number is not None and ids._column_of_number[0] == first


def test_small_integer_types_hold_the_range_of_their_numbers():
    names = np.array([-128, 127, 3], dtype=np.int8)
    ids = ItemIds.learn(names, 3)
    assert ids.columns(names[[2, 0, 1]], "items").tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="must be ids of items, got 300"):
        ids.columns([300], "items")


@pytest.mark.parametrize("names", [None, [10, 30, 20], ["a", "ä", "c"]])
def test_flags_of_ids_and_of_flags(names):
    ids = ItemIds.learn(names, 3)
    known = ids.names[[2, 0]]
    assert ids.flags(known, "items").tolist() == [True, False, True]
    assert ids.flags([True, False, True], "items").tolist() == [True, False, True]
    assert not ids.flags([], "items").any()
    with pytest.raises(ValueError, match=r"items must be ids or, of bool, one for each of 3 items"):
        ids.flags([True, False], "items")
