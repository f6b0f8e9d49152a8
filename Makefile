.DEFAULT_GOAL := help
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
.PHONY: help run demo test lint bench soak release

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run a broker for trying things out
	cargo run --locked --bin writ -- dev

demo: ## Play pipeline runs against a real server and show what becomes of what they hold
	cargo build --workspace --bins --locked
	$(TARGET)/debug/writ-demo

test: ## Run every test, other people's clients included
	tests/setup
	cargo test --workspace --locked
	cargo build --package writ-practice --bin writ-practice --locked
	node tests/peers/schemas/check.mjs $(TARGET)/debug/writ-practice
	tests/pages/follow $(TARGET)/debug $$(grep -l '^```console terminal' docs/*/*.md)

lint: ## Check form and lints; warnings are errors
	cargo fmt --all --check
	cargo fmt --check --manifest-path tests/peers/spiffe/Cargo.toml
	cargo fmt --check --manifest-path proto/generate/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- -D warnings

bench: ## Measure against the floor of this machine
	cargo bench --locked --bench load

soak: ## Kill a release build again and again under load, and look for what was lost
	cargo build --release --locked --bin writ
	WRIT_BINARY=$(TARGET)/release/writ WRIT_KILLS=500 cargo test --locked --test it binary::crash -- --nocapture

release: ## Build static binaries with checksums, as far as this toolchain can
	deploy/release
