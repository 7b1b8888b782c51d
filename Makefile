# Needs make and python3 (3.11 or newer, with venv), nothing else: no activated environment, no root.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
# Where the clients in tests/node go, if this machine has node; else their tests are skipped.
NODE := .node
CLIENTS := $(if $(shell command -v node && command -v npm),$(NODE)/installed)
BIN := $(VENV)/bin
CHECKED := $(wildcard app alembic tests bench examples)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format lint types imports bench fix pins migration clean

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' \
		| awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: $(VENV)/.base-installed ## start the demo on http://127.0.0.1:8000 (PORT= chooses another port)
	$(BIN)/fullcount demo --port $(PORT)

test: $(VENV)/.dev-installed $(CLIENTS) ## run the whole suite, on SQLite and PostgreSQL (ARGS= goes to pytest)
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadgroup $(ARGS)

check: format lint types imports ## all that a commit must pass: format, lint, types, imports, tests
	@$(MAKE) --no-print-directory test

format: $(VENV)/.dev-installed ## is the code formatted?
	$(BIN)/ruff format --check $(CHECKED)

lint: $(VENV)/.dev-installed ## is the code clean?
	$(BIN)/ruff check $(CHECKED)

types: $(VENV)/.dev-installed ## do the types hold?
	$(BIN)/mypy $(wildcard alembic app tests bench)

imports: $(VENV)/.dev-installed ## do imports run downwards?
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev-installed ## run the benchmarks (ARGS= goes to them)
	$(BIN)/python -m bench $(ARGS)

fix: $(VENV)/.dev-installed ## format the code and mend what lint can mend
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

migration: $(VENV)/.dev-installed ## draft a migration from the models (WHAT="what it does")
	@test -n "$(WHAT)" || { echo 'Say what it does: make migration WHAT="add a column"'; exit 2; }
	$(BIN)/python -m alembic -c alembic.ini revision --autogenerate -m "$(WHAT)"

clean: ## remove what make made
	rm -rf $(VENV) $(NODE) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# ---- installing -------------------------------------------------------------------------------
# Pins carry hashes and name no registry: whatever index the machine is set up for is used. sly comes
# as source only, so the tools it is built with are pinned too and go in first; the project itself goes
# in last and alone, since an editable install has no hash. uv does it faster where it is on PATH; if it
# cannot (it reads none of pip's settings), pip does it.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Fullcount needs Python 3.11 or newer; choose one with PYTHON=.'; exit 1; }
	$(PYTHON) -m venv $(VENV)

define install
	@if command -v uv > /dev/null \
		&& uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/build.txt \
		&& uv pip install --quiet --python $(BIN)/python --require-hashes --no-build-isolation -r $(1) \
		&& uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .; \
	then :; else \
		echo 'Installing $(1) with pip; the first time takes about a minute.' \
		&& $(BIN)/python -m pip install --quiet --require-hashes -r requirements/build.txt \
		&& $(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation -r $(1) \
		&& $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .; \
	fi
endef

$(VENV)/.base-installed: requirements/build.txt requirements/base.txt pyproject.toml | $(BIN)/python
	$(call install,requirements/base.txt)
	@touch $@

$(VENV)/.dev-installed: requirements/build.txt requirements/dev.txt pyproject.toml | $(BIN)/python
	$(call install,requirements/dev.txt)
	@touch $(VENV)/.base-installed $@

$(NODE)/installed: tests/node/package.json tests/node/package-lock.json tests/node/.npmrc
	@mkdir -p $(NODE) && cp $^ $(NODE)
	@if (cd $(NODE) && npm ci > npm.txt 2>&1); then touch $@; else \
		rm -rf $(NODE)/node_modules; \
		echo 'npm could not fetch the clients in tests/node ($(NODE)/npm.txt says why): their tests are skipped.'; \
	fi

# ---- pinning (needs uv) -----------------------------------------------------------------------
PIN := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
	--no-emit-index-url --no-emit-find-links

pins: ## write requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(PIN) $(ARGS) pyproject.toml -o requirements/base.txt
	$(PIN) $(ARGS) pyproject.toml -c requirements/base.txt --group dev -o requirements/dev.txt
	$(PIN) $(ARGS) -c requirements/dev.txt --group pyproject.toml:build -o requirements/build.txt
