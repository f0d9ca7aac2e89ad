# `make run` and `make test` work on a fresh clone: the first use makes .venv and installs into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LUA_DUMP := build/lua
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
SETS := pyproject.toml constraints.txt

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test check lint types imports lua generate sim mutants model sweep accept chaos bench load clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(VENV)/.run  ## Start Valkey and three nodes on 8001-8003 and follow their logs; ARGS="--nodes 1" goes to simpul up
	@$(BIN)/simpul up $(ARGS)

test: $(VENV)/.test  ## Run the tests; ARGS="tests/lua -k fence" chooses some
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

check: lint types imports lua test  ## What CI runs: lint, types, imports, lua, test

lint: $(VENV)/.test  ## ruff
	@echo "lint"; $(BIN)/ruff check --quiet --output-format concise .

types: $(VENV)/.test $(VENV)/.load  ## mypy --strict
	@echo "types"; $(BIN)/mypy --no-error-summary

imports: $(VENV)/.test  ## import-linter: modules import downwards only
	@echo "imports"; said=$$($(BIN)/lint-imports 2>&1) || { echo "$$said"; exit 1; }

lua: $(VENV)/.run  ## luacheck over the flattened scripts
	@rm -rf $(LUA_DUMP); $(BIN)/simpul scripts dump $(LUA_DUMP)
	@if command -v luacheck > /dev/null; then echo "lua"; luacheck --quiet --no-color $(LUA_DUMP); \
	else echo "lua: SKIPPED, luacheck is not installed (Debian: apt-get install lua-check)"; fi

generate: $(VENV)/.run  ## Make the files that repeat what others say (errors, reference pages, OpenAPI)
	@$(BIN)/python -m service.generate

SEEDS ?= 10000
sim: $(VENV)/.test  ## The Raft simulator over SEEDS=10000 seeds; a failure prints the command that replays it
	@$(BIN)/python -m tests.raft.simulator --seeds $(SEEDS) $(ARGS)

mutants: $(VENV)/.test  ## Known Raft bugs, each put in and caught: the score table
	@$(BIN)/python -m tests.raft.mutants

model: $(VENV)/.test  ## Random lives of locks, queues and groups against their models, 100 000 steps each; ARGS="--steps 20000 --only modes"
	@$(BIN)/python -m tests.model $(ARGS)

accept: $(VENV)/.test  ## Rewrite the Raft transcripts in tests/testdata as the core is now
	@$(BIN)/python -m tests.raft.accept

chaos: SEEDS := 30
chaos: $(VENV)/.test  ## Real clusters under faults, SEEDS=30 runs; ARGS="--nemesis flushall" chooses some
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --history build/chaos $(ARGS)

sweep: $(VENV)/.test  ## Take every rule out of the Raft core, one at a time, and see a test go red; ARGS="--file reads"
	@$(BIN)/python -m tests.raft.sweep $(ARGS)

bench: $(VENV)/.load  ## Requests per second of each endpoint against a bare Starlette echo, in one run
	@$(BIN)/python -m loadtest.bench $(ARGS)

load: $(VENV)/.load  ## locust against a running cluster; ARGS="--headless -u 50 -r 50 -t 1m"
	@$(BIN)/locust -f loadtest/locustfile.py --host http://127.0.0.1:8001 $(ARGS)

clean:  ## Remove the virtual environment and caches; the data in .simpul stays
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# A stamp is newer than the files that decide what is installed, so nothing is installed twice.
$(VENV)/bin/python:
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Simpul needs Python 3.11 or later: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make $(VENV): on Debian, apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.run: $(SETS) | $(VENV)/bin/python
	@echo "installing simpul"; $(PIP_INSTALL) -e . && touch $@

$(VENV)/.test: $(SETS) | $(VENV)/bin/python
	@echo "installing simpul and its tests"; $(PIP_INSTALL) -e '.[test]' && touch $@ $(VENV)/.run

$(VENV)/.load: $(SETS) | $(VENV)/bin/python
	@echo "installing simpul and its load tests"; $(PIP_INSTALL) -e '.[load]' && touch $@ $(VENV)/.run
