# What people do here most. `make help` lists it.

RUNS ?= 1000
PARTS := 3A 3B 3C 3D 4A 4B
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[0-9A-Za-z% -]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

3A: ## grade part 3A, leader election (likewise 3B, the log; 3C, persistence; 3D, snapshots; 4A, a service; 4B, its snapshots)
$(PARTS):
	cargo test $@

test: ## every test of the workspace: the graded ones, the harness's own, doctests
	cargo test --workspace

lint: ## format, clippy, rustdoc; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

sweep: ## graded tests on many seeds, on all cores: make sweep RUNS=1000 ONLY=3A
	cargo run -q --release -p grade -- sweep --fresh --runs $(RUNS) $(ONLY)

soak: ## 100,000 runs of all there is: the graded tests, torture, scripted histories (eleven minutes on two cores)
	cargo run -q --release -p grade -- sweep --runs 2500 3A 3B 3C 3D
	cargo run -q --release -p grade -- sweep --runs 450 4A 4B
	cargo run -q --release -p grade -- sweep --runs 1100 torture

budgets: RUNS := 100
budgets: ## how far runs are from the limits of each test of Lab 3: make budgets RUNS=100
	rm -f target/budgets.jsonl
	-LAB_RUNS=$(RUNS) LAB_RECORDS=$(CURDIR)/target/budgets.jsonl cargo test -q --release -p labtests raft_3
	cargo run -q -p labrecord --example budgets -- target/budgets.jsonl

doctor: ## is this machine fit: toolchain, cores, memory, speed, do runs repeat
	cargo run -q -p grade -- doctor

determinism: ## each seed twice, then in debug, release and on both backends: the same steps
	LAB_CHECK=determinism cargo test
	.ci/same-everywhere

mutants: RUNS := 200
mutants: ## are wrong servers caught, do right ones pass: make mutants ONLY=R01,K05,4B RUNS=200 JOBS=2
	cargo run -q -p mutants -- --runs $(RUNS) $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

search: RUNS := 10000
search: ## what a systematic search finds in wrong Rafts: make search ONLY=R50,R80 RUNS=10000
	cargo run -q -p mutants -- --search --runs $(RUNS) $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

others: RUNS := 100
others: ## Rafts that others wrote, behind the lab's interface: do they pass: make others OTHERS=tikv RUNS=100 ONLY=3A
	places=$$(cargo run -q -p mutants -- --others $(OTHERS)) || exit; status=0; for place in $$places; do \
	    cargo run -q --release -p grade -- sweep --root $$place --runs $(RUNS) $(if $(JOBS),--jobs $(JOBS)) $(ONLY) || status=1; \
	done; exit $$status

compare: ## is every wrong server found as soon as staff/mutants/MATRIX.csv says? make compare ONLY=R50
	cargo run -q -p mutants -- --compare $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

CRATE ?= raft
second-opinion: ## every change that cargo-mutants would make in a crate, tried: make second-opinion CRATE=kvraft (cargo install cargo-mutants --locked)
	cargo run -q -p mutants -- --second-opinion $(CRATE) --wrong-runs 10 --limit 120 $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

accusations: RUNS := 1
accusations: ## do timelines accuse correct servers, with their view or without it: make accusations ONLY=C02 RUNS=2
	cargo run -q -p mutants -- --accusations --runs $(RUNS) $(if $(ONLY),--only $(ONLY))

explain: ## does the report of each wrong server's failure point at what is wrong: staff/mutants/EXPLAINED.md (make explain ONLY=R50)
	cargo run -q -p mutants -- --explain $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY))

handout: ## the tree that students get, in target/handout: written, and checked for leaks and by running it
	cargo run -q -p grade -- handout

gradescope: ## the zip for Gradescope, target/gradescope.zip
	cargo run -q -p grade -- gradescope

attacks: ## submissions that try to cheat, graded: none gains a point (some minutes)
	cargo test -p grade --test attacks -- --ignored

newcomer: ## a student's path through the hand-out up to full score; what mistakes cost; hidden tests (some minutes)
	cargo test -p grade --test students -- --ignored

BROWSER_PAGES ?= target/timeline-pages
browser-tests: ## does a timeline work in a browser? Needs node and Chromium (CHROMIUM=/usr/bin/chromium)
	cd harness/timeline/browser && npm install --no-audit --no-fund --silent
	harness/timeline/browser/pages.sh $(BROWSER_PAGES)
	node harness/timeline/browser/run.mjs $(BROWSER_PAGES) $(if $(PICTURES),$(PICTURES))

pictures: ## retakes the book's pictures of failures: book/figures/reading (needs node and Chromium, as browser-tests)
	cargo run -q -p mutants -- --explain --only R50,R80,K30
	cd harness/timeline/browser && npm install --no-audit --no-fund --silent
	cargo build -q -p timeline
	mkdir -p target/pictures
	for page in R50 R80 K30; do \
	    target/debug/timeline target/mutants/explained/$$page-*.html --html target/pictures/$$page.html; \
	done
	node harness/timeline/browser/pictures.mjs target/pictures book/figures/reading

bench: ## what each operation costs, up to a pass of Lab 3 (two minutes)
	cargo bench -p labbench -- --quiet

figures: ## measured figures against the design's limits, as Markdown (CLEAN=yes: a clean build, too)
	@cargo run --quiet --release -p labbench --bin figures -- $(if $(CLEAN),--clean)

book: ## the lab book in both languages: target/book/index.html (needs mdBook: cargo install mdbook --locked)
	book/build
	cargo run --quiet -p scenarios -- pages target/book/runs
	cargo run --quiet -p labbook -- pages
	cargo run --quiet -p labbook -- quotes
	cargo run --quiet -p labbook -- links

book-test: ## runs every command of the book that says so, and compares what it prints (some minutes)
	cargo run --quiet -p labbook -- run $(PAGE)

scenarios: ## the book's figures that show a run: played by the reference Raft, and drawn anew
	cargo run --quiet -p scenarios -- draw

figure16: ## the paper's Figure 16 on the simulation: time without a leader, by election timeouts
	cargo run --quiet --release -p experiments -- figure16

experiments: ## the book's other experiments: batches, recovery
	cargo run --quiet --release -p experiments -- batches
	cargo run --quiet --release -p experiments -- recovery

passes: ## the lines of tests that pass, as the book shows them
	for part in $(PARTS); do \
	    cargo test --quiet --release $$part 2>&1 > /dev/null | grep '^Test (' | LC_ALL=C sort > book/figures/pass-$$part.txt; \
	done

ci: ## what has to pass before a change lands
	bash .ci/run

dead-faults: ## is it noticed when one of the tester's faults does nothing? Each is made to, one at a time
	.ci/dead-faults

.PHONY: help $(PARTS) test lint sweep soak budgets doctor mutants search others compare dead-faults second-opinion accusations explain determinism handout gradescope attacks newcomer bench figures book book-test scenarios browser-tests pictures figure16 experiments passes ci
