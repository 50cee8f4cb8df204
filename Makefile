# make study   the whole study, from data_raw/ to the report      make ui     Dagster in the browser
# make test    linter, unit, golden and end-to-end tests          make docs   write docs/OUTCOMES.md from the models
# make browser Dagster and the report in headless Chromium        make lock   renew the locks
# make bench   each computation compared with a library           make clean  remove what was built
# make columns 10,000 columns of known truth through the readers: what is read right, refused, or wrong in silence
# make faults  faults of real life in the ten centres' files: which central monitoring sees, and false alarms
# make fire    damaged and hostile files through every reader: each ends in values or a message
# make audit   known flaws of the packages in the lock; it needs the internet, and says so where there is none
# Each target sets itself up. It needs Python 3.11, make and the package registry; make browser also needs Chromium and
# its driver.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export CAPLA_MAKE_STARTED := $(shell date +%s)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 3000
# Compiled once at installation: without it every start compiles every package again.
COMPILE := env -u PYTHONDONTWRITEBYTECODE UV_COMPILE_BYTECODE=1

COMPILE_LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade

.PHONY: help study test browser bench columns faults fire docs audit ui lock clean

help:
	@sed -n 's/^# make /make /p' Makefile

study: $(READY)
	@$(BIN)/capla study

test: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-logo --no-cache
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 2

# Apart from the tests: about three minutes, and a browser.
browser: $(READY)
	$(BIN)/pytest tests/browser

bench: $(READY)
	@$(BIN)/python tests/benchmark/bench_statistics.py

# Apart from the tests: about twenty minutes. A smaller run is among them.
columns: $(READY)
	@$(BIN)/python -m tests.columns --columns 10000 --seed 1

# Apart from the tests: about an hour in two processes. A smaller run is among them.
faults: $(READY)
	@$(BIN)/python -m tests.faults

# Apart from the tests: about ten minutes. A smaller run is among them.
fire: $(READY)
	@$(BIN)/python -m tests.fire --inputs 10000

docs: $(READY)
	@$(BIN)/python -m capla_etl.protocol.document

audit: $(READY)
	@$(BIN)/capla audit dependencies

ui: $(READY)
	@exec $(BIN)/capla ui --port $(PORT)

# The environment: two tools, then everything in the lock, then this package. All checked against their hashes.
$(READY): requirements.lock requirements-build.lock pyproject.toml
	@for name in python3.11 python3 python; do \
		"$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && python=$$name && break; done; \
	[ "$$python" ] || { echo "Python 3.11 was not found: install it so that 'python3.11' starts it."; exit 1; }; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV) || \
		{ echo "Python's venv module is missing (Debian, Ubuntu: apt install python3.11-venv)."; exit 1; }
	@echo "Setting up the environment in $(VENV) (once; about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@$(COMPILE) $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Environment ready after $$(( $$(date +%s) - $(CAPLA_MAKE_STARTED) )) s"

# Locks for every platform, with hashes. The one target that may change versions.
lock: $(READY)
	$(COMPILE_LOCK) --extra test --output-file requirements.lock pyproject.toml
	$(COMPILE_LOCK) --group build --output-file requirements-build.lock

clean:
	rm -rf $(VENV) *.egg-info dbt_project/target dbt_project/logs .pytest_cache .ruff_cache
	find warehouse -mindepth 1 -not -name README.md -delete
	find .dagster_home -mindepth 1 -not -name dagster.yaml -delete
	find capla_etl tests -name __pycache__ -type d -prune -exec rm -rf {} +
