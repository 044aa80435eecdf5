VENV ?= .venv
PYTHON ?= python3
PROFILE ?= cpu
# A lesson's number, such as 03, where one is asked for; of `lessons` and `notebooks`, nothing means all.
LESSON ?=
# Exact versions; /dev/null for the newest (in a VENV of their own).
CONSTRAINTS ?= constraints.txt
# Where Colab gets the course: a GitHub address, else git's remote origin; and a commit, branch or tag of it.
REPO ?=
REF ?=
export REPO REF

BIN := $(VENV)/bin
COLAB := $(VENV)-colab
# Files that say that an environment is whole; as targets of make, with spaces in their paths marked.
SPACE := $() $()
MARKED := $(subst $(SPACE),\ ,$(VENV))
READY := $(MARKED)/.ready
GRADING := $(MARKED)/.grading
# Tests talk to this machine only, and so do the kernels and processes that they start; and they train on the CPU.
OFFLINE := PYTHONPATH="$(CURDIR)/tests/offline" CUDA_VISIBLE_DEVICES=
# A cell of a lesson in the smoke profile takes a minute at most, on a slow machine two; a kernel that died is found out
# after this many seconds.
CELL_TIMEOUT := 300
# Tests of files that no library's version can change, and of whole lessons.
UNVERSIONED := $(foreach name,lessons/test_brought lessons/test_colab lessons/test_handout lessons/test_notebooks lessons/test_prose lessons/test_solutions test_project test_website,--ignore=tests/$(name).py)
TEST_TOOLS := pytest hypothesis ipykernel jupytext nbclient
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

.DEFAULT_GOAL := help
.PHONY: help setup lint unit unit-colab unit-lowest lessons test test-all course report study check-results reference gpu-check work sizes fits bench adapters readme address notebooks solutions handout site wheel clean

# The commands that are told after so many #.
LISTED = sed -nE 's/^([a-z-]+):.* $(1) (.*)/\1|\2/p' Makefile | awk -F'|' '{printf "make %-14s %s\n", $$1, $$2}'

help: ## list the commands
	@$(call LISTED,##)
	@echo 'For maintainers:'
	@$(call LISTED,###)
	@echo 'Settings: VENV=$(VENV) PYTHON=$(PYTHON) PROFILE=$(PROFILE) CONSTRAINTS=$(CONSTRAINTS) REPO=$(REPO) REF=$(REF)'

setup: $(READY) ## make the virtual environment, install the course, fetch weights and data

$(READY): pyproject.toml requirements.txt constraints.txt data/assets.toml
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "LoRA Lab needs Python 3.11 or newer: make PYTHON=python3.12")'
	"$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/pip" install --quiet --constraint "$(CONSTRAINTS)" --editable '.[dev]'
	"$(BIN)/python" -m loralab assets
	@touch "$@"

$(GRADING): $(READY)
	"$(BIN)/pip" install --quiet --constraint "$(CONSTRAINTS)" --editable '.[grading,browser]'
	@touch "$@"

# Colab's libraries without the course; and the packages that Colab lacks, for the first cell to install.
$(MARKED)-colab/.ready: tests/colab.txt
	rm -rf "$(COLAB)"
	"$(PYTHON)" -m venv "$(COLAB)"
	"$(COLAB)/bin/pip" install --quiet --requirement tests/colab.txt
	"$(COLAB)/bin/pip" download --quiet --no-deps --dest "$(COLAB)/wheels" evaluate sacrebleu portalocker colorama gguf 'setuptools>=77'
	@touch "$@"

# The course on top of them.
$(MARKED)-colab-unit/.ready: $(MARKED)-colab/.ready requirements.txt pyproject.toml
	rm -rf "$(COLAB)-unit"
	"$(PYTHON)" -m venv --without-pip "$(COLAB)-unit"
	"$(COLAB)/bin/python" $(SITE) > "$$("$(COLAB)-unit/bin/python" $(SITE))/colab.pth"
	"$(COLAB)-unit/bin/python" -m pip install --quiet --constraint tests/colab.txt --editable '.[embedded]' $(TEST_TOOLS)
	@touch "$@"

# The lowest versions that the course allows; torch as in constraints.txt.
$(MARKED)-lowest/.ready: requirements.txt pyproject.toml constraints.txt
	rm -rf "$(VENV)-lowest"
	"$(PYTHON)" -m venv "$(VENV)-lowest"
	sed -E '/^torch>/d; s/>=/==/' requirements.txt > "$(VENV)-lowest/versions.txt"
	grep '^torch==' constraints.txt >> "$(VENV)-lowest/versions.txt"
	"$(VENV)-lowest/bin/pip" install --quiet --constraint "$(VENV)-lowest/versions.txt" --editable '.[embedded]' $(TEST_TOOLS)
	@touch "$@"

# TRL beside the course, for the bench alone.
$(MARKED)-trl/.ready: $(READY)
	rm -rf "$(VENV)-trl"
	"$(PYTHON)" -m venv --without-pip "$(VENV)-trl"
	"$(BIN)/python" $(SITE) | sed "s/.*/import site; site.addsitedir('&')/" > "$$("$(VENV)-trl/bin/python" $(SITE))/course.pth"
	"$(VENV)-trl/bin/python" -m pip install --quiet --no-deps trl==1.16.0
	@touch "$@"

course: setup ## run the lessons on real data (PROFILE) and write results/PROFILE/report.html
	LORALAB_PROFILE="$(PROFILE)" "$(BIN)/python" notebooks/execute.py es
	LORALAB_PROFILE="$(PROFILE)" "$(BIN)/python" -m loralab report --language es

report: setup ## write the report again from the results at hand (PROFILE)
	LORALAB_PROFILE="$(PROFILE)" "$(BIN)/python" -m loralab report --language es

study: setup ## run or resume the whole study (some hours) and write results/study/report.html
	"$(BIN)/python" notebooks/run_study.py

check-results: setup ## compare your results with the published ones (after make course), and some runs of the study made again; fails if a number differs
	"$(BIN)/python" notebooks/published.py check --language es

solutions: setup ## build nbgrader's courses, an assignment a lesson with its solutions, into results/solutions
	"$(BIN)/python" notebooks/build.py --solutions results/solutions

handout: setup ## write two pages on a lesson (LESSON=03), and its exercises' known mistakes, into results/handouts
	"$(BIN)/python" notebooks/handout.py "$(LESSON)"

site: setup ## write the course's site, with a search that needs no server, into results/site
	"$(BIN)/python" notebooks/website.py

wheel: setup ## build dist/loralab-VERSION-py3-none-any.whl, to upload to Colab
	rm -rf build
	"$(BIN)/pip" wheel --quiet --no-deps --wheel-dir dist .

# Two at a time, each with one core: threads that wait for each other's take twice as long. The longest first.
test: setup ## everything that CI checks
	OMP_NUM_THREADS=1 $(MAKE) --jobs=2 lessons unit lint

lessons: setup ## run every Spanish lesson on tiny data (LESSON=03: that one alone)
	$(OFFLINE) "$(BIN)/pytest" -x --nbval-lax --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT) notebooks/es/$(LESSON)*.ipynb

test-all: lint lessons unit-colab unit-lowest $(GRADING) ## the same as test, and the checks that take minutes, with other versions too
	$(OFFLINE) "$(BIN)/pytest" tests -m 'slow or not slow'
	$(OFFLINE) "$(BIN)/python" tests/gpu_check.py --tiny --out results/gpu-check-tiny.json

clean: ## remove the virtual environments and what tools left behind; results stay
	rm -rf "$(VENV)" "$(COLAB)" "$(COLAB)-unit" "$(VENV)-lowest" "$(VENV)-trl" build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache

lint: setup ### check style and types
	"$(BIN)/ruff" format --check .
	"$(BIN)/ruff" check .
	"$(BIN)/mypy"

unit: setup ### run the unit tests
	$(OFFLINE) "$(BIN)/pytest" tests

unit-colab: setup $(MARKED)-colab-unit/.ready ### run the unit tests with Colab's versions
	$(OFFLINE) "$(COLAB)-unit/bin/python" -m pytest tests $(UNVERSIONED)

unit-lowest: setup $(MARKED)-lowest/.ready ### run the unit tests with the lowest versions allowed
	$(OFFLINE) "$(VENV)-lowest/bin/python" -m pytest tests $(UNVERSIONED)

address: setup ### write this repository's GitHub address into the lessons and README, and run nothing (REPO, REF)
	"$(BIN)/python" notebooks/build.py

notebooks: setup ### build every edition of the lessons, run them in place (PROFILE; LESSON=03: that one alone), and publish cpu's results beside them
	"$(BIN)/python" notebooks/build.py
	LORALAB_PROFILE="$(PROFILE)" "$(BIN)/python" notebooks/execute.py --in-place --lesson "$(LESSON)"
	test "$(PROFILE)$(LESSON)" != cpu || "$(BIN)/python" notebooks/published.py replace cpu

readme: setup ### write the READMEs' picture and tables, from lesson 6 and the published study
	"$(BIN)/python" notebooks/readme.py

reference: setup ### put a whole study at hand in place of the published one, data/reference
	"$(BIN)/python" notebooks/published.py replace study

adapters: setup ### train the adapters that come with the course (10 minutes), into data/adapters
	"$(BIN)/python" notebooks/adapters.py

gpu-check: setup ### check the course's paths on this machine's GPU, into data/gpu.json
	PYTHONPATH="$(CURDIR)/tests/offline" "$(BIN)/python" tests/gpu_check.py

work: setup ### count what each lesson computes under the t4 profile (5 minutes), into data/work.json
	PYTHONPATH="$(CURDIR)/tests/offline" "$(BIN)/python" tests/work.py

sizes: setup ### plan and measure the memory of some thirty training steps, into data/sizes.json
	"$(BIN)/python" tests/sizes.py

fits: setup ### plan which GPUs some well-known models fit in training (10 minutes), into data/fits.json
	"$(BIN)/python" tests/fits.py

bench: setup $(MARKED)-trl/.ready ### time training beside Trainer, TRL and the original recipe (40 minutes), into results/bench.json
	CUDA_VISIBLE_DEVICES= "$(BIN)/python" tests/bench.py --trl "$(VENV)-trl/bin/python"
