PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SOURCES := gateway worker shared client deploy tests models

.DEFAULT_GOAL := help
.PHONY: help demo up check format test test-redis faults bench audio fuzz scaling accuracy demo-model lock env-example clean

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(VENV)/.installed-local ## Start a fleet, transcribe the sample clips, stop; right transcripts or a non-zero exit
	@$(PY) -m deploy.local demo

up: $(VENV)/.installed-local ## Keep a fleet in the foreground (API_PORT, REDIS_URL, WHISPER_MODEL, WORKERS, GATEWAYS)
	@$(PY) -m deploy.local up

check: $(VENV)/.installed-dev ## Format, lint, types, import direction
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev ## Put the code in its format and sort the imports
	$(VENV)/bin/ruff check --fix --select I .
	$(VENV)/bin/ruff format .

test: $(VENV)/.installed-dev ## All tests; real Redis, real model, real processes
	$(PY) -m pytest tests

test-redis: $(VENV)/.installed-dev ## The tests of the queue against every Redis and Valkey that is here (ONLY=valkey for one, ONLY=scripts for the scripts)
	$(PY) -m tests.redis_versions $(ONLY)

faults: $(VENV)/.installed-dev ## Kill everything, many times, and write docs/reliability.md (about 12 minutes; ONLY=proof SEED=7 MINUTES=60)
	SEED=$(SEED) MINUTES=$(MINUTES) $(PY) -m tests.faults.experiments $(ONLY)

bench: $(VENV)/.installed-bench ## Measure a busy fleet; writes docs/performance.md (ONLY=throughput for one part)
	$(PY) -m tests.benchmarks $(ONLY)

audio: $(VENV)/.installed-dev ## Measure how audio is read, and what hostile files cost; writes docs/audio.md (about 6 minutes)
	$(PY) -m tests.benchmarks.audio $(ONLY)

fuzz: $(VENV)/.installed-dev ## Send 20,000 damaged files through the readers, 2,000 of them over HTTP (about 12 minutes)
	$(PY) -m tests.faults.audio_fuzz $(COUNT)

scaling: $(VENV)/.installed-dev ## Simulate how the fleet scales, from measured costs; writes docs/scaling.md (about 4 minutes)
	$(PY) -m tests.benchmarks.scaling

accuracy: $(VENV)/.installed-dev ## Word error rates through the whole stack; writes docs/accuracy.md (needs espeak-ng, flite)
	cd models/demo/training && ../../../$(PY) testsets.py ../../../build/testsets
	$(PY) -m tests.benchmarks.accuracy build/testsets

demo-model: ## Train the demo model again: hours, resumable (needs espeak-ng, flite)
	PYTHON=$(PYTHON) sh models/demo/training/run.sh

lock: $(VENV)/.installed-dev ## Choose the newest versions anew and write requirements.lock
	$(PY) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --universal --all-extras --python-version 3.10 --upgrade --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

env-example: $(VENV)/.installed-dev ## Write .env.example from the settings classes
	$(PY) -m deploy.local.env_example

clean: ## Remove what was made here, the virtual environment included
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed-%: pyproject.toml requirements.lock
	@$(PYTHON) deploy/local/install.py $(VENV) $*
