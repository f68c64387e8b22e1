# TinyVMI's commands: `make run`, `make check`, `make test`, and what they need.
# On a Debian bookworm machine (or newer) they need root and the package
# registries only; nothing here touches the machine's own kernel or boot loader.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps

# A compiler, Xen's headers, an emulator; for the tests another compiler and what builds Xen with its FLASK policy.
RUN_PACKAGES := python3 python3-venv gcc libc6-dev binutils libxen-dev qemu-system-x86 ca-certificates
TEST_PACKAGES := $(RUN_PACKAGES) clang make checkpolicy m4 bison flex libkdumpfile10

.DEFAULT_GOAL := help
.PHONY: help setup run check test format new-check flask matrix mutations discovery targets xens clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

setup: $(STAMPS)/python ## Install what is missing: apt packages, a virtual environment.

run: $(STAMPS)/python ## Build a monitor and prove it under nested Xen: intact, tampered, intact.
	@$(BIN)/tinyvmi-build lab run

check: $(STAMPS)/python ## Run the unit tests and the linters: seconds; no network, no compiler.
	@$(BIN)/pytest -q -n 2 tests/unit $(ARGS)

# Two processes: the tests of a lab share it, and those of the other tiers run beside them.
test: $(STAMPS)/python $(STAMPS)/apt-test ## Run all tests; the last line counts them.
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

format: $(STAMPS)/python ## Format C and Python as `make check` wants them.
	@$(BIN)/ruff check --quiet --fix . && $(BIN)/ruff format --quiet .
	@$(BIN)/python -m tests.unit.test_style format

new-check: ## Write the files of a new check: make new-check NAME=some-check.
	@$(PYTHON) toolchain/new_check.py $(NAME)

flask: $(STAMPS)/python $(STAMPS)/apt-test ## Run all tests of FLASK mode, every change of registers and PV guests included.
	@$(BIN)/pytest --long tests/lab/flask $(ARGS)

matrix: $(STAMPS)/python $(STAMPS)/apt-test ## Check every kernel under every circumstance; goes on where it was interrupted.
	@$(BIN)/python -m tests.experiments.matrix $(ARGS)

mutations: $(STAMPS)/python $(STAMPS)/apt-test ## Change bytes of saved kernels by the thousand: each must be caught.
	@$(BIN)/python -m tests.experiments.mutations $(ARGS)

targets: $(STAMPS)/python $(STAMPS)/apt-test ## Check every kind of target on both bases, clean and tampered; goes on as matrix does.
	@$(BIN)/python -m tests.experiments.targets $(ARGS)

discovery: $(STAMPS)/python ## Measure in the lab how fast a kernel is found and checked, with KASLR and without.
	@$(BIN)/python -m tests.experiments.discovery $(ARGS)

xens: $(STAMPS)/python ## As `make run`, with every tamper, on each Xen that the lab knows: 4.14, 4.17, 4.20.
	@for suite in bullseye bookworm trixie; do \
	    $(BIN)/tinyvmi-build lab run --xen-suite $$suite --scenario first-light --scenario tampers || exit; done

clean: ## Remove the virtual environment and all build output (not the cache: `tinyvmi-build clean --cache`).
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/python: pyproject.toml $(STAMPS)/apt-run
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: $(PYTHON) is older than 3.11; make PYTHON=… names another" >&2; exit 4; }
	@$(call timed,python packages,\
	    test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]')
	@touch $@

$(STAMPS)/apt-run: Makefile
	@$(call packages,$(RUN_PACKAGES))
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/apt-test: Makefile
	@$(call packages,$(TEST_PACKAGES))
	@mkdir -p $(STAMPS) && touch $@

# $(call timed,WHAT,COMMANDS): run, and say how long it took.
define timed
set -e; start=$$(date +%s); echo "setup: $(1) …" >&2; $(2); echo "setup: $(1): $$(($$(date +%s) - start)) s" >&2
endef

# $(call packages,NAMES): install those that are not there.
define packages
set -e; missing=; \
for name in $(1); do \
    test "$$(dpkg-query -W -f '$${db:Status-Status}' $$name 2>/dev/null)" = installed || missing="$$missing $$name"; \
done; \
if [ -n "$$missing" ]; then \
    if [ "$$(id -u)" != 0 ]; then echo "error: needs root to install:$$missing" >&2; exit 4; fi; \
    $(call timed,apt packages:$$missing,toolchain/apt-install.sh $$missing); \
fi
endef
