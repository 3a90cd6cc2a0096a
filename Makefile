# What can be done with a checkout. `make demo` and `make test` need nothing but python3, make, PyPI and npm.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check golden docs break break-all soak bench lock

PYTHON := .venv/bin/python
BIN := .venv/bin
# One more than there are cores: tests of whole processes spend a part of their time waiting, and each collects all.
JOBS ?= $(shell expr `getconf _NPROCESSORS_ONLN` + 1)

help: ## Name the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## Make .venv with everything that is locked; quick where nothing has changed.
	@scripts/setup.sh

demo: setup ## Pull from a simulated Wiz tenant, publish, query; prints a link to the console.
	@$(BIN)/ocelog demo

# What is compiled is kept, also where Python is told not to: each worker would compile every test anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest -n $(JOBS) --dist worksteal

test: setup ## Run the tests, but those that take longest and those on PostgreSQL.
	@HYPOTHESIS_PROFILE=quick $(PYTEST) -m "not slow and not postgresql"

test-all: setup ## Run every test, as CI does.
	@$(PYTEST)

check: setup ## Style, types, layers.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

golden: setup ## Write the golden files of the schemas anew; read the difference before you commit it.
	$(PYTHON) scripts/golden.py

docs: setup ## Write docs/reference, and what the tutorial shows, anew from the code.
	$(PYTHON) scripts/reference.py
	$(PYTHON) scripts/tutorial.py

break: setup ## Break the code on purpose, one of the chief rules at a time: each break must turn a test red.
	$(PYTHON) scripts/breaks.py

break-all: setup ## The same for every rule that has a break.
	$(PYTHON) scripts/breaks.py --all

soak: setup ## Run 5,000 seeds of the simulation (SEEDS=n for others), 150 kills, 30 stops, 10 min of PostgreSQL.
	$(PYTHON) scripts/soak.py $(SEEDS)

bench: ## Measure, beside other ways to do the same.
	@scripts/setup.sh requirements-bench.lock
	$(PYTHON) bench/run.py

lock: ## Resolve the dependencies anew (needs uv).
	uv lock
	uv export --quiet --frozen --all-extras --no-header --no-annotate --no-emit-project --group dev --no-group bench -o requirements.lock
	uv export --quiet --frozen --all-extras --no-header --no-annotate --no-emit-project --group dev --group bench -o requirements-bench.lock
