# limoflow: `make demo` shows it, `make test` proves it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
UV_VERSION := 0.13.8
UV := .tools/bin/uv
BIN := .venv/bin
# Compiled once and kept: importing torch and transformers takes 20 seconds from source, 8 from bytecode.
export PYTHONDONTWRITEBYTECODE :=
export UV_LINK_MODE ?= hardlink
export LIMOFLOW_TRITON_VENV ?= $(CURDIR)/.venv-triton

# Tests that start brokers and model servers go two files at a time: more would starve each other on two cores.
WITH_SERVERS := tests/contract tests/integration tests/pipeline/test_whole_stack.py tests/chaos
QUICK := tests $(addprefix --ignore=,$(WITH_SERVERS))

.PHONY: help demo bubblewrap test lint types imports prometheus unit-tests test-chaos test-scale test-k8s bench soak study fuzz supply audit lock venv venv-triton kafka clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.synced: requirements/app.lock pyproject.toml | $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip sync --quiet --require-hashes requirements/app.lock
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-triton/.synced: requirements/triton.lock | $(UV)
	test -x .venv-triton/bin/python || $(UV) venv --quiet --python $(PYTHON) .venv-triton
	VIRTUAL_ENV=.venv-triton $(UV) pip sync --quiet --require-hashes requirements/triton.lock
	touch $@

venv: .venv/.synced ## the environment of services, command line and tests

venv-triton: .venv-triton/.synced ## the environment of the Triton server

bubblewrap: ## the sandbox of the verifier's checks: install it where that can be done without asking
	@command -v bwrap >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y bubblewrap; } >/dev/null 2>&1 \
	  || echo "bubblewrap is missing, tests of the sandbox are skipped: apt-get install bubblewrap"

kafka: venv ## fetch Apache Kafka (needs Java 17 and Maven)
	$(BIN)/python -m limoflow.stack.jars

# Debian's package, unpacked into the cache and not installed; tests that need it skip where this fails.
PROMETHEUS := $(or $(LIMOFLOW_CACHE),$(HOME)/.cache/limoflow)/prometheus
prometheus: ## fetch Prometheus and promtool, for `limoflow up --observe` and the tests of rules
	@command -v prometheus >/dev/null || test -x $(PROMETHEUS)/usr/bin/prometheus || { \
	  mkdir -p $(PROMETHEUS) && cd $(PROMETHEUS) && apt-get download --quiet prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb; \
	} || echo "prometheus could not be fetched; see docs/observability.md"

demo: venv ## stream the demo lake through real Kafka and Triton (or in one process, where Java or Maven is missing)
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
	  $(MAKE) --no-print-directory venv-triton; \
	fi
	@exec $(BIN)/python -m examples.demo

test: bubblewrap venv venv-triton prometheus lint types imports unit-tests ## everything that CI runs

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

imports: venv
	$(BIN)/lint-imports

unit-tests: venv venv-triton
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest $(QUICK) --cov --cov-report= --cov-fail-under=0 -n 2
	$(BIN)/python -m pytest $(WITH_SERVERS) --cov --cov-append --cov-report=term -n 2 --dist loadfile

test-chaos: venv venv-triton ## three seeds of the chaos test, 5,000 samples each
	LIMOFLOW_CHAOS_SEEDS=1,2,3 LIMOFLOW_CHAOS_ROWS=5000 $(BIN)/python -m pytest tests/chaos -m chaos -p no:xdist --timeout=3000

test-scale: venv ## 200,000 pre-scored samples through the selector on Kafka: 1, 2 and 4 workers, with SIGKILLs
	LIMOFLOW_SCALE_ROWS=200000 LIMOFLOW_SCALE_WORKERS=2,4 LIMOFLOW_SCALE_KILLS=4 $(BIN)/python -m pytest tests/chaos/test_selector_at_scale.py -p no:xdist -s --timeout=3600

test-k8s: venv ## the laptop overlay on a real Kubernetes node of this machine (docs/operate/testing.md)
	$(BIN)/python -m tests.deploy.cluster

bench: venv venv-triton ## measure, print a table, write benchmarks/results.json
	$(BIN)/python -m benchmarks

SOAK ?= --minutes 60 --seed 1
soak: venv venv-triton ## an hour of a steady stream under faults; figures and samples in build/soak; SOAK="--minutes N --seed S ..."
	$(BIN)/python -m benchmarks.soak $(SOAK)

study: venv ## the selection study: docs/studies/selection.md and its charts, from ../shared/data
	$(BIN)/python -m benchmarks.study

# Atheris has no dependencies, so it lies beside the environment and not in it.
.fuzz/.synced: requirements/fuzz.lock | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --target .fuzz --requirement requirements/fuzz.lock
	touch $@

FUZZ ?= --count 1000000 --seconds 120
fuzz: venv .fuzz/.synced ## hostile input for every parser, by atheris; FUZZ="--count N --seconds S [PARSER ...]"
	PYTHONPATH=$(CURDIR):$(CURDIR)/.fuzz $(BIN)/python -m tests.fuzz $(FUZZ)

.supply/.synced: requirements/supply.lock | $(UV)
	test -x .supply/bin/python || $(UV) venv --quiet --python $(PYTHON) .supply
	VIRTUAL_ENV=.supply $(UV) pip sync --quiet --require-hashes requirements/supply.lock
	touch $@

supply: venv venv-triton .supply/.synced ## licences, and a CycloneDX bill of materials of each lock in build/sbom
	$(BIN)/python -m deploy.licences
	mkdir -p build/sbom
	for lock in requirements/*.lock; do 	  .supply/bin/cyclonedx-py requirements --output-reproducible --of JSON -o build/sbom/$$(basename $$lock .lock).json $$lock; 	done

audit: .supply/.synced ## known vulnerabilities of what is locked (asks the package index; fails where it does not answer)
	for lock in requirements/*.lock; do .supply/bin/pip-audit --strict --no-deps --disable-pip -r $$lock; done

lock: $(UV) ## compile the locks anew
	requirements/compile.sh

clean: ## remove environments and what the demo made
	rm -rf .venv .venv-triton .tools .fuzz .supply .limoflow
