# `make run` and `make test` are all the set-up there is; `make help` lists the rest.
PYTHON ?= python3
ARGS ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UNFINISHED := $(VENV)/.unfinished
KERNELS := $(VENV)/.kernels

.DEFAULT_GOAL := help
.PHONY: help venv run test lint bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@echo 'Options go into ARGS, as in: make run ARGS="--budget-minutes 2"'

run: $(KERNELS)  ## the main job: simulate, train, evaluate, export, report
	$(BIN)/quell run $(ARGS)

test: $(KERNELS)  ## the tests, without those marked slow or gpu
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p quell

bench: $(KERNELS)  ## the benchmarks
	$(BIN)/quell bench $(ARGS)

venv: $(READY)  ## install the tested versions into .venv (every other target does this first)

clean:  ## remove .venv and all caches; results (mlflow.db, mlruns, quell-output) stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An install that was cut off leaves $(UNFINISHED) behind, and the next one starts from nothing.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Quell needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1). Name another: make PYTHON=PATH" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian, install the package python3-venv" >&2; exit 2; }
	@if [ -e $(UNFINISHED) ]; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && touch $(UNFINISHED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/quell  # so that mypy finds the package quell in this folder
	@rm $(UNFINISHED) && touch $(READY)

# Numba's cache sees a change in a kernel's own file only, not in one that it calls: so it is made anew for any change.
$(KERNELS): $(READY) $(wildcard baseline/*_kernels.py env/*/*_kernels.py) env/model/compiled.py env/world/price.py
	@echo 'compiling the kernels of search and world (about two minutes)'
	@find baseline env -name '*.nb[ic]' -delete
	@$(BIN)/python -m quell.baseline.warm_up
	@touch $@
