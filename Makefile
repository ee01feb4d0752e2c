# Everything a person does with this project; `make help` lists it. STACK chooses the stack: make up STACK=docker
STACK   ?= local
PYTHON3 ?= python3

VENV    := .venv
PYTHON  := $(VENV)/bin/python
STATE   := .var
PACKAGES := bundle common components engine environment examples gateway operate policies provider serving settings targets

# One thing after the other, whatever MAKEFLAGS says. Several makes at once wait for each other where they would write
# the same files: `$(LOCKED) command`.
.NOTPARALLEL:
LOCKED   = mkdir -p $(STATE) && flock $(STATE)/.lock

# What a person set for other Pythons must not change this one. Without byte code, each process compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONINSPECT PYTHONOPTIMIZE PYTHONPATH PYTHONPLATLIBDIR PYTHONSAFEPATH
unexport PYTHONSTARTUP PYTHONWARNINGS
unexport PIP_PREFIX PIP_TARGET PIP_USER

# Pulumi's own CLI where it is, the embedded engine where it is not: same verbs, same flags, same state.
PULUMI  := $(if $(shell command -v pulumi 2>/dev/null),pulumi,$(PYTHON) -m engine)

# State stays in this folder unless somebody logged in elsewhere or names a backend and a passphrase. What has a meaning
# in a URL is escaped, as both engines read it.
EMPTY   :=
SPACE   := $(EMPTY) $(EMPTY)
HASH    := \#
URL_PATH = $(subst $(SPACE),%20,$(subst ?,%3F,$(subst $(HASH),%23,$(subst %,%25,$(CURDIR)))))
ifeq ($(PULUMI_BACKEND_URL)$(shell [ ! -f "$${PULUMI_HOME:-$$HOME/.pulumi}/credentials.json" ] || echo logged-in),)
export PULUMI_BACKEND_URL := file://$(URL_PATH)/$(STATE)/backend
endif
ifeq ($(PULUMI_CONFIG_PASSPHRASE)$(PULUMI_CONFIG_PASSPHRASE_FILE)$(findstring environment,$(origin PULUMI_CONFIG_PASSPHRASE)),)
export PULUMI_CONFIG_PASSPHRASE_FILE := $(CURDIR)/$(STATE)/passphrase
endif
export PULUMI_SKIP_UPDATE_CHECK := true
export UV_INDEX_URL ?= $(PIP_INDEX_URL)

.DEFAULT_GOAL := help
.PHONY: help setup installed git-filter setup-dev new up preview policy policy-pack refresh outputs key versions rollback destroy purge \
        check logs status report dashboard service-unit test test-docker test-cluster test-examples fuzz soak soak-rollouts lint docs format lock \
        benchmark-engine benchmark-serving

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STACK=<name> chooses a stack of stacks/ (now: $(STACK))"

setup: git-filter ## install what the program needs
	@$(LOCKED) sh -c '[ ! -e $(VENV) ] || { $(SOUND); } || { $(UNSOUND); }'
	@$(LOCKED) $(MAKE) --no-print-directory installed

installed: $(VENV)/.program $(STATE)/passphrase
	@:

# A Python that was removed or upgraded takes the packages that were installed for it along.
SOUND   := [ -d "$$($(PYTHON) -c "import sys; print(sys.prefix + \"/lib/python%d.%d/site-packages\" % sys.version_info[:2])" 2>/dev/null)" ]
UNSOUND := echo "the Python that $(VENV) was made with is gone or another one now: making it anew"; rm -rf $(VENV)

$(VENV)/bin/uv: operate/machine_check.py
	@$(PYTHON3) operate/machine_check.py
	@$(PYTHON3) -m venv $(VENV) || { echo "venv is missing: install python3-venv (Debian, Ubuntu)" >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	@touch $@

$(VENV)/.program: $(VENV)/bin/uv requirements/program.txt
	@echo "installing the program's packages"
	@$(VENV)/bin/uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements/program.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.program requirements/dev.txt
	@echo "installing the developers' packages"
	@$(VENV)/bin/uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements/dev.txt
	@touch $@

setup-dev: setup ## install what tests and linters need as well
	@$(LOCKED) $(MAKE) --no-print-directory $(VENV)/.dev

# Whole or not at all: an empty one that an older version left is made anew, unless a stack was encrypted under another.
ifeq ($(shell [ -s $(STATE)/passphrase ] || [ -n "$$(find $(STATE)/backend/.pulumi/stacks -name '*.json' 2>/dev/null)" ] || echo none),none)
.PHONY: $(STATE)/passphrase
endif
$(STATE)/passphrase: | $(VENV)/.program
	@mkdir -p $(STATE)/backend
	@umask 077; $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32), end="")' > $@.new && mv $@.new $@

# The passphrase's salt, which both engines write into a stack's file, is this machine's own: see .gitattributes. Git
# calls the file modified by its size alone, until it is told to look: only then, and only where nothing else differs.
# Stands after a command whose exit status it passes on.
SETTLE = status=$$?; git diff --quiet -- $(STACK_FILE) 2>/dev/null && git update-index -q -- $(STACK_FILE) 2>/dev/null; \
  exit $$status
git-filter:
	@if folder=$$(git rev-parse --git-common-dir 2>/dev/null); then \
	  [ "$$(git config filter.machine-salt.smudge)" = cat ] || flock "$$folder" sh -c \
	  'git config filter.machine-salt.clean "sed /^encryptionsalt:/d" && git config filter.machine-salt.smudge cat'; fi

# Selects the stack, or makes it where it has a file. A new stack has no use for the salt of an older passphrase, unless
# something was encrypted under it.
STACK_FILE := stacks/Pulumi.$(STACK).yaml
LOCK   = exec 9>$(STATE)/.lock; flock 9
UNLOCK = exec 9>&-
SELECT = $(KNOWN); $(LOCK); $(STACK_IS_THERE) || $(call INIT) || exit 1; $(UNLOCK)
KNOWN = \
  [ -f $(STACK_FILE) ] || { echo "there is no $(STACK_FILE); the stacks are:" \
    $$(ls stacks | sed -n 's/^Pulumi\.\(.*\)\.yaml$$/\1/p') >&2; exit 1; }
STACK_IS_THERE = $(PULUMI) stack select $(STACK) >/dev/null 2>&1
INIT = { grep -q 'secure:' $(STACK_FILE) || sed -i '/^encryptionsalt:/d' $(STACK_FILE); \
  $(PULUMI) stack init $(STACK) $(1) >/dev/null; }

# Of the command line alone: some systems set a NAME for every shell.
GIVEN = "$(if $(filter command,$(origin $(1))),$$$(1))"
new: setup ## write a stack for a model: NAME=mine MODEL=path [TARGET=docker] [SCRIPT=1]
	@$(PYTHON) -m operate new --name=$(call GIVEN,NAME) --model=$(call GIVEN,MODEL) --target=$(call GIVEN,TARGET) \
	  --script=$(call GIVEN,SCRIPT)

# What shows the outputs starts along with the update, so that nobody waits for its imports. It waits for the outputs, and
# leaves Ctrl-C to the update; the update writes past it.
up: setup ## deploy the stack, show how to call it
	@$(SELECT)
	@exec 3>&1; { ($(PULUMI) up --stack $(STACK) --yes --suppress-outputs >&3 3>&-; $(SETTLE)) && $(OUTPUTS) 3>&-; } \
	  | (trap '' INT; exec nice -n 5 $(PYTHON) -m operate outputs --stack $(STACK) --after-up 3>&-)

# A stack that is not there yet is made for the preview alone.
PREVIEWED = $(KNOWN); $(LOCK); if $(STACK_IS_THERE); then $(UNLOCK); $(1); $(SETTLE); fi; \
  kept=$(STATE)/preview.$$$$.yaml; cp $(STACK_FILE) $$kept || exit 1; made=; trap 'exit 130' INT TERM HUP; \
  trap '[ -z "$$made" ] || $(PULUMI) stack rm $(STACK) --yes --preserve-config >/dev/null; mv $$kept $(STACK_FILE)' EXIT; \
  $(call INIT,--no-select) && made=yes && $(1)
preview: setup ## show what up would change
	@$(call PREVIEWED,$(PULUMI) preview --stack $(STACK))

# The same rules as `pulumi preview --policy-pack policies`, over the previewed resources of either engine.
POLICY_CONFIG ?= $(wildcard policies/configuration.json)
policy: setup ## check the previewed resources against the policies (POLICY_CONFIG=<file>)
	@$(call PREVIEWED,$(PULUMI) preview --stack $(STACK) --json --show-sames \
	  | $(PYTHON) -m operate policy --stack $(STACK) --configuration "$(POLICY_CONFIG)")

refresh: setup ## compare the state with what runs
	@$(PULUMI) refresh --stack $(STACK) --yes --run-program; $(SETTLE)

OUTPUTS = $(PULUMI) stack output --json --stack $(STACK)
outputs: setup ## show the stack's outputs with a curl for each URI
	@$(OUTPUTS) | $(PYTHON) -m operate outputs --stack $(STACK)

KEY ?= primary
key: setup ## print a key: key=$(make -s key), KEY=secondary for the other, CLIENT=checkout for a client's
	@$(PYTHON) -m operate key --stack $(STACK) --engine "$(PULUMI)" --which="$(KEY)" --client=$(call GIVEN,CLIENT)

versions: setup ## list what the service was made of at each deployment, and what serves
	@$(OUTPUTS) 2>/dev/null | $(PYTHON) -m operate versions --stack $(STACK)

# `up` takes the version that the stack's file names, and shows it there to who deploys next.
rollback: setup ## deploy a former version of the service whole: the one before, or VERSION=5
	@$(SELECT)
	@version=$$($(OUTPUTS) | $(PYTHON) -m operate rollback --stack $(STACK) --version=$(call GIVEN,VERSION)) && \
	  { $(PULUMI) config set --path deployment.version "$$version" --stack $(STACK); $(SETTLE); }
	@$(MAKE) --no-print-directory up

destroy: setup ## stop and remove everything but caches and registered versions
	@$(PULUMI) destroy --stack $(STACK) --yes

purge: setup ## destroy, and remove caches, registered versions and installed packages too
	@$(PYTHON) -m operate idle --stack $(STACK) --besides
	@if $(STACK_IS_THERE); then $(MAKE) --no-print-directory destroy; fi
	@$(PYTHON) -m operate idle --stack $(STACK)
	@rm -rf $(STATE) $(VENV) .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

check: setup ## serve and probe the stack's models without registering them, then stop
	@$(PYTHON) -m operate check --stack $(STACK)

# The cluster that a stack of target node-pool was deployed to, of which no other is shown; the others have none.
CLUSTER = $$(grep -qs node-pool $(STACK_FILE) && $(PULUMI) stack output cluster --json --stack $(STACK) 2>/dev/null)

logs: setup ## show the ends of the service's logs (LINES=50 of each, FOLLOW=1 keeps on, JSON=1: the requests alone)
	@$(PYTHON) -m operate logs --stack $(STACK) --lines=$(call GIVEN,LINES) --cluster "$(CLUSTER)" --engine "$(PULUMI)" \
	  $(if $(FOLLOW),--follow) $(if $(JSON),--json)

service-unit: setup ## write a systemd unit of this user that keeps the service running
	@$(PYTHON) -m operate service-unit --stack $(STACK)

status: setup ## show the service's processes and models
	@$(PYTHON) -m operate status --stack $(STACK) --cluster "$(CLUSTER)" --engine "$(PULUMI)"

dashboard: setup ## serve a page that shows the service live and sends it requests (PORT=6781)
	@$(PYTHON) -m operate dashboard --stack $(STACK) --engine "$(PULUMI)" --port=$(call GIVEN,PORT)

report: setup ## open the report of the newest rollout (LIST=1 lists them)
	@$(PYTHON) -m operate report --stack $(STACK) $(if $(LIST),--list)

POLICY_PACK := $(STATE)/policies/venv
$(POLICY_PACK)/.done: policies/requirements.txt $(VENV)/.program
	@echo "installing the policy pack's packages"
	@$(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(POLICY_PACK)
	@$(VENV)/bin/uv pip install --quiet --python $(POLICY_PACK)/bin/python --require-hashes -r policies/requirements.txt
	@touch $@

policy-pack: setup ## install what Pulumi's CLI runs the policy pack with (--policy-pack policies)
	@$(LOCKED) $(MAKE) --no-print-directory $(POLICY_PACK)/.done

# A busy machine may fail a test of real servers: each test that fails gets a second run, alone. Both runs are shown.
define TESTS
  cache=$(STATE)/tests/$@; rm -rf $$cache; $(PYTHON) -m pytest -o cache_dir=$$cache $1 || { \
    [ $$? -eq 1 ] && echo "the failed tests once more, alone" && \
    $(PYTHON) -m pytest -o cache_dir=$$cache $(firstword $1) --last-failed --last-failed-no-failures none --maxfail 1; }
endef

# Two workers a processor: tests wait for servers to start and to end. `tests/conftest.py` says which files begin.
test: setup-dev policy-pack ## run the tests that need nothing but this machine
	@$(call TESTS,tests --numprocesses $$(($$(nproc) * 2)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder)

test-docker: setup-dev ## run the tests that need a Docker engine (DOCKER_HOST)
	@$(call TESTS,tests/docker)

RUNS ?= 20
soak-rollouts: setup-dev ## judge planted faults RUNS times (20) on process, docker (DOCKER_HOST) and a cluster (KUBECONFIG)
	@$(PYTHON) -m pytest tests/e2e/test_verdicts.py tests/docker/test_verdicts.py tests/cluster/test_verdicts.py --rollout-runs $(RUNS)

test-cluster: setup-dev ## run the tests that need a Kubernetes cluster (KUBECONFIG) and a Docker engine
	@$(call TESTS,tests/cluster)

# pulumi-azure-native is large: its tests have an environment of their own, and `make test` goes without.
EXAMPLES := $(STATE)/examples/venv
$(EXAMPLES)/.done: examples/cluster/tests/requirements.txt $(VENV)/.program
	@echo "installing the packages of examples/cluster"
	@$(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(EXAMPLES)
	@$(VENV)/bin/uv pip install --quiet --python $(EXAMPLES)/bin/python --require-hashes -r $<
	@touch $@

test-examples: setup $(EXAMPLES)/.done ## run the tests of examples/cluster, in an environment of their own
	@$(EXAMPLES)/bin/python -m pytest examples/cluster/tests

fuzz: setup-dev ## run the property tests with other examples each time, EXAMPLES of each (1000)
	@$(PYTHON) -m pytest $$(grep -rl "from hypothesis import" tests) -p tests.fuzz --hypothesis-profile=fuzz

soak: setup-dev ## kill the embedded engine a hundred times, at random moments
	@$(PYTHON) -m tests.engine.soak --kills 100

lint: setup-dev ## check format, style, types and workflows
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(PYTHON) -m mypy $(PACKAGES) __main__.py
	@$(PYTHON) -c 'from importlinter.cli import lint_imports_command as run; run()' --no-cache --no-logo >.var/imports.log || { cat .var/imports.log; exit 1; }
	@MYPYPATH=targets/process/backends/onnxruntime $(PYTHON) -m mypy targets/process/backends/onnxruntime/*.py
	@$(PYTHON) -m mypy .github/scripts/*.py
	@$(PYTHON) -m mypy benchmarks/*.py
	@$(VENV)/bin/zizmor --offline --quiet .github
	@if command -v go >/dev/null; then go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12; \
	  else echo "actionlint did not run: it needs Go on PATH"; [ -z "$$CI" ]; fi

docs: setup ## write docs/settings.md, stacks/schema.json and the tables of docs/logs.md anew, from their types
	@$(PYTHON) -m settings.reference
	@$(PYTHON) -m gateway.access_log_page

format: setup-dev ## put the code into its format
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

lock: setup ## resolve requirements/*.in anew
	@for name in uv program dev; do \
	  $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url requirements/$$name.in -o requirements/$$name.txt; done
	@for folder in benchmarks policies examples/cluster/tests; do \
	  $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url $$folder/requirements.in -o $$folder/requirements.txt; done

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
