# What a newcomer needs: `make demo` and `make test`. The rest is for those who build it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
MIN_PYTHON := 3.11
FOR ?= center
ASYNCAPI_PARSER := @asyncapi/parser@3.6.3

# Tests wait more than they compute: two workers for each processor.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * os.cpu_count())')

# Tests start the program some hundred times: where nothing compiled may be kept, each would compile it anew.
test test-long: export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test test-long test-powercut test-vm check bench soak format pictures wheels constraints system-packages asyncapi-parser clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 24

demo: .venv/demo ## A whole center in a box, on simulated hardware; prints its address (ARGS="--day" plays a day)
	@$(BIN)/motcua demo $(ARGS)

test: .venv/dev ## All tests but the long ones and those that need a virtual machine or a Raspberry Pi (ARGS="-k name" picks some)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-long: .venv/dev ## What takes minutes: bad networks, fuzzers, a compressed month
	@$(BIN)/python -m pytest -m long --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-powercut: .venv/dev ## Cuts the power of a device and of a center at hundreds of points, in QEMU
	@$(BIN)/python -m pytest -m powercut tests/vm $(ARGS)

test-vm: .venv/dev ## The rating daemon on a real kernel with simulated GPIO lines, in QEMU
	@$(BIN)/python -m pytest -m vm tests/vm $(ARGS)

check: .venv/dev ## Format, lint, types, imports, documents: everything but the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m docs tests

bench: .venv/dev ## Speed and memory, beside the peer or the physical floor
	@$(BIN)/python -m benchmarks $(ARGS)

soak: .venv/dev ## A million hostile payloads, ten thousand presses under 220 kills, a month of days, a camera's week (about an hour)
	@$(BIN)/python -m benchmarks hostile kills month camera_week

format: .venv/dev ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pictures: .venv/dev ## Take the guides' pictures of desk, people and devices anew, into docs/pictures
	@$(BIN)/python -m tools.pictures docs/pictures

wheels: .venv/bin/python ## All that `pip install --no-index` needs, into dist/wheels (FOR=center, FOR=pi,modbus for a counter's Pi)
	@rm -rf build dist/wheels/motcua-*.whl # what an older version left would go into the wheel
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --constraint constraints.txt --wheel-dir dist/wheels '.[$(FOR)]'
	@echo "dist/wheels: motcua[$(FOR)], for $$($(BIN)/python -c 'import platform as p; print(f"Python {p.python_version()} on {p.machine()}")')"

constraints: ## Pin the newest versions that pyproject.toml allows, all extras
	$(PYTHON) -m pip install --quiet --dry-run --ignore-installed --report .constraints.json \
		'.[pi,camera,printer,modbus,keypad,center,oidc,dev]'
	$(PYTHON) tools/pin.py .constraints.json > constraints.txt
	rm .constraints.json

system-packages: ## As root on Debian or Ubuntu: the programs that some tests drive (broker, browser, virtual machine)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$(sed -e 's/#.*//' packages.txt)

asyncapi-parser: ## AsyncAPI's own parser from npm, into .cache, so that the published contract is tried with it, too
	@npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix .cache/asyncapi $(ASYNCAPI_PARSER)
	@echo ".cache/asyncapi: $(ASYNCAPI_PARSER)"

clean: ## Remove what was made here
	rm -rf .venv .cache build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Motcua needs Python $(MIN_PYTHON) or newer; name one with: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ echo "This Python cannot make virtual environments; on Debian: sudo apt install python3-venv" >&2; exit 1; }

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	@echo "Setting up (once, about a minute) …"
	@$(PIP) --editable '.[center,modbus,camera]' || { \
		echo "Trying again without the camera …" >&2; $(PIP) --editable '.[center,modbus]'; }
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Setting up (once, about two minutes) …"
	@$(PIP) --editable '.[dev]'
	@$(BIN)/motcua camera model >/dev/null || echo "So tests that look for people in real pictures are skipped."
	@touch $@ .venv/demo
