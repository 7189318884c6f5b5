# What quickstart and test do stands in the README in plain commands too, for those without make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# Without a network: WHEELS=folder takes every package from there, and NIN_BENCH_DATA=folder the data.
ifdef WHEELS
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(abspath $(WHEELS))
endif

.PHONY: quickstart docs test test-extras test-faults test-long test-gpu lint check-reports audit format bench bench-gpu schema lock clean

quickstart: $(VENV)/installed
	$(BIN)/python -m nin_bench run --grid experiments/quickstart.yaml

# worksteal: the tests of a module share what they made, and nobody waits at the end.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What needs more than nin_bench itself does: Chromium, PostgreSQL, Ray, MLflow, TensorBoard, ONNX, timm.
test-extras: $(VENV)/installed-extras
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "extra and not long"

test-faults: $(VENV)/installed-test
	NIN_BENCH_FAULTS=all $(BIN)/python -m pytest -n 2 --dist worksteal tests/faults

# The simulations behind docs/statistics.md, what the quickstart decides, and every benchmark once: some minutes.
test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -m long

# What only an accelerator can show, in less than five minutes; `test` skips it where there is none.
test-gpu: $(VENV)/installed-test
	$(BIN)/python -m pytest -m gpu

lint: $(VENV)/installed-extras $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

# Whether each report that ships follows from its records.
check-reports: $(VENV)/installed
	status=0; for report in reports/reference/*/*; do \
	  $(BIN)/python -m nin_bench report results/$${report#reports/} --check || status=1; \
	done; exit $$status

# The documentation site, into build/site; a broken link is an error.
docs: $(VENV)/installed-docs
	$(BIN)/python docs/site/build.py build
	$(BIN)/zensical build --strict --clean --config-file build/zensical.toml

# Needs the network, so it is no part of .ci/run. Strict: a package that could not be looked up is no clean bill.
audit: $(VENV)/installed-audit
	$(BIN)/python -m pip list --format=freeze --exclude-editable | sed 's/+.*//' > $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement $(VENV)/audited.txt

format: $(VENV)/installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Ends with a Markdown table of figures and their targets; mind that nothing else is running.
bench: $(VENV)/installed-test
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-columns=min,median,iqr,rounds

# How fast an accelerator trains, in one table, within nine minutes; OUT is the folder for its JSON.
OUT ?= results/bench-gpu
bench-gpu: $(VENV)/installed-test
	$(BIN)/python -m tests.benchmarks.gpu_table --out $(OUT)

schema: $(VENV)/installed
	$(BIN)/python -m nin_bench schema --rebuild > $(VENV)/grid.schema.json
	mv $(VENV)/grid.schema.json nin_bench/grid/grid.schema.json

# What pip is held to by the rules below. Versions in the file stay as they are, where they still fit; without the file, all are
# the newest. What PyTorch needs for CUDA is left out: PyTorch names those versions itself.
lock: $(VENV)/installed-lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --all-extras --group test --group extras --group lint --group docs --group audit pyproject.toml --output-file constraints.txt
	grep -v -E '^(cuda|nvidia|triton)-?' constraints.txt > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'  # which knows dependency groups
	$(PIP) --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) --group test
	touch $@

$(VENV)/installed-extras: $(VENV)/installed-test
	$(PIP) --group extras
	touch $@

$(VENV)/installed-lint: $(VENV)/installed
	$(PIP) --group lint
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) --group docs
	touch $@

$(VENV)/installed-audit: $(VENV)/installed
	$(PIP) --group audit
	touch $@

$(VENV)/installed-lock: $(VENV)/installed
	$(PIP) --group lock
	touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
