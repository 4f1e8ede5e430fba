# The commands that people and continuous integration run. They need Python >= 3.10
# (with its venv module), make and a package index; everything else is made in .venv.
#
#   make search    phase one of the search; more options: make search ARGS="--dry-run"
#   make test      lint, formatting, types and every test; some: make test ARGS="tests/test_x.py"
#   make format    put the source into the form that `make lint` checks
#   make soak      every fault, hundreds of times: results/reliability; some: make soak SOAKS=kills
#   make soak-slurm  faults of jobs on a real SLURM (Debian's, unpacked into a private folder)
#   make bench     speed of the trainers on this machine
#   make clean     remove what these commands made (never runs/)

PYTHON ?= python3
VENV := .venv
ARGS :=
# Scripts of tests/soak; those that mount a small disk need root, and say so where they cannot.
SOAKS := kills damage fuzz full_disk coordinators signals refusals dask_workers scale
# Two tests at once need about 2 GB, four about 4 GB; one at a time, in order: make test ARGS=-n0
WORKERS := -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CORE := $(VENV)/core.stamp
DEV := $(VENV)/dev.stamp
LAYOUT := pyproject.toml setup.py constraints.txt

.PHONY: search test soak soak-slurm lint format types bench clean
.DEFAULT_GOAL := test

search: $(CORE)
	$(BIN)/combsearch phase1 --width 16 --target 0.995 $(ARGS)

bench: $(CORE)
	$(BIN)/combsearch bench $(ARGS)

test: lint types
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

# An hour or two, at low priority; each writes results/reliability/<name>.json.
soak: $(DEV)
	@for name in $(SOAKS); do \
		echo "nice -n 10 $(BIN)/python tests/soak/$$name.py $(ARGS)"; \
		nice -n 10 $(BIN)/python "tests/soak/$$name.py" $(ARGS) || exit; \
	done
	@$(BIN)/python tests/soak/table.py

# Half an hour. It installs nothing, and says in a line where there is no SLURM to be had.
soak-slurm: $(DEV)
	nice -n 5 $(BIN)/python tests/soak/slurm.py $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy reads the layout of an installed copy: links, made afresh so that none is stale.
# Array types come from numpy's own stubs, and those of the last numpy for Python 3.10 know
# less than the code says: there types are not checked.
types: $(DEV)
	rm -rf build/types
	mkdir -p build/types/combsearch
	cd build/types/combsearch && ln -s ../../../combsearch/* ../../../baselines ../../../kernels .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; \
		then echo $(BIN)/mypy; $(BIN)/mypy; \
		else echo 'types: not checked: the stubs need Python 3.11 or newer'; fi

# Editable, so that only a change of the files in LAYOUT installs anything again.
$(CORE): $(LAYOUT) | $(BIN)/pip
	$(INSTALL) -e .
	@touch $@

# Tests run the kernels for a GPU on the CPU: for that they need some C++ compiler.
$(DEV): $(LAYOUT) | $(BIN)/pip
	$(INSTALL) -e '.[dev]'
	@command -v c++ >/dev/null || command -v clang++ >/dev/null || $(INSTALL) ziglang
	@touch $(CORE) $@

# pip is the last thing that venv makes: where it stands, the environment is whole.
$(BIN)/pip:
	@command -v '$(PYTHON)' >/dev/null || \
		{ echo "combsearch: there is no '$(PYTHON)'; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "combsearch needs Python 3.10 or newer and '$(PYTHON)' is" \
		"$$('$(PYTHON)' --version 2>&1); name another: make PYTHON=python3.11" >&2; exit 2; }
	@'$(PYTHON)' -m venv '$(VENV)' || \
		{ echo "combsearch: '$(PYTHON) -m venv' failed; Debian and Ubuntu keep it in python3-venv" >&2; exit 2; }

clean:
	rm -rf .venv build dist combsearch.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
