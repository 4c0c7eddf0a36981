"""Rules of the house that a reader of the source relies on."""

import ast
import importlib
import re
import runpy
from pathlib import Path

import pytest

import sklsh

ROOT = Path(sklsh.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MOST_LINES, MOST_OF_A_FUNCTION = 400, 60
LONG = "# Long:"
"""With this comment in its first lines a function says why it is longer."""


def test_no_file_is_long():
    assert [path.name for path in FILES if path.read_text().count("\n") > MOST_LINES] == []


def length_without_docstring(function):
    first = function.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = first.end_lineno - first.lineno + 1 if text else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_a_long_function_says_why():
    unsaid = []
    for path in FILES:
        if path.parent.name == "kernels":
            continue  # loops share scratch there, and each call of another kernel is compiled
        source = path.read_text()
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":  # stores, a line each
                own = lines[node.lineno - 1 : node.end_lineno]
                long = length_without_docstring(node) > MOST_OF_A_FUNCTION
                if long and not any(LONG in line for line in own):
                    unsaid.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert unsaid == []


@pytest.mark.parametrize(
    "room", ["_utils", "kernels", "hashing", "network", "federated", "estimators"]
)
def test_a_room_says_what_is_in_it(room):
    """Its docstring names each file, and no other."""
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))
    named = set(re.findall(r"`(\w+)`", text))
    here = {path.stem for path in (ROOT / room).iterdir() if path.suffix in (".py", "")}
    assert named - {"sklsh"} == {name for name in here if not name.startswith("_")}


def leads_somewhere(name):
    """Whether ``sklsh.a.b`` is a module, or what is in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("sklsh"):
                return True  # an extra that is not installed
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[end:])
    return False


def test_names_in_docstrings_and_guides_lead_somewhere():
    texts = [*FILES, *(ROOT.parent / "doc").glob("*.md"), *ROOT.parent.glob("*.md")]
    names = {
        (name, path.name)
        for path in texts
        for name in re.findall(r"`~?(sklsh(?:\.\w+)+)`", path.read_text())
    }
    assert len(names) > 100
    assert sorted(found for found in names if not leads_somewhere(found[0])) == []


def test_no_underscore_files_at_the_top():
    assert [path.name for path in ROOT.glob("_*.py") if path.name != "__init__.py"] == []


def test_arrows_point_down():
    rooms = ("kernels", "hashing", "network", "federated", "estimators")
    wrong = []
    for level, room in enumerate(rooms):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    to = node.module.split(".")[1:2]
                    if to and to[0] in rooms[level + 1 :]:
                        wrong.append(f"{path.relative_to(ROOT)} imports {node.module}")
    assert wrong == []


def test_planted_faults_are_still_there_to_plant(monkeypatch):
    """What `tools/mutate.py` replaces is in the source, once, and its tests exist."""
    tools = ROOT.parent / "tools"
    if not tools.is_dir():
        pytest.skip("the tools come with the source alone")
    monkeypatch.syspath_prepend(str(tools))
    mutate = runpy.run_path(str(tools / "mutate.py"))
    mends, gone = mutate["MENDS"], []
    for path, faults in [*mutate["NAMED"].items(), *mutate["EQUIVALENT"].items(), *mends.items()]:
        source = (ROOT.parent / path).read_text()
        for fault in faults:
            text = fault[0] if isinstance(fault[1], set) else fault[1]
            if source.count(text) != 1:
                gone.append(f"{path}: {text!r}, {source.count(text)} times")
    files = [file for of in mutate["TARGETS"].values() for files in of.values() for file in files]
    files += [fault[3].partition("::")[0] for faults in mends.values() for fault in faults]
    gone += sorted({file for file in files if not (ROOT.parent / file).is_file()})
    assert gone == []
