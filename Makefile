PYTHON ?= python3
IMAGES ?= demo/digits
PYTHONS ?= $(PYTHON)
BIN := .venv/bin
# CI runs the slow tests as well.
PYTEST_ARGS ?= $(if $(CI),-m "slow or not slow")

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/installed  ## the whole job on handwritten digits, or on IMAGES=photos/
	@if [ "$(IMAGES)" = demo/digits ]; then $(BIN)/python demo/digits.py demo/digits; fi
	$(BIN)/demijohn run "$(IMAGES)" $(if $(filter demo/digits,$(IMAGES)),--store demo/bottlenecks)
	@echo "To go on: source .venv/bin/activate; demijohn run photos/"

dev: .venv/dev-installed .dev/demijohn  ## make .venv with everything that developing needs

# Tests start many processes, and each would compile what an environment forbids to keep compiled.
test: export PYTHONDONTWRITEBYTECODE =
test: lint types  ## lint, types and tests; what CI runs
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(PYTEST_ARGS)

lint: dev  ## ruff, style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev  ## mypy, strict
	$(BIN)/mypy -p demijohn.pipeline -p demijohn.cache -p demijohn.models

check: lint types  ## lint and types, without the tests

cover: dev  ## tests with a coverage report
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

bench: dev  ## every speed claim, measured here
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done
	$(BIN)/python benchmarks/extract.py all

package: dev  ## sdist and wheel, checked and tried in fresh environments of PYTHONS="python3.11 ..."
	DEMIJOHN_PYTHONS="$(PYTHONS)" $(BIN)/python -m pytest -m slow tests/test_packaging.py

clean:  ## remove everything that make made
	rm -rf .venv .dev build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage demo/digits demo/bottlenecks

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "demijohn needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/dev-installed: .venv/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/installed

# The three top folders are demijohn's subpackages; through this link mypy sees them under that name.
.dev/demijohn:
	@mkdir -p .dev
	ln -sfn .. .dev/demijohn

.PHONY: help demo dev test lint types check cover bench package clean
