# Thin names; what they do is in tools/. Works with GNU make 3.81 (macOS) and later.
PYTHON ?= python3
STACK  ?= local
ARGS   ?=

run := .venv/bin/python
# Files in parallel; ARGS=-n0 runs them one after the other, by name.
pytest := $(run) -m pytest --numprocesses logical --maxprocesses 4 --no-loadscope-reorder
# tests/conftest.py has what takes longest begin first; of the rest, what comes first here.
tiers  := $(addprefix tests/,local cluster engine training client tools unit)
export DATA
# Without it each start of the program compiles Pulumi's SDK anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo setup up preview refresh down \
	bench test test-unit test-client test-tools test-training test-engine test-local test-cluster \
	check check-style check-types check-training fmt cluster cluster-down \
	env-demo env-local env-dev env-cli env-node env-images env-bytecode

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12    make .venv with another Python (3.11 or newer)"
	@echo "  ARGS='--diff'        more options for the Pulumi CLI or pytest"

demo: env-demo ## start everything on this machine, train a model, say where to look
	@$(run) -m tools.demo

setup: env-dev ## prepare .venv for working on this project

up preview refresh: env-local

up: ## create or update a stack: make up STACK=dev (default: local)
preview: ## say what `up` would change
refresh: ## compare a stack's state with what really exists
up preview refresh:
	@$(run) -m tools.stack $@ $(STACK) $(ARGS)

down: env-local ## destroy a stack; DATA=delete removes a local stack's data too
	@$(run) -m tools.stack down $(STACK) $(ARGS)

# The cluster's tests wait for pods most of the time, so there is work for four even on two cores.
test: ## every check and test that this machine can run
	@$(MAKE) --no-print-directory --jobs 4 check env-bytecode env-cli env-node env-images
	@$(pytest) --numprocesses 4 $(tiers) $(ARGS)
	@$(run) -m tests.bytecode keep

test-unit: env-dev ## the program under Pulumi's mocks: seconds
	@$(pytest) tests/unit $(ARGS)

test-tools: env-dev env-cli ## what stands behind this Makefile
	@$(pytest) tests/tools $(ARGS)

test-client: env-dev ## what data scientists install
	@$(pytest) tests/client $(ARGS)

test-training: env-dev ## the training project alone
	@$(pytest) tests/training $(ARGS)

test-engine: env-dev env-cli ## the real Pulumi engine on a stand-in cloud
	@$(pytest) tests/engine $(ARGS)

test-local: env-dev env-cli ## the local stack for real: server, database, object store, training
	@$(pytest) tests/local $(ARGS)

test-cluster: env-dev env-cli ## real pods, on a Kubernetes of their own or the one of TEST_KUBECONFIG
	@$(pytest) tests/cluster $(ARGS)

cluster: env-dev ## start a whole Kubernetes on this machine (Linux, root)
	@$(run) -m tests.cluster.node up

cluster-down: env-dev ## end it, with all that runs on it
	@$(run) -m tests.cluster.node down

bench: env-dev ## our server beside mlflow server: CPU, memory, time; ARGS='--rounds 9'
	@$(run) -m benchmarks.server $(ARGS)

check: check-style check-types check-training ## lint, formatting, types

check-style: env-dev
	@$(run) -m ruff check .
	@$(run) -m ruff format --check .

check-types: env-dev
	@$(run) -m mypy

# What it knows is kept apart: about MLflow it knows more, and each of the two would forget it again.
check-training: env-dev
	@cd training && MYPYPATH=.. ../$(run) -m mypy --config-file ../pyproject.toml \
		--cache-dir ~/.cache/mlflow-platform/mypy-training . ../benchmarks/search.py

fmt: env-dev ## format the code
	@$(run) -m ruff check --fix .
	@$(run) -m ruff format .

# Before the tests, each of whose processes would write it for itself.
env-bytecode: env-dev
	@$(run) -m tests.bytecode take $(tiers)

# Before the tests, so that no two of them build it.
env-cli: env-dev
	@$(run) -m tools.pulumi_cli

# Likewise. The tests that need it take longest, so they begin first, and beside them its build would
# take longer.
env-node: env-dev
	@$(run) -m tests.cluster.node build

# The Postgres that a stand-in runs warns of a folder that nobody here needs.
env-images: env-dev
	@$(run) -W ignore -m tests.cluster.images

env-demo env-local env-dev:
	@$(PYTHON) -m tools.virtualenv $(@:env-%=%)
