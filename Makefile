# Every target works on a fresh clone: it makes the environment first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACKAGES := hippo_core hippo_wire hippo_storage hippo_server hippo_worker hippo_client migrations benchmarks

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types imports proto-lint unit soak bench bench-compare bench-search docs format clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp is remade when what is installed changes; a half-made environment leaves none. All is compiled here, as where
# Python may write no bytecode each process would compile it anew, and pip would do so on one core. What a dependency
# holds for later Pythons does not compile, and is not loaded.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[all,dev,docs,examples]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	$(BIN)/python -m compileall -q $(PACKAGES)
	touch $@

install: $(INSTALLED) ## Make the environment in .venv

demo: $(INSTALLED) ## Train the example: 64 trials of a digits classifier, prefixes shared
	HIPPO_HOME=$(CURDIR)/.hippo $(BIN)/hippo run examples/digits/study.py

test: lint types imports proto-lint unit ## All checks and all tests

lint: $(INSTALLED) ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The simulation stands in for what production calls: where they no longer fit, it may well run on and judge nothing.
types: $(INSTALLED) ## Types, strictly
	$(BIN)/mypy --strict $(PACKAGES)
	$(BIN)/mypy --strict --follow-imports=silent --explicit-package-bases tests/simulation

imports: $(INSTALLED) ## The import arrows between the packages
	$(BIN)/lint-imports

proto-lint: $(INSTALLED) ## The wire contract's style
	$(BIN)/buf lint

# Three processes for two cores: tests of processes wait for a third of their time. In the order of the folders, which
# begins with the longest files and ends with the shortest, so that no long one is left to run alone.
unit: $(INSTALLED) ## All tests, without the linters
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

SECONDS ?= 900
soak: $(INSTALLED) ## Faults at random for long: SECONDS=900 in virtual time (or ARGUMENTS='--seeds 10000'), as long on processes
	$(BIN)/python -m tests.simulation $(or $(ARGUMENTS),--random --seconds $(SECONDS))
	$(BIN)/python -m tests.acceptance.soak --seconds $(SECONDS)
	$(BIN)/pytest -n 0 -m soak
	$(BIN)/pytest -n 2 tests/unit --hypothesis-seed=$$(date +%s)
	$(BIN)/python -m tests.simulation.mutations

bench: $(INSTALLED) ## Speed: every figure as a table, JSON and pictures, in an hour (ARGUMENTS='overhead sharing' for some)
	$(BIN)/python -m benchmarks $(ARGUMENTS)

bench-compare: $(INSTALLED) ## What became faster or slower: the newest two runs of bench (ARGUMENTS='OLD.json NEW.json')
	$(BIN)/python -m benchmarks.compare $(ARGUMENTS)

bench-search: $(INSTALLED) ## Searches by the steps that they train; goes on where it was interrupted (ARGUMENTS=--quick)
	$(BIN)/python -m benchmarks.search.report $(ARGUMENTS)

docs: $(INSTALLED) ## The documentation as a site, in site/: strict, so that a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment, the demo's home and the site
	rm -rf $(VENV) .hippo .tools site
