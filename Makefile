# What people do here most. `make help` lists it.

RUNS ?= 1000
PARTS := 3A 3B 3C 3D
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[0-9A-Za-z% -]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

3A: ## grade part 3A, leader election (likewise 3B, the log; 3C, persistence; 3D, snapshots)
3B 3C 3D 3A:
	cargo test $@

test: ## every test of the workspace: the graded ones, the harness's own, doctests
	cargo test --workspace

lint: ## format, clippy, rustdoc; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

sweep: ## every graded test on many seeds: make sweep RUNS=1000
	LAB_RUNS=$(RUNS) cargo test --release

determinism: ## each seed twice, then in debug, release and on both backends: the same steps
	LAB_CHECK=determinism cargo test
	.ci/same-everywhere

mutants: RUNS := 200
mutants: ## are wrong Rafts caught, do right ones pass: make mutants ONLY=R01,C05 RUNS=200 JOBS=2
	cargo run -q -p mutants -- --runs $(RUNS) $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

BROWSER_PAGES ?= target/timeline-pages
browser-tests: ## does a timeline work in a browser? Needs node and Chromium (CHROMIUM=/usr/bin/chromium)
	cd timeline/browser && npm install --no-audit --no-fund --silent
	timeline/browser/pages.sh $(BROWSER_PAGES)
	node timeline/browser/run.mjs $(BROWSER_PAGES) $(if $(PICTURES),$(PICTURES))

bench: ## what each operation costs, up to a pass of Lab 3 (two minutes)
	cargo bench -p labbench -- --quiet

figures: ## measured figures against the design's limits, as Markdown (CLEAN=yes: a clean build, too)
	@cargo run --quiet --release -p labbench --bin figures -- $(if $(CLEAN),--clean)

ci: ## what has to pass before a change lands
	bash .ci/run

.PHONY: help $(PARTS) test lint sweep mutants determinism browser-tests bench figures ci
