# make repro: the whole experiment, environment included. make test: tests, lint and types. make help: the rest.
PYTHON ?= python3
VENV := .venv
# Relative, for make divides paths at blanks; in recipes all others stand in quotes.
BIN := $(VENV)/bin
# An activated environment of DVC's stages: they are started as `python -m stages.x`.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
STAMP := $(VENV)/.synced

.DEFAULT_GOAL := help
.PHONY: help setup repro plan preset test proof lint

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## make the environment in .venv from requirements.lock (uv is found, or installed into .uv)

$(STAMP): requirements.lock pyproject.toml
	@case "$$PWD" in *:*) echo "a colon in the path of this folder divides PATH, and no environment works here: rename it"; exit 1;; esac
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@UV=$$(command -v uv || echo .uv/bin/uv); \
	if ! [ -x "$$UV" ]; then \
		"$(PYTHON)" -m venv .uv || { echo "no uv, and no python3-venv to install it with: install either"; exit 1; }; \
		.uv/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	fi; \
	[ -x $(VENV)/bin/python ] || "$$UV" venv --quiet --python "$(PYTHON)" $(VENV); \
	echo "installing the environment (5 GB, a minute or two)"; \
	"$$UV" pip sync --quiet --require-hashes --python $(VENV)/bin/python requirements.lock && \
	"$$UV" pip install --quiet --no-deps --no-build-isolation --python $(VENV)/bin/python --editable .
	@touch $@

repro: setup  ## download, forge, compress, crop, train, evaluate, report: reports/report.html
	$(BIN)/python -m pipeline.jobs $(if $(JOBS),--jobs $(JOBS))

plan: setup  ## what repro would run, and what it takes: stages, trainings, videos, disk, hours
	$(BIN)/python -m pipeline.jobs --plan $(if $(JOBS),--jobs $(JOBS))

preset: setup  ## make preset NAME=faceforensics: params.yaml with presets/faceforensics.yaml in it
	@$(BIN)/python -m pipeline.params.presets $(NAME)

lint: setup  ## ruff, mypy, and the layers of pipeline/'s rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: setup lint  ## lint, types, unit tests, then the real graph end to end
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not proof"
	$(BIN)/python -m pytest -m slow

proof: setup  ## the paper's whole grid on a made-up FaceForensics++: every cell of Tables 1 to 3 filled
	$(BIN)/python -m pytest -m proof
