# `make demo` shows the product, `make test` judges it. Both install what they need.

SECONDS ?= 60
TARGET ?= all
SEED ?= 1
SEEDS ?= 100000

.PHONY: help demo test bench fuzz soak coverage mutants packages fmt lint deny
.DEFAULT_GOAL := help

help: ## What can be made
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## (.*)/make \1	\2/' | expand -t 16

demo: packages ## A small fleet on this machine: a plan, a pass, and what became of it
	cargo build --workspace
	cargo run -q -p fleet-tests --bin demo

test: packages lint deny ## Everything that has to hold
	RUST_TEST_THREADS=4 cargo test --workspace

bench: packages ## How long plans and files take
	cargo bench -p fleet-tests

fuzz: packages ## Broken input for every parser: make fuzz TARGET=devices SECONDS=600 SEED=7
	cargo run -p fleet-tests --bin fuzz -- $(TARGET) $(SECONDS) $(SEED)

soak: packages ## Many simulated fleets: make soak SEEDS=100000
	SEEDS=$(SEEDS) cargo test -p fleet-tests --test sim no_promise -- --nocapture

# LLVM's own tools are not asked for: a toolchain of Debian or rustup has none by itself.
coverage: packages ## How much of planner and engine the simulator and the fast tests run; needs cargo-tarpaulin
	SEEDS=40 cargo tarpaulin --engine llvm --skip-clean --target-dir target/coverage --timeout 300 --out Stdout \
		--workspace --lib --test fast --test sim \
		--include-files 'reconciler/src/planning/*' --include-files 'reconciler/src/planning/**/*' \
		--include-files 'reconciler/src/engine.rs' --include-files 'reconciler/src/engine/*'

# The tests are known to pass: the run before the mutants would be of another selection of packages.
mutants: packages ## Whether each small change to the planner fails a test, for hours; needs cargo-mutants and -nextest
	cargo mutants --in-place --baseline skip --timeout 180 --test-workspace=true

packages: ## The Debian packages that are needed and missing
	@.ci/packages

fmt: ## Formats the code
	cargo fmt --all

lint: ## Format, lints and documentation, without a warning
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

deny: ## Licences and bans of the dependencies, where cargo-deny is installed
	@if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; \
	else echo "deny: cargo-deny is not installed, licences and bans are not checked"; fi
