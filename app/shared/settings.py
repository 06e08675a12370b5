"""Where things are on this machine: the cache, the demo, the studies that this process was started with.

Read from the environment, so that the command line and the dashboard that it starts agree.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from backends.files.places import cache_folder
from cache.store import Store, open_store
from cache.store.recorded_pack import import_recorded

__all__ = [
    "ATTACKS_VARIABLE",
    "CACHE_VARIABLE",
    "PACK",
    "STUDIES_VARIABLE",
    "cache_folder",
    "demo_studies",
    "open_cache",
    "own_attack_files",
    "study_files_are_given",
    "study_paths",
]

CACHE_VARIABLE = "UNLEARNBOARD_CACHE"
STUDIES_VARIABLE = "UNLEARNBOARD_STUDIES"
"""Paths as a JSON list, from `show` to the dashboard that it starts."""
ATTACKS_VARIABLE = "UNLEARNBOARD_ATTACKS"
"""The same of files with attacks of the user's own."""
PACK = Path(__file__).resolve().parents[1] / "demo" / "pack"


def demo_studies() -> list[Path]:
    """The study files of the demo that ships with UnlearnBoard; none where its pack was not built."""
    return [path for kind in ("text", "image") if (path := PACK / kind / "study.toml").is_file()]


def study_paths() -> list[Path]:
    """The study files that this process shows: those named on the command line, else the demo."""
    named = json.loads(os.environ.get(STUDIES_VARIABLE) or "[]")
    return [Path(path) for path in named] or demo_studies()


def study_files_are_given() -> bool:
    """Whether this process was started with study files rather than on the demo, whose models are known to be whole."""
    return bool(json.loads(os.environ.get(STUDIES_VARIABLE) or "[]"))


def own_attack_files() -> list[str]:
    """Files with attacks of the user's own that this process was started with."""
    return list(json.loads(os.environ.get(ATTACKS_VARIABLE) or "[]"))


def open_cache() -> Store:
    """The evidence store in the cache folder; the demo's recorded evidence is in it.

    Raises:
        StoreError: the folder is read-only, full, or holds something else.
    """
    store = open_store(cache_folder() / "evidence.sqlite")
    import_recorded(PACK, store)
    return store
