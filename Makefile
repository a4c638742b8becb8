# All commands for this repository, for people and for CI. `make` alone prints the list.
# They need Python 3.11 or later, make and a C compiler. The first use installs all other packages into .venv and
# node_modules, from exact versions with hashes; a second run installs nothing. Targets that need Node or Go say so
# below; they are skipped, with the reason, where these are absent.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys, venv; print("$(name)") if sys.version_info >= (3, 11) else None' 2>/dev/null)))
BIN := .venv/bin
VENV := .venv/.installed
NODE := $(if $(shell command -v npm),node_modules/.installed)
GO := $(if $(shell command -v go),.cache/go/.installed)
HELM := $(if $(shell command -v go),.cache/helm/.installed)
KUBERNETES := $(if $(shell command -v go),.cache/kubernetes/.installed)
PROMETHEUS := $(if $(shell command -v apt-get),.cache/prometheus/.installed)
# Without tables for a debugger Go links a program in less than half the time.
NO_DEBUG := -s -w
# Further arguments of pytest: `make test T="tests/unit -k lease"`.
T ?=
# The installation of n8n for `make test-n8n`, outside of the repository.
N8N_HOME ?= $(HOME)/.cache/mailmesh/n8n-2.41.1

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: demo
demo: $(VENV) ## Show how mail becomes events: start everything with simulated providers and connect two mailboxes
	$(BIN)/mailmesh demo

.PHONY: up
up: $(VENV) ## Start everything and keep it running until Ctrl-C
	$(BIN)/mailmesh up

.PHONY: test
test: $(VENV) $(NODE) $(GO) $(PROMETHEUS) $(if $(T),,$(HELM)) ## Run all tests, failed ones once more at the end; T="tests/unit -k lease" runs some
	$(BIN)/python -m tools.suite $(T)

.PHONY: test-n8n
test-n8n: $(VENV) $(NODE) ## Install n8n into N8N_HOME (3 GB), lint the package for it, and run that package in it
	test -f $(N8N_HOME)/.installed || tools/n8n/install.sh $(N8N_HOME)
	tools/n8n/lint.sh $(N8N_HOME)
	N8N_HOME=$(N8N_HOME) $(BIN)/pytest -m n8n tests/mesh/test_n8n.py $(T)

.PHONY: test-under-load
test-under-load: $(VENV) $(NODE) $(GO) $(if $(T),,$(HELM)) ## Run all tests RUNS=3 times beside busy loops, and name those that need a second try
	$(BIN)/python -m tools.suite.load --runs $(or $(RUNS),3) $(T)

.PHONY: check
check: lint types $(NODE) $(GO) $(HELM) $(KUBERNETES) $(PROMETHEUS) ## Lint, types, contract, generated files, configuration of Envoy and Prometheus, chart, pages, locks
	$(BIN)/python -m tools.check

.PHONY: lint
lint: $(VENV) ## ruff, formatting, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: types
types: $(VENV) ## mypy, strict
	$(BIN)/mypy

.PHONY: gen
gen: $(VENV) $(NODE) $(GO) ## Rewrite gen/, docs/reference and deploy/grafana (Node: TypeScript; Go: Go and OpenAPI)
	$(BIN)/python -m tools.generate
	$(BIN)/python -m tools.document
	$(BIN)/python -m tools.dashboards

.PHONY: console
console: $(VENV) $(NODE) ## Build the console from console/src into console/dist, and pack it as a wheel into .cache/console
	node console/build.mjs
	$(BIN)/python -m tools.console_wheel

.PHONY: console-shots
console-shots: $(VENV) $(NODE) ## Take pictures of each page of the console into .cache/console-shots (needs Chromium)
	$(BIN)/python -m tests.mesh.console.shots

.PHONY: console-endure
console-endure: $(VENV) $(NODE) ## Measure the console with 10,000 events, then with 50 a second for ten minutes (needs Chromium)
	$(BIN)/python -m tests.mesh.console.endure

.PHONY: protos
protos: $(VENV) ## Lay the files of google/api and google/rpc, which the contract imports, into .cache/proto
	$(BIN)/python -c 'from tools.generate.protos import lay_third_party; lay_third_party()'

.PHONY: docs
docs: $(VENV) ## Build the documentation's site, with search, into .cache/docs/site
	$(BIN)/python -m tools.check.site

.PHONY: bench
bench: $(VENV) ## Measure, and write the results to bench/results; AGAINST=commit compares with another commit
	$(BIN)/python -m $(if $(AGAINST),bench.against $(AGAINST),bench)

.PHONY: torture
torture: $(VENV) ## Try to break it: RUNS=10 seeds at random, SECONDS=60 each; SEED=7 repeats one
	$(BIN)/python -m tests.mesh.torture $(if $(SEED),--seed $(SEED),--runs $(or $(RUNS),10)) --seconds $(or $(SECONDS),60)

.PHONY: hosts
hosts: $(VENV) ## Run the mesh on several hosts (network namespaces), and take them away: RUNS=5 seeds, SEED=7 repeats one
	$(BIN)/python -m tests.hosts $(if $(SEED),--seed $(SEED),--runs $(or $(RUNS),5)) $(if $(FIGURES),--figures $(FIGURES))

.PHONY: audit
audit: $(VENV) $(NODE) ## Compare the locked packages with the published advisories (needs the advisory databases)
	$(BIN)/uvx pip-audit==2.10.1 --strict --disable-pip --require-hashes --progress-spinner off --requirement requirements.lock
	npm audit --omit=optional

.PHONY: clients
clients: $(VENV) $(NODE) $(GO) ## Build the clients as packages into .cache/clients, and run the conformance suite
	$(BIN)/python -m clients.builds
	$(BIN)/python -m clients.conformance

.PHONY: format
format: $(VENV) ## Format the Python code and apply the fixes of ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: $(VENV) ## Resolve the Python packages again into requirements.lock; UPGRADE=1 takes newer versions
	$(BIN)/uv pip compile pyproject.toml --extra stack --extra primitives --extra ocr --extra workflows --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		$(if $(UPGRADE),--upgrade) --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra primitives --extra workflows --universal --python-version 3.11 --constraints requirements.lock \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		--quiet --output-file deploy/image/requirements.lock

.PHONY: release
release: $(NODE) ## Keep today's contract as what later ones are compared with: VERSION=0.2.0
	@test -n '$(VERSION)' || { echo 'which version? make release VERSION=0.2.0' >&2; exit 1; }
	node_modules/.bin/buf build proto --exclude-source-info --output releases/$(VERSION).binpb

.PHONY: clean
clean: ## Delete installed and generated files, except committed ones
	rm -rf .venv .cache node_modules dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: setup
setup: $(VENV) $(NODE) $(GO) $(HELM) $(KUBERNETES) $(PROMETHEUS) ## Install and build what the tests and checks need; --jobs=2 fetches beside compiling

# --- set up, once -----------------------------------------------------------------------------------------------------

$(VENV): requirements.lock
	@test -n '$(PYTHON)' || { echo 'mailmesh needs Python 3.11 or later with the module venv' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	touch $@

node_modules/.installed: package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

.cache/prometheus/.installed: tools/prometheus.py | $(VENV)
	$(BIN)/python -m tools.prometheus
	touch $@

.cache/helm/.installed: tools/go/helm/go.mod tools/go/helm/go.sum
	cd tools/go/helm && GOBIN=$(CURDIR)/.cache/helm/bin GOFLAGS=-mod=readonly go install -ldflags='$(NO_DEBUG)' tool
	touch $@

.cache/kubernetes/.installed: tools/go/kubernetes/go.mod tools/go/kubernetes/go.sum tools/check/operators.py | $(VENV)
	cd tools/go/kubernetes && GOBIN=$(CURDIR)/.cache/kubernetes/bin GOFLAGS=-mod=readonly go install -ldflags='$(NO_DEBUG)' tool
	$(BIN)/python -m tools.check.operators
	touch $@

.cache/go/.installed: tools/go/go.mod tools/go/go.sum tests/clients/openapi/go/go.sum clients/go/go.sum
	cd tools/go && GOBIN=$(CURDIR)/.cache/go/bin GOFLAGS=-mod=readonly go install -ldflags='$(NO_DEBUG)' tool
	cd tests/clients/openapi/go && GOFLAGS=-mod=readonly go mod download
	cd clients/go && GOFLAGS=-mod=readonly go mod download
	touch $@
