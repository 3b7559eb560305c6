# Every word makes what it needs on a machine with Python 3.11+, git and make, and is quick the second time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The peers that `make bench` measures beside ours live in an environment of their own.
PEERS  := .build/peers

.PHONY: setup demo test check bench nightly lock clean
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

nightly: $(READY)  ## the long fault and fuzz runs
	BUSWAY_NIGHTLY=1 $(BIN)/pytest -q -m slow

lock: $(BIN)/uv  ## pin again; no registry address is written into the lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra demo --extra otel --extra outbox --extra schema --group dev pyproject.toml -o requirements.lock

clean:  ## remove what the words above made
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist .build
