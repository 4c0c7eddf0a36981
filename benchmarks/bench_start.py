"""How long does a new process take to its first model, with every kernel compiled before?

Seconds by the clock of an import and a default fit of 1,000 rows of the bundled set, medians of
several processes, beside the import of scikit-learn and numba alone: what cannot be had for less.

    python benchmarks/bench_start.py [REPEATS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys

TARGET = 2.0

PARTS = """
import time
begin = time.perf_counter()
import sklearn.base, numba
floor = time.perf_counter()
from sklsh import SparseLSHMLPClassifier
imported = time.perf_counter()
from sklsh.datasets import load_wordnet
X, _, Y, _ = load_wordnet(return_X_y=True)
loaded = time.perf_counter()
SparseLSHMLPClassifier(random_state=0).fit(X[:1000], Y[:1000])
print(floor - begin, imported - floor, time.perf_counter() - loaded)
"""


def main() -> None:
    n_repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    runs = []
    for _ in range(n_repeats + 1):
        answer = subprocess.run(
            [sys.executable, "-c", PARTS], check=True, capture_output=True, text=True
        )
        runs.append([float(part) for part in answer.stdout.split()])
    # The first one compiles what is not in the cache yet.
    libraries, own, fit = (statistics.median(part) for part in zip(*runs[1:], strict=True))
    total = libraries + own + fit
    print(f"import of scikit-learn and numba {libraries:.2f} s, of sklsh beyond it {own:.2f}")
    print(f"fit of 1,000 rows {fit:.2f} s")
    print(f"in all {total:.2f} s; target {TARGET:.0f}: {'met' if total <= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
