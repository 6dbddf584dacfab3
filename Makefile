PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app classroom test lint bench pretrained clean

# LMC_CLASSROOM=1 make app is make classroom
app: $(if $(filter-out 0,$(LMC_CLASSROOM)),classroom,$(VENV)/.app)
	$(if $(filter-out 0,$(LMC_CLASSROOM)),,$(BIN)/streamlit run app.py)

classroom: $(VENV)/.app
	$(BIN)/python -m scripts.classroom $(ARGS)

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n auto --dist loadscope --ignore=tests/benchmarks $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only -p no:xdist -s $(ARGS)

pretrained: $(VENV)/.app
	$(BIN)/python -m scripts.build_pretrained $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name it with make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
