# genrepro: a fresh machine with git, make and Python >= 3.11 needs only `make repro` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PAGE_STAMP := $(VENV)/.installed-page
DEV_STAMP := $(VENV)/.installed-dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := uv pip compile --quiet --universal --generate-hashes --strip-extras --no-emit-index-url --no-header --no-annotate
# dvc.yaml calls `python`, which must be the environment's own.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro install listen test model lint docs lock fresh review help

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /: /'

repro: $(STAMP)  ## environment and the whole pipeline, offline
	dvc repro

install: $(STAMP)  ## environment alone: `.venv/bin/genrepro predict song.mp3` answers at once
	@echo "next: $(BIN)/genrepro predict song.mp3"

listen: $(PAGE_STAMP)  ## the page to hear and see what the model says, until Ctrl-C
	genrepro listen

test: $(DEV_STAMP)  ## environment, what tests add to it, and all tests
	python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(DEV_STAMP)  ## formatting, lint and types
	ruff format --check .
	ruff check .
	mypy

docs: $(DEV_STAMP)  ## the documentation as a site in .site/, with warnings as errors
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet

fresh: $(STAMP)  ## does dvc.lock say what the working tree says? (needs no data)
	.ci/freshness

# An installation writes to standard output too, so the workflow calls .ci/review itself.
BASE ?= main
review: $(STAMP)  ## what this checkout changes against BASE=main, and whether it is noise, as Markdown
	@.ci/review "$(BASE)"

model: $(STAMP)  ## write the model that comes with genrepro anew, from models/, and its figure in README.md
	said=$$(python -m genrepro.serve.default) && sed -i "s|^    model: .* (the model|    $$said (the model|" README.md

# uv writes them, for every system and Python version, the page's first, since gradio bounds what a run needs too. They
# hold no index address, so any mirror can serve them, and a hash of every file, so no mirror can change one.
lock: $(DEV_STAMP)  ## pin every version anew: what a run and the page need, then what tests add
	$(COMPILE) --extra page --output-file requirements-page.lock pyproject.toml
	$(COMPILE) --constraint requirements-page.lock --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra dev --extra docs --extra page --extra publish --constraint requirements-page.lock --output-file requirements-dev.lock pyproject.toml

# A stamp is newer than its lock file until that changes: then the environment is installed anew.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "genrepro needs Python 3.11 or newer: make PYTHON=python3.11 repro" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(PAGE_STAMP): requirements-page.lock $(STAMP)
	$(INSTALL) -r requirements-page.lock
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(STAMP)
	$(INSTALL) -r requirements-dev.lock
	@touch $@
