# Everything here needs Python >= 3.11 with venv, and nothing else: each target makes .venv and installs what it needs.
#
#   make demo         train a classifier on real handwritten digits
#   make test         run the tests, on NumPy and on the guard device
#   make lint types   ruff; mypy
#   make wheel-test   build the wheel and test it in a fresh environment, outside the checkout
#   make nightly      all of these, and the tests that are too slow for every change
#   make clean        remove what these targets made
#
# Variables: PYTHON=python3.13 makes .venv with that Python; VENV=DIR puts it elsewhere; PY=.../bin/python uses an
# environment that is ready, and installs nothing; JOBS=4 is the number of test processes; PYTEST_ARGS are added.

SHELL := /bin/sh
PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p; done))
VENV ?= .venv
JOBS ?= auto
PYTEST_ARGS ?=

ifdef PY
demo_ready :=
test_ready :=
else
PY := $(VENV)/bin/python
demo_ready := $(VENV)/ready-demo
test_ready := $(VENV)/ready-test
endif

# The test processes share the cores: OpenMP threads in each of them would only wait for one another.
run_tests := OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal
quick := not slow and not gpu

# $(call timed,name,command,status): run a part of the tests and say what it took. Status 5 of pytest, no test found,
# is no failure where it is given here (without torch, for instance, the oracle tests are skipped as whole files).
define timed
@echo "== $(1)"; start=$$(date +%s); \
$(2) $(PYTEST_ARGS); status=$$?; \
echo "== $(1): $$(( $$(date +%s) - start )) s"; \
test $$status -eq 0 || test $$status -eq $(or $(3),0)
endef

.PHONY: demo test test-unit test-guard test-oracle test-example test-doc test-gpu lint types wheel-test nightly clean
.NOTPARALLEL:

demo: $(demo_ready)
	$(PY) examples/digits.py

test: test-unit test-guard test-oracle test-example test-doc

test-unit: $(test_ready)
	$(call timed,unit tests on NumPy,$(run_tests) -m "$(quick) and not oracle and not example")

test-guard: $(test_ready)
	$(call timed,unit tests on the guard,CHAINRULE_DEVICE=guard $(run_tests) -m "$(quick) and not oracle and not example and not host")

test-oracle: $(test_ready)
	@$(PY) -c 'import torch' 2>/dev/null || echo "== torch is not installed: the oracle tests are skipped"
	$(call timed,oracle tests,$(run_tests) -m "$(quick) and oracle",5)

test-example: $(test_ready)
	$(call timed,example tests,$(run_tests) -m "$(quick) and example",5)

# chainrule/X is the folder X: run on chainrule/, or every module would be imported a second time under another name.
test-doc: $(test_ready)
	$(call timed,doctests,$(run_tests) --doctest-modules chainrule)

# For a machine with a GPU, an environment with an extra cuda12 or cuda13 in it, and one process: `make test-gpu PY=...`
test-gpu: $(test_ready)
	$(call timed,unit tests on CUDA,CHAINRULE_DEVICE=cuda $(PY) -m pytest -m "not slow and not oracle and not example and not host")

lint: $(test_ready)
	$(PY) -m ruff check .

types: $(test_ready)
	$(PY) -m mypy

wheel-test: $(test_ready)
	PY=$(PY) JOBS=$(JOBS) .ci/wheel-test

nightly: test lint types wheel-test
	$(call timed,slow tests,$(run_tests) -m "slow and not gpu",5)
	PY=$(PY) JOBS=$(JOBS) .ci/wheel-test --lowest

clean:
	rm -rf .venv build dist runs *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The stamp files: re-runs install nothing until the list of dependencies changes.
$(VENV)/ready-demo: pyproject.toml $(VENV)/bin/python
	@echo "installing into $(VENV), which takes a minute"
	$(VENV)/bin/python -m pip install -qq --disable-pip-version-check --editable ".[examples]"
	@touch $@

$(VENV)/ready-test: pyproject.toml $(VENV)/bin/python
	@echo "installing into $(VENV), which takes a minute"
	$(VENV)/bin/python -m pip install -qq --disable-pip-version-check --editable ".[examples,fast,test]"
	@touch $@ $(VENV)/ready-demo

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "chainrule needs Python >= 3.11, and found none: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "chainrule needs Python >= 3.11; $(PYTHON) is $$($(PYTHON) --version 2>&1)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
