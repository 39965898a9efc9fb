# make train   trains configs/digits.py into runs/digits and evaluates it
# make test    lint, format and tests; `make test-fast` leaves the slow tests out
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
CONFIG  ?= configs/digits.py
WORKDIR ?= runs/$(basename $(notdir $(CONFIG)))
ARGS    ?=
VENV    := .venv
RUN     := $(VENV)/bin/python

.PHONY: train test test-fast lint clean

train: $(VENV)/ready
	@$(RUN) main.py --config=$(CONFIG) --workdir=$(WORKDIR) $(ARGS)

test: lint
	@$(RUN) -m pytest

test-fast: lint
	@$(RUN) -m pytest -m 'not slow'

lint: $(VENV)/ready-test
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check .

# stdout is kept for the command's result, so installers write to stderr.
$(VENV)/ready: requirements.txt constraints.txt
	@echo 'installing into $(VENV), about a minute' >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo 'error: Python 3.11 is needed; name it with PYTHON=' >&2; exit 2; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check \
	  -r requirements.txt -c constraints.txt >&2
	@touch $@

$(VENV)/ready-test: $(VENV)/ready requirements-test.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check \
	  -r requirements-test.txt -c constraints.txt >&2
	@touch $@

clean:
	rm -rf $(VENV) runs
