# Everything runs from here on a machine with git, make and Python 3.11, 3.12 or 3.13.
#   make demo   sets up, then runs the whole flow on simulated patients and names the report to open
#   make test   sets up, then runs format, lint, types and every test

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
CLUSTER := .venv-cluster
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-cluster lint setup lock benchmark clean

demo: setup
	$(BIN)/riskmodels demo --out demo

test: setup lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

# What Spark and Dask do, in an environment of its own; Spark needs Java 17.
test-cluster: $(CLUSTER)/.ready
	$(CLUSTER)/bin/python -m pytest tests/engines

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: $(READY)

$(CLUSTER)/.ready: requirements/spark.txt pyproject.toml
	$(PYTHON) -m venv --clear $(CLUSTER)
	$(CLUSTER)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --no-binary pyspark -r $<
	$(CLUSTER)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "riskmodels needs Python 3.11, 3.12 or 3.13; say which with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Pins again from pyproject.toml; needs uv. The file holds hashes and no index.
lock:
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url --no-header \
		--no-annotate --python-version 3.11 --output-file requirements/dev.txt
	uv pip compile pyproject.toml --extra dev --extra spark --universal --generate-hashes --no-emit-index-url --no-header \
		--no-annotate --python-version 3.11 --output-file requirements/spark.txt

clean:
	rm -rf $(VENV) $(CLUSTER) demo build dist .mypy_cache .pytest_cache .ruff_cache
