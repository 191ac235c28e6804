# Everything a person needs, from a fresh clone with Python 3.11, make and git.
# The stamps under .venv make the second run quick: they are older than pyproject.toml or constraints.txt only after a change.

# The first Python that is new enough; name another one with `make up PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
# Both names: newer pips read constraints for the build's own environment from the second one.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt
# Three workers for two cores: tests/chaos mostly waits and has one for itself, tests that need Kafka stay together on another
# (tests/conftest.py), so that a run starts two brokers and not three; the rest is done meanwhile.
PYTEST ?= $(BIN)/python -m pytest -n 3 --dist loadgroup

.PHONY: help up test kafka bench soak soak-real chaos
.DEFAULT_GOAL := help

help:
	@echo "make up      install and start a node on the embedded log at http://127.0.0.1:8080 (ARGS='...' adds flags)"
	@echo "make test    install what tests need and run all of them"
	@echo "make kafka   start an Apache Kafka broker at 127.0.0.1:9092 for trying out (needs java >= 17 and mvn)"
	@echo "make bench   measure, on a broker of its own, and print one table (ARGS=--quick for a look, ARGS='--out FILE' for a copy)"
	@echo "make soak    simulate crashes with ever new seeds, until Ctrl-C"
	@echo "make chaos   kill, stop, cut off and starve real nodes and brokers, in full: about half an hour"
	@echo "make soak-real  load a broker and two nodes for a while and watch memory and descriptors (ARGS='--minutes 60')"

up: .venv/.stamp-up
	@exec $(BIN)/chatstream up $(ARGS)

test: .venv/.stamp-test
	@if command -v java >/dev/null && command -v mvn >/dev/null; then $(BIN)/python dev/kafka/broker.py fetch; fi
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST) $(ARGS)

kafka: .venv/.stamp-test
	@exec $(BIN)/python dev/kafka/broker.py up $(ARGS)

bench: .venv/.stamp-test
	@$(BIN)/python -m benchmarks $(ARGS)

# Starts at another seed each time; a seed that fails is printed.
soak: .venv/.stamp-test
	@$(BIN)/python -m tests.simulation --soak --seed $$(date +%s) $(ARGS)

# The short form of the same tests is part of `make test`. One after the other: they watch clocks.
chaos: .venv/.stamp-test
	@CHATSTREAM_CHAOS=full $(BIN)/python -m pytest tests/chaos $(ARGS)

soak-real: .venv/.stamp-test
	@$(BIN)/python -m tests.chaos.soak $(ARGS)

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "chatstream needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.stamp-up: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing chatstream (once; the next time this is quick)"
	@$(INSTALL) --editable '.[speed]'
	@touch $@

# What tests need includes what running needs: afterwards `make up` has nothing to do.
.venv/.stamp-test: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing chatstream and what its tests need (once; the next time this is quick)"
	@$(INSTALL) --editable '.[dev,speed,faust]'
	@touch $@ .venv/.stamp-up
