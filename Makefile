.DEFAULT_GOAL := help
.PHONY: help demo

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Play pipeline runs against a real server and show what becomes of what they hold
	cargo build --package writ --package writ-practice --bins
	cargo run --quiet --package writ-practice --bin writ-demo
