# echonode: `make demo` shows it, `make test` tests it. Both set everything up first, in $(VENV).
# PYTHON chooses the interpreter (3.11 or later, with venv).
SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTHONS := $(PYTHON) python3.11 python3 python3.12 python3.13
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
WORKERS ?= 2
# what is set in the caller's shell must not reach into the environment
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format bench docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The lock carries a hash for every file; nothing else is installed. The cache of pip is not used: it would double the disk.
$(VENV)/.locked: requirements.lock
	@for python in $(PYTHONS); do \
	  if "$$python" -c '$(FITS)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "echonode needs Python 3.11 or later with venv (Debian: python3 and python3-venv); PYTHON=... names one" >&2; exit 1; \
	fi; \
	echo "setting up $(VENV) with $$found: about 3 minutes and 6 GB, once"; \
	"$$found" -m venv $(VENV)
	$(PIP) install --quiet --no-cache-dir --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	$(PIP) install --quiet --no-cache-dir --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.installed ## the environment, nothing else

demo: setup ## node, scanner and PACS on loopback; a real loop goes in, slow motion comes back
	$(BIN)/echonode demo

test: setup ## every test that takes less than ten seconds
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-slow: setup ## the tests that take longer
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

lint: setup ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## what benchmarks/ measures
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

docs: setup ## write the generated pages and ae_config/node.toml anew
	$(BIN)/echonode reference settings >docs/settings.md
	$(BIN)/echonode reference conformance >docs/conformance.md
	$(BIN)/echonode reference node-toml >ae_config/node.toml

lock: setup ## resolve requirements.lock anew, with hashes and without addresses
	"$(BIN)/python" -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --disable-pip-version-check install --quiet --no-cache-dir uv
	$(VENV)/lock/bin/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" --group dev pyproject.toml -o requirements.lock
	@if grep -nE '://' requirements.lock; then echo "requirements.lock must not hold addresses" >&2; exit 1; fi

clean: ## remove the environment, caches and what the demo wrote
	rm -rf $(VENV) dist demo out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
