# What a person types. Everything runs from .venv, which is made on first use and again
# when a lock file changes. ARGS goes to the command: make demo ARGS=--once
.DEFAULT_GOAL := help
.PHONY: help demo test test-postgres check bench kill campaign matrix screenshots docs lock venv venv-dev browser
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# Tests, the demo and the bench start many processes: where bytecode is not kept, as in many
# an image, each compiles the project anew, a third of what a start costs.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Two tests at a time.
PARALLEL := -n 2 --dist worksteal

help:
	@echo "make demo   four systems brought into step, and the admin to look at it"
	@echo "make test   the whole suite, on SQLite and on PostgreSQL, browser included"
	@echo "make check  linters, types, import contracts, migrations, deployment settings"
	@echo "make test-postgres  every case of every test that uses our database, on PostgreSQL"
	@echo "make bench  speed, calls and memory by number of contacts (--database, --sizes)"
	@echo "make kill   a run killed at every place, and finished by the next"
	@echo "make campaign  random edits and faults, checked against an oracle (SEEDS=1-5000)"
	@echo "make matrix  every kind of link mapping under every unknown of HubSpot"
	@echo "make screenshots  every page of the demo's admin, light and dark, wide and narrow"
	@echo "make docs   the pages of docs/ that are made from tables in the code"
	@echo "make lock   requirements*.in to requirements*.txt"

# $(call install,LOCK) makes .venv hold what a lock file says. The stamp's name carries
# the lock's hash, so the second call does nothing.
define install
	@stamp="$(VENV)/.$(1)-$$(sha256sum $(1) | cut -c1-16)"; \
	if [ -e "$$stamp" ] && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  python=; \
	  for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then python=$$name; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Python 3.11 or newer is missing: apt-get install python3" >&2; exit 2; fi; \
	  if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; fi; \
	  echo "Making $(VENV) with $$($$python --version)"; \
	  $$python -m venv --clear $(VENV); \
	fi; \
	echo "Installing $(1)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); \
	rm -f $(VENV)/.requirements*; \
	touch "$$stamp"; \
	if [ $(1) = requirements-dev.txt ]; then \
	  touch "$(VENV)/.requirements.txt-$$(sha256sum requirements.txt | cut -c1-16)"; fi
endef

venv:
	$(call install,requirements.txt)

venv-dev:
	$(call install,requirements-dev.txt)

# The browser tests drive a Chromium; CHROMIUM names one that is not on the path.
browser:
	@for name in $${CHROMIUM:-} chromium chromium-browser google-chrome; do \
	  if command -v "$$name" >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium for the browser tests"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0; \
	fi; \
	echo "Chromium is missing for the browser tests: install it (Debian: apt-get install chromium) or name one in CHROMIUM" >&2; \
	exit 2

demo: venv
	@$(BIN)/python manage.py migrate --verbosity 0
	@exec $(BIN)/python manage.py demo $(ARGS)

test: venv-dev browser
	@exec $(BIN)/python -m tests.both $(PARALLEL) $(ARGS)

# Every test that uses our database and every case of it, rather than those of
# tests/on_postgres.py in which the database decides something.
test-postgres: venv-dev browser
	$(BIN)/python -m tests.on_postgres $(PARALLEL) $(ARGS)

docs: venv
	$(BIN)/python -m associations.setup.publishing > docs/defaults.md.new
	mv docs/defaults.md.new docs/defaults.md
	$(BIN)/python -m connections.connectors.airtable.publishing > docs/airtable-types.md.new
	mv docs/airtable-types.md.new docs/airtable-types.md
	$(BIN)/python -m connections.connectors.kintone.publishing > docs/kintone-types.md.new
	mv docs/kintone-types.md.new docs/kintone-types.md

check: venv-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	@export CROSSLINK_VAR_DIR="$$(mktemp -d)" CROSSLINK_ENV_FILE=/dev/null DATABASE_URL=; \
	unset DATABASE_URL DEBUG; trap 'rm -rf "$$CROSSLINK_VAR_DIR"' EXIT; \
	set -x; \
	$(BIN)/python manage.py makemigrations --check --dry-run; \
	ALLOWED_HOSTS=crosslink.example.com CROSSLINK_HTTPS=on \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

# Every place where a run can be killed, rather than the sample of make test.
kill: venv-dev
	CROSSLINK_KILL_EVERYWHERE=1 $(BIN)/python -m pytest tests/test_kill.py $(ARGS)

# Random users and faults under more seeds than make test has, with the figures of it. A
# failure prints its seed and what was done: make campaign SEEDS=17. Above 5,000 they map
# labels too.
SEEDS ?= 1-5000
campaign: venv-dev
	CROSSLINK_CAMPAIGN=$(SEEDS) $(BIN)/python -m pytest $(PARALLEL) tests/test_campaign.py $(ARGS)

# Every value of each switch of the sandbox, and a sample in which every two values meet,
# with all kinds, types, directions and events of links.
matrix: venv-dev
	CROSSLINK_MATRIX=1 $(BIN)/python -m pytest $(PARALLEL) tests/test_matrix.py $(ARGS)

# To var/screenshots, from a demo of its own; ARGS="run- home" for pages that begin so.
screenshots: venv-dev browser
	@$(BIN)/python -m tests.screenshots $(ARGS)

# Such as make bench ARGS="--database postgres --sizes 10000,1000000", which takes hours, or
# make bench ARGS=--paced: Airtable and Kintone with real limits and latency.
bench: venv
	@exec $(BIN)/python manage.py bench $(ARGS)

# No package index may be named in a lock file: each machine has its own.
lock:
	@tools="$$(mktemp -d)"; trap 'rm -rf "$$tools"' EXIT; \
	python3 -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv; \
	for name in requirements requirements-dev; do \
	  "$$tools/bin/uv" pip compile --quiet --generate-hashes --universal \
	    --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command 'make lock' $$name.in -o $$name.txt; \
	done
