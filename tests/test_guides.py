"""The code of the guides runs, as one reads it from top to bottom."""

import doctest
import importlib.util
import pydoc
import re
from pathlib import Path
from unittest import mock

import pytest

from sklsh.federated.aggregation import AGGREGATIONS
from sklsh.network.sampling import SAMPLERS

ROOT = Path(__file__).parents[1]
DOC = ROOT / "doc"


@pytest.mark.parametrize(
    "page",
    [
        "choose-settings",
        "classifier",
        "extending-parts",
        "hasher",
        "migrate",
        "nightly",
        "recommender",
        pytest.param("tutorial-classification", marks=pytest.mark.slow),
        pytest.param("tutorial-devices", marks=pytest.mark.slow),
        "tutorial-recommendation",
        pytest.param("federated", marks=pytest.mark.slow),
    ],
)
def test_the_code_runs(page, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = {"__name__": page}
    blocks = re.findall(r"```python\n(.*?)```", (DOC / f"{page}.md").read_text(), flags=re.DOTALL)
    assert blocks
    with mock.patch.dict(SAMPLERS), mock.patch.dict(AGGREGATIONS):
        for block in blocks:
            exec(compile(block, f"{page}.md", "exec"), names)


@pytest.mark.slow  # `sklsh demo` trains the same
def test_the_first_pages_example():
    failed, tried = doctest.testfile(str(DOC / "index.md"), module_relative=False)
    assert tried > 5
    assert not failed


def test_every_page_is_in_a_table_of_contents():
    pages = {
        path.stem: path.read_text() for path in DOC.glob("*.*") if path.suffix in (".md", ".rst")
    }
    listed = set()
    for text in pages.values():
        for entries in re.findall(r"```{toctree}\n(.*?)```", text, flags=re.DOTALL):
            listed |= set(re.findall(r"^(?:.*<)?([\w/-]+)>?$", entries, flags=re.MULTILINE))
    assert set(pages) - {"index", "sg_execution_times"} <= listed


def test_names_of_ours_exist():
    """Those that the page for who comes from another library gives."""
    rows = re.findall(
        r"^\|[^|\n]*\|[^|\n]*\|([^|\n]*)\|$", (DOC / "migrate.md").read_text(), re.MULTILINE
    )
    names = {name for row in rows for name in re.findall(r"`(sklsh\.[\w.]+)`", row)}
    assert len(names) > 25
    for name in names:
        assert pydoc.locate(name) is not None, name


def test_the_paper_s_page_names_what_there_is():
    root, text = DOC.parent, (DOC / "paper-to-code.md").read_text()
    paths = re.findall(r"`([\w/]+\.py)`", text)
    assert len(paths) > 15
    assert [p for p in paths if not any((root / d / p).exists() for d in (".", "sklsh"))] == []
    tests = "".join(path.read_text() for path in (root / "tests").rglob("*.py"))
    names = re.findall(r"`(test_\w+)`", text)
    assert len(names) > 5
    assert [name for name in names if f"def {name}(" not in tests] == []


def test_the_ways_of_the_architecture_lead_to_what_there_is():
    text = (DOC / "architecture.md").read_text()
    ways = re.findall(r"^## (A .*?)\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert [title.partition(",")[0] for title, _ in ways] == ["A batch", "A prediction", "A round"]
    for title, way in ways:
        hops = re.findall(r"^1\. \[`(.*?)`\]\((.*?)\) `([\w.]+)`", way, re.MULTILINE)
        assert len(hops) == way.count("\n1. ") > 5, title
        assert len({path for path, _, _ in hops}) == len(hops), f"{title} enters a file twice"
        for path, link, name in hops:
            assert (DOC / link).resolve() == DOC.parent / "sklsh" / path
            *kind, function = name.split(".")
            source = (DOC / link).read_text()
            assert all(f"class {part}" in source for part in kind), name
            assert f"def {function}(" in source, name
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (DOC / link).exists(), link


def test_figures_of_the_readme_are_those_on_record():
    """`python benchmarks/run_all.py --table --write-doc` writes them."""
    benchmarks = ROOT / "benchmarks"
    if not benchmarks.is_dir():
        pytest.skip("benchmarks are not in the sdist")
    spec = importlib.util.spec_from_file_location("front_page", benchmarks / "front_page.py")
    front_page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(front_page)
    text = (ROOT / "README.md").read_text()
    assert front_page.written(text, benchmarks / "results") == text
