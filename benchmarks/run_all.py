"""All comparisons, one after the other, with a table of targets and results.

    python benchmarks/run_all.py [--data FOLDER] [--only classifier,hashing] [--write-doc]
    python benchmarks/run_all.py --quick
    python benchmarks/run_all.py --table

FOLDER holds data sets as the single benchmarks read them; without it only the bundled and
synthetic ones are used. `--quick` takes minutes: bundled data, few rounds, one run each, and
peers that are not installed are left out. `--table` runs nothing and sums up what is there.
Results go to `results/` (`results/quick/`), summed up in `summary.md` with the machine and the
plots; `--write-doc` puts the table into doc/benchmarks.md, and the README's from the records.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import front_page
from claims import table
from summary_plots import draw

HERE = Path(__file__).parent
DOC = HERE.parent / "doc" / "benchmarks.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
SETS = "mulan-delicious,citeulike-t-xmc,wordnet-related,bundled"


def long_plan(data: str | None) -> dict[str, list[list[str]]]:
    """Arguments of each benchmark's runs."""
    given = ["--data", data] if data else []
    parts = "throughput,scaling,model,decline" + (",mlp" if data else "")
    plan = {
        "hashing": [[]],
        "classifier": [
            [*given, "--sets", SETS if data else "bundled"],
            ["--sets", "", "--synthetic", "--systems", "sklsh,sklsh-narrow,libpecos"],
        ],
        "engine": [[*given, "--parts", parts]],
        "sampling": [[*given, "--sets", "wordnet-related" if data else "bundled", "--recall"]],
        "federated": [
            ["--part", part] for part in ("methods", "devices", "grid", "splits", "parts")
        ],
    }
    if data:
        plan["federated"] += [
            ["--part", "methods", "--data", f"{data}/wordnet-related", "--devices", "32",
             "--test-step", "5"],
            ["--part", "memory", "--data", f"{data}/wordnet-related", "--devices", "32"],
            ["--part", "methods", "--data", f"{data}/citeulike-t-xmc", "--hidden", "256",
             "--normalise"],
            ["--part", "recommender", "--data", f"{data}/gowalla", "--devices", "100",
             "--rounds", "30"],
        ]  # fmt: skip
        plan["recommender"] = [[*given, "--tune"], given]
    return plan


def quick_plan(folder: str) -> dict[str, list[list[str]]]:
    """The same questions, asked of bundled data, in minutes."""
    return {
        "hashing": [["--repeats", "1"]],
        "classifier": [["--repeats", "1", "--systems", "sklsh,libpecos,napkinxc,omikuji"]],
        "engine": [["--parts", "decline"]],
        "sampling": [["--seeds", "1", "--samplers", "uniform,random,pghash/8"]],
        "federated": [["--part", "methods", "--methods", "default,random ids,PGHash (paper)"]],
        "recommender": [["--data", folder, "--sets", "words", "--systems",
                         "LSHRecommender,by hash tables,stream of 20,user-kNN,implicit cosine"]],
    }  # fmt: skip


def write_words(folder: Path) -> None:
    """The bundled set's rows as users and their words as items: a fifth of them to be found."""
    import scipy.sparse as sp

    from sklsh.datasets import load_wordnet, split_interactions

    X = load_wordnet().X_train
    words = sp.csr_matrix((X.data > 0, X.indices, X.indptr), shape=X.shape).astype("float32")
    (folder / "words").mkdir()
    for name, part in zip(("train", "test"), split_interactions(words, random_state=0)):
        sp.save_npz(folder / "words" / f"{name}.npz", sp.csr_matrix(part))


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    found = {"system": platform.platform(terse=True), "processor": processor()}
    found["cores"] = str(len(os.sched_getaffinity(0)))
    found["memory"] = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB"
    found["python"] = platform.python_version()
    for name in ("sklsh", "numpy", "scipy", "scikit-learn", "numba", "libpecos", "omikuji",
                 "napkinxc", "torch", "implicit"):  # fmt: skip
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def run_plan(plan: dict, scripts: Path) -> dict[str, float]:
    """Minutes of each benchmark. One that fails is named, and does not stop the others."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(HERE.parent / ".numba_cache")}
    minutes = {}
    for name, calls in plan.items():
        start = time.perf_counter()
        for arguments in calls:
            print(f"\n== bench_{name} {' '.join(arguments)}", flush=True)
            command = [sys.executable, str(scripts / f"bench_{name}.py"), *arguments]
            code = subprocess.run(command, env=environment).returncode
            if code:
                print(f"bench_{name} ended with {code}", flush=True)
        minutes[name] = (time.perf_counter() - start) / 60
    return minutes


def markdown(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| what | target | result | |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def sum_up(results: Path, minutes: dict[str, float], write_doc: bool) -> None:
    rows = table(results)
    of = machine()
    (results / "machine.json").write_text(json.dumps(of, indent=1))
    pictures = draw(results)
    parts = [
        "# Targets and results\n\n", markdown(rows), "\n## Machine\n\n",
        *(f"- {name}: {value}\n" for name, value in of.items()),
        *(["\n## Minutes\n\n"] if minutes else []),
        *(f"- {name}: {value:.1f}\n" for name, value in minutes.items()),
        *(f"\n![{name}]({name})\n" for name in pictures),
    ]  # fmt: skip
    (results / "summary.md").write_text("".join(parts))
    print("\n" + markdown(rows))
    print(f"{results / 'summary.md'}: {len(rows)} lines, {len(pictures)} plots")
    if write_doc:
        # A line that was not measured here may have its figure elsewhere on the page.
        measured = [row for row in rows if row[3] != "not measured"]
        before, _, rest = DOC.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        DOC.write_text(before + BEGIN + markdown(measured) + END + after)
        front_page.README.write_text(front_page.written(front_page.README.read_text(), results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--only", help="benchmarks to run, separated by commas")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--write-doc", action="store_true")
    args = parser.parse_args()
    results = HERE / "results" / ("quick" if args.quick else "")
    results.mkdir(parents=True, exist_ok=True)
    minutes: dict[str, float] = {}
    if not args.table:
        with tempfile.TemporaryDirectory() as folder:
            if args.quick:
                # A copy of the scripts writes beside itself: long runs' results stay.
                scripts = Path(folder) / "benchmarks"
                shutil.copytree(HERE, scripts, ignore=shutil.ignore_patterns("results"))
                write_words(Path(folder))
                plan = quick_plan(folder)
            else:
                scripts, plan = HERE, long_plan(args.data)
            if args.only:
                plan = {name: plan[name] for name in args.only.split(",")}
            minutes = run_plan(plan, scripts)
            if args.quick and (scripts / "results").exists():
                shutil.copytree(scripts / "results", results, dirs_exist_ok=True)
    sum_up(results, minutes, args.write_doc)


if __name__ == "__main__":
    main()
