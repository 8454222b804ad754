# Every target works on a fresh machine: git, make, a C compiler and any of Python 3.11, 3.12, 3.13.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
DATA ?=
WEIGHTS ?=

# Nothing calls home, and nothing is written outside the project.
export DO_NOT_TRACK = 1
export DVC_NO_ANALYTICS = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export MLFLOW_DISABLE_TELEMETRY = true
export BENTOML_DO_NOT_TRACK = True
export UV_SYSTEM_CERTS = 1

.PHONY: help setup demo up test lint format lock bench-emotify bench-training bench-duplicates bench-features bench-feedback bench-gpu bench-portable bench-transfer bench-catalogue bench-facts bench-serving bench-batching bench-promotion bench-fuzz bench-road clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: .venv/installed  ## the environment, from requirements.lock

demo: setup  ## the whole road once: songbook, pipeline, registry, service, an answer
	@$(BIN)/earmark demo

up: setup  ## Prefect (server and schedules), MLflow and the service, until Ctrl-C
	@$(BIN)/earmark up

test: setup  ## the tests; ARGS="-k name" chooses, ARGS="-n 0 -x" runs them one by one
	@$(BIN)/pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder --durations 10 $(ARGS)

lint: setup  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy bench
	$(BIN)/lint-imports

format: setup  ## let ruff tidy the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## resolve the dependencies; UPGRADE=--upgrade takes the newest
	$(BIN)/uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --all-extras \
		--no-emit-index-url --no-header --quiet $(UPGRADE) pyproject.toml -o requirements.lock

bench-emotify: setup  ## genre, feelings, liking on real songs: make bench-emotify DATA=path/to/emotify [ENCODER=weights/musicnn] (hours)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-emotify DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/emotify.py "$(DATA)" $(if $(ENCODER),--encoder "$(ENCODER)")

bench-training: setup  ## is the loader fast enough, and how long from an import to a champion: make bench-training DATA=path/to/emotify
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-training DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/training.py "$(DATA)"

bench-duplicates: setup  ## copies found on real songs: make bench-duplicates DATA=path/to/emotify (about an hour)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-duplicates DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/duplicates.py "$(DATA)"

bench-features: setup  ## how fast features are made: make bench-features DATA=path/to/emotify (about half an hour)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-features DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/features.py "$(DATA)"

bench-feedback: setup  ## what feedback costs, and how good the estimates are: make bench-feedback DATA=path/to/emotify
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-feedback DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/feedback.py "$(DATA)"

bench-gpu: setup  ## what a GPU is worth: spectrograms, training, prediction (a few minutes, on a machine that has one)
	$(BIN)/python bench/gpu.py

bench-catalogue: setup  ## what a million tracks cost, and ten thousand small files (about ten minutes)
	$(BIN)/python bench/catalogue.py

bench-portable: setup  ## is what is exported the network? make bench-portable DATA=path/to/emotify (about ten minutes)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-portable DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/portable.py "$(DATA)"

bench-transfer: setup  ## 20 songs a class, with others' weights: make bench-transfer DATA=path/to/emotify WEIGHTS=weights/musicnn
	@test -n "$(DATA)" -a -n "$(WEIGHTS)" || { echo "Say where Emotify and the weights lie: make bench-transfer DATA=path/to/emotify WEIGHTS=weights/musicnn"; exit 2; }
	$(BIN)/python bench/transfer.py "$(DATA)" "$(WEIGHTS)"

bench-facts: setup  ## tempo, key and loudness, how right and how fast: make bench-facts DATA=path/to/emotify (ten minutes)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-facts DATA=path/to/emotify"; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/python bench/facts.py "$(DATA)"

bench-serving: setup  ## how fast the service is, against the usual one: make bench-serving DATA=path/to/emotify (half an hour)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-serving DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/serving.py "$(DATA)"

bench-batching: setup  ## who puts concurrent requests together: make bench-batching DATA=path/to/emotify (two minutes)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-batching DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/batching.py "$(DATA)"

bench-promotion: setup  ## ten changes of the champion under load: make bench-promotion DATA=path/to/emotify
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-promotion DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/promotion.py "$(DATA)"

bench-fuzz: setup  ## twenty thousand hostile uploads: make bench-fuzz DATA=path/to/emotify (half an hour)
	@test -n "$(DATA)" || { echo "Say where Emotify lies: make bench-fuzz DATA=path/to/emotify"; exit 2; }
	$(BIN)/python bench/fuzz.py "$(DATA)"

bench-road: setup  ## how long the road takes: demo, second demo, no-op repro, help, songbook
	$(BIN)/python bench/road.py

clean:  ## remove what can be made again, but no data, models or records
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# uv installs in seconds what takes pip minutes; its own version and hashes come from the same lock.
.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "earmark needs Python 3.11, 3.12 or 3.13; none was found. Install one, or: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version) …"
	@test -x $(BIN)/python && $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@awk '/^uv==/{p=1} p{print} p&&!/\\$$/{exit}' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
