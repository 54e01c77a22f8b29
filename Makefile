# One command per job; `make help` lists them. Everything lives in .venv inside the checkout, so
# a machine with Rust and Python is enough. Steps are stamped and run again only when needed.

PYTHON ?= python3
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := .venv-peers
SUDO   := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name '*.toml' -o -name '*.wgsl' 2>/dev/null)
PY_SOURCES   := $(shell find python -type f -not -name '*.so' -not -name '*.pyc' 2>/dev/null)
PIP          := $(BIN)/python -m pip --disable-pip-version-check --quiet
export CARGO_BUILD_JOBS := $(JOBS)
# What a wheel's build prints; `make demo` sets it to nothing and so shows cargo's progress.
BUILD_OUTPUT ?= --quiet
# A released binary names no folders of the machine that built it.
CARGO_DIR := $(or $(CARGO_HOME),$(HOME)/.cargo)
NO_PATHS := --remap-path-prefix=$(CARGO_DIR)=cargo --remap-path-prefix=$(CURDIR)=.
# Real data sets, where they lie beside the checkout; tests and the demo do without otherwise.
export FASTNN_DATA ?= $(abspath $(wildcard ../shared/data))

.DEFAULT_GOAL := help
.PHONY: help demo gpu-deps office-deps test test-rust test-python conformance bench bench-quick bench-grid bench-peers lint format docs stubs licences wheel portable install clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Build the wheel, install it, train on handwritten digits, save, load, compare
	@echo "1/3 building the engine: two to ten minutes the first time, then seconds"
	@start=$$(date +%s); $(MAKE) --no-print-directory dist/.stamp BUILD_OUTPUT= && \
		echo "[build: $$(($$(date +%s) - start)) s]"
	@echo "2/3 installing the wheel"
	@start=$$(date +%s); $(MAKE) --no-print-directory $(VENV)/.wheel && \
		echo "[install: $$(($$(date +%s) - start)) s]"
	@echo "3/3 training, testing, saving, loading"
	@$(BIN)/fastnn demo

test: test-rust test-python ## Run every test, Rust and Python

test-rust: $(VENV)/bin/python
	cargo test --quiet --package fastnn --package fastnn-decision --package fastnn-gpu --package fastnn-capi

test-python: $(VENV)/.editable
	$(BIN)/python -m pytest

gpu-deps: ## Install Mesa's Vulkan driver for the CPU, on which tests/gpu runs (Debian, Ubuntu)
	@ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1 || \
		{ $(SUDO) apt-get update -qq && \
		  $(SUDO) apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1; }

office-deps: ## Install LibreOffice Calc (96 MB, half a minute), which recomputes workbooks in tests (Debian, Ubuntu)
	@command -v soffice >/dev/null || \
		{ $(SUDO) apt-get update -qq && \
		  $(SUDO) apt-get install -y -qq --no-install-recommends libreoffice-calc; }

conformance: $(VENV)/.conformance ## Run Keras's own unit tests against fastnn; writes docs/conformance.md
	$(BIN)/python tools/conformance.py

lint: $(VENV)/.editable ## Check formatting, lints and types of Rust and Python
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/licences.py --check
	$(BIN)/stubtest fastnn --mypy-config-file pyproject.toml \
		--ignore-disjoint-bases --allowlist tools/stubtest_allowlist.txt

format: $(VENV)/.dev ## Format Rust and Python in place
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs ## Build the site into build/docs; a warning of the builder is an error
	$(BIN)/sphinx-build -W --keep-going --quiet docs build/docs
	@echo "open build/docs/index.html"

stubs: $(VENV)/.editable ## Write the stubs of python/fastnn from the built module and its tables
	$(BIN)/python tools/stubs.py

licences: $(VENV)/bin/python ## Write the licences of the linked crates, which go into the wheel
	$(BIN)/python tools/licences.py

wheel: dist/.stamp ## Build the release wheel into dist/
	@ls -l dist/*.whl

portable: $(VENV)/bin/python ## Build the release wheel for any Linux with glibc 2.17, linked by zig (480 MB)
	@$(PIP) install ziglang
	@rm -f dist/.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" $(MAKE) wheel WHEEL_FLAGS="--zig --compatibility manylinux2014"

bench: $(VENV)/.wheel ## Compare speed with NumPy and the peers of `make bench-peers`; writes docs/benchmarks.md
	$(BIN)/python benches/compare.py --peers-python $(PEERS)/bin/python $(BENCH_ARGS)

bench-quick: $(VENV)/.wheel ## A few rows of `make bench` that stand for all, in two minutes, on a busy machine too
	$(BIN)/python benches/compare.py --quick --force --peers-python $(PEERS)/bin/python $(BENCH_ARGS)

bench-grid: $(VENV)/.wheel ## Dense nets of all sizes against JAX (training) and ONNX Runtime (prediction)
	$(BIN)/python benches/grid.py --peers-python $(PEERS)/bin/python $(BENCH_ARGS)

bench-peers: $(PEERS)/.stamp ## Install the rivals (JAX, Keras, scikit-learn, ONNX Runtime) into .venv-peers

install: $(VENV)/.editable ## Install an editable development build into .venv

clean: ## Remove what the other targets made (keeps cargo's cache in target/)
	rm -rf $(VENV) $(PEERS) dist python/fastnn/*.so

# --- how the targets above come about -------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is too old; fastnn needs Python >= 3.11" >&2; \
		  echo "hint: make PYTHON=python3.12 ..." >&2; exit 1; }
	@command -v cargo >/dev/null || \
		{ echo "error: cargo not found; fastnn needs Rust >= 1.89" >&2; exit 1; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install 'maturin>=1.9.4,<2'

# The release wheel and the editable build share .venv: installing one retires the other's stamp.
dist/.stamp: $(VENV)/bin/python $(RUST_SOURCES) $(PY_SOURCES) pyproject.toml README.md LICENSE THIRD-PARTY-LICENSES.txt
	@rm -rf dist && mkdir -p dist
	@rm -f python/fastnn/*.so
	RUSTFLAGS="$(NO_PATHS) $(RUSTFLAGS)" $(BIN)/maturin build --release --locked --out dist $(BUILD_OUTPUT) $(WHEEL_FLAGS)
	@$(BIN)/python tools/wheel.py dist/*.whl
	@rm -f $(VENV)/.editable
	@touch $@

$(VENV)/.wheel: dist/.stamp
	@$(PIP) install numpy
	@$(PIP) install --force-reinstall --no-deps dist/*.whl
	@rm -f $(VENV)/.editable
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml tools/requirements.py
	@echo "installing the development tools into $(VENV)"
	@$(BIN)/python tools/requirements.py dev | $(PIP) install --requirement /dev/stdin
	@touch $@

$(VENV)/.editable: $(VENV)/.dev $(RUST_SOURCES)
	PIP_QUIET=1 $(BIN)/maturin develop --profile fast --quiet >/dev/null
	@$(BIN)/python -m compileall -q python/fastnn
	@rm -f $(VENV)/.wheel
	@touch $@

# What Keras's tests import; Keras itself is never installed, its wheel is only unpacked for the tests.
$(VENV)/.conformance: $(VENV)/.editable
	@$(BIN)/python tools/requirements.py conformance | $(PIP) install --requirement /dev/stdin
	@touch $@

$(VENV)/.docs: $(VENV)/.editable
	@$(BIN)/python tools/requirements.py docs | $(PIP) install --requirement /dev/stdin
	@touch $@

# .venv-peers gets the same wheel as .venv, so that rivals are told apart by process alone.
$(PEERS)/.stamp: $(VENV)/bin/python pyproject.toml tools/requirements.py
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(BIN)/python tools/requirements.py peers | \
		$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --requirement /dev/stdin
	@touch $@
