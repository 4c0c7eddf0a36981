# Every target sets itself up: a fresh clone needs Python 3.11 or later, make, and an index
# that pip can reach. Stamps inside .venv say which extras are installed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-floors test-3.13 coverage lint bench bench-quick bench-classifier \
	bench-federated bench-attacks bench-recommender doc clean

VENV := .venv
BIN := $(VENV)/bin
# Compiled kernels are kept between runs, beside the checkout and out of the package.
export NUMBA_CACHE_DIR := $(CURDIR)/.numba_cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Set PYTHON=/path/to/python to choose the interpreter that makes the environment.
PYTHON ?=

help:
	@echo "make demo      train on the bundled WordNet subset and print how good it is"
	@echo "make test      tests and doctests, without those marked slow"
	@echo "make test-all  all tests and doctests, those with Flower and Dask too"
	@echo "make test-floors        the tests with the oldest libraries allowed; test-3.13: on 3.13"
	@echo "make lint      ruff, mypy, codespell"
	@echo "make coverage  lines that the tests run, kernels without compilation"
	@echo "make bench     every comparison and a table of targets and results (hours);"
	@echo "               ARGS=\"--data FOLDER\" for the public data sets"
	@echo "make bench-quick        the same questions put to bundled data, in minutes"
	@echo "make bench-classifier   the classifier beside libpecos, omikuji, napkinXC"
	@echo "make bench-attacks      hostile devices, curious servers: a quarter of an hour"
	@echo "make doc       documentation, to doc/_build/html"

$(VENV)/.made:
	@python=""; \
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	    2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "sklsh needs Python 3.11 or later with its venv module; none was found as python3," \
	    "python3.13, python3.12 or python3.11. Name one: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	"$$python" -m venv $(VENV)
	@touch $@

# One stamp for each set of extras, so that a demo does not wait for the test tools.
$(VENV)/.with-%: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch $@

demo: $(VENV)/.with-cli
	$(BIN)/sklsh demo

# A process for each core; who has done its share takes tests from the others.
EVERY_CORE := -n auto --maxprocesses 8 --dist worksteal

test: $(VENV)/.with-test
	$(BIN)/python -m pytest -m "not slow" $(EVERY_CORE)

test-all: $(VENV)/.with-test-all
	$(BIN)/python -m pytest $(EVERY_CORE)

# Compiled kernels can't be watched: their own tests run once more as plain Python, with few
# examples, as the whole suite would take hours that way.
KERNEL_TESTS = $(shell grep -l "from sklsh.kernels" -r tests --include="test_*.py") \
	tests/network/test_prototypes.py tests/test_validation_x.py
# The oldest libraries that pyproject.toml allows, and another Python, in environments of their own.
FLOORS := numpy==1.26.* scipy==1.15.* scikit-learn==1.7.* numba==0.61.* joblib==1.4.* threadpoolctl==3.1.* \
	pandas==2.2.*
test-floors: $(VENV)/.made
	$(BIN)/python -m venv .venv-floors
	.venv-floors/bin/python -m pip install --quiet --editable ".[test]" $(FLOORS:%="%")
	.venv-floors/bin/python -m pytest -m "not slow" $(EVERY_CORE)

test-3.13:
	python3.13 -m venv .venv-3.13
	.venv-3.13/bin/python -m pip install --quiet --editable ".[test]"
	.venv-3.13/bin/python -m pytest -m "not slow" $(EVERY_CORE)

coverage: $(VENV)/.with-test
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m "not slow" --hypothesis-profile=few \
	  --cov --cov-report= $(KERNEL_TESTS)
	$(BIN)/python -m pytest -m "not slow" --hypothesis-profile=few --cov --cov-append \
	  --cov-report=term-missing:skip-covered --cov-fail-under=95

lint: $(VENV)/.with-lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pre-commit run --all-files --show-diff-on-failure

# libpecos asks for numpy and scipy older than sklsh's, and for language models that its linear
# trees do not use: it goes in without what it names, into an environment of its own. ARGS as in
# the script's first lines, such as ARGS="--data FOLDER --sets a,b --synthetic".
PEERS := .venv-peers
$(PEERS)/.made: $(VENV)/.made pyproject.toml
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --editable ".[bench,peers]"
	$(PEERS)/bin/python -m pip install --quiet --no-deps "libpecos>=1.2.8"
	@touch $@

bench: $(PEERS)/.made
	$(PEERS)/bin/python benchmarks/run_all.py $(ARGS)

# Peers are left out where `make bench` has not installed them.
bench-quick: $(VENV)/.with-bench
	python=$(BIN)/python; \
	if [ -e $(PEERS)/.made ]; then python=$(PEERS)/bin/python; fi; \
	$$python benchmarks/run_all.py --quick $(ARGS)

bench-classifier bench-recommender: bench-%: $(PEERS)/.made
	$(PEERS)/bin/python benchmarks/bench_$*.py $(ARGS)

bench-federated bench-attacks: bench-%: $(VENV)/.with-bench
	$(BIN)/python benchmarks/bench_$*.py $(ARGS)

doc: $(VENV)/.with-doc
	$(BIN)/python -m sphinx -W --keep-going -b html doc doc/_build/html

clean:
	rm -rf $(VENV) $(PEERS) .venv-floors .venv-3.13 .numba_cache .pytest_cache .mypy_cache .ruff_cache .hypothesis doc/_build doc/generated doc/auto_examples doc/sg_execution_times.rst dist
