"""The guide "Add a hash family" runs, and what it adds keeps the contract."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from sklsh import CompressedLSHHasher
from sklsh.hashing import FAMILIES, make_family

GUIDE = Path(__file__).parents[2] / "doc" / "extending.md"


@pytest.fixture
def guide(monkeypatch):
    """Names that the guide defines, as a module; what it registers is forgotten again."""
    module = ModuleType("extending_guide")
    monkeypatch.setitem(sys.modules, "extending_guide", module)
    names, before = vars(module), dict(FAMILIES)
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL):
        exec(block, names)
    yield names
    FAMILIES.clear()
    FAMILIES.update(before)


def test_the_guide_runs(guide):
    assert guide["tables"].n_tables == 10
    assert FAMILIES["cross_polytope"] is guide["CrossPolytope"]


def test_its_family_is_as_short_as_it_says():
    code = re.search(r"(@dataclass.*?)\n\n\nFAMILIES", GUIDE.read_text(), flags=re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 32


def test_its_family_keeps_the_contract(guide):
    X = np.random.default_rng(1).standard_normal((9000, 30)).astype(np.float32)
    functions = make_family("cross_polytope", n_tables=3, hash_length=2).draw(30, seed=4)
    sketch = functions.sketch(X)
    codes = functions.codes(sketch, n_jobs=2)
    for rows in (slice(0, 1), slice(4090, 4100)):
        np.testing.assert_array_equal(codes[rows], functions.codes(sketch[rows]))
    assert codes.max() < 2**functions.code_bits
    assert np.unique(codes[:, 0]).size > 128
    # Opposite vectors choose the same axes, and the other sign of each.
    np.testing.assert_array_equal(functions.codes(-sketch), codes ^ 0x11)
    with pytest.raises(TypeError, match="flips"):
        functions.probes(sketch, 2)


def test_scikit_learn_takes_it(guide):
    with pytest.raises(
        ValueError, match=r"family must be one of \['cross_polytope'.*got 'unheard_of'"
    ):
        CompressedLSHHasher("unheard_of").fit(np.eye(3))
    check_estimator(CompressedLSHHasher("cross_polytope", hash_length=1))
