"""Installed beside packages called `app`, `backends` and `cache`: ours work, and theirs stay theirs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

import pytest

from backends.versions import own_version
from tests.browser.conftest import chromium
from tests.package.environments import ROOT, Environment, copy_of_tracked, make

pytestmark = pytest.mark.demo

NUMBERS = """
import hashlib, json, sys
from importlib import import_module
prefix = sys.argv[1]
def module(name):
    return import_module(prefix + name)
settings, keys, study = module("app.shared.settings"), module("cache.store.keys"), module("backends.study")
frame = module("app.export.notebook").frame(None, None)
store = settings.open_cache()
image = next(s for s in map(module("backends.study.file").read_study, settings.demo_studies()) if s.modality == "image")
plan = module("cache.evaluate.plan").plan(image, store, keys.numerics("cpu", "float32"))
print(json.dumps({
    "numbers": hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest(),
    "rows": len(frame),
    "keys": [
        keys.scores_context("model", "tokenizer", "float32").key,
        keys.answers_context("model", "tokenizer", study.Decoding(), 0, "float32").key,
    ],
    "plan": [[item.model, item.probe_set, item.kind, item.total, item.missing] for item in plan.items],
    "runs": sorted(run.key for run in store.runs()),
}))
"""

LOADED = """
import json, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    page = playwright.chromium.launch(executable_path=sys.argv[2]).new_page()
    page.goto(sys.argv[1])
    page.locator(".js-plotly-plot .point").first.wait_for(timeout=120_000)
    print(json.dumps(page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")))
"""
"""What a page loaded until its chart was drawn; a process of its own, as other tests hold a browser open."""


def test_nothing_of_theirs_is_shadowed(base: Environment, base_cache: Path) -> None:
    code = (
        "import unlearnboard, sys\n"
        "path = list(sys.path)\n"
        "assert len(unlearnboard.load()) > 1000\n"
        "from unlearnboard.backends.study import Study\n"
        "import app, backends, cache\n"
        "print(app.WHOSE, backends.WHOSE, cache.WHOSE, path == sys.path, sep='; ')\n"
    )
    assert base.python(code, cache=base_cache).strip() == "; ".join(["theirs, running"] * 3 + ["True"])


@pytest.mark.parametrize("command", [("unlearnboard",), ("python", "-m", "unlearnboard")])
def test_both_commands_run_beside_them(command: tuple[str, ...], base: Environment, base_cache: Path) -> None:
    done = base.run(*command, "--version", cache=base_cache)
    assert (done.returncode, done.stdout.strip()) == (0, f"unlearnboard {own_version()}")
    assert base.run(*command, "metrics", cache=base_cache).returncode == 0


@contextmanager
def served(base: Environment, base_cache: Path) -> Iterator[str]:
    """The address of a running dashboard."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [str(base.bin / "python"), "-m", "unlearnboard", "--port", url.split(":")[-1], "--no-browser"]
    own = os.environ | {"UNLEARNBOARD_CACHE": str(base_cache)}
    process = subprocess.Popen(
        command, cwd=base.work, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        answer = b""
        while not answer:  # pytest's own limit ends this where it never answers
            assert process.poll() is None, process.communicate()[0]
            with suppress(URLError, ConnectionError):
                answer = urllib.request.urlopen(f"{url}/_stcore/health", timeout=60).read()
            time.sleep(0.05)
        assert answer == b"ok"
        yield url
    finally:
        process.terminate()
        process.communicate()


def test_the_dashboard_starts_beside_them(base: Environment, base_cache: Path) -> None:
    with served(base, base_cache):
        pass


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine; `make chromium` installs it")
def test_charts_are_drawn_by_the_library_of_the_installed_plotly(base: Environment, base_cache: Path) -> None:
    with served(base, base_cache) as url:
        told = subprocess.run(
            [sys.executable, "-c", LOADED, f"{url}/tradeoffs", str(chromium())],
            capture_output=True,
            text=True,
        )
    assert told.returncode == 0, told.stderr
    loaded = json.loads(told.stdout)
    served_by = "/component/unlearnboard.app.components.chart.plotly/plotly.min.js"
    assert len([name for name in loaded if served_by in name]) == 1
    assert not [name for name in loaded if "PlotlyChart" in name]  # Streamlit's own copy


def test_the_version_is_an_attribute(base: Environment, base_cache: Path) -> None:
    printed = base.python("import unlearnboard; print(unlearnboard.__version__)", cache=base_cache)
    assert printed.strip() == own_version()


def test_the_wheel_has_the_keys_and_the_numbers_of_the_clone(
    base: Environment, base_cache: Path, tmp_path: Path
) -> None:
    installed = json.loads(base.python(NUMBERS, "unlearnboard.", cache=base_cache))
    command = [sys.executable, "-c", NUMBERS, ""]
    cache = shutil.copytree(base_cache, tmp_path / "cache")
    own = {"UNLEARNBOARD_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert installed == json.loads(done.stdout)
    assert installed["plan"] and installed["rows"] > 1000
    assert not [
        item for item in installed["plan"] if item[-1]
    ]  # what the pack recorded is found under these keys


def test_an_editable_installation_has_every_module_once(base: Environment, tmp_path: Path) -> None:
    clone = copy_of_tracked(tmp_path / "clone")
    # pip builds with what the environment has; these modules import nothing that UnlearnBoard requires.
    editable = make(tmp_path / "editable", ["setuptools"], "--editable", clone)
    code = (
        "from unlearnboard.backends.study import Study\n"
        "import backends.study, sys, unlearnboard.backends.study.study\n"
        "assert Study is backends.study.Study and Study.__module__ == 'backends.study.study'\n"
        "assert sys.modules['unlearnboard.backends.study'] is sys.modules['backends.study']\n"
        "assert backends.study.__spec__.name == backends.study.__name__ == 'backends.study'\n"
        "print(unlearnboard.__version__)\n"
    )
    assert editable.python(code, cache=tmp_path).strip() == own_version()
    missing = editable.run("python", "-c", "import unlearnboard.backends.nothing", cache=tmp_path)
    assert "No module named 'unlearnboard.backends.nothing'" in missing.stderr
