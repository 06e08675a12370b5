"""What browser tests do with a page: wait until it is drawn, find its parts, keep a picture of it.

Parts are found by role and label in the tests. What has neither (Plotly's drawing, Streamlit's tables and upload areas)
is found here, and only here, by the names that these libraries give it. Everything waits for what it reads.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SCREENSHOTS = Path(__file__).parents[2] / "artefacts" / "screenshots"
READY = "[data-testid='stApp'][data-test-script-state='notRunning']"
TIMEOUT_MS = 60_000


def wait_ready(page: Page) -> None:
    """Return when the page's script has run to its end and nothing on it is stale; fail on a traceback."""
    page.wait_for_selector(READY, state="attached", timeout=TIMEOUT_MS)
    expect(page.locator("[data-stale='true']")).to_have_count(0, timeout=TIMEOUT_MS)
    expect(page.locator("[data-testid='stSkeleton']")).to_have_count(0, timeout=TIMEOUT_MS)
    expect(page.locator("[data-testid='stException']")).to_have_count(0)
    expect(page.get_by_text("Page not found")).to_have_count(0)


def expect_cards(page: Page, *names: str) -> None:
    """Wait until these models' cards are shown and no others, in this order."""
    cards = page.get_by_role("article")
    expect(cards).to_have_count(len(names))
    for place, name in enumerate(names):
        expect(cards.nth(place)).to_have_attribute("aria-label", name)


def plot(page: Page) -> Locator:
    """The Plotly charts on the page."""
    return page.locator(".js-plotly-plot")


def marks(page: Page) -> Locator:
    """Points that are drawn as SVG, one each."""
    return plot(page).locator(".scatterlayer .point")


def expect_points(page: Page, count: int) -> None:
    """Wait until the chart holds that many points that can be clicked, drawn as SVG or by WebGL."""
    page.wait_for_function(
        """count => (document.querySelector(".js-plotly-plot")?._fullData ?? [])
            .filter(trace => trace.customdata).reduce((sum, trace) => sum + trace._length, 0) === count""",
        arg=count,
        timeout=TIMEOUT_MS,
    )


def expect_traces(page: Page, *, some: str = "", none: str = "") -> None:
    """Wait until one of the chart's traces has the first text in its name, and none the second."""
    page.wait_for_function(
        """([some, none]) => {
            const names = (document.querySelector(".js-plotly-plot")?.data ?? []).map(trace => trace.name ?? "");
            return names.some(name => name.includes(some)) && !(none && names.some(name => name.includes(none)));
        }""",
        arg=[some, none],
        timeout=TIMEOUT_MS,
    )


def axis_title(page: Page, axis: str, text: str) -> Locator:
    """The title of the x or y axis that has this text; the first, as two charts stand there while one is replaced."""
    return page.locator(f".{axis}title").filter(has_text=text).first


def chosen_run(page: Page, name: str) -> Locator:
    """The list of chosen runs, where it holds this one."""
    return page.get_by_test_id("stMultiSelect").filter(has_text=name)


def expect_marked(page: Page, places: dict[str, list[int]]) -> None:
    """Wait until exactly these points are marked: places by the name of their trace."""
    page.wait_for_function(
        """wanted => {
            const traces = (document.querySelector(".js-plotly-plot")?.data ?? []).filter(trace => trace.customdata);
            const some = Object.keys(wanted).length > 0;
            return traces.length > 0 && traces.every(({name, selectedpoints}) => some
                ? JSON.stringify(selectedpoints) === JSON.stringify(wanted[name] ?? [])
                : selectedpoints === null || selectedpoints === undefined);
        }""",
        arg=places,
        timeout=TIMEOUT_MS,
    )


def tables(page: Page) -> Locator:
    """Streamlit's tables; their cells are drawn on a canvas."""
    return page.get_by_test_id("stDataFrame")


def keyed(page: Page, key: str) -> Locator:
    """The container of that key, where two things on a page have one label."""
    return page.locator(f".st-key-{key}")


def upload(page: Page, *files: Path) -> None:
    """Drop files on the page's upload area."""
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(files)


def screenshot(page: Page, name: str) -> Path:
    """Keep a picture of the whole page as `artefacts/screenshots/NAME-{light,dark}-WIDTH.png`."""
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    width = (page.viewport_size or {"width": 0})["width"]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}-{'dark' if dark else 'light'}-{width}.png"
    page.screenshot(path=path, full_page=True)
    return path
