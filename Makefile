# Everything a person does with this project; `make help` lists it. STACK chooses the stack: make up STACK=docker
STACK   ?= local
PYTHON3 ?= python3

VENV    := .venv
PYTHON  := $(VENV)/bin/python
STATE   := $(CURDIR)/.var
PACKAGES := bundle components engine environment gateway node_pool operate processes serving settings

# Pulumi's own CLI where it is, the embedded engine where it is not: same verbs, same flags, same state.
PULUMI  := $(or $(shell command -v pulumi 2>/dev/null),$(PYTHON) -m engine)

# State stays in this folder unless somebody logged in elsewhere or names a backend and a passphrase.
PULUMI_HOME ?= $(HOME)/.pulumi
ifeq ($(PULUMI_BACKEND_URL)$(wildcard $(PULUMI_HOME)/credentials.json),)
export PULUMI_BACKEND_URL := file://$(STATE)/backend
endif
ifeq ($(PULUMI_CONFIG_PASSPHRASE)$(PULUMI_CONFIG_PASSPHRASE_FILE)$(findstring environment,$(origin PULUMI_CONFIG_PASSPHRASE)),)
export PULUMI_CONFIG_PASSPHRASE_FILE := $(STATE)/passphrase
endif
export PULUMI_SKIP_UPDATE_CHECK := true
export UV_INDEX_URL ?= $(PIP_INDEX_URL)

.DEFAULT_GOAL := help
.PHONY: help setup git-filter setup-dev up preview refresh outputs destroy purge check logs status \
        test test-docker test-cluster lint format lock

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STACK=<name> chooses a stack of stacks/ (now: $(STACK))"

setup: $(VENV)/.program $(STATE)/passphrase git-filter ## install what the program needs

$(VENV)/bin/uv: operate/machine.py
	@$(PYTHON3) operate/machine.py
	@$(PYTHON3) -m venv $(VENV) || { echo "venv is missing: install python3-venv (Debian, Ubuntu)" >&2; exit 1; }
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

$(VENV)/.program: $(VENV)/bin/uv requirements/program.txt
	@echo "installing the program's packages"
	@$(VENV)/bin/uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements/program.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.program requirements/dev.txt
	@echo "installing the developers' packages"
	@$(VENV)/bin/uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements/dev.txt
	@touch $@

setup-dev: setup $(VENV)/.dev ## install what tests and linters need as well

$(STATE)/passphrase:
	@mkdir -p $(STATE)/backend
	@(umask 077; $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32), end="")' > $@)

# The passphrase's salt, which both engines write into a stack's file, is this machine's own: see .gitattributes.
git-filter:
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
	  git config filter.machine-salt.clean "sed /^encryptionsalt:/d" && git config filter.machine-salt.smudge cat; fi

up: setup ## deploy the stack, show how to call it
	@$(PULUMI) stack select --create $(STACK) >/dev/null
	@$(PULUMI) up --stack $(STACK) --yes
	@$(PYTHON) -m operate outputs --stack $(STACK)

preview: setup ## show what up would change
	@$(PULUMI) stack select --create $(STACK) >/dev/null
	@$(PULUMI) preview --stack $(STACK)

refresh: setup ## compare the state with what runs
	@$(PULUMI) refresh --stack $(STACK) --yes

outputs: setup ## show the stack's outputs with a curl for each URI
	@$(PYTHON) -m operate outputs --stack $(STACK)

destroy: setup ## stop and remove everything but caches and registered versions
	@$(PULUMI) destroy --stack $(STACK) --yes

purge: destroy ## remove caches and registered versions too
	@rm -rf $(STATE)

check: setup ## serve and probe the stack's models without registering them, then stop
	@$(PYTHON) -m operate check --stack $(STACK)

logs: setup ## show the service's logs (FOLLOW=1 keeps on)
	@$(PYTHON) -m operate logs --stack $(STACK) $(if $(FOLLOW),--follow)

status: setup ## show the service's processes and models
	@$(PYTHON) -m operate status --stack $(STACK)

test: setup-dev ## run the tests that need nothing but this machine
	@$(PYTHON) -m pytest tests

lint: setup-dev ## check format, style and types
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy $(PACKAGES) __main__.py

format: setup-dev ## put the code into its format
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

lock: setup ## resolve requirements/*.in anew
	@for name in uv program dev; do \
	  $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url requirements/$$name.in -o requirements/$$name.txt; done
