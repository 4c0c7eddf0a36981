"""Every method that people call is documented with its parameters, and its page shows that."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklsh

DOC = Path(__file__).parents[1] / "doc"
METHODS = [
    (name, method)
    for name in sklsh.__all__
    if inspect.isclass(getattr(sklsh, name))
    for method, found in inspect.getmembers(getattr(sklsh, name), inspect.isfunction)
    if not method.startswith("_") and found.__module__.startswith("sklsh.")
]


def parameters_of(name, method):
    signature = inspect.signature(getattr(getattr(sklsh, name), method))
    return [
        p.name
        for p in signature.parameters.values()
        if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def documented(text, parameter):
    return re.search(rf"^\s*(?:\w+, )*{parameter}(?:, \w+)* :", text, flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_a_method_documents_its_parameters(name, method):
    text = inspect.getdoc(getattr(getattr(sklsh, name), method)) or ""
    missing = [p for p in parameters_of(name, method) if not documented(text, p)]
    assert not missing, f"{name}.{method} says nothing of {missing}"


@pytest.mark.slow
def test_the_pages_show_them(tmp_path):
    pytest.importorskip("sphinx_gallery")
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-D", "plot_gallery=0", "-b", "html",
         str(DOC), str(tmp_path)],
        check=True, timeout=900,
    )  # fmt: skip
    for name, method in METHODS:
        page = (tmp_path / "generated" / f"sklsh.{name}.html").read_text()
        start = page.index(f'id="sklsh.{name}.{method}"')
        end = page.find('class="sig sig-object', start + 1)
        shown = re.sub("<[^>]*>", " ", page[start:end])
        for parameter in parameters_of(name, method):
            assert re.search(rf"\b{parameter}\b", shown.partition("Parameters")[2]), (name, method)
