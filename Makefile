# Every habit of this repository; plain `make` prints them. Only Python (>= 3.11) and make are needed.
.DEFAULT_GOAL := help
.PHONY: help setup up down drop test check lint types imports unit integration acceptance faults faults-quick \
        faults-selftest faults-sweep test-system screenshots upkeep bench bench-smoke compare outages scaling docs format \
        lock clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
# Every process of every stack would compile its modules anew where this is set: half a second each.
unexport PYTHONDONTWRITEBYTECODE
# Several workers, each with engines of its own (tests/workers.py); WORKERS= takes another number, 0
# is none. Whole stacks under load want a machine to themselves, unless it has cores to spare.
parallel = -n $(or $(WORKERS),$(1)) --no-loadscope-reorder

help: ## print these targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "firstcome needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned packages into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY) ## make the virtual environment with pinned packages

up: $(READY) ## start the local stack: Kafka, PostgreSQL, Valkey, api, recorder, sweeper, console
	@$(BIN)/firstcome up

down: $(READY) ## stop the local stack; its data stays
	@$(BIN)/firstcome down

drop: $(READY) ## a real drop: 4 campaigns of 5,000 coupons, 60,000 people; verified
	@$(BIN)/firstcome up
	@$(BIN)/firstcome drop --campaigns 4 --coupons 5000 --users 60000

test: $(READY) check integration acceptance faults-quick ## every test; needs only Python and make

check: lint types imports ## before each commit, under 30 s: style, types, imports, every test without engines
	@$(PYTEST) -q $(call parallel,4) tests/unit tests/upkeep

lint: $(READY) ## ruff: style and format
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check . || { $(BIN)/ruff check .; $(BIN)/ruff format --diff .; exit 1; }

types: $(READY) ## mypy, strict
	@$(BIN)/mypy --no-error-summary

imports: $(READY) ## who may import whom
	@$(BIN)/lint-imports > .lint-imports.log 2>&1 || { cat .lint-imports.log; exit 1; }

unit: $(READY) ## no engine
	@$(PYTEST) -q $(call parallel,4) tests/unit

upkeep: $(READY) ## the repository checks itself
	@$(PYTEST) -q tests/upkeep

integration: $(READY) ## one real engine at a time; WORKERS=4
	@$(PYTEST) -q $(call parallel,4) tests/integration

acceptance: $(READY) ## every process, over HTTP and the command line
	@$(PYTEST) -q $(call parallel,2) tests/acceptance

faults-quick: $(READY) ## one fault a test, each judged; SEED= repeats a run
	@FIRSTCOME_SEED=$(SEED) $(PYTEST) -q $(call parallel,0) tests/faults

faults-sweep: $(READY) ## each failpoint with each action, 35 s pauses; SEEDS=3 POINTS=a,b; 35 minutes a seed
	@$(BIN)/python bench/failpoints.py --seeds $(or $(SEEDS),3) --points "$(POINTS)"

faults: $(READY) ## 15 minutes of faults over one stack, judged; added to docs/reports; SEED= repeats; BROKERS=3
	@$(BIN)/firstcome drill faults $(if $(SEED),--seed $(SEED)) --brokers $(or $(BROKERS),1) --minutes 15 \
		--faults 60 --claims 150000 --kinds 8 --targets 5 --ledger docs/reports

faults-selftest: $(READY) ## plant bugs into stacks; the fault harness must catch each; SEED= repeats
	@$(BIN)/python -m tests.faults.plants.selftest $(if $(SEED),--seed $(SEED)) --report docs/reports/selftest.md

test-system: $(READY) ## disks, fsync, clocks, stores, alerts, browser: needs root and Debian packages (CONTRIBUTING.md); 12 minutes
	@FIRSTCOME_SEED=$(SEED) $(PYTEST) -q $(call parallel,3) tests/system tests/browser

screenshots: $(READY) ## the console's pages as pictures, into docs/reports/console; needs chromium
	@FIRSTCOME_SCREENSHOTS=docs/reports/console $(PYTEST) -q tests/browser

bench: $(READY) ## the speed table of the README; about 20 minutes
	@$(BIN)/python bench/rates.py

bench-smoke: $(READY) ## ten seconds of a small crowd, measured and judged
	@$(BIN)/firstcome bench run --scenario smoke

compare: $(READY) ## all engines side by side; about an hour, QUICK=1 for ten minutes; added to docs/reports
	@$(BIN)/firstcome bench compare $(if $(QUICK),--quick) --folder docs/reports

outages: $(READY) ## Kafka away, PostgreSQL away, Redis wiped, by default settings; about 6 minutes
	@$(BIN)/firstcome drill outages --folder docs/reports $(if $(SEED),--seed $(SEED))

scaling: $(READY) ## recorders come and go: a lag, and 20 cycles under load; about 8 minutes; added to docs/reports
	@$(BIN)/firstcome drill scaling --folder docs/reports $(if $(SEED),--seed $(SEED))

format: $(READY) ## let ruff format and fix
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

docs: $(READY) ## write the generated pages and dashboards anew
	@$(BIN)/python -m tests.upkeep.generate

lock: $(READY) ## pin every package anew, with hashes
	@for set in local dev; do \
		$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --extra local \
		-o requirements/$$set.txt pyproject.toml $$(test $$set = dev && echo --extra bench requirements/dev.in); done

clean: ## remove the virtual environment and the local stack's data
	@test ! -x $(BIN)/firstcome || $(BIN)/firstcome down --wipe
	@rm -rf $(VENV)
