# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   ?= msma-demo

.PHONY: demo test test-all lint format bench docs clean

# The demo needs only what a user needs; tests and linting bring their own extras.
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cli,report,text,demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/msma analyze demo demo --unit sentence --out $(DEMO)
	$(BIN)/msma steer demo-decoder --towards demo-sea --away-from demo-home --strengths 0.03,0.06,0.1 --max-new-tokens 32 --temperature 0.6 --out $(DEMO)/steering

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m ""

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pydoclint src
	$(BIN)/codespell

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/extraction.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/large_models.py
	$(BIN)/python benchmarks/measures.py
	$(BIN)/python benchmarks/maps.py
	$(BIN)/python benchmarks/certificate.py
	$(BIN)/python benchmarks/information.py

clean:
	rm -rf $(VENV) $(DEMO) docs/_build docs/api
