# Everything a person does with this project; `make help` lists it. STACK chooses the stack: make up STACK=docker
STACK   ?= local
PYTHON3 ?= python3

VENV    := .venv
PYTHON  := $(VENV)/bin/python
STATE   := .var
PACKAGES := bundle common components docker_target engine environment examples gateway machine node_pool operate processes pulumi_yaml serving settings training

# Pulumi's own CLI where it is, the embedded engine where it is not: same verbs, same flags, same state.
PULUMI  := $(or $(shell command -v pulumi 2>/dev/null),$(PYTHON) -m engine)

# State stays in this folder unless somebody logged in elsewhere or names a backend and a passphrase.
PULUMI_HOME ?= $(HOME)/.pulumi
ifeq ($(PULUMI_BACKEND_URL)$(wildcard $(PULUMI_HOME)/credentials.json),)
export PULUMI_BACKEND_URL := file://$(CURDIR)/$(STATE)/backend
endif
ifeq ($(PULUMI_CONFIG_PASSPHRASE)$(PULUMI_CONFIG_PASSPHRASE_FILE)$(findstring environment,$(origin PULUMI_CONFIG_PASSPHRASE)),)
export PULUMI_CONFIG_PASSPHRASE_FILE := $(CURDIR)/$(STATE)/passphrase
endif
export PULUMI_SKIP_UPDATE_CHECK := true
export UV_INDEX_URL ?= $(PIP_INDEX_URL)

.DEFAULT_GOAL := help
.PHONY: help setup git-filter setup-dev up preview refresh outputs key destroy purge check logs status \
        test test-docker test-cluster soak lint docs format lock benchmark-engine benchmark-serving

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

# The passphrase's salt, which both engines write into a stack's file, is this machine's own: see .gitattributes. Git
# calls the file modified by its size alone, until it is told to look: only then, and only where nothing else differs.
# Stands after a command whose exit status it passes on.
SETTLE = status=$$?; git diff --quiet -- $(STACK_FILE) 2>/dev/null && git update-index -q -- $(STACK_FILE) 2>/dev/null; \
  exit $$status
git-filter:
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
	  git config filter.machine-salt.clean "sed /^encryptionsalt:/d" && git config filter.machine-salt.smudge cat; fi

# Selects the stack, or makes it where it has a file. A new stack has no use for the salt of an older passphrase, unless
# something was encrypted under it.
STACK_FILE := stacks/Pulumi.$(STACK).yaml
SELECT = \
  [ -f $(STACK_FILE) ] || { echo "there is no $(STACK_FILE); the stacks are:" \
    $$(ls stacks | sed -n 's/^Pulumi\.\(.*\)\.yaml$$/\1/p') >&2; exit 1; }; \
  $(PULUMI) stack select $(STACK) >/dev/null 2>&1 || { \
    grep -q 'secure:' $(STACK_FILE) || sed -i '/^encryptionsalt:/d' $(STACK_FILE); \
    $(PULUMI) stack init $(STACK) >/dev/null; }

up: setup ## deploy the stack, show how to call it
	@$(SELECT)
	@$(PULUMI) up --stack $(STACK) --yes --suppress-outputs; $(SETTLE)
	@$(MAKE) --no-print-directory outputs

preview: setup ## show what up would change
	@$(SELECT)
	@$(PULUMI) preview --stack $(STACK); $(SETTLE)

refresh: setup ## compare the state with what runs
	@$(PULUMI) refresh --stack $(STACK) --yes --run-program; $(SETTLE)

outputs: setup ## show the stack's outputs with a curl for each URI
	@$(PULUMI) stack output --json --stack $(STACK) | $(PYTHON) -m operate outputs --stack $(STACK)

key: setup ## print the primary key: key=$(make -s key)
	@$(PULUMI) stack output primaryKey --show-secrets --stack $(STACK)

destroy: setup ## stop and remove everything but caches and registered versions
	@$(PULUMI) destroy --stack $(STACK) --yes

purge: setup ## destroy, and remove caches, registered versions and installed packages too
	@if $(PULUMI) stack select $(STACK) >/dev/null 2>&1; then $(MAKE) --no-print-directory destroy; fi
	@$(PYTHON) -m operate idle --stack $(STACK)
	@rm -rf $(STATE) $(VENV) .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

check: setup ## serve and probe the stack's models without registering them, then stop
	@$(PYTHON) -m operate check --stack $(STACK)

logs: setup ## show the service's logs (FOLLOW=1 keeps on)
	@$(PYTHON) -m operate logs --stack $(STACK) $(if $(FOLLOW),--follow)

status: setup ## show the service's processes and models
	@$(PYTHON) -m operate status --stack $(STACK)

# One worker more than processors: tests wait for servers to start and to end.
test: setup-dev ## run the tests that need nothing but this machine
	@$(PYTHON) -m pytest tests --numprocesses $$(($$(nproc) + 1)) --maxprocesses 4 --dist loadfile

test-docker: setup-dev ## run the tests that need a Docker engine (DOCKER_HOST)
	@$(PYTHON) -m pytest tests/docker

test-cluster: setup-dev ## run the tests that need a Kubernetes cluster (KUBECONFIG) and a Docker engine
	@$(PYTHON) -m pytest tests/cluster

soak: setup-dev ## kill the embedded engine a hundred times, at random moments
	@$(PYTHON) -m tests.engine.soak --kills 100

lint: setup-dev ## check format, style, types and workflows
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy $(PACKAGES) __main__.py
	@PYTHONPATH=. $(VENV)/bin/lint-imports --no-cache --no-logo >.var/imports.log || { cat .var/imports.log; exit 1; }
	@MYPYPATH=processes/backends/onnxruntime $(VENV)/bin/mypy processes/backends/onnxruntime/*.py
	@$(VENV)/bin/mypy .github/scripts/*.py
	@$(VENV)/bin/mypy benchmarks/*.py
	@$(VENV)/bin/zizmor --offline --quiet .github
	@if command -v go >/dev/null; then go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12; \
	  else echo "actionlint did not run: it needs Go on PATH"; [ -z "$$CI" ]; fi

docs: setup ## write docs/settings.md and stacks/schema.json anew, from the settings' types
	@$(PYTHON) -m settings.reference

format: setup-dev ## put the code into its format
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

lock: setup ## resolve requirements/*.in anew
	@for name in uv program dev; do \
	  $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url requirements/$$name.in -o requirements/$$name.txt; done
	@$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url benchmarks/requirements.in -o benchmarks/requirements.txt

BENCHMARKS := $(STATE)/benchmarks/venv
$(BENCHMARKS)/.done: benchmarks/requirements.txt $(VENV)/.program
	@$(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(BENCHMARKS)
	@$(VENV)/bin/uv pip install --quiet --python $(BENCHMARKS)/bin/python --require-hashes -r benchmarks/requirements.txt
	@touch $@

benchmark-engine: setup $(BENCHMARKS)/.done ## measure the embedded engine beside Pulumi's CLI (ARGS="--rounds 3")
	@$(PYTHON) -m benchmarks.engine $(ARGS)
	@$(BENCHMARKS)/bin/python -m benchmarks.engine_report

benchmark-serving: setup $(BENCHMARKS)/.done ## measure the shapes of service beside Azure's server (ARGS="--rounds 3")
	@$(PYTHON) -m benchmarks.serving $(ARGS)
	@$(BENCHMARKS)/bin/python -m benchmarks.serving_report
