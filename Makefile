# Everything happens in a virtual environment in .venv, made on first use and again when the requirements change.

PYTHON ?= python3
IMAGES ?= samples/*.jpg
OUTPUT ?= captions
# The samples are captioned again each time, your own images only once.
AGAIN := $(if $(filter samples/%,$(IMAGES)),--recaption)
export IMAGES OUTPUT # read by the shell rather than pasted into commands, so that spaces and quotes in them are safe

VENV := .venv
BIN := $(VENV)/bin
# The versions that the tests ran with, which are the image's, too.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint $(VENV)/constraints.txt --editable

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help caption test test-slow test-engines mutants bench lint clean

help: ## Show this list
	@echo "make <target>, where the target is one of"
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  %-12s %s\n' "$$name" "$$text"; done
	@echo "Settings: IMAGES='photos/*.jpg' OUTPUT=folder (caption), TESTS='tests/train -k text' (test), PYTHON=python3.12"

caption: $(VENV)/installed ## Caption the photographs in samples/, or IMAGES='...' into OUTPUT=...
	@$(BIN)/python -m beam_job --images "$$IMAGES" --output "$$OUTPUT" --runner DirectRunner --print_captions $(AGAIN)

test: $(VENV)/installed-test ## Run the tests, in two processes
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(TESTS)

test-slow: $(VENV)/installed-test ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow $(TESTS)

test-engines: $(VENV)/installed-test ## Run the job on Prism and Flink, which go and mvn download to .engines
	$(BIN)/python -m pytest -m engines tests/engines

mutants: $(VENV)/installed-mutants ## Put small faults into the code: do the tests notice? Up to an hour (MUTANTS='--all runs/shards': of one module)
	$(BIN)/python -m tests.mutants $(MUTANTS)

bench: $(VENV)/installed-test ## Measure speed, an hour (BENCH=--quick: some minutes); a page of plots in benchmarks/results
	$(BIN)/python -m benchmarks --output benchmarks/results $(BENCH)

lint: $(VENV)/installed-test ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## Remove the virtual environment and everything that was built; captions stay
	rm -rf $(VENV) mutants build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each says that the step before it is done, and is made again when what it depends on has changed.

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is not: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made setup.py image/requirements.txt
	@echo "Installing Beam and TensorFlow into $(VENV): some minutes, once."
	@sed 's/ --hash.*//' image/requirements.txt >$(VENV)/constraints.txt
	@$(INSTALL) .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@$(INSTALL) '.[test]'
	@touch $@

$(VENV)/installed-mutants: $(VENV)/installed-test
	@$(INSTALL) '.[test,mutants]'
	@touch $@
