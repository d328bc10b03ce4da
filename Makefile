# Every target is a call of one Python command, so the same can be done without make: see README.md.
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check install
READY := .venv/adrec-is-installed
GRID ?= ml-100k beauty more-data sweeps
FIRST := $(firstword $(sort $(wildcard nbs/tutorials/*.ipynb)) nbs/index.ipynb)

.DEFAULT_GOAL := help
.PHONY: help demo test docs lab bench reproduce assignments grade export execute clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

demo: $(READY) ## train ADRec and its rivals on MovieLens-100K (at most 5 minutes on 2 cores)
	@$(BIN)/adrec demo

test: $(READY) ## run every notebook and every check (at most 20 minutes on 2 cores)
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations=15

docs: $(READY) ## notebooks -> docs/ and README.md, with the outputs that the notebooks hold
	@$(BIN)/python tools/build_docs.py

# Pages may load torch before adrec, which sets the same for its own process: see nbs/41_package.ipynb.
lab: $(READY) ## open the notebooks in JupyterLab, at the first tutorial
	@GOMP_SPINCOUNT=$${GOMP_SPINCOUNT-1000} KMP_BLOCKTIME=$${KMP_BLOCKTIME-1} $(BIN)/jupyter lab nbs --LabApp.default_url=/lab/tree/$(FIRST:nbs/%=%)

bench: $(READY) ## measure speed and memory against the plain way (about 15 minutes on 2 quiet cores)
	@$(BIN)/python benchmarks/speed.py --out nbs/results/speed.json

# Interrupted, the same line continues. Data sets other than MovieLens-100K: `adrec data` says where to get them.
reproduce: $(READY) ## train the published comparisons, or GRID="ml-100k"; says beforehand how many hours it takes
	@set -e; for grid in $(GRID); do $(BIN)/adrec compare nbs/results/grids/$$grid.toml --out runs/$$grid --forecast; done
	@set -e; for grid in $(GRID); do $(BIN)/adrec compare nbs/results/grids/$$grid.toml --out runs/$$grid; done

# Teachers. (The shell has a TERM of its own, which is no term: only one that stands on make's command line counts.)
assignments: $(READY) ## check the problem sets and write the hand-outs, for TERM=2027, into OUT=build/assignments
	@$(BIN)/python tools/assignments.py $(if $(OUT),--out "$(OUT)") $(if $(filter command%,$(origin TERM)),--term $(TERM))

grade: $(READY) ## grade FOLDER=submissions, or one SET=ps1_noise of it, into OUT=grades
	@$(BIN)/python tools/grade.py "$(or $(FOLDER),submissions)" $(if $(SET),--set $(SET)) $(if $(OUT),--out "$(OUT)") $(if $(COURSE),--course "$(COURSE)")

export: $(READY) ## notebooks -> adrec/
	@$(BIN)/nbdev_export

execute: $(READY) ## run all notebooks in place, so that their stored outputs are today's
	@$(BIN)/python tools/notebooks.py

clean: ## remove what builds leave behind; .venv and runs stay
	@rm -rf _proc build dist *.egg-info .pytest_cache .hypothesis nbs/nbdev.yml

# The environment: made once, and again when the dependencies change.
$(READY): constraints.txt settings.ini setup.py
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(v < (3, 11) and f'adrec needs Python 3.11 or newer, $(PYTHON) is {v[0]}.{v[1]}: try make PYTHON=python3.12')"
	@echo "Setting up .venv (once; about 0.5 GB to download with the CPU build of PyTorch)"
	@$(PYTHON) -m venv .venv
	@echo "  1 of 3: PyTorch"
	@$(PIP) --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $$(grep '^torch==' constraints.txt)
	@echo "  2 of 3: adrec and what it needs"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@echo "  3 of 3: MovieLens-100K, from the files of recbole"
	@$(PIP) --no-deps $$(grep '^recbole==' constraints.txt)
	@touch $@
