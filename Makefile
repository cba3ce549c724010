# Two commands matter: `make demo` shows what a user sees, `make test` proves it works.
# Everything lives in .venv; the versions are those of uv.lock.

PYTHON ?= python3
UV := .venv/bin/uv
UV_VERSION := 0.13.9
RUN := .venv/bin
# Tests start many processes, each of which would compile all it imports anew where this is set.
export PYTHONDONTWRITEBYTECODE :=

PYTEST := $(RUN)/pytest -n 2 --dist worksteal
# `test` has these tests and then all others, so that each runs once on SQLite. What lines they run is measured there: it
# costs half their time more.
QUICK := not browser and not process and not dear
# What is tested there is the same whatever database is beneath it.
SAME_ON_BOTH := caseload_forms caseload_questions nginx pages rulebook

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick check fix docs docs-stale bench bench-peers bench-spark clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.set-up ## make .venv and install everything from the lock file

.venv/.set-up: uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "cjit needs Python 3.11 or later; name it with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) sync --frozen --all-groups --no-group peers --all-extras --inexact --quiet
	@touch $@

demo: setup ## make a made-up submission with some faults, check it, and start the service
	@$(RUN)/python scripts/demo.py

test: check ## all that `check` does, and every test; those that use the database on SQLite and on PostgreSQL
	$(PYTEST) -m "$(QUICK)" --cov=cjit --cov-report=term:skip-covered
	$(PYTEST) -m "not ($(QUICK))"
	CJIT_TEST_DATABASE=postgresql POLARS_MAX_THREADS=1 $(PYTEST) tests/web -m "not browser" $(SAME_ON_BOTH:%=--ignore=tests/web/test_%.py)

test-quick: setup ## the tests that open no browser, start no process and try no law at length
	$(PYTEST) -m "$(QUICK)"

check: setup ## everything `test` does, but the tests
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	CJIT_SECRET_KEY=none CJIT_HOME=.mypy_cache/home $(RUN)/mypy
	$(RUN)/lint-imports --no-logo
	$(MAKE) --no-print-directory docs-stale

fix: setup ## mend format and lint where a tool can
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

docs: setup ## write the generated pages and build the site into site/
	$(RUN)/python scripts/build_docs.py
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict --quiet
	@echo "The site is in site/index.html"

docs-stale: setup
	$(RUN)/python scripts/build_docs.py --check

bench: setup ## measure the check, the service and the caseload, and write the tables in benchmarks/
	$(RUN)/python benchmarks/run.py
	$(RUN)/python benchmarks/service.py
	$(RUN)/python benchmarks/caseload.py

# The peers have an environment of their own, so that nothing else depends on whether they are installed.
bench-peers: setup ## measure 25 rules beside the same in other libraries, and write benchmarks/peers/README.md (ARGS=--quick)
	@UV_PROJECT_ENVIRONMENT=.venv/peers $(UV) sync --frozen --python $(RUN)/python --group peers --quiet
	.venv/peers/bin/python -m benchmarks.peers.run $(ARGS)

bench-spark: setup ## measure the check in Spark beside the check on one machine
	$(RUN)/python -m benchmarks.spark

clean: ## remove what was made
	rm -rf .venv site demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage benchmarks/data
