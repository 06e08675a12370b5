"""A running dashboard and a real browser for the tests of this folder.

`dashboard` is one server for the whole session, on the demo with its real models and a cache of its own;
`start_dashboard` starts another one, on any study. `page` and `dark_page` are fresh browser windows that fail their
test when they asked for anything outside this machine, or when a script on the page broke.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.steps import TIMEOUT_MS

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A running server: its address, its process, its cache folder and the file that holds its log."""

    url: str
    process: subprocess.Popen[bytes]
    cache: Path
    log: Path


StartDashboard = Callable[..., Dashboard]


def chromium() -> str | None:
    """Path of a Chromium on this machine: $CHROMIUM, else the first that is found by name."""
    chosen = os.environ.get("CHROMIUM")
    return chosen or next((path for name in NAMES if (path := shutil.which(name))), None)


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(cache: Path, *arguments: str) -> Iterator[Dashboard]:
    """Serve the dashboard with these command-line arguments and this cache folder; ends with the block."""
    port = free_port()
    log = cache / "server.log"
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "app", *arguments, "--port", str(port), "--no-browser"]
    environment = os.environ | {"UNLEARNBOARD_CACHE": str(cache)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_healthy(url, process, log)
            yield Dashboard(url, process, cache, log)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


def _wait_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the dashboard ended with status {process.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"the dashboard did not answer within {START_SECONDS:.0f} s:\n{log.read_text()}")


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One server for all tests: the demo, or the study files named in $UNLEARNBOARD_TEST_STUDIES."""
    studies = [part for part in os.environ.get("UNLEARNBOARD_TEST_STUDIES", "").split(os.pathsep) if part]
    with running(own_cache(tmp_path_factory.mktemp("dashboard")), *studies) as server:
        yield server


@pytest.fixture
def start_dashboard(tmp_path: Path) -> Iterator[StartDashboard]:
    """Starts a server of its own: `start_dashboard("study.toml", cache=folder)`; it ends with the test."""
    started = []

    def start(*arguments: str | Path, cache: Path | None = None) -> Dashboard:
        block = running(cache or tmp_path / "cache", *map(str, arguments))
        server = block.__enter__()
        started.append(block)
        return server

    yield start
    for block in reversed(started):
        block.__exit__(None, None, None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without one the tests are skipped, unless $UNLEARNBOARD_REQUIRE_BROWSER is set."""
    path = chromium()
    if path is None:
        if os.environ.get("UNLEARNBOARD_REQUIRE_BROWSER"):
            pytest.fail("no Chromium on this machine; `make chromium` installs it")
        pytest.skip("no Chromium on this machine; `make chromium` installs it")
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=path)
        yield chrome
        chrome.close()


@contextmanager
def window(browser: Browser, scheme: Literal["light", "dark"], width: int = 1440) -> Iterator[Page]:
    """A fresh browser window; afterwards: nothing outside this machine was asked for, no script broke."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    asked: list[str] = []
    broken: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    context.close()
    assert not [url for url in asked if _is_outside(url)], "the page asked for something outside this machine"
    assert not broken, f"a script on the page broke: {broken}"


def _is_outside(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in {"127.0.0.1", "localhost"}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window in the light theme, 1440 x 900."""
    with window(browser, "light") as opened:
        yield opened


@pytest.fixture
def dark_page(browser: Browser) -> Iterator[Page]:
    """A fresh window in the dark theme, 1440 x 900."""
    with window(browser, "dark") as opened:
        yield opened


def own_cache(folder: Path) -> Path:
    """An empty cache folder that shares only the converted models of this machine's cache, which take long to make."""
    from app.shared.settings import cache_folder

    folder.mkdir(parents=True, exist_ok=True)
    models = cache_folder() / "models"
    if models.is_dir():
        (folder / "models").symlink_to(models, target_is_directory=True)
    return folder
