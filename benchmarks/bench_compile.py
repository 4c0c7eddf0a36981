"""What does the first fit on a machine compile, and how dear is each kernel?

Processor seconds in numba's compiler by kernel (without those of the kernels that it calls) and
how many signatures, for a default fit of the bundled set with nothing in the cache. With ``all``
also what `sklsh.warm_up` compiles beyond that.

    python benchmarks/bench_compile.py [fit | hasher | recommender | all]
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import defaultdict

CACHE = tempfile.TemporaryDirectory(prefix="bench-compile-")
os.environ["NUMBA_CACHE_DIR"] = CACHE.name  # before numba is loaded

from numba.core import event  # noqa: E402

TARGET = 12.0
"""Processor seconds of compiling in a first fit."""


class Watch(event.Listener):
    """Processor seconds of each kernel's compilations, without those of the kernels it calls."""

    def __init__(self):
        self.seconds, self.signatures = defaultdict(float), defaultdict(list)
        self.open = threading.local()

    def on_start(self, event):
        self.open.__dict__.setdefault("stack", []).append([time.thread_time(), 0.0])

    def on_end(self, event):
        stack = self.open.stack
        begin, inner = stack.pop()
        spent = time.thread_time() - begin
        if stack:
            stack[-1][1] += spent
        kernel = event.data["dispatcher"].py_func
        name = f"{kernel.__module__.rpartition('.')[2]}.{kernel.__name__}"
        self.seconds[name] += spent - inner
        self.signatures[name].append(event.data["args"])

    def report(self, title: str, verbose: bool = False) -> float:
        total = sum(self.seconds.values())
        print(f"{title}: {total:.1f} processor seconds, {len(self.seconds)} kernels")
        for name, spent in sorted(self.seconds.items(), key=lambda item: -item[1]):
            print(f"  {spent:6.2f}  {len(self.signatures[name])} x {name}")
            if verbose:
                for arguments in self.signatures[name]:
                    print("            ", *arguments, sep="  ")
        self.__init__()
        return total


def fit() -> None:
    from sklsh import SparseLSHMLPClassifier
    from sklsh.datasets import load_wordnet

    X_train, X_test, Y_train, _ = load_wordnet(return_X_y=True)
    SparseLSHMLPClassifier(random_state=0).fit(X_train, Y_train).predict_topk(X_test)


def main() -> None:
    part = sys.argv[1] if len(sys.argv) > 1 else "fit"
    verbose = "-v" in sys.argv
    watch = Watch()
    event.register("numba:compile", watch)
    if part in ("fit", "all"):
        start = time.process_time()
        fit()
        whole = time.process_time() - start
        total = watch.report("default fit and prediction of the bundled set", verbose)
        verdict = "met" if total <= TARGET else "MISSED"
        print(f"  of {whole:.1f} s in all; target {TARGET:.0f}: {verdict}")
    if part != "fit":
        import sklsh

        for kind in ("hasher", "recommender", "classifier") if part == "all" else (part,):
            sklsh.warm_up(kind)
            watch.report(f"then warm_up({kind!r})", verbose)


if __name__ == "__main__":
    main()
