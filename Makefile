# Everything runs in .venv, which the first target makes. Needs Python >= 3.10, make and git; espeak-ng for one data set.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
JOBS ?= 2

.PHONY: demo test lint types format bench clean setup
.DEFAULT_GOAL := help

.PHONY: help
help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) espeak  ## make .venv with everything that is needed

.PHONY: espeak
espeak:
	@if command -v espeak-ng > /dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends espeak-ng > /dev/null; then exit 0; fi; \
	echo "The data set of speakers, and its tests, need espeak-ng: apt-get install espeak-ng, or brew install espeak-ng. All else works."

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ": make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## train on glyphs, validate, draw: the main job in under 3 minutes
	$(BIN)/oml demo

test: $(STAMP)  ## run the whole test suite
	$(BIN)/python -m pytest --numprocesses $(JOBS) $(ARGS)

lint: $(STAMP)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## check types
	$(BIN)/mypy

format: $(STAMP)  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## run the benchmarks; results go to benchmarks/results
	for script in $(filter-out benchmarks/report.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

pins: $(STAMP)  ## resolve the newest versions for each Python and system into constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 pyproject.toml --extra dev --no-annotate --no-header --output-file constraints.txt

clean:  ## remove what was made here, .venv included
	rm -rf .venv runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
