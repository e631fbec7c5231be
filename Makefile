# Two targets do everything: `make demo` shows the main job, `make test` runs all checks.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export MPLBACKEND := Agg

.PHONY: demo test test-slow format bench clean

demo: .venv/installed
	$(BIN)/equipoise debias --out runs/demo --images 12000 --overwrite

test: .venv/installed-all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(if $(CI),-m "slow or not slow")

test-slow: .venv/installed-all
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

format: .venv/installed-all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed-all
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/weights.py

clean:
	rm -rf .venv runs

# torch goes first and pinned: an unpinned one brings gigabytes of CUDA packages.
.venv/torch: constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	touch $@

.venv/installed: .venv/torch pyproject.toml
	$(PIP) --editable '.[jpeg]'
	touch $@

.venv/installed-all: .venv/torch pyproject.toml
	$(PIP) --editable '.[all,test]'
	touch $@ .venv/installed
