"""Where UnlearnBoard keeps what it makes: one cache folder, chosen by the environment or by the platform's custom."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder for evidence, converted models and written studies.

    `UNLEARNBOARD_CACHE` where it is set, else the platform's user cache folder. It is not created here.
    """
    chosen = os.environ.get("UNLEARNBOARD_CACHE", "")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("unlearnboard"))
