"""How many small faults do the tests find? A seeded sample of mutants of some files.

    python tools/mutate.py TARGET ... [--sample 150] [--seed 0] [--only selection]

A TARGET is a name in `TARGETS` or "all"; "mends" are the faults of tools/mends.py. A mutant is a
module with one operator, comparison, constant, condition, call or returned value changed, or
with one of the faults in `NAMED`; it is killed if one of the target's tests fails, or if these take
too long. Each is tried in a process of its own, forked from this one after the libraries have been
imported, and is seen by that process alone: no file changes. Hypothesis draws fewer examples than
usual. Messages, docstrings, annotations and `__repr__` are left alone.
"""

from __future__ import annotations

import argparse
import ast
import importlib.machinery
import importlib.util
import multiprocessing
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mends import MENDS

ROOT = Path(__file__).parents[1]
LIMIT = 5
"""Times that the tests may take what they take without a mutant."""

TARGETS = {
    "metrics": {
        "sklsh/metrics/__init__.py": ["tests/test_metrics.py"],
        "sklsh/metrics/_hits.py": ["tests/test_metrics.py"],
    },
    "hashing": {
        f"sklsh/hashing/{name}.py": [f"tests/{test}.py" for test in tests]
        for name, tests in {
            "base": ["hashing/test_families", "hashing/test_extending", "hashing/test_tables"],
            "families": ["hashing/test_families", "hashing/test_theory"],
            "projection": ["hashing/test_projection", "hashing/test_families"],
            "serial": ["hashing/test_tables", "hashing/test_families"],
            "tables": ["hashing/test_tables"],
            "theory": ["hashing/test_theory"],
        }.items()
    },
    "devices": {
        "sklsh/federated/device.py": [
            "tests/federated/test_device.py", "tests/federated/test_decoys.py",
            "tests/federated/test_policy.py", "tests/federated/test_selection.py",
            "tests/federated/test_cache.py", "tests/federated/test_device_hashing.py",
            "tests/federated/test_memory.py", "tests/federated/test_public_rows.py",
            "tests/test_federated_personal.py",
        ],
        "sklsh/federated/submodels.py": [
            "tests/federated/test_device.py", "tests/federated/test_optimizers.py",
            "tests/federated/test_cache.py", "tests/federated/test_public_rows.py",
            "tests/federated/test_policy.py", "tests/test_federated_personal.py",
        ],
        "sklsh/federated/selection.py": [
            "tests/federated/test_device_hashing.py", "tests/federated/test_device.py",
            "tests/federated/test_selection.py",
        ],
    },
    "samplers": {
        "sklsh/network/lsh.py": ["tests/network/test_recall.py", "tests/network/test_lsh.py"],
        "sklsh/network/sampling.py": [
            "tests/network/test_sampling.py", "tests/network/test_recall.py",
        ],
    },
    "retrieval": {
        "sklsh/network/retrieval.py": [
            "tests/network/test_retrieval.py", "tests/network/test_recall.py",
        ],
        "sklsh/network/topk.py": [
            "tests/network/test_topk.py", "tests/network/test_recall.py",
        ],
    },
    "server": {
        "sklsh/federated/server.py": [
            "tests/federated/test_faults.py", "tests/federated/test_optimizers.py",
            "tests/federated/test_privacy.py", "tests/federated/test_sketch_broadcast.py",
            "tests/federated/test_code_broadcast.py", "tests/test_federated_classifier.py",
        ]
    },
}  # fmt: skip
"""Files, and the tests that must find their faults."""

NAMED = {
    "sklsh/federated/device.py": [
        ("the same functions every round", "_rng(TABLES, invite.round)", "_rng(TABLES, 0)"),
        ("its hash length ignored", "hash_length=settings.hash_length", "hash_length=8"),
        ("its tables ignored", "n_tables=settings.n_tables", "n_tables=8"),
    ],
    "sklsh/federated/selection.py": [
        ("ids at random", "    counts[taken] = -1",
         "    counts = np.random.default_rng(seed).permutation(counts)\n    counts[taken] = -1"),
        ("queries negated", "apply(hidden - centre", "apply(centre - hidden"),
        ("the way to the centre reversed", "+= values @ direction", "-= values @ direction"),
        ("no way to the centre", "+= values @ direction", "+= 0 * (values @ direction)"),
        ("neurons not centred", "values -= self._sketch.centre", "values -= 0"),
        ("the sketch unpacked at once", "BLOCK = 4096", "BLOCK = 1 << 30"),
        ("the fewest collisions", "    counts[taken] = -1",
         "    counts = counts.max() + 1 - counts\n    counts[taken] = -1"),
    ],
    "sklsh/network/lsh.py": [
        ("the same functions at every build", "nth_seed(self._seed, step",
         "nth_seed(self._seed, 0"),
        ("queries negated", "np.subtract(hidden, self.hidden_mean,",
         "np.subtract(self.hidden_mean, hidden,"),
        ("rows centred the wrong way", "head_weights[ids] - self.row_mean",
         "head_weights[ids] + self.row_mean"),
        ("the bias not centred", "rows @ self.hidden_mean - self.bias_mean",
         "rows @ self.hidden_mean"),
        ("the bias less the centre", "head_bias[ids] + rows @", "head_bias[ids] - rows @"),
        ("candidates at random", "        return indptr, ids if self._ids",
         "        ids = np.random.default_rng(0).integers(\n"
         "            len(self.tables.present), size=len(ids)).astype(np.int32)\n"
         "        return indptr, ids if self._ids"),
    ],
    "sklsh/network/sampling.py": [
        ("worst of the candidates", "np.matmul(probes, rows.T,", "np.matmul(-probes, rows.T,"),
        ("probes the last rows", "        probes = hidden[: self.n_probes]\n        n_best",
         "        probes = hidden[-self.n_probes :]\n        n_best"),
    ],
    "sklsh/network/retrieval.py": [
        ("hidden rows negated", "np.matmul(hidden[start:stop]", "np.matmul(-hidden[start:stop]"),
        ("farthest rows", "queries = head[items[start:stop]]",
         "queries = -head[items[start:stop]]"),
        ("no candidates of tables", "named_indptr, named = name_items(begin, end, hidden)",
         "named_indptr, named = name_items(begin, end, -hidden)"),
    ],
    "sklsh/network/topk.py": [
        ("queries negated", "index.query(hidden, n_threads)", "index.query(-hidden, n_threads)"),
    ],
}  # fmt: skip
"""Faults of a file that are tried first, whatever the sample: (what, text, text instead)."""

LIBRARIES = (
    "pytest", "hypothesis.strategies", "numba", "scipy.sparse", "joblib",
    "sklearn.utils.estimator_checks", "sklearn.model_selection", "sklearn.pipeline",
)  # fmt: skip

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
    ast.MatMult: ast.Sub,
}  # fmt: skip


HARMLESS = "strict", "copy", "assume_unique", "frozen", "eq", "n_jobs", "n_threads"
"""Keywords and defaults that only guard or only save time: no result depends on them."""

TUNED = "BATCH_ACTIVE", "KEPT", "N_CANDIDATES", "N_SCORED", "A_PLACE", "SHARPNESS", "MASKED"
"""Constants that were measured: a test that held them would hold yesterday's output."""

SIZES = (
    "CODE_BYTES", "SEGMENT_ROWS", "QUERY_WORK", "ROW_BLOCK", "per_task", "prefix_bits", "mean",
    "BLOCK", "TABLES", "MAX_DIRECT_BITS", "ROWS", "PROBES", "POOL", "ITEMS", "OFFSETS", "QUERIES",
    "USERS", "LABELS", "WHOLE", "row_block", "width",
)  # fmt: skip
"""Sizes of tasks, blocks and prefixes: what is assigned to them changes time, no result."""


EQUIVALENT = {
    "sklsh/federated/device.py": [
        ("epochs = range(start // n_rows, (start + count - 1) // n_rows + 1)", {"Sub -> Add"},
         "one more pass may be drawn, and is cut off"),
    ],
    "sklsh/network/retrieval.py": [
        ("np.zeros(end - begin + 1, np.int64), np.empty(0, np.int32)",
         {"Sub -> Add", "1 -> 2", "0 -> 1"}, "nothing but zeros: no list of names has an entry"),
        ("factors = np.zeros((n_items, 0), dtype=np.float32)", {"0 -> 1"},
         "the kernel goes over the columns that users have: none"),
        ("nothing = np.zeros(n_items + 1, dtype=np.int64), np.empty(0, dtype=np.int32)",
         {"1 -> 2", "0 -> 1"}, "nothing but zeros: no item has a coefficient"),
        ("return *nothing, np.empty(0, dtype=np.float32), np.float32(0)", {"0 -> 1"},
         "no item has a coefficient that could be weighed"),
        ("lengths = np.where(norms > 0, norms, np.float32(1))", {"1 -> 2"},
         "a row of zeros is never named, whatever divides it"),
        ("position_of = np.full(network.n_labels, -1", {"1 -> 2"},
         "any negative number says that an item has no position"),
    ],
    "sklsh/network/topk.py": [
        ("return np.full(n_labels, -1", {"1 -> 2"}, "any negative number stands for nobody"),
    ],
}  # fmt: skip
"""Mutants that no test could find, as they compute the same: (text of the line, changes, why)."""


@dataclass(frozen=True)
class Mutant:
    path: str
    line: int
    change: str
    text: str


def mutants_of(path: str) -> list[Mutant]:
    """Every mutant of a file, but those of `EQUIVALENT`."""
    source = (ROOT / path).read_text()
    lines, same = source.splitlines(), EQUIVALENT.get(path, [])
    for text, *_ in same:
        if source.count(text) != 1:
            sys.exit(
                f"{path}: {text!r} of EQUIVALENT is there {source.count(text)} times, not once"
            )
    tree = ast.parse(source)
    found = []
    for node in _code(tree):
        for change, apply in _changes(node):
            undo = apply()
            line = lines[node.lineno - 1]
            if not any(text in line and change in changes for text, changes, _ in same):
                found.append(Mutant(path, node.lineno, change, ast.unparse(tree)))
            undo()
    return found


def named_mutants(path: str, faults: list) -> list[Mutant]:
    """Faults of `NAMED` or `MENDS`. What they replace must be there once: a file that has moved on
    needs its faults moved on too."""
    source = (ROOT / path).read_text()
    found = []
    for what, before, after, *_ in faults:
        if source.count(before) != 1:
            sys.exit(f"{path}: {before!r} is there {source.count(before)} times, not once ({what})")
        line = source[: source.index(before)].count("\n") + 1
        found.append(Mutant(path, line, what, source.replace(before, after)))
    return found


def _code(tree):
    """Nodes that run, without what only speaks."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            skipped.update(map(id, ast.walk(node)))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            if isinstance(node, ast.FunctionDef):
                for part in [node.args, node.returns, *node.decorator_list]:
                    if part is not None:
                        annotations = [
                            a.annotation for a in ast.walk(part) if hasattr(a, "annotation")
                        ]
                        for annotation in filter(None, [*annotations, node.returns]):
                            skipped.update(map(id, ast.walk(annotation)))
                for argument, default in _defaults(node.args):
                    if argument.arg in HARMLESS and default is not None:
                        skipped.update(map(id, ast.walk(default)))
                if node.name == "__repr__":
                    skipped.update(map(id, ast.walk(node)))
        elif _is_harmless(node):
            skipped.update(map(id, ast.walk(node)))
        elif isinstance(node, ast.AnnAssign):
            skipped.update(map(id, ast.walk(node.annotation)))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(map(id, ast.walk(node)))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            skipped.add(id(node))
    return [n for n in ast.walk(tree) if id(n) not in skipped and hasattr(n, "lineno")]


def _defaults(args: ast.arguments):
    """(argument, default) of those that have one, or may."""
    places = [*args.posonlyargs, *args.args]
    yield from zip(places[len(places) - len(args.defaults) :], args.defaults, strict=True)
    yield from zip(args.kwonlyargs, args.kw_defaults, strict=True)


def _is_harmless(node) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in HARMLESS
    if isinstance(node, ast.Assign):
        names = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
        return all(getattr(n, "id", getattr(n, "attr", None)) in SIZES + TUNED for n in names)
    return False


def _changes(node):
    """(what, a function that changes the tree and returns one that changes it back)."""

    def setting(of, name, value):
        def apply():
            before = getattr(of, name)
            setattr(of, name, value)
            return lambda: setattr(of, name, before)

        return apply

    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            other = COMPARISONS[type(operator)]()
            ops = [*node.ops[:i], other, *node.ops[i + 1 :]]
            yield f"{type(operator).__name__} -> {type(other).__name__}", setting(node, "ops", ops)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        if not any(isinstance(n, ast.Constant) and isinstance(n.value, str)
                   for n in ast.iter_child_nodes(node)):  # fmt: skip
            other = OPERATORS[type(node.op)]()
            yield f"{type(node.op).__name__} -> {type(other).__name__}", setting(node, "op", other)
    elif isinstance(node, ast.BoolOp):
        other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield f"bool -> {type(other).__name__}", setting(node, "op", other)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield (
            f"{type(node.op).__name__} -> plus",
            setting(node, "op", ast.UAdd())
            if isinstance(node.op, ast.USub | ast.Invert)
            else setting(node, "operand", ast.UnaryOp(ast.Not(), node.operand)),
        )
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        if value != node.value:  # 1e30 has no neighbour at a distance of 1
            yield f"{node.value} -> {value}", setting(node, "value", value)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "condition -> not", setting(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "return -> None", setting(node, "value", ast.Constant(None))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "call -> pass", setting(node, "value", ast.Constant(None))


class OneModule(importlib.machinery.SourceFileLoader):
    """Finds and loads the mutant, and leaves all other modules to others."""

    def __init__(self, mutant: Mutant):
        name = mutant.path.removesuffix(".py").replace("/", ".")
        super().__init__(name, str(ROOT / mutant.path))
        self._text = mutant.text

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            return importlib.util.spec_from_file_location(name, self.path, loader=self)
        return None

    def get_code(self, fullname):
        return compile(self._text, self.path, "exec")


class First:
    """Tells the parent which test fails first."""

    def __init__(self, pipe):
        self.pipe = pipe

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.pipe.send(report.nodeid)


def run_tests(mutant: Mutant | None, tests: list[str], pipe) -> None:
    """In a fork: ends the process with pytest's code."""
    import pytest

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    if mutant is not None:
        sys.meta_path.insert(0, OneModule(mutant))
    sys.path.insert(0, str(ROOT))
    options = ["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow",
               "--hypothesis-profile", "few"]  # fmt: skip
    code = 70
    try:
        code = pytest.main([*options, *tests], plugins=[First(pipe)])
    finally:
        os._exit(int(code))


def found_by(mutant: Mutant | None, tests: list[str], seconds: float | None) -> str | None:
    """The test that fails first, or why there is none; None if all pass."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_tests, args=(mutant, tests, sender))
    process.start()
    sender.close()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    if process.exitcode == 0:
        return None
    try:
        return receiver.recv() if receiver.poll() else f"the tests end with {process.exitcode}"
    except EOFError:
        return f"the tests end with {process.exitcode}"


def check(name: str, sample: int, seed: int, only: str = "") -> tuple[int, list[Mutant]]:
    """Number of mutants tried, and the survivors; of files whose path has `only` in it."""
    files = {path: tests for path, tests in TARGETS[name].items() if only in path}
    named = [mutant for path in files for mutant in named_mutants(path, NAMED.get(path, []))]
    every = [mutant for path in files for mutant in mutants_of(path)]
    chosen = named + random.Random(seed).sample(every, min(sample, len(every)))
    print(f"{name}: {len(named)} named, {len(every)} others, {len(chosen)} tried", flush=True)
    survivors = []
    for path, tests in files.items():
        of_file = [mutant for mutant in chosen if mutant.path == path]
        start = time.perf_counter()
        if failed := found_by(None, tests, None):
            sys.exit(f"{path}: the tests fail without a mutant: {failed}")
        seconds = time.perf_counter() - start
        for done, mutant in enumerate(of_file, 1):
            if done % 10 == 0:
                print(f"  {path}: {done} of {len(of_file)}", flush=True)
            found = found_by(mutant, tests, LIMIT * seconds + 30)
            if found is None:
                survivors.append(mutant)
                print(f"  survives: {path}:{mutant.line}: {mutant.change}", flush=True)
            elif mutant in named:
                print(f"  {path}: {mutant.change}: {found}", flush=True)
        print(f"  {path}: {len(of_file)} tried, tests take {seconds:.0f} s", flush=True)
    return len(chosen), survivors


def check_mends(only: str) -> tuple[int, list[Mutant]]:
    """`check` of `MENDS`: each is to be found by the test that it names."""
    tried, survivors = 0, []
    for path, faults in MENDS.items():
        if only not in path:
            continue
        for mutant, fault in zip(named_mutants(path, faults), faults, strict=True):
            tried, found = tried + 1, found_by(mutant, [fault[-1]], None)
            print(f"  {path}: {mutant.change}: {found or 'SURVIVES'}", flush=True)
            if found is None:
                survivors.append(mutant)
    return tried, survivors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=[*TARGETS, "mends", "all"], nargs="+")
    parser.add_argument("--sample", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the paths of the files to change")
    args = parser.parse_args()
    os.chdir(ROOT)
    for module in LIBRARIES:
        importlib.import_module(module)
    for name in TARGETS if "all" in args.target else args.target:
        if name == "mends":
            tried, survivors = check_mends(args.only)
        else:
            tried, survivors = check(name, args.sample, args.seed, args.only)
        killed = tried - len(survivors)
        share = 100 * killed / max(tried, 1)
        print(f"{name}: {killed} of {tried} killed, {share:.0f} %", flush=True)


if __name__ == "__main__":
    main()
