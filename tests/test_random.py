"""Tests of stateless draws: seeds that are derived do not meet."""

import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import sklsh
from sklsh._utils.random import NODE, PASS, REDRAW, TREE, nth_seed, random_signs

SEEDS = st.integers(0, 2**31 - 1)


@given(seed=SEEDS, stride=st.sampled_from([1, NODE, REDRAW, PASS, TREE]))
def test_a_series_does_not_repeat_and_begins_with_its_seed(seed, stride):
    series = [nth_seed(seed, n, stride) for n in range(100)]
    assert series[0] == seed
    assert len(set(series)) == 100


@given(seed=SEEDS)
def test_draws_of_neighbouring_seeds_have_nothing_in_common(seed):
    signs = [random_signs(nth_seed(seed, n), 0, 4096) for n in range(3)]
    # Five standard deviations of the mean of independent signs.
    assert np.abs([signs[0] @ signs[1], signs[1] @ signs[2]]).max() < 5 * 64


def test_nobody_derives_seeds_by_himself():
    root = Path(sklsh.__file__).parent
    own = re.compile(r"\bseed\w* *(?:\+|\*|\^|<<|%) *\(?(?:\w)")
    allowed = {"_utils/random.py", "datasets/_synthetic.py"}
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted(root.rglob("*.py"))
        if str(path.relative_to(root)) not in allowed and "kernels" not in path.parts
        for line in path.read_text().splitlines()
        if own.search(line)
    ]
    assert not found
