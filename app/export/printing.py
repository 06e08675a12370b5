"""A page as a PDF, printed by the Chrome or Chromium of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from backends.errors import StoreError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 120


def browser() -> str | None:
    """Path of a Chrome or Chromium: $CHROMIUM, else the first that is found by name."""
    chosen = os.environ.get("CHROMIUM")
    return chosen or next((path for name in NAMES if (path := shutil.which(name))), None)


def print_pdf(page: Path, to: Path) -> None:
    """Print an HTML file, which loads nothing from anywhere.

    Raises:
        StoreError: no browser, or it does not print.
    """
    path = browser()
    if path is None:
        raise StoreError(
            "a PDF needs Chrome or Chromium, and there is none on this machine",
            how=f"Install one, or print {page.name} from any browser",
        )
    with tempfile.TemporaryDirectory(prefix="unlearnboard-print-") as profile:
        # As root, as in containers, Chromium does not start with its sandbox; the page has no script and no network.
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [
            *(path, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", *sandbox),
            *(f"--user-data-dir={profile}", "--no-pdf-header-footer", f"--print-to-pdf={to.resolve()}"),
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreError(f"{path} did not print the report", how=f"Print {page.name} by hand") from error
    if done.returncode or not to.is_file():
        raise StoreError(f"{path} did not print the report", how=f"Print {page.name} by hand")
