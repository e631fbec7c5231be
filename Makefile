# `make demo` shows the main job, `make test` runs all checks, `make bench` measures, `make docs` builds the site.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export MPLBACKEND := Agg
# Real pictures for the bench: a folder with fairface64 and tinyimagenet64; without it those cases are left out.
DATA ?= $(firstword $(EQUIPOISE_DATA) $(if $(EQUIPOISE_SHARED),$(EQUIPOISE_SHARED)/data) $(wildcard ../shared/data))
LABS := .venv-labs/bin/python

.PHONY: demo labs test test-slow format docs bench bench-quick clean

demo: .venv/installed
	$(BIN)/equipoise demo --overwrite

# The labs as notebooks, in JupyterLab. Figures go into the notebook, so no backend is forced.
labs: .venv/installed-labs
	$(BIN)/jupytext --to notebook examples/labs/*.py
	env -u MPLBACKEND $(BIN)/jupyter lab examples/labs

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

# The documentation as a site that needs no network: build/docs/index.html. A warning is an error.
docs: .venv/installed-all
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --conf-dir docs . build/docs

# Every case, five seeds: hours. Goes on where it stopped.
bench: .venv/installed-all .venv-labs/installed
	$(BIN)/python benchmarks/bench.py $(if $(DATA),--data $(DATA)) --labs-python $(LABS)

# Every case, tiny: under 10 minutes after the install. Goes on without the labs' TensorFlow if it cannot be installed.
bench-quick: .venv/installed-all
	@$(MAKE) --no-print-directory .venv-labs/installed || echo "TensorFlow could not be installed; the labs are left out."
	$(BIN)/python benchmarks/bench.py --quick $(if $(DATA),--data $(DATA)) --labs-python $(LABS)

clean:
	rm -rf .venv .venv-labs runs

# torch goes first and pinned: an unpinned one brings gigabytes of CUDA packages.
.venv/torch: constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	touch $@

.venv/installed: .venv/torch pyproject.toml
	$(PIP) --editable '.[jpeg]'
	touch $@

.venv/installed-all: .venv/torch pyproject.toml
	$(PIP) --editable '.[all,test,docs]'
	$(PIP) --no-deps timm  # without the torchvision that it asks for, which may be built for another torch
	touch $@ .venv/installed

.venv/installed-labs: .venv/torch pyproject.toml
	$(PIP) --editable '.[labs]'
	touch $@

# The labs' programs have an environment of their own: TensorFlow wants other versions.
.venv-labs/installed: benchmarks/labs/requirements.txt
	$(PYTHON) -m venv .venv-labs
	.venv-labs/bin/python -m pip install --quiet --disable-pip-version-check --requirement $< \
		|| { rm -rf .venv-labs; exit 1; }
	touch $@
