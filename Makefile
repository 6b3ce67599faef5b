# Everything a person or a pipeline does with the project; `make help` lists it.
# State of a running portal lies under VAR_DIR (var/), installed packages under .venv/.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
CODE := connections_portal connections exports enrichments
CHECKED := manage.py $(CODE) benchmarks tests
CONTRACT := tests/services/contract
MANAGE := $(BIN)/python -m connections_portal.launcher
export PYTHON

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run worker check lint test postgres browser bench screenshots lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.dev ## Install the portal and everything needed to work on it into .venv

run: .venv/.run ## Start the portal with sample data and a sandbox server (PORT, VAR_DIR, DEMO_PASSWORD)
	@exec $(MANAGE)

worker: .venv/.run ## Start one more worker on the state of `make run`, or on the environment's (PROCESSES)
	@exec $(MANAGE) portal_worker --processes $(or $(PROCESSES),1)

check: .venv/.run ## Report settings that are unsafe or missing
	@$(MANAGE) check --deploy

lint: .venv/.dev ## Check style, templates, types, import directions, migrations and settings
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run --settings tests.lint_settings
	$(BIN)/python manage.py check --fail-level WARNING --settings tests.lint_settings

test: .venv/.dev .packages .descriptions ## Run all tests, browser tests included; those about the database on PostgreSQL too
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)
	$(BIN)/python -m tests.postgresql $(ARGS)

postgres: .venv/.dev .packages ## Run only the tests about the database, on PostgreSQL
	$(BIN)/python -m tests.postgresql $(ARGS)

browser: .venv/.dev .packages ## Run the browser tests only
	$(BIN)/python -m pytest -m browser $(ARGS)

bench: .venv/.run ## Measure NAME with ROWS rows (all benchmarks when NAME is not given)
	@.ci/ensure-packages.sh ssh || echo "Going on without OpenSSH."
	@$(BIN)/python -m benchmarks $(or $(NAME),all) $(ROWS)

screenshots: .venv/.dev .packages ## Write every page, light and dark, wide and narrow, to var/screenshots
	$(BIN)/python -m tests.browser.screenshots

lock: .venv/.dev ## Rewrite requirements*.txt from pyproject.toml
	$(LOCK) pyproject.toml --extra postgresql --output-file requirements.txt
	$(LOCK) pyproject.toml --extra postgresql --group dev --constraint requirements.txt --output-file requirements-dev.txt

# requirements-dev.txt holds the same pins as requirements.txt and more, so both stamps can stand side by side.
.venv/.run: requirements.txt
	@.ci/ensure-venv.sh
	$(PIP) --requirement $<
	@touch $@

.venv/.dev: requirements-dev.txt
	@.ci/ensure-venv.sh
	$(PIP) --requirement $<
	@touch $@

.PHONY: .packages
.packages:
	@.ci/ensure-packages.sh browser ssh
	@.ci/ensure-packages.sh postgres || echo "Going on without PostgreSQL."

# The services' own descriptions are no part of the project: where they are not there, nothing has to serve them.
.PHONY: .descriptions
ifneq ($(wildcard $(or $(CONTRACT_SPECS),../shared/specs)),)
.descriptions: $(CONTRACT)/node_modules/.stamp
else
.descriptions:
	@echo "Going on without descriptions of services."
endif

$(CONTRACT)/node_modules/.stamp: $(CONTRACT)/package-lock.json
	@.ci/ensure-packages.sh node
	npm ci --prefix $(CONTRACT) --no-fund --no-audit --ignore-scripts --loglevel error
	@touch $@
