VENV ?= .venv
PYTHON ?= python3
PROFILE ?= cpu

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests talk to this machine only, and so do the kernels and processes that they start; and they train on the CPU.
OFFLINE := PYTHONPATH=$(CURDIR)/tests/offline CUDA_VISIBLE_DEVICES=
# A cell of a lesson in the smoke profile takes seconds; a kernel that died is found out after this many.
CELL_TIMEOUT := 120

.DEFAULT_GOAL := help
.PHONY: help setup lint unit lessons test test-all course report notebooks clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "make %-16s %s\n", $$1, $$2}'
	@echo 'Settings: VENV=$(VENV) PYTHON=$(PYTHON) PROFILE=$(PROFILE)'

setup: $(READY) ## make the virtual environment, install the course, fetch weights and data

$(READY): pyproject.toml requirements.txt constraints.txt data/assets.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "LoRA Lab needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m loralab assets
	@touch $(READY)

lint: setup ## check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: setup ## run the unit tests
	$(OFFLINE) $(BIN)/pytest tests

lessons: setup ## run every Spanish lesson on tiny data, each one alone
	$(OFFLINE) $(BIN)/pytest -x --nbval-lax --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT) notebooks/es

test: lint unit lessons ## everything that CI checks

test-all: lint lessons ## the same, and the checks that take minutes
	$(OFFLINE) $(BIN)/pytest tests -m 'slow or not slow'

course: setup ## run the six lessons on real data (PROFILE) and write results/PROFILE/report.html
	LORALAB_PROFILE=$(PROFILE) $(BIN)/python notebooks/execute.py es
	LORALAB_PROFILE=$(PROFILE) $(BIN)/python -m loralab report --language es

report: setup ## write the report again from the results at hand (PROFILE)
	LORALAB_PROFILE=$(PROFILE) $(BIN)/python -m loralab report --language es

notebooks: setup ## build both editions of the lessons and run them in place (PROFILE)
	$(BIN)/python notebooks/build.py
	LORALAB_PROFILE=$(PROFILE) $(BIN)/python notebooks/execute.py es en --in-place

clean: ## remove the virtual environment and what tools left behind; results stay
	rm -rf $(VENV) build *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
