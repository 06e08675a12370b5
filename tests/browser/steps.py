"""What every browser test does with a page: wait until it is drawn, keep a picture of it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

SCREENSHOTS = Path(__file__).parents[2] / "artefacts" / "screenshots"
READY = "[data-testid='stApp'][data-test-script-state='notRunning']"
TIMEOUT_MS = 60_000


def wait_ready(page: Page) -> None:
    """Return when the page's script has run to its end and nothing on it is stale; fail on a traceback."""
    page.wait_for_selector(READY, state="attached", timeout=TIMEOUT_MS)
    expect(page.locator("[data-stale='true']")).to_have_count(0, timeout=TIMEOUT_MS)
    expect(page.locator("[data-testid='stSkeleton']")).to_have_count(0, timeout=TIMEOUT_MS)
    expect(page.locator("[data-testid='stException']")).to_have_count(0)


def screenshot(page: Page, name: str) -> Path:
    """Keep a picture of the whole page as `artefacts/screenshots/NAME-{light,dark}-WIDTH.png`."""
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    width = (page.viewport_size or {"width": 0})["width"]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}-{'dark' if dark else 'light'}-{width}.png"
    page.screenshot(path=path, full_page=True)
    return path
