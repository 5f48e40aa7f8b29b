# Every target sets up what it needs in .venv; a machine needs only Python 3.11 or newer, and make.

PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/pytest --numprocesses auto --dist worksteal $(PYTEST_OPTIONS)

.PHONY: demo test lint bench clean

demo: .venv/demo  ## train four models, log them, show the project and its files
	@rm -rf demo
	@$(BIN)/python examples/compare_models.py demo

test: lint  ## everything: lint, types, layers, then the fast tests, then the slow ones
	$(PYTEST) -m "not slow"
	$(PYTEST) -m slow

lint: .venv/test  ## style, types, import layers, dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry lazytrack

bench: .venv/test  ## all benchmarks, written to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py --write

clean:
	rm -rf .venv demo

.venv/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lazytrack needs Python 3.11 or newer: make PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

.venv/demo .venv/test: .venv/%: pyproject.toml .venv/pip
	@echo "setting up .venv ($*)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group $*
	@touch $@
