"""What holds for all tests: an own cache folder, no network, browser tests last, benchmarks only when asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
CACHE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


settings.register_profile("busy machine", deadline=None)  # no test depends on speed
settings.load_profile("busy machine")


def pytest_configure(config: pytest.Config) -> None:
    """The cache of the person who runs the tests is not touched, but its converted models are used."""
    from backends.files.places import cache_folder

    models = cache_folder() / "models"
    config.stash[CACHE] = tempfile.TemporaryDirectory(prefix="unlearnboard-tests-")
    own = Path(config.stash[CACHE].name)
    if models.is_dir():
        (own / "models").symlink_to(models.resolve(), target_is_directory=True)
    os.environ["UNLEARNBOARD_CACHE"] = str(own)
    os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[CACHE].cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder, marker in (("browser", pytest.mark.browser), ("benchmarks", pytest.mark.benchmark)):
            if HERE / folder in item.path.parents:
                item.add_marker(marker)
    items.sort(key=lambda item: HERE / "browser" in item.path.parents)


@pytest.fixture(autouse=True)
def _environment_ends_with_the_test() -> Iterator[None]:
    """What the command line sets for the server that it starts is gone with the test: browser tests start servers."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
