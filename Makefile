# Every word makes what it needs on a machine with Python 3.11+, git and make, and is quick the second time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The peers that `make bench` measures beside ours live in an environment of their own.
PEERS  := .build/peers
# So does what builds the compiled matcher, which needs Rust; nothing else does.
MATURIN := .build/maturin
CARGO   := CARGO_TARGET_DIR=$(CURDIR)/.build/rust cargo
# The other matchers, each built where there is what it needs.
MATCHERS := .build/bench
# And what fuzzes: a run of the night is ten million inputs, repeated by the commit and the seed that it names.
ATHERIS    := .build/atheris
CARGO_FUZZ := .build/cargo-fuzz/bin/cargo-fuzz
SEED       ?= $(shell date +%Y%m%d)
MATCHER_RUNS   ?= 9500000
REFERENCE_RUNS ?= 500000

.PHONY: setup demo test check bench bench-matcher matcher wheels fuzz nightly lock clean
.DEFAULT_GOAL := setup

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; hint: install Python 3.11 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

$(READY): requirements.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(PEERS)/.ready: | $(BIN)/uv
	$(BIN)/uv venv --quiet --clear $(PEERS)
	$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python "moto[server]==5.2.5" "ministack==1.5.33"
	@touch $@

$(MATURIN)/.ready: | $(BIN)/uv
	$(BIN)/uv venv --quiet --clear $(MATURIN)
	$(BIN)/uv pip install --quiet --python $(MATURIN)/bin/python "maturin==1.15.0"
	@touch $@

$(ATHERIS)/.ready: | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(ATHERIS) "atheris==3.0.0"
	@touch $@

$(CARGO_FUZZ):
	cargo install --quiet --locked --root .build/cargo-fuzz cargo-fuzz@0.13.1

setup: $(READY)  ## make the environment in .venv

demo: $(READY)  ## play the example from the README, end to end
	$(BIN)/busway demo

# A file's tests stay together: many of them share a server.
test: $(READY)  ## every test that fits into CI
	$(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadfile

check: $(READY)  ## format, lint, types, tidiness
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/pytest -q tests/test_tidy.py

bench: $(READY) $(PEERS)/.ready  ## speed beside the peers, written to bench/
	$(BIN)/python bench/run.py

$(MATCHERS)/ruler/Rate.class: bench/matching/ruler/pom.xml bench/matching/ruler/Rate.java
	@mkdir -p $(@D)
	@mvn -q -B -Dstyle.color=never -f $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(@D) \
	  && javac -cp "$(@D)/*" -d $(@D) bench/matching/ruler/Rate.java \
	  || echo "note: event-ruler is left out; it needs Java 17 and Maven"

$(MATCHERS)/quamina: bench/matching/quamina/go.mod bench/matching/quamina/main.go
	@cd bench/matching/quamina && go build -o $(CURDIR)/$@ . || echo "note: quamina is left out; it needs Go 1.23"

$(MATCHERS)/quamina-rs: bench/matching/quamina_rs/Cargo.toml bench/matching/quamina_rs/src/main.rs
	@cd bench/matching/quamina_rs && $(CARGO) build --quiet --release
	@mkdir -p $(@D) && cp .build/rust/release/busway-bench-quamina-rs $@

bench-matcher: matcher $(MATCHERS)/ruler/Rate.class $(MATCHERS)/quamina $(MATCHERS)/quamina-rs  ## the compiled matcher beside event-ruler and quamina
	$(BIN)/python bench/matching/run.py

matcher: wheels $(READY)  ## build the compiled matcher, try it in Rust and put it into .venv
	cd matcher && $(CARGO) test --quiet --package busway-matching
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --reinstall .build/wheels/busway_matcher-*.whl

wheels: $(MATURIN)/.ready  ## wheels of the compiled matcher for this platform, in .build/wheels
	@command -v cargo >/dev/null || { echo "error: cargo is not installed; hint: install Rust 1.89 or newer"; exit 1; }
	rm -rf .build/wheels
	cd matcher/python && CARGO_TARGET_DIR=$(CURDIR)/.build/rust $(CURDIR)/$(MATURIN)/bin/maturin build --quiet --release -o $(CURDIR)/.build/wheels

fuzz: $(READY) $(ATHERIS)/.ready  ## ten million inputs for the matchers and their parsers
	@if command -v cargo >/dev/null; then \
	  $(MAKE) --no-print-directory $(CARGO_FUZZ) && $(BIN)/python -m tests.fuzz.run matcher --runs $(MATCHER_RUNS) --seed $(SEED); \
	else echo "note: the matcher in Rust is not fuzzed, as cargo is not installed; hint: install Rust 1.88 or newer"; fi
	$(BIN)/python -m tests.fuzz.run reference --runs $(REFERENCE_RUNS) --seed $(SEED)

nightly: $(READY)  ## the long fault and fuzz runs
	BUSWAY_NIGHTLY=1 $(BIN)/pytest -q -m slow --hypothesis-seed=$(SEED)
	$(MAKE) --no-print-directory fuzz

lock: $(BIN)/uv  ## pin again; no registry address is written into the lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra demo --extra otel --extra outbox --extra schema --group dev pyproject.toml -o requirements.lock

clean:  ## remove what the words above made
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist .build
