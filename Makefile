# make repro: the whole experiment, environment included. make test: tests, lint and types. make help: the rest.
PYTHON ?= python3
VENV := .venv
LOCK := requirements.lock
# Relative, for make divides paths at blanks; in recipes all others stand in quotes.
BIN := $(VENV)/bin
# An activated environment of DVC's stages: they are started as `python -m stages.x`.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Many images set it. Without its compiled files each of a hundred processes compiles torch anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
STAMP := $(VENV)/.synced

.DEFAULT_GOAL := help
.PHONY: help setup repro plan preset app test proof faults lint audit sbom

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## make the environment in .venv from requirements.lock (uv is found, or installed into .uv)

$(STAMP): $(LOCK) pyproject.toml
	@case "$$PWD" in *:*) echo "a colon in the path of this folder divides PATH, and no environment works here: rename it"; exit 1;; esac
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Python 3.11 to 3.14 is needed, for which the packages in $(LOCK) are built: make PYTHON=python3.13 ...")'
	@UV=$$(command -v uv || echo .uv/bin/uv); \
	if ! [ -x "$$UV" ]; then \
		"$(PYTHON)" -m venv .uv || { echo "no uv, and no python3-venv to install it with: install either"; exit 1; }; \
		.uv/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	fi; \
	[ -x $(VENV)/bin/python ] || "$$UV" venv --quiet --python "$(PYTHON)" $(VENV); \
	echo "installing the environment (5 GB, a minute or two)"; \
	"$$UV" pip sync --quiet --require-hashes --python $(VENV)/bin/python $(LOCK) && \
	"$$UV" pip install --quiet --no-deps --no-build-isolation --python $(VENV)/bin/python --editable .
	@touch $@

repro: setup  ## download, forge, compress, crop, train, evaluate, report: reports/report.html
	$(BIN)/python -m pipeline.jobs $(if $(JOBS),--jobs $(JOBS))

plan: setup  ## what repro would run, and what it takes: stages, trainings, videos, disk, hours
	$(BIN)/python -m pipeline.jobs --plan $(if $(JOBS),--jobs $(JOBS))

preset: setup  ## make preset NAME=faceforensics: params.yaml with presets/faceforensics.yaml in it
	@$(BIN)/python -m pipeline.params.presets $(NAME)

# In an environment of its own, for gradio wants an older Pillow than the rest is locked with.
app:  ## a page in the browser to try the exported detectors on (sets up .venv-app)
	@$(MAKE) --no-print-directory setup VENV=.venv-app LOCK=requirements.app.lock
	.venv-app/bin/python -m pipeline.serving app

lint: setup  ## ruff, mypy, and the layers of pipeline/'s rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: setup lint  ## lint, types, unit tests, then the real graph end to end
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not proof and not faults"
	$(BIN)/python -m pytest -m slow

proof: setup  ## the paper's whole grid on a made-up FaceForensics++: every cell of Tables 1 to 3 filled
	$(BIN)/python -m pytest -m proof

faults: setup  ## the small graph, killed at 20 drawn moments across all stages: the same bytes as undisturbed
	$(BIN)/python -m pytest -m faults -s

audit: setup  ## known weaknesses of the packages in requirements.lock (says so where no service answers)
	@$(BIN)/python .ci/audit.py requirements.lock

sbom: setup  ## the packages in requirements.lock as CycloneDX: reports/sbom.json
	@mkdir -p reports
	@$(BIN)/python .ci/sbom.py requirements.lock > reports/sbom.json.part && mv reports/sbom.json.part reports/sbom.json
	@echo reports/sbom.json
