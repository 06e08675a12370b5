# make dashboard   install and open UnlearnBoard on the demo; ARGS="people/study.toml --port 8600" opens something else
# make test        install and check everything: style, types, layers, unit tests, browser tests
# make test-fast   install and run what takes no browser and no demo model
# make bench       measure what the issue promises on speed and memory
# make check-gpu   check and measure an NVIDIA card against the CPU, in 8 minutes; without one it says so
# make demo-pack   rebuild the demo from nothing: models, unlearning, evidence (hours of CPU; goes on where it stopped)

ARGS ?=
# Two processes: much of the browser tests is waiting for a server. A file of tests stays in one of them.
WORKERS ?= -n 2 --dist loadfile
BIN := .venv/bin
# Idle threads of torch would otherwise spin and take the cores from the browser and the server.
export OMP_WAIT_POLICY ?= PASSIVE

.NOTPARALLEL:
.PHONY: dashboard test test-fast check bench check-gpu demo-pack chromium clean

dashboard: .venv/.prepared
	@$(BIN)/python -m app $(ARGS)

test: check chromium .venv/.prepared
	@mkdir -p artefacts
	$(BIN)/pytest $(WORKERS) --junitxml=artefacts/tests.xml

test-fast: .venv/.installed-test
	$(BIN)/pytest $(WORKERS) -m "not browser and not demo and not benchmark"

check: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed-test .venv/.prepared
	for bench in bench_store bench_text language evaluation images runs unlearning probes pages; do $(BIN)/python -m tests.benchmarks.$$bench; done

check-gpu: .venv/.installed-test .venv/.prepared
	@mkdir -p artefacts
	$(BIN)/python -m tests.gpu --to artefacts/gpu.md $(ARGS)

demo-pack: .venv/.installed
	$(BIN)/python -m app.demo.build $(ARGS)

chromium:
	@bash .ci/chromium

clean:
	rm -rf .venv build/lib build/bdist.* artefacts *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/.installed: pyproject.toml setup.py constraints.txt .ci/install
	@bash .ci/install all
	@touch $@

.venv/.installed-test: pyproject.toml setup.py constraints.txt .ci/install
	@bash .ci/install all,test
	@touch .venv/.installed $@

# The demo's language model as a folder in the cache: once, so that the first fresh answer needs no wait.
.venv/.prepared: .venv/.installed
	@$(BIN)/python -m app prepare
	@touch $@
